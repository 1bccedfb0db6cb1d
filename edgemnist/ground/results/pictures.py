"""What `edgemnist predict` prints, and what `serve` answers."""

from typing import Any

import msgspec

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results import Part, Result

Rows = list[Any]
"""The numbers of one input, row by row: nested as its shape says, pixels of 0 to 255."""


class Prediction(Part, frozen=True, kw_only=True):
    """The answer for one picture."""

    source: str
    digit: int | str | None
    """The label: a number where the labels are numbers. None where the model answers with numbers."""
    confidence: float
    """0 where the model answers with numbers."""
    probabilities: list[float]
    """In the order of `labels`."""
    values: list[float] | msgspec.UnsetType = msgspec.UNSET
    """What a model answers that answers with numbers, in their order; left out for classes."""
    inverted: bool = False
    """True where ink on a light background was inverted for the model."""
    told: list[str] = msgspec.field(default_factory=list)
    """What was lost when the picture was prepared, such as its colours, in words without a full stop."""
    label: int | str | None = None
    """The true label, where the image is one of the evaluation images."""
    image: Rows | None = None
    """What the model was given, row by row, pixels of 0 to 255; only with `--show`."""
    verdict: str | None = None
    """`digit`; `no-digit`, where the picture does not look like one; `several`, where it shows more than one.
    None where that is unknown: for evaluation images, and for models of another task than `digits`."""

    def __post_init__(self) -> None:
        """Raise ValueError for an image whose rows differ in length, or whose pixels are none."""
        if self.image is None:
            return
        import numpy as np

        from edgemnist.ground.arrays import WHITE

        values = np.array(self.image)
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise ValueError("the image is no array of numbers")
        if values.dtype.kind != "f" and (values.min(initial=0) < 0 or values.max(initial=0) > WHITE):
            raise ValueError(f"a pixel of the image is not within 0 and {WHITE}")


class PredictResult(Result, frozen=True, kw_only=True):
    """`edgemnist predict`."""

    artifact: str
    runtime: str
    labels: list[str]
    predictions: list[Prediction]
    unread: list[str] = msgspec.field(default_factory=list)
    """Why pictures that were named could not be read, one sentence each; the exit code is then 2."""


class PredictBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch: the body of `POST /v1/predict` as JSON, with one of the two."""

    images: list[bytes] = []
    """Picture files, in Base64."""
    inputs: list[Any] = []
    """What the model takes, as numbers: each is nested as its shape says, or in a row."""


class PredictTimes(Part, frozen=True, kw_only=True):
    """Microseconds of each stage, for all pictures of the request."""

    decode: float
    normalize: float
    """From the picture to what the model takes."""
    classify: float
    """Classification by the first artifact."""


class Comparison(Part, frozen=True, kw_only=True):
    """What another artifact says about the same inputs."""

    artifact: str
    runtime: str
    agrees: bool
    """Whether it answers every picture with the same class as the first artifact, or with the same numbers."""
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
    task: str = ""
    """What the models are for, such as `digits` or `pictures`; empty for any classes of the default task's shape."""
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

    image: Rows
    """What the model was given, as `predictions[].image` has it."""
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
