"""The endpoints, and the page's own files."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from starlette.responses import Response
from starlette.routing import Route, Router

from edgemnist import __version__
from edgemnist.errors import UsageError, check_range
from edgemnist.predict.run import Sourced, tell
from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE
from edgemnist.results import UNREADABLE
from edgemnist.results.pictures import (
    DIGIT,
    DIGITS,
    Comparison,
    CorrectionBody,
    CorrectionResponse,
    HealthResponse,
    PredictResponse,
    PredictTimes,
)
from edgemnist.samples import DISAGREEMENT, NOT_A_DIGIT
from edgemnist.serve.jobs import Normalized, Page, PredictJob, ReadJob, images_of
from edgemnist.serve.limits import JSON, Body, BodyMemory, GoneError, MemoryFile, content_type, network_of
from edgemnist.serve.metrics import CONTENT_TYPE, Metrics
from edgemnist.serve.openapi import document
from edgemnist.serve.refusals import UNUSABLE, RefusedError, bad_request, busy, unsupported
from edgemnist.serve.workers import SMALL_PIXELS, Lane, NotSmallError, Threads
from edgemnist.storage import sha256

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from starlette.requests import Request

    from edgemnist.arrays import Images
    from edgemnist.drift.monitor import Monitor
    from edgemnist.results import Result
    from edgemnist.results.pictures import Prediction
    from edgemnist.samples.collector import Collector
    from edgemnist.serve.config import Limits
    from edgemnist.serve.models import LoadedModel, ModelStore
    from edgemnist.shadow.runner import Shadow

MAX_COMPARED: Final = 16
SMALL_BYTES: Final = 2**16
"""Of a picture that is tried in the lane for drawings first."""
SOURCE: Final = "serve"
"""Of samples: a client's names for its pictures are its own."""
STORED_S: Final = 10.0
"""Seconds to wait until a correction is on the disk."""
_NO_STORE = {"cache-control": "no-store"}


TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page."""

    data: bytes
    headers: dict[str, str]

    def response(self, request: Request) -> Response:
        """Return the file, or that the client has it."""
        if request.headers.get("if-none-match") == self.headers["etag"]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self.headers)
        return Response(self.data, headers=self.headers)


def page_files(package: str = "edgemnist.serve") -> dict[str, PageFile]:
    """Return the files of a package's `page/` by the path under which they are served."""
    files = {}
    for entry in resources.files(package).joinpath("page").iterdir():
        kind = TYPES.get(entry.name.rpartition(".")[2])
        if kind is None:
            continue
        data = entry.read_bytes()
        # Asked for each time, and answered with 304 if it is the same: a new release shows at once.
        headers = {
            "content-type": kind,
            "cache-control": "no-cache",
            "etag": f'"{sha256(data)[:16]}"',
        }
        files["/" if entry.name == "index.html" else f"/{entry.name}"] = PageFile(data, headers)
    return files


class Endpoints:
    """Answers requests; what they have in common is done by `RequestMiddleware`."""

    def __init__(
        self,
        store: ModelStore,
        limits: Limits,
        metrics: Metrics,
        *,
        drawings: Lane,
        pictures: Lane,
        disk: Threads,
        files: Mapping[str, PageFile],
        collector: Collector | None = None,
        monitor: Monitor | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        """`drawings` and `pictures` decode what is small and what is not; `disk` loads and describes models."""
        self._monitor, self._shadow = monitor, shadow
        self._store, self._limits, self._metrics, self._files = store, limits, metrics, files
        self._drawings, self._pictures, self._disk = drawings, pictures, disk
        self._bodies = BodyMemory(limits.max_held_bytes)
        metrics.jobs.set_function(lambda: pictures.jobs)
        metrics.held.set_function(lambda: self._bodies.bytes)
        self._collector = collector
        self._openapi = msgspec.json.encode(document(limits, collects=collector is not None))

    def router(self) -> Router:
        """Return the paths and what answers them."""
        return Router([
            Route("/v1/predict", self.predict, methods=["POST"]),
            Route("/v1/read", self.read, methods=["POST"]),
            *([Route("/v1/corrections", self.correct, methods=["POST"])] if self._collector is not None else []),
            Route("/v1/artifacts", self.artifacts),
            Route("/healthz", self.health),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            *(Route(path, self.page) for path in self._files),
        ], redirect_slashes=False)  # fmt: skip

    async def predict(self, request: Request) -> Response:
        """Read a digit from each picture."""
        kind = content_type(request, batches=True)
        names, show = _artifacts(request), _flag(request, "show")
        collect = _flag(request, "collect", default=True)
        with Body(request, self._limits, self._bodies) as body:
            data = await body.read()
            models = [await self._loaded(name) for name in names]
            job = PredictJob(batch=kind == JSON, digits=models[0].classifier.labels == DIGITS)
            found = await self._until_gone(request, self._normalized(job, data, models[0]))
        if job.batch or len(models) > 1:
            result = await asyncio.to_thread(_predictions, found, models, show=show)
        else:
            result = _predictions(found, models, show=show)
        if collect and isinstance(found, Normalized):
            if self._collector is not None:
                _offer(self._collector, images_of(found.images), result)
            # What another model answers is no matter of the default one.
            if self._monitor is not None and models[0].name == self._store.default:
                _count(self._monitor, images_of(found.images), result)
            if self._shadow is not None and models[0].name == self._store.default:
                _compare(self._shadow, images_of(found.images), result)
        for stage in ("decode", "normalize", "classify"):
            self._metrics.stage("predict", stage, getattr(result.microseconds, stage) / 1e6)
        for one in models:
            self._metrics.answered("predict", one.name, len(result.predictions))
        return json_response(result)

    async def _normalized(self, job: PredictJob, data: MemoryFile, model: LoadedModel) -> Normalized | Page:
        if not job.batch and data.size <= SMALL_BYTES:
            try:
                return await self._drawings.run(job, data, model.classifier, most_pixels=SMALL_PIXELS)
            except NotSmallError:
                pass
        return await self._pictures.run(job, data, model.classifier)

    async def correct(self, request: Request) -> Response:
        """Keep what somebody says a digit is."""
        if content_type(request, batches=True) != JSON:
            raise unsupported("A correction is sent as JSON", f"Send Content-Type: {JSON}.")
        with Body(request, self._limits, self._bodies) as body:
            try:
                given = msgspec.json.decode((await body.read()).read(), type=CorrectionBody)
            except UNREADABLE as error:
                raise bad_request(f"The body is not a correction: {error}", "See /openapi.json.") from error
        model = await self._loaded(None)
        known = [*model.classifier.labels, NOT_A_DIGIT]
        if given.label not in known:
            raise bad_request(f"{given.label[:40]!r} is none of the classes", f"Known: {', '.join(known)}.")
        image = np.array(given.image, np.uint8)
        # Asked again: what a client says was answered proves nothing.
        (row,) = model.classifier.predict_proba(image[None])
        answer, confidence = model.classifier.labels[int(row.argmax())], float(row.max())
        client = network_of((request.client or ("",))[0])
        await _keep_correction(self._collector, image, given.label, client=client, answer=answer, confidence=confidence)
        return json_response(CorrectionResponse(label=given.label, answer=answer, confidence=confidence))

    async def read(self, request: Request) -> Response:
        """Read a page."""
        content_type(request, batches=False)
        names = _artifacts(request)
        if len(names) > 1:
            raise bad_request("A page is read by one artifact", "Name one, or none.")
        confidence = _number(request, "min_confidence", DEFAULT_MIN_CONFIDENCE)
        with Body(request, self._limits, self._bodies) as body:
            data = await body.read()
            model = await self._loaded(names[0])
            job = ReadJob(min_confidence=confidence, labels=tuple(model.classifier.labels))
            page = await self._until_gone(request, self._pictures.run(job, data, model.classifier))
        if not isinstance(page, Page):
            raise TypeError("a page was to be read")
        observe = functools.partial(self._metrics.stage, "read")
        observe("decode", page.decode_s)
        for stage in ("find", "normalize", "classify", "arrange"):
            observe(stage, getattr(page.result.milliseconds, stage) / 1e3)
        self._metrics.answered("read", model.name, 1)
        return json_response(msgspec.structs.replace(page.result, artifact=model.name, runtime=model.runtime))

    @staticmethod
    async def _until_gone(request: Request, work: Coroutine[None, None, Normalized | Page]) -> Normalized | Page:
        """Wait for work, and end it where the client leaves. Raises GoneError for that."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise GoneError
            return working.result()
        finally:
            working.cancel()
            leaving.cancel()

    async def artifacts(self, request: Request) -> Response:
        """Tell what can be asked for."""
        del request
        return json_response(await self._disk.run(self._store.describe))

    async def health(self, request: Request) -> Response:
        """Tell that the service is well, and which release it answers from."""
        del request
        store, collector = self._store, self._collector
        return json_response(
            HealthResponse(
                status="ok",
                release=store.release,
                artifact=store.default,
                version=__version__,
                collects=collector is not None and collector.keeps,
            )
        )

    async def metrics(self, request: Request) -> Response:
        """Tell Prometheus."""
        del request
        return Response(self._metrics.text(), headers={**_NO_STORE, "content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """Tell how to ask."""
        del request
        return Response(self._openapi, headers={**_NO_STORE, "content-type": JSON})

    async def page(self, request: Request) -> Response:
        """Return a file of the page."""
        # Whoever opens the page is about to draw.
        self._drawings.warm_up()
        return self._files[request.url.path].response(request)

    async def _loaded(self, name: str | None) -> LoadedModel:
        ready = self._store.ready(name)
        return ready if ready is not None else await self._disk.run(self._store.get, name)


def json_response(result: Result) -> Response:
    """Return an answer that was made for one request."""
    return Response(msgspec.json.encode(result), headers={**_NO_STORE, "content-type": JSON})


def _artifacts(request: Request) -> list[str | None]:
    """Return the artifacts that a request names, each once; [None] for the default one."""
    names = list(dict.fromkeys(request.query_params.getlist("artifact")))
    if len(names) > MAX_COMPARED:
        raise bad_request(f"The request names {len(names)} artifacts", f"Compare at most {MAX_COMPARED} at once.")
    return list(names) or [None]


def _flag(request: Request, name: str, *, default: bool = False) -> bool:
    text = request.query_params.get(name, str(default).lower())
    if text not in {"true", "false"}:
        raise bad_request(f"{name}={text!r} is neither true nor false", f"Give {name}=true, or leave it out.")
    return text == "true"


def _offer(collector: Collector, images: Images, result: PredictResponse) -> None:
    """Let a collector keep what is worth a look of images, uint8 [N, 28, 28], and what was answered."""
    for number, (image, one) in enumerate(zip(images, result.predictions, strict=True)):
        differs = any(other.predictions[number].digit != one.digit for other in result.compared)
        collector.offer(
            image,
            source=SOURCE,
            answer=str(one.digit) if one.verdict in {None, DIGIT} else None,
            confidence=one.confidence,
            reason=DISAGREEMENT if differs else None,
        )


def _count(monitor: Monitor, images: Images, result: PredictResponse) -> None:
    """Let a monitor count images, uint8 [N, 28, 28], and what was answered."""
    answers = [int(np.argmax(one.probabilities)) if one.verdict in {None, DIGIT} else -1 for one in result.predictions]
    monitor.see(images, [one.confidence for one in result.predictions], answers)


def _compare(shadow: Shadow, images: Images, result: PredictResponse) -> None:
    """Let the release in the shadow answer images, uint8 [N, 28, 28], too, as far as they were answered."""
    for image, one in zip(images, result.predictions, strict=True):
        if one.verdict in {None, DIGIT}:
            shadow.offer(image, answer=str(one.digit), confidence=one.confidence, source=SOURCE)


async def _keep_correction(
    collector: Collector | None, image: Images, label: str, *, client: str, answer: str, confidence: float
) -> None:
    """Store a correction. Raises RefusedError where nothing is kept (any more), or nothing more of this client."""
    writer = f"client {client}"
    if collector is not None:
        stored = collector.correct(image, label, writer=writer, source=SOURCE, answer=answer, confidence=confidence)
        with contextlib.suppress(TimeoutError):
            # Whoever is told that it is kept does not send it again.
            if await asyncio.wait_for(asyncio.wrap_future(stored), STORED_S):
                return
    if collector is not None and not collector.keeps:
        raise RefusedError(*UNUSABLE)
    if collector is not None and not collector.has_room_for(writer):
        raise RefusedError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too-many-corrections",
            "This client has given as many corrections as one client may",
            "The limit keeps any one client from deciding alone what the model learns.",
        )
    raise busy("The correction cannot be kept at the moment")


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{name}={text!r} is not a number", hint="Give one from 0 to 1.") from None
    check_range(name, number, least=0, most=1)
    return number


def _predictions(found: Normalized | Page, models: Sequence[LoadedModel], *, show: bool) -> PredictResponse:
    """Return what the first model answers, and how the others compare."""
    if not isinstance(found, Normalized):
        raise TypeError("pictures were to be normalized")
    images = images_of(found.images)
    sourced = [
        Sourced(source=name, image=image, inverted=inverted, assessment=assessment)
        for name, image, inverted, assessment in zip(
            found.names, images, found.inverted, found.assessments, strict=True
        )
    ]

    def answers(model: LoadedModel, *, show: bool) -> tuple[list[Prediction], float]:
        started = perf_counter()
        probabilities = model.classifier.predict_proba(images)
        microseconds = (perf_counter() - started) * 1e6
        return tell(model.classifier, sourced, probabilities, show=show), microseconds

    first, *others = models
    predictions, classify = answers(first, show=show)
    compared = []
    for other in others:
        theirs, took = answers(other, show=False)
        agrees = [one.digit for one in theirs] == [one.digit for one in predictions]
        compared.append(
            Comparison(artifact=other.name, runtime=other.runtime, agrees=agrees, predictions=theirs, microseconds=took)
        )
    return PredictResponse(
        artifact=first.name,
        runtime=first.runtime,
        labels=list(first.classifier.labels),
        predictions=predictions,
        microseconds=PredictTimes(decode=found.decode_s * 1e6, normalize=found.normalize_s * 1e6, classify=classify),
        compared=compared,
    )
