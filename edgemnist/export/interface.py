"""What every export format offers: a Keras model in, the bytes of an artifact out, checked in the real runtime."""

from __future__ import annotations

import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from edgemnist.arrays import Images
from edgemnist.errors import (
    ArtifactError,
    EdgemnistError,
    ModelError,
    UnknownNameError,
    check_range,
    temporary_files_failed,
)
from edgemnist.export.model import KerasSource
from edgemnist.exports.manifest import Footprint, TensorSpec
from edgemnist.formats import FORMATS, INPUT_RANGES, file_name

_PLACE: Final = re.compile(
    r'(<unknown>|loc\([^)]*\)|"[^"]*\.(py|cc)":\d+(:\d+)?|[\w/.-]+\.(py|cc):\d+(:\d+)?)(:\s*error)?|\berror:'
)
"""A place in a converter's own source where it failed, which says nothing about the model."""

_OTHERWISE: Final = "Replace the layer, or choose another format with --format or another quantization with --quantize."

MOST_WORDS: Final = 400
"""Characters of a converter's message that are passed on."""
LARGE: Final = 1024
"""Values from which on a tensor of weights must be quantized: TensorFlow's converter leaves smaller ones in float
(`kWeightsMinNumElementsDefault`), because that saves nothing."""


@dataclass(frozen=True)
class Constant:
    """Weights in an artifact, as the check of their quantization sees them."""

    name: str
    dtype: str
    """NumPy's name, or `int4`."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Exported:
    """An artifact that was checked to be the one asked for."""

    data: bytes
    """The contents of the file."""
    input: TensorSpec
    output: TensorSpec
    footprint: Footprint | None = None
    """What it takes of a microcontroller; None for an artifact that runs on none."""
    companions: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of files that go with it, by name: users need them beside it, but no runtime reads them."""


class Exporter(ABC):
    """Converts one Keras model to one format, in any of its quantizations."""

    format: ClassVar[str]
    """The name of the format in the registry."""

    def __init__(self, source: KerasSource, labels: Sequence[str], calibration: Images) -> None:
        """`labels` names the classes; `calibration`, uint8 [K, 28, 28], are images to take activation ranges from."""
        self.source = source
        self.labels = tuple(labels)
        self.calibration = calibration

    def export(self, quantization: str) -> Exported:
        """Convert the model, and open the result in its runtime.

        Raises ModelError, with the name of the layer, if the format cannot express the model, and ArtifactError if the
        result is not what was asked for.
        """
        try:
            data = self.convert(self.source.model, quantization)
        except EdgemnistError:
            raise
        except OSError as error:
            # The converters work with files in the system's temporary directory.
            raise temporary_files_failed(error) from error
        except Exception as error:
            # Each converter has its own exceptions, and many of them are bare.
            raise self._inexpressible(quantization, error) from error
        if found := self.departures(data, quantization):
            layer = self._first_failing(
                lambda part: not self.departures(self.convert(part, quantization), quantization)
            )
            raise self._not_as_asked(quantization, found[0] + (f", because of its layer {layer}" if layer else ""))
        try:
            return self.inspect(data, quantization)
        except ArtifactError as error:
            layer = self._first_failing(lambda part: self.runs(self.convert(part, quantization)))
            if not layer:
                raise
            raise ModelError(
                f"{self.source.path} cannot be exported as {self.format}-{quantization}: its layer {layer} cannot be "
                f"executed ({error.message.rpartition(': ')[2]})",
                hint=_OTHERWISE,
            ) from error

    @abstractmethod
    def runs(self, data: bytes) -> bool:
        """Return whether the runtime executes an artifact, whatever its shapes; an exception counts as a no."""

    @abstractmethod
    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return the artifact of a Keras model: always the same bytes for the same model."""

    @abstractmethod
    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return a sentence for each part of an artifact that is not quantized as it should be."""

    @abstractmethod
    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Open an artifact in its runtime and describe it. Raises ArtifactError if it is not what was asked for."""

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

    def _first_failing(self, works: Callable[[Any], bool]) -> str | None:
        return first_failing_layer(self.source.original, self.source.model, works)

    def _inexpressible(self, quantization: str, error: Exception) -> ModelError:
        found = self._first_failing(lambda part: bool(self.convert(part, quantization)))
        reason = f"its layer {found} cannot be expressed" if found else "the converter fails"
        detail = _first_words(error)
        return ModelError(
            f"{self.source.path} cannot be exported as {self.format}-{quantization}: {reason} ({detail})",
            hint=_OTHERWISE,
        )


def _first_words(error: Exception) -> str:
    """Return the first meaningful line of a converter's message, without places in its own source."""
    for line in str(error).strip().split("\n"):
        words = _PLACE.sub("", line).strip(" :")
        if words:
            return textwrap.shorten(words, MOST_WORDS, placeholder=" …")
    return type(error).__name__


def wrong_weights(constants: Iterable[Constant], expected: str) -> list[str]:
    """Return a sentence for each constant of `LARGE` values and more that is not of the expected dtype.

    A constant with one axis is a bias or a scale, however many units there are, and stays as it is.
    """
    return [
        f"its weights {constant.name!r} are {constant.dtype} instead of {expected}"
        for constant in constants
        if len(constant.shape) > 1 and prod(constant.shape) >= LARGE and constant.dtype != expected
    ]


def first_failing_layer(original: Any, model: Any, works: Callable[[Any], bool]) -> str | None:  # noqa: ANN401
    """Return the name and class of the first layer of `model` up to which it does not work, or None.

    `works` is tried on the model cut off after each layer in turn; an exception counts as a no. `model` may have other
    classes in place of those of `original`, which are the ones that the user knows.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        try:
            part = keras.Model(model.inputs, layer.output)
        except Exception:  # noqa: BLE001, S112 - a layer that is used twice has no single output
            continue
        if not _holds(works, part):
            known = original.get_layer(layer.name)
            inner = first_failing_layer(known, layer, works) if getattr(layer, "layers", None) else None
            return inner or f"{known.name!r} ({type(known).__name__})"
    return None


def _holds(works: Callable[[Any], bool], part: Any) -> bool:  # noqa: ANN401 - Keras has no types
    try:
        return works(part)
    except Exception:  # noqa: BLE001 - each converter has its own, and many of them are bare
        return False


MINMAX: Final = "minmax"
FLIPS: Final = "flips"
RANGES: Final = (MINMAX, FLIPS)
"""How activation ranges may be chosen, the default first: by all calibration images, or see `export.ranges`."""


class ArtifactSpec(NamedTuple):
    """One artifact that can be made."""

    format: str
    quantization: str

    @property
    def name(self) -> str:
        """`<format>-<quantization>`."""
        return f"{self.format}-{self.quantization}"

    @property
    def file(self) -> str:
        """Name of the file that it is written to."""
        return file_name(self.format, self.quantization)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The artifacts to export, and the model to export them from."""

    specs: tuple[ArtifactSpec, ...]
    """Artifacts to make, each once."""
    by_name: bool = True
    """Whether the user named them: if so, one that cannot be made is an error; if not, it is listed with the reason."""
    quantized: bool = True
    """Whether the user named quantizations: a format alone means the one that the network was trained for, if known."""
    model: Path | None = None
    """A Keras model file, which then becomes the model of the export directory; None for the one that is there."""
    calibration: int | None = None
    """Training images from which the activation ranges of int8 artifacts are taken; None for 500, or all if there are
    fewer."""
    ranges: str = MINMAX
    """How the activation ranges of int8 artifacts are chosen, one of `RANGES`."""
    golden: int | None = None
    """Evaluation images in the golden pack, evenly of each class; None for all of them."""
    input_range: str | None = None
    """The model's input values of a black and a white pixel, one of `INPUT_RANGES`; None to find out."""

    def __post_init__(self) -> None:
        if self.ranges not in RANGES:
            raise UnknownNameError("way to choose ranges", self.ranges, RANGES)
        if self.input_range is not None and self.input_range not in INPUT_RANGES:
            raise UnknownNameError("input range", self.input_range, INPUT_RANGES)
        check_range("--calibration", self.calibration, least=1)
        check_range("--golden", self.golden, least=1)

    @classmethod
    def of(
        cls,
        *,
        formats: Sequence[str] | None = None,
        quantizations: Sequence[str] | None = None,
        model: Path | None = None,
        calibration: int | None = None,
        ranges: str = MINMAX,
        golden: int | None = None,
        input_range: str | None = None,
    ) -> ExportConfig:
        """Return the configuration that a user's options ask for; see `artifact_specs`."""
        return cls(
            specs=artifact_specs(formats, quantizations),
            by_name=bool(formats or quantizations),
            quantized=bool(quantizations),
            model=model,
            calibration=calibration,
            ranges=ranges,
            golden=golden,
            input_range=input_range,
        )


def artifact_specs(
    formats: Sequence[str] | None = None, quantizations: Sequence[str] | None = None
) -> tuple[ArtifactSpec, ...]:
    """Return the artifacts that formats and quantizations, or the absence of either, stand for.

    Neither means everything that need not be asked for by name. Formats alone mean the default quantization of each,
    quantizations alone mean every format that has them and need not be asked for by name. Raises UnknownNameError for a
    name that is unknown, or that none of the formats has, and for a format that has none of the quantizations.
    """
    named = list(dict.fromkeys(formats or ()))
    usual = [name for name, entry in FORMATS.items() if not entry.by_name]
    offered = {name: (*FORMATS[name].quantizations, *FORMATS[name].trained) for name in named or usual}
    if not quantizations:
        return tuple(ArtifactSpec(name, one) for name, has in offered.items() for one in (has[:1] if named else has))
    kind = f"{named[0]} quantization" if len(named) == 1 else "quantization"
    known = list(dict.fromkeys(one for has in offered.values() for one in has))
    for quantization in quantizations:
        if quantization not in known:
            raise UnknownNameError(kind, quantization, known)
    for name in named:
        if not set(quantizations) & set(offered[name]):
            raise UnknownNameError(f"{name} quantization", quantizations[0], offered[name])
    return tuple(ArtifactSpec(name, one) for name, has in offered.items() for one in has if one in quantizations)
