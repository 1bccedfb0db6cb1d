"""What the service answers. For a page, that is `edgemnist.results.pictures.ReadResult`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from edgemnist.results.base import Part, Result
from edgemnist.results.pictures import Prediction, PredictResult

Pixel = Annotated[int, msgspec.Meta(ge=0, le=255)]
_SIDE: Final = msgspec.Meta(min_length=28, max_length=28)


class PredictBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch: the body of `POST /v1/predict` as JSON."""

    images: list[bytes]
    """Picture files, in Base64."""


class PredictTimes(Part, frozen=True, kw_only=True):
    """Microseconds of each stage, for all pictures of the request."""

    decode: float
    normalize: float
    """From the picture to 28×28."""
    classify: float
    """Classification by the first artifact."""


class Comparison(Part, frozen=True, kw_only=True):
    """What another artifact says about the same 28×28 pixels."""

    artifact: str
    runtime: str
    agrees: bool
    """Whether it reads the same digit from every picture as the first artifact."""
    predictions: list[Prediction]
    microseconds: float
    """Time of its classification."""


class PredictResponse(PredictResult, frozen=True, kw_only=True):
    """The document of `edgemnist predict --json`, and what the request asked for beyond it."""

    microseconds: PredictTimes
    compared: list[Comparison] = msgspec.field(default_factory=list)
    """One for each further artifact, in the order in which they were asked for."""


class ArtifactStatus(Part, frozen=True, kw_only=True):
    """An artifact that can be asked for."""

    name: str
    format: str
    quantization: str
    runtime: str
    bytes: int
    default: bool
    """Whether it answers requests that name no artifact."""
    usable: bool
    """Whether its file is undamaged and its runtime installed."""
    verified: bool
    """Whether this very file, of the present model, has passed `edgemnist verify`."""
    accuracy: float | None = None
    """On the evaluation images, 0 to 1; None where it was not verified."""
    status: str = "current"
    """`current`, `outdated` (of an earlier model), `damaged` or `missing`."""


class ArtifactsResponse(Result, frozen=True, kw_only=True):
    """`GET /v1/artifacts`."""

    labels: list[str]
    artifacts: list[ArtifactStatus]


class HealthResponse(Result, frozen=True, kw_only=True):
    """`GET /healthz`."""

    status: str
    release: str | None
    """The release of `edgemnist deploy` that answers; None for any other directory."""
    artifact: str
    """The artifact that answers requests that name none."""
    version: str
    collects: bool = False
    """Whether corrections are kept."""


class CorrectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/corrections`."""

    image: Annotated[list[Annotated[list[Pixel], _SIDE]], _SIDE]
    """28 rows of 28 pixels, 0 to 255, as `predictions[].image` has them: what the model was given."""
    label: str
    """What it is: a class, or `not-a-digit`."""


class CorrectionResponse(Result, frozen=True, kw_only=True):
    """`POST /v1/corrections`, once the correction is kept."""

    label: str
    answer: str
    """What the default artifact answers."""
    confidence: float


class ErrorResponse(Result, frozen=True, kw_only=True):
    """Any answer other than success."""

    error: str
    """A word for programs, such as `unknown-artifact`."""
    message: str
    """What is wrong, and where."""
    hint: str = ""
    """What to do."""
    nearest: str | None = None
    """The artifact whose name is closest to the one that was asked for."""


class ServeResult(Result, frozen=True, kw_only=True):
    """`edgemnist serve --json`, printed when the service answers."""

    url: str
    artifact: str
    release: str | None
    token: bool
    """Whether a token is needed."""
    address: str | None = None
    """Where other devices of the network find it; None where only this machine can."""


def schemas(*types: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON schemas have any shape
    """Return the JSON schemas of structs, by name, as OpenAPI's components."""
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return components
