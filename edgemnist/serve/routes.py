"""The endpoints."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response
from starlette.routing import Route, Router

from edgemnist import __version__
from edgemnist.errors import UsageError
from edgemnist.read.config import DEFAULT_MIN_CONFIDENCE, ReadConfig
from edgemnist.results.serve import HealthResponse
from edgemnist.serve.body import (
    JSON,
    LARGE_BYTES,
    Body,
    content_type,
    decode_batch,
    forget_locals,
    give_back_memory,
    weigh,
)
from edgemnist.serve.faults import bad_request
from edgemnist.serve.limits import Held, Memory, Pool
from edgemnist.serve.metrics import CONTENT_TYPE, Metrics
from edgemnist.serve.openapi import document
from edgemnist.serve.work import READING_BYTES, PredictJob, predict, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request

    from edgemnist.results.base import Result
    from edgemnist.results.pictures import ReadResult
    from edgemnist.results.serve import PredictResponse
    from edgemnist.serve.config import Limits
    from edgemnist.serve.models import LoadedModel, ModelStore
    from edgemnist.serve.page_files import PageFile

PICTURE: Final = "body"
"""What messages call a picture that is all of a request; those of a batch are `images[0]` and so on."""
MAX_COMPARED: Final = 16
SMALL_BYTES: Final = 2**16
"""Of a picture that is looked at without a thread: however many chunks it has, that takes less than 50 ms."""
SMALL_PIXELS: Final = 2**17
"""Of one that is answered without a thread, within a few milliseconds."""
_NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True)
class Pools:
    """The threads of the service."""

    pictures: Pool
    files: Pool
    """For what is read from the disk: artifacts, and what is known of them."""


class Endpoints:
    """Answers requests; what they have in common is done by `Guard`."""

    def __init__(
        self, store: ModelStore, limits: Limits, metrics: Metrics, pools: Pools, files: Mapping[str, PageFile]
    ) -> None:
        self._store, self._limits, self._metrics, self._pools, self._files = store, limits, metrics, pools, files
        self._held = Held(limits.max_held_bytes)
        self._memory = Memory(limits.decoded_bytes)
        self._observe_predict = functools.partial(metrics.stage, "predict")
        metrics.jobs.set_function(lambda: pools.pictures.jobs)
        metrics.held.set_function(lambda: self._held.bytes)
        self._health = HealthResponse(status="ok", release=store.release, artifact=store.default, version=__version__)
        self._openapi = msgspec.json.encode(document(limits))

    def router(self) -> Router:
        """Return the paths and what answers them."""
        return Router([
            Route("/v1/predict", self.predict, methods=["POST"]),
            Route("/v1/read", self.read, methods=["POST"]),
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
        with Body(request, self._limits, self._held) as body:
            data = await body.read()
            artifacts = [await self._loaded(name) for name in names]
            if kind != JSON and self._is_small(data):
                job = PredictJob(pictures=[data], names=[PICTURE], show=show)
                result = predict(job, artifacts, self._observe_predict)
            else:
                result = await self._pools.pictures.run(self._predict_large, data, artifacts, kind=kind, show=show)
        for one in artifacts:
            self._metrics.answered("predict", one.name, len(result.predictions))
        return _json(result)

    def _is_small(self, data: bytes) -> bool:
        """Tell whether a picture is answered sooner than a thread could be found for it."""
        return len(data) <= SMALL_BYTES and weigh([data], self._limits).pixels <= SMALL_PIXELS

    def _predict_large(self, data: bytes, artifacts: list[LoadedModel], *, kind: str, show: bool) -> PredictResponse:
        """Answer for a large picture, or a batch, in a thread."""
        pictures = decode_batch(data, self._limits.max_images) if kind == JSON else [data]
        sources = [PICTURE] if kind != JSON else [f"images[{index}]" for index in range(len(pictures))]
        job = PredictJob(pictures=pictures, names=sources, show=show)
        with self._room(weigh(pictures, self._limits).bytes):
            return predict(job, artifacts, self._observe_predict)

    async def read(self, request: Request) -> Response:
        """Read a page."""
        content_type(request, batches=False)
        names = _artifacts(request)
        if len(names) > 1:
            raise bad_request("A page is read by one artifact", "Name one, or none.")
        config = ReadConfig(min_confidence=_number(request, "min_confidence", DEFAULT_MIN_CONFIDENCE))
        with Body(request, self._limits, self._held) as body:
            data = await body.read()
            artifact = await self._loaded(names[0])
            result = await self._pools.pictures.run(self._read_large, data, artifact, config)
        self._metrics.answered("read", artifact.name, 1)
        return _json(result)

    def _read_large(self, data: bytes, artifact: LoadedModel, config: ReadConfig) -> ReadResult:
        """Read a page in a thread."""
        weight = weigh([data], self._limits)
        with self._room(max(weight.bytes, READING_BYTES * min(weight.pixels, config.max_side**2))):
            return read(data, PICTURE, artifact, config, functools.partial(self._metrics.stage, "read"))

    @contextlib.contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Have memory for pictures, and give it back in the end."""
        with self._memory.reserve(size):
            try:
                yield
            except Exception as error:
                forget_locals(error)
                raise
            finally:
                if size >= LARGE_BYTES:
                    give_back_memory()

    async def artifacts(self, request: Request) -> Response:
        """Tell what can be asked for."""
        del request
        return _json(await self._pools.files.run(self._store.describe))

    async def health(self, request: Request) -> Response:
        """Tell that the service is well, and which release it answers from."""
        del request
        return _json(self._health)

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
        file = self._files[request.url.path]
        if request.headers.get("if-none-match") == file.headers["etag"]:
            return Response(status_code=304, headers=file.headers)
        return Response(file.data, headers=file.headers)

    async def _loaded(self, name: str | None) -> LoadedModel:
        ready = self._store.ready(name)
        return ready if ready is not None else await self._pools.files.run(self._store.get, name)


def _json(result: Result) -> Response:
    return Response(msgspec.json.encode(result), headers={**_NO_STORE, "content-type": JSON})


def _artifacts(request: Request) -> list[str | None]:
    """Return the artifacts that a request names, each once; [None] for the default one."""
    names = list(dict.fromkeys(request.query_params.getlist("artifact")))
    if len(names) > MAX_COMPARED:
        raise bad_request(f"The request names {len(names)} artifacts", f"Compare at most {MAX_COMPARED} at once.")
    return list(names) or [None]


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in {"true", "false"}:
        raise bad_request(f"{name}={text!r} is neither true nor false", f"Write {name}=true, or leave it out.")
    return text == "true"


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name}={text!r} is no number", hint="Give one from 0 to 1.") from None
