"""The endpoints, and the page's own files."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import perf_counter
from typing import IO, TYPE_CHECKING, Final, TypeVar

import msgspec
import numpy as np
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route, Router

from edgemnist import __version__
from edgemnist.digits.predict.run import Sourced, answers_of, tell
from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE
from edgemnist.digits.recognize import require_digits
from edgemnist.digits.results import Comparison, PredictResponse, PredictTimes
from edgemnist.errors import UsageError, check_range
from edgemnist.field.samples import CLIENT, NONE_OF_THESE, label_named
from edgemnist.ground.arrays import WHITE
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.results.pictures import CorrectionResponse, HealthResponse
from edgemnist.ground.web.bodies import JSON, Bodies, content_type, network_of
from edgemnist.ground.web.pages import NO_STORE, PageFile, json_response, refuse_foreign
from edgemnist.ground.web.refusals import UNUSABLE, RefusedError, bad_request, busy, unsupported
from edgemnist.model.answers import nothing_on
from edgemnist.model.task import task_of
from edgemnist.serve.jobs import Elsewhere, Normalized, Page, PredictJob, ReadJob, count_of_numbers, images_of
from edgemnist.serve.metrics import CONTENT_TYPE, Metrics
from edgemnist.serve.openapi import document
from edgemnist.serve.workers import SMALL_PIXELS, Lane, Memory

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from starlette.requests import Request

    from edgemnist.digits.results import Prediction
    from edgemnist.field.samples.collector import Collector
    from edgemnist.ground.arrays import Images
    from edgemnist.ground.inputs import InputSpec
    from edgemnist.model.answers import Answer, Observer
    from edgemnist.serve.config import PictureLimits
    from edgemnist.serve.models import LoadedModel, ModelStore

T = TypeVar("T")

MAX_COMPARED: Final = 16
SMALL_BYTES: Final = 2**16
"""Of a picture that is tried in the lane for drawings first."""
SOURCE: Final = "serve"
"""Of samples: a client's names for its pictures are its own."""
STORED_S: Final = 10.0
"""Seconds to wait until a correction is on the disk."""


class Endpoints:
    """Answers requests; what they have in common is done by `RequestGuard`."""

    def __init__(
        self,
        store: ModelStore,
        limits: PictureLimits,
        metrics: Metrics,
        files: Mapping[str, PageFile],
        *,
        collector: Collector | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        """`collector` keeps corrections; `observers` observe what the default model answers."""
        self._store, self._limits, self._metrics, self._files = store, limits, metrics, files
        self._collector, self._observers = collector, observers
        memory = Memory(limits.decoded_bytes)
        # Drawings do not wait for large pictures. Each connection has one on its way.
        self._drawings = Lane(1, limits.max_connections, limits, memory)
        self._pictures = Lane(limits.concurrency, limits.waiting, limits, memory)
        # Loads and describes models.
        self._disk = ThreadPoolExecutor(1, "disk")
        self._bodies = Bodies(limits)
        metrics.jobs.set_function(lambda: self._pictures.jobs)
        metrics.held.set_function(lambda: self._bodies.bytes)
        self._openapi = msgspec.json.encode(document(limits, store.task, collects=collector is not None))

    def close(self) -> None:
        """End the threads and processes, once the event loop has ended."""
        self._pictures.close()
        self._drawings.close()
        self._disk.shutdown(wait=False, cancel_futures=True)

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
        """Answer each picture, or input of numbers."""
        kind = content_type(request, batches=True)
        names, show = _artifacts(request), _flag(request, "show")
        collect = _flag(request, "collect", default=True)
        async with self._bodies.receive(request) as body:
            models = [await self._loaded(name) for name in names]
            task, limit = task_of(models[0].classifier), self._limits.max_pixels
            job = PredictJob(batch=kind == JSON, task=task, max_pixels=limit)
            try:
                found = await self._until_gone(request, self._normalized(job, body, models[0]))
            except RefusedError as refused:
                # Other pictures that cannot be decoded were no answer of the model.
                if refused.status == HTTPStatus.UNPROCESSABLE_ENTITY and collect and task.is_usual:
                    self._publish([nothing_on(task.input)], models[0])
                raise
        if not isinstance(found, Normalized):
            raise TypeError("pictures were to be normalized")
        if job.batch or len(models) > 1:
            result = await asyncio.to_thread(_predictions, found, models, show=show)
        else:
            result = _predictions(found, models, show=show)
        if collect and self._observers:
            self._publish(_answers(images_of(found.images, task.input), result), models[0])
        for stage in ("decode", "normalize", "classify"):
            self._metrics.stage("predict", stage, getattr(result.microseconds, stage) / 1e6)
        for one in models:
            self._metrics.answered("predict", one.name, len(result.predictions))
        return json_response(result)

    def _publish(self, answers: Sequence[Answer], model: LoadedModel) -> None:
        # Observers judge the default model, so they must not see what another one answers.
        for observer in self._observers if model.name == self._store.default else ():
            observer.observe(answers)

    async def _normalized(self, job: PredictJob, body: IO[bytes], model: LoadedModel) -> Normalized | Page | Elsewhere:
        if not job.batch and os.fstat(body.fileno()).st_size <= SMALL_BYTES:
            small = msgspec.structs.replace(job, max_pixels=SMALL_PIXELS)
            found = await self._drawings.run(small, body, model.classifier)
            if not isinstance(found, Elsewhere):
                return found
        return await self._pictures.run(job, body, model.classifier)

    async def correct(self, request: Request) -> Response:
        """Keep what somebody says a picture shows."""
        refuse_foreign(request)
        if content_type(request, batches=True) != JSON:
            raise unsupported("A correction is sent as JSON", f"Send Content-Type: {JSON}.")
        async with self._bodies.receive(request) as body:
            try:
                given = msgspec.json.decode(body.read(), type=_Correction)
            except UNREADABLE as error:
                raise bad_request(f"The body is not a correction: {error}", "See /openapi.json.") from error
        model = await self._loaded(None)
        known = [*model.classifier.labels, NONE_OF_THESE]
        if label_named(given.label) not in known:
            raise bad_request(f"{given.label[:40]!r} is none of the classes", f"Known: {', '.join(known)}.")
        image = _corrected(given.image, model.classifier.spec)
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
        least = _number(request, "min_confidence", DEFAULT_MIN_CONFIDENCE)
        async with self._bodies.receive(request) as body:
            model = await self._loaded(names[0])
            try:
                require_digits(model.classifier, model.name, "read")
            except UsageError as error:
                raise RefusedError(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "wrong-task", error.message, "Use /v1/predict."
                ) from error
            job = ReadJob(min_confidence=least, labels=tuple(model.classifier.labels), task=task_of(model.classifier))
            page = await self._until_gone(request, self._pictures.run(job, body, model.classifier))
        if not isinstance(page, Page):
            raise TypeError("a page was to be read")
        observe = functools.partial(self._metrics.stage, "read")
        observe("decode", page.decode_s)
        for stage in ("find", "normalize", "classify", "arrange"):
            observe(stage, getattr(page.result.milliseconds, stage) / 1e3)
        self._metrics.answered("read", model.name, 1)
        return json_response(msgspec.structs.replace(page.result, artifact=model.name, runtime=model.runtime))

    @staticmethod
    async def _until_gone(
        request: Request, work: Coroutine[None, None, Normalized | Page | Elsewhere]
    ) -> Normalized | Page | Elsewhere:
        """Wait for work, and end it where the client leaves. Raises ClientDisconnect for that."""
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientDisconnect
            return working.result()
        finally:
            working.cancel()
            leaving.cancel()

    async def artifacts(self, _request: Request) -> Response:
        """Tell what can be asked for."""
        return json_response(await self._from_disk(self._store.describe))

    async def health(self, _request: Request) -> Response:
        """Tell that the service is well, and which release it answers from."""
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

    async def metrics(self, _request: Request) -> Response:
        """Tell Prometheus."""
        return Response(self._metrics.text(), headers={**NO_STORE, "content-type": CONTENT_TYPE})

    async def openapi(self, _request: Request) -> Response:
        """Tell how to ask."""
        return Response(self._openapi, headers={**NO_STORE, "content-type": JSON})

    async def page(self, request: Request) -> Response:
        """Return a file of the page."""
        # Whoever opens the page is about to draw.
        self._drawings.warm_up()
        return self._files[request.url.path].response(request)

    async def _loaded(self, name: str | None) -> LoadedModel:
        ready = self._store.ready(name)
        return ready if ready is not None else await self._from_disk(lambda: self._store.get(name))

    async def _from_disk(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, read)


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


def _answers(images: Images, result: PredictResponse) -> list[Answer]:
    """Return what was answered to inputs, [N, *shape], for those who observe it."""
    disputed = [
        any(other.predictions[number].answer != one.answer for other in result.compared)
        for number, one in enumerate(result.predictions)
    ]
    return answers_of(list(images), result.predictions, result.labels, source=SOURCE, disputed=disputed)


class _Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `CorrectionBody`, of which the numbers are not decoded yet."""

    image: msgspec.Raw
    label: str


def _corrected(image: msgspec.Raw, spec: InputSpec) -> Images:
    """Return what the model was given, as a client says. Raises RefusedError where it takes nothing of this kind."""
    shape = " × ".join(map(str, spec.shape))
    wrong = bad_request(f"The body is not a correction: its image is not {shape} numbers", "See /openapi.json.")
    if count_of_numbers(image) != spec.size:
        raise wrong
    try:
        found = np.asarray(msgspec.json.decode(image))
        levels = spec.dtype == "uint8"
        if found.shape != spec.shape or found.dtype.kind not in ("i" if levels else "if"):
            raise wrong
        if levels and not 0 <= found.min() <= found.max() <= WHITE:
            raise wrong
        checked: Images = spec.check(found.astype(spec.dtype))[0]
    except (ValueError, *UNREADABLE):
        raise wrong from None
    return checked


async def _keep_correction(
    collector: Collector | None, image: Images, label: str, *, client: str, answer: str, confidence: float
) -> None:
    """Store a correction. Raises RefusedError where nothing can be kept, or nothing more of this client."""
    from edgemnist.field.samples.collector import Kept

    kept = Kept.BUSY
    if collector is not None:
        writer = f"{CLIENT}{client}"
        stored = collector.correct(image, label, writer=writer, source=SOURCE, answer=answer, confidence=confidence)
        with contextlib.suppress(TimeoutError):
            # Whoever is told that it is kept does not send it again.
            kept = await asyncio.wait_for(asyncio.wrap_future(stored), STORED_S)
    if kept is Kept.UNUSABLE:
        raise RefusedError(*UNUSABLE)
    if kept is Kept.SPENT:
        raise RefusedError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too-many-corrections",
            "The store is full of corrections that nobody has confirmed, and no other client has given more of them",
            "The limit keeps any one client from deciding alone what the model learns.",
        )
    if kept is Kept.BUSY:
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


def _predictions(found: Normalized, models: Sequence[LoadedModel], *, show: bool) -> PredictResponse:
    """Return what the first model answers, and how the others compare."""
    first, *others = models
    images = images_of(found.images, task_of(first.classifier).input)
    sourced = [
        Sourced(source=one.name, image=image, inverted=one.inverted, assessment=one.assessment, told=one.told)
        for one, image in zip(found.given, images, strict=True)
    ]

    def answers(model: LoadedModel, *, show: bool) -> tuple[list[Prediction], float]:
        started = perf_counter()
        probabilities = model.classifier.answer(images)
        microseconds = (perf_counter() - started) * 1e6
        return tell(model.classifier, sourced, probabilities, show=show), microseconds

    predictions, classify = answers(first, show=show)
    compared = []
    for other in others:
        theirs, took = answers(other, show=False)
        agrees = [(one.answer, one.values) for one in theirs] == [(one.answer, one.values) for one in predictions]
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
