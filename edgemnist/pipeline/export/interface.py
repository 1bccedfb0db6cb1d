"""What every export format offers: a model in, the bytes of an artifact out, checked in the real runtime."""

import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy.typing as npt
from msgspec import UNSET, UnsetType

from edgemnist.errors import (
    ArtifactError,
    EdgemnistError,
    ModelError,
    UnknownNameError,
    UsageError,
    check_range,
    temporary_files_failed,
)
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import InputSpec, range_ends, standardized
from edgemnist.model.exports.manifest import Footprint, TensorSpec
from edgemnist.model.formats import FORMATS, arithmetic_of, file_name, usual_quantizations
from edgemnist.model.native.network import RULES
from edgemnist.model.runtimes.interface import TensorClassifier
from edgemnist.model.task import TASKS, Task, default_task, unnamed_task
from edgemnist.pipeline.export.model import KerasSource, Source

SMALLEST_STD: Final = 0.001
"""A quarter of a step of 8 bits: no images have less."""

_PLACE: Final = re.compile(
    r'(<unknown>|loc\([^)]*\)|"[^"]*\.(py|cc)":\d+(:\d+)?|[\w/.-]+\.(py|cc):\d+(:\d+)?)(:\s*error)?|\berror:'
)
"""A place in a converter's own source where it failed, which says nothing about the model."""

_OTHERWISE: Final = "Replace the layer, or choose another format with --format or another quantization with --quantize."

AS_IT_IS: Final = (
    "It can become a C file or a web page: --format c, --format web. For more, export what it was made from."
)
"""Of a full-int8 file."""

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
    twin: bytes | None = None
    """The full-int8 TFLite file of which it gives the integer reference's answers, every bit; None if there is none."""
    rounding: str | UnsetType = UNSET
    """The rule by which it rounds; unset where that is its runtime's affair."""
    reads: InputSpec | None = None
    """What its input stands for; None for what that of its source does."""


class Exporter(ABC):
    """Converts one model to one format, in any of its quantizations."""

    format: ClassVar[str]
    """The name of the format in the registry."""

    def __init__(self, source: Source, labels: Sequence[str], calibration: npt.NDArray[Any]) -> None:
        """`labels` names the classes; `calibration`, [K, ...], are inputs to take activation ranges from."""
        self.source = source
        self.labels = tuple(labels)
        self.calibration = calibration

    @property
    def keras(self) -> KerasSource:
        """The source, where a format is made from a Keras model."""
        if not isinstance(self.source, KerasSource):
            raise ModelError(
                f"{self.source.path} is int8 already, and cannot become another {self.format} file", hint=AS_IT_IS
            )
        return self.source

    def export(self, quantization: str) -> Exported:
        """Convert the model, and open the result in its runtime.

        Raises ModelError, with the name of the layer, if the format cannot express the model, ArtifactError if the
        result is not what was asked for, and StorageError if temporary files cannot be written.
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
        if departures := self.departures(data, quantization):
            layer = self._first_failing(lambda one: not self.departures(self.convert(one, quantization), quantization))
            reason = departures[0] + (f", because of its layer {layer}" if layer else "")
            raise self._not_as_asked(quantization, reason)
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

    def open(self, runtime: type[TensorClassifier], data: bytes, quantization: str) -> None:
        """Load an artifact in its runtime. Raises ArtifactError where that refuses it."""
        source = self.source
        runtime(
            data,
            Path(f"{self.format}-{quantization}"),
            labels=None if source.numbers else self.labels,
            spec=source.spec,
            numbers=source.numbers,
        )

    def _checked(
        self, exported: Exported, quantization: str, dtype: str, constants: Iterable[Constant], weights: str
    ) -> Exported:
        """Return an artifact whose input and output are of `dtype`, and weights of theirs. Raises ArtifactError."""
        for role, tensor in (("input", exported.input), ("output", exported.output)):
            if tensor.dtype != dtype:
                raise self._not_as_asked(quantization, f"its {role} is {tensor.dtype} instead of {dtype}")
            if dtype.startswith("int") and not tensor.scale:
                raise self._not_as_asked(quantization, f"its {role} has no scale")
        reasons = self.departures(exported.data, quantization)
        if weights not in {constant.dtype for constant in constants}:
            reasons.append(f"none of its weights are {weights}, as may happen to a very small model")
        if reasons:
            raise self._not_as_asked(quantization, reasons[0])
        return exported

    def _not_as_asked(self, quantization: str, reason: str) -> ArtifactError:
        return ArtifactError(
            f"{self.format}-{quantization} was asked for, and something else came out of {self.source.path}: {reason}",
            hint="Choose another quantization with --quantize.",
        )

    def _first_failing(self, works: Callable[[Any], bool]) -> str | None:
        if self.source.model is None:
            return None
        return first_failing_layer(self.source.original, self.source.model, works)

    def _inexpressible(self, quantization: str, error: Exception) -> ModelError:
        detail = _first_words(error)
        failed = f"{self.source.path} cannot be exported as {self.format}-{quantization}"
        if self.source.model is None:
            return ModelError(f"{failed}: {detail}")
        found = self._first_failing(lambda part: bool(self.convert(part, quantization)))
        reason = f"its layer {found} cannot be expressed" if found else "the converter fails"
        return ModelError(f"{failed}: {reason} ({detail})", hint=_OTHERWISE)


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


def first_failing_layer(original: Any, model: Any, works: Callable[[Any], bool]) -> str | None:  # noqa: ANN401 - Keras has no stubs
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
        try:
            fails = not works(part)
        except Exception:  # noqa: BLE001 - each converter has its own, and many of them are bare
            fails = True
        if fails:
            known = original.get_layer(layer.name)
            inner = first_failing_layer(known, layer, works) if getattr(layer, "layers", None) else None
            return inner or f"{known.name!r} ({type(known).__name__})"
    return None


class ArtifactSpec(NamedTuple):
    """One artifact that can be made."""

    format: str
    quantization: str

    @property
    def name(self) -> str:
        """`<format>-<quantization>`."""
        return f"{self.format}-{self.quantization}"

    def file_for(self, task: Task) -> str:
        """Return the name of the file that it is written to, for models of this task."""
        return file_name(
            self.format, self.quantization, TASKS[default_task().name].noun if task == unnamed_task() else ""
        )

    @property
    def takes_logits(self) -> bool:
        """Whether the softmax at its end can be left out: it is the one of `tflite-int8`, in 8 bits."""
        return FORMATS[self.format].int8 or self.name == "tflite-int8"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The artifacts to export, and the model to export them from."""

    specs: tuple[ArtifactSpec, ...]
    """Artifacts to make, each once."""
    whole: bool = True
    """Whether one that cannot be made is an error, and nothing is written; if not, it is listed with the reason."""
    renewing: bool = False
    """Whether artifacts that are there already and are not among `specs` are made again as well."""
    quantized: bool = True
    """Whether the user named quantizations: a format alone means the one that the network was trained for, if known."""
    model: Path | None = None
    """A model file, which then becomes the model of the export directory; None for the one that is there."""
    trusted: bool = False
    """Whether it is our own, so that no child process tries it first."""
    calibration: int | None = None
    """Training images from which the activation ranges of int8 artifacts are taken; None for 500, or all if there are
    fewer."""
    golden: int | None = None
    """Evaluation images in the golden pack, evenly of each class; None for all of them."""
    input_range: str | None = None
    """The model's input values of a black and a white pixel, see `InputSpec.of_range`; None to find out."""
    numbers: bool = False
    """Whether the model answers with numbers, whatever it looks like."""
    logits: bool = False
    """Whether full-int8 files answer with logits, whose steps are as fine as the model needs, and not with steps of
    1/256."""
    rounding: str | None = None
    """The rule by which C files and pages round; None for the reference's, or what those that are made again have."""

    def __post_init__(self) -> None:
        if self.input_range is not None and "," not in self.input_range:
            low, high = range_ends(self.input_range)
            if low == high:
                raise UsageError(f"--input-range must have two different ends (got {self.input_range})")
        check_range("--calibration", self.calibration, least=1)
        check_range("--golden", self.golden, least=1)

    @classmethod
    def of(
        cls,
        *,
        formats: Sequence[str] | None = None,
        quantizations: Sequence[str] | None = None,
        calibration: int | None = None,
        input_range: str | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        logits: bool = False,
        rounding: str | None = None,
        **others: Any,  # noqa: ANN401 - of any field
    ) -> "ExportConfig":
        """Return the configuration that a user's options ask for; see `artifact_specs` and `normalization`.

        Raises UsageError for a named format none of whose artifacts `logits` changes, and for `calibration` where no
        artifact is calibrated; UnknownNameError for a `rounding` that is unknown.
        """
        specs = artifact_specs(formats, quantizations)
        if calibration is not None and not any(arithmetic_of(*spec) == "int8" for spec in specs):
            raise UsageError(
                f"--calibration changes nothing in {', '.join(spec.name for spec in specs)}: only int8 has activation "
                "ranges",
                hint="Leave it out, or ask for: --quantize int8",
            )
        groups = [[spec for spec in specs if spec.format == name] for name in formats] if formats else [specs]
        for group in groups if logits else ():
            if not any(spec.takes_logits for spec in group):
                raise UsageError(
                    f"--logits changes nothing in {', '.join(spec.name for spec in group)}: only the int8 files of "
                    "tflite, c and web end with a softmax of 256 steps",
                    hint="Leave it out, or ask for: --format tflite --quantize int8",
                )
        if rounding is not None and rounding not in RULES:
            raise UnknownNameError("rounding rule", rounding, RULES)
        return cls(
            specs=specs,
            whole=False,
            renewing=not formats and not quantizations,
            quantized=bool(quantizations),
            calibration=calibration,
            input_range=input_range if mean is std is None else normalization(mean, std, input_range),
            logits=logits,
            rounding=rounding,
            **others,
        )


def normalization(
    mean: float | Sequence[float] | None, std: float | Sequence[float] | None, input_range: str | None = None
) -> str:
    """Return the name of the range that torchvision's `Normalize(mean, std)` makes of pixels of 0 to 1.

    Raises UsageError for numbers that are no mean and standard deviation of such pixels, for more of the one than of
    the other, where one of them is missing, and where a range is given besides.
    """
    if input_range is not None:
        raise UsageError("--input-range and --mean with --std say the same in two ways", hint="Leave one of them out.")
    if mean is None or std is None:
        given, missing = ("--mean", "--std") if std is None else ("--std", "--mean")
        raise UsageError(f"{given} is given without {missing}", hint="Give both, as in torchvision's Normalize.")
    means, deviations = ([one] if isinstance(one, int | float) else list(one) for one in (mean, std))
    for option, values, least in (("--mean", means, 0), ("--std", deviations, SMALLEST_STD)):
        for value in values:
            if not least <= value <= 1:
                raise UsageError(
                    f"{option} must be between {least:g} and 1 (got {value:g})",
                    hint="It is that of pixels between 0 and 1, as in torchvision: divide one of 0 to 255 by 255.",
                )
    if len(means) != len(deviations):
        raise UsageError(
            f"--mean has {count(len(means), 'number')}, and --std {len(deviations)}", hint="Give one a channel to each."
        )
    return standardized(means, deviations)


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
        made = {name: has[:1] if named else usual_quantizations(name) for name, has in offered.items()}
        return tuple(ArtifactSpec(name, one) for name, has in made.items() for one in has)
    kind = f"{named[0]} quantization" if len(named) == 1 else "quantization"
    known = list(dict.fromkeys(one for has in offered.values() for one in has))
    for quantization in quantizations:
        if quantization not in known:
            raise UnknownNameError(kind, quantization, known)
    for name in named:
        if not set(quantizations) & set(offered[name]):
            raise UnknownNameError(f"{name} quantization", quantizations[0], offered[name])
    return tuple(ArtifactSpec(name, one) for name, has in offered.items() for one in has if one in quantizations)
