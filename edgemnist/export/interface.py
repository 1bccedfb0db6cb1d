"""What every export format offers: a Keras model in, the bytes of an artifact out, checked in the real runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from edgemnist.arrays import Images
from edgemnist.errors import ArtifactError, EdgemnistError, ModelError
from edgemnist.export.blame import first_failing_layer
from edgemnist.export.source import Source
from edgemnist.manifest import TensorSpec

LARGE: Final = 1024
"""Values from which on a tensor of weights has to be quantized: TensorFlow's converter leaves smaller ones in float
(`kWeightsMinNumElementsDefault`), because that saves nothing."""


@dataclass(frozen=True)
class Constant:
    """Weights in an artifact, as far as the check of their quantization is concerned."""

    name: str
    dtype: str
    """NumPy's name, or `int4`."""
    size: int
    """How many values."""


@dataclass(frozen=True)
class Exported:
    """An artifact that is what was asked for."""

    data: bytes
    """The contents of the file."""
    input: TensorSpec
    output: TensorSpec
    companions: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of files that go with it, by name: what users need beside it, and no runtime reads."""


class Exporter(ABC):
    """Converts one Keras model to one format, in any of its quantizations."""

    format: ClassVar[str]
    """The name of the format in the registry."""

    def __init__(self, source: Source, labels: Sequence[str], calibration: Images) -> None:
        """`labels` names the classes; `calibration`, uint8 [K, 28, 28], are images to take activation ranges from."""
        self.source = source
        self.labels = tuple(labels)
        self.calibration = calibration

    def export(self, quantization: str) -> Exported:
        """Convert the model, and open the result in its runtime.

        Raises ModelError, with the layer to blame, where the format cannot express the model, and ArtifactError where
        the result is not what was asked for.
        """
        try:
            data = self.convert(self.source.model, quantization)
        except EdgemnistError:
            raise
        except Exception as error:
            # Each converter has its own exceptions, and many of them are bare.
            raise self._inexpressible(quantization, error) from error
        if found := self.departures(data, quantization):
            raise self._not_as_asked(quantization, f"{found[0]}{self._blame_for_departure(quantization)}")
        return self.inspect(data, quantization)

    @abstractmethod
    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return the artifact of a Keras model: always the same bytes for the same model."""

    @abstractmethod
    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return a sentence for each part of an artifact that is not quantized as it should be."""

    @abstractmethod
    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Open an artifact in its runtime and describe it. Raises ArtifactError where it is not what was asked for."""

    def _check(self, quantization: str, data: bytes, constants: Iterable[Constant], expected: str) -> None:
        """Raise ArtifactError for departures, and where no weights at all are of the expected dtype."""
        reasons = self.departures(data, quantization)
        if expected not in {constant.dtype for constant in constants}:
            reasons.append(f"none of its weights are {expected}, as may happen to a very small model")
        if reasons:
            raise self._not_as_asked(quantization, reasons[0])

    def _check_tensor(self, quantization: str, role: str, tensor: TensorSpec, dtype: str) -> None:
        """Raise ArtifactError unless a tensor is of a dtype, and quantized if that is an integer."""
        if tensor.dtype != dtype:
            raise self._not_as_asked(quantization, f"its {role} is {tensor.dtype} instead of {dtype}")
        if dtype.startswith("int") and not tensor.scale:
            raise self._not_as_asked(quantization, f"its {role} has no scale")

    def _not_as_asked(self, quantization: str, reason: str) -> ArtifactError:
        return ArtifactError(
            f"{self.format}-{quantization} was asked for, and something else came out of {self.source.path}: {reason}",
            hint="Nothing was written. Choose another quantization with --quantize.",
        )

    def _blame_for_departure(self, quantization: str) -> str:
        def is_as_asked(part: Any) -> bool:  # noqa: ANN401 - Keras has no types
            return not self.departures(self.convert(part, quantization), quantization)

        blamed = first_failing_layer(self.source.original, self.source.model, is_as_asked)
        return f", because of its layer {blamed}" if blamed else ""

    def _inexpressible(self, quantization: str, error: Exception) -> ModelError:
        def can_be_expressed(part: Any) -> bool:  # noqa: ANN401 - Keras has no types
            return bool(self.convert(part, quantization))

        blamed = first_failing_layer(self.source.original, self.source.model, can_be_expressed)
        blame = f"its layer {blamed} cannot be expressed" if blamed else "the converter fails"
        detail = str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
        return ModelError(
            f"{self.source.path} cannot be exported as {self.format}-{quantization}: {blame} ({detail})",
            hint="Replace the layer, or choose another format with --format or another quantization with --quantize.",
        )


def wrong_weights(constants: Iterable[Constant], expected: str) -> list[str]:
    """Return a sentence for each constant of `LARGE` values and more that is not of the expected dtype."""
    return [
        f"its weights {constant.name!r} are {constant.dtype} instead of {expected}"
        for constant in constants
        if constant.size >= LARGE and constant.dtype != expected
    ]
