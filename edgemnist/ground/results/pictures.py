"""What `edgemnist serve` takes and answers, but for what it answers to pictures."""

from typing import Any

import msgspec

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part, Result


class PredictBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch: the body of `POST /v1/predict` as JSON, with one of the two."""

    images: list[bytes] = []
    """Picture files, in Base64."""
    inputs: list[Any] = []
    """What the model takes, as numbers: each is nested as its shape says, or in a row."""


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
    task: str = ""
    """What the models are for, such as `pictures`; empty for any classes of the default task's shape."""
    takes: InputSpec | None = None
    """What they take."""


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

    image: list[Any]
    """What the model was given, as `predictions[].image` has it."""
    label: str
    """What it is: a class, or `none-of-these`."""


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
