"""The runtimes that execute models, and `load`, which picks one from the file.

Model files are read as a whole, and known by their first bytes before a C++ parser sees them.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.registry import Entry, Package, Registry, Resource
from edgemnist.model.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgemnist.ground.inputs import InputSpec
    from edgemnist.model.runtimes.interface import Classifier

TFLITE: Final = FORMATS["tflite"].title
ONNX: Final = FORMATS["onnx"].title
C_SOURCE: Final = FORMATS["c"].title
WEB_PAGE: Final = FORMATS["web"].title
KERAS: Final = "Keras"
KERAS_H5: Final = "Keras HDF5"

_MAGIC: Final = {
    **{entry.title: re.compile(entry.magic) for entry in FORMATS.values()},
    KERAS: re.compile(rb"PK\x03\x04"),  # a zip archive
    KERAS_H5: re.compile(rb"\x89HDF\r\n\x1a\n"),
}
MAX_BYTES: Final = 1 << 30
"""Of a model file: more than any small one has, and as much as a small machine can read."""
_TOO_SHORT = 32
"""Bytes below which no model of any format fits."""


def identify(head: bytes) -> str | None:
    """Return the format of a file that begins with these bytes (8 or more), or None for an unknown one."""
    return next((title for title, magic in _MAGIC.items() if magic.match(head)), None)


def read_file(path: Path) -> bytes:
    """Return the contents of a file.

    Raises ArtifactError where it is missing or unreadable, no file, or far larger than a small classifier.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            # It may never end, or never begin.
            raise ArtifactError(f"{path} is a pipe or a device, not a model file")
        if status.st_size > MAX_BYTES:
            raise ArtifactError(
                f"{path} is larger than {MAX_BYTES >> 30} GB", hint="A small classifier takes megabytes."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist", hint="Make artifacts with: edgemnist export") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from error


def read_model(path: Path, *formats: str) -> bytes:
    """Return the contents of a model file.

    Raises ArtifactError where the file is missing, unreadable, empty, or not of one of the formats.
    """
    data = read_file(path)
    if not data:
        raise ArtifactError(f"{path} is empty")
    kind = identify(data) if len(data) >= _TOO_SHORT else None
    if kind not in formats:
        what = f"is a {kind} file" if kind else "is damaged, or not a model at all"
        raise ArtifactError(f"{path} {what}; a {' or '.join(formats)} file was expected")
    return data


@dataclass(frozen=True, kw_only=True)
class RuntimeEntry(Entry):
    """A runtime, and the files it executes."""

    suffixes: tuple[str, ...] = ()
    """Endings of the model files that it executes."""
    quantizations: tuple[str, ...] = ()
    """Of an artifact that it executes; empty for all."""
    by_name: bool = False
    """Whether it executes a file only where a user asks for it by name: it is no choice for a board."""
    partial: bool = False
    """Whether it executes only some of these files: others are left out where it is not named."""
    foreign: bool = False
    """Whether a file might harm the process that executes it: a stranger's is tried in a child process first."""
    origin: str = ""
    """What a stranger's file has to pass instead of a trial, `module:function`, which raises ArtifactError."""
    exact: bool = False
    """Whether it promises every bit of the integer reference."""
    roundings: tuple[str, ...] = ()
    """The rules of `integer.RESCALINGS` that it can be told to round by, its own first."""
    install: str = ""
    """The command that brings what is required, where that is no extra."""

    def install_line(self) -> str:
        """Return the command that brings what is required."""
        return self.install or super().install_line()

    def executes(self, path: Path | str, artifact: str = "") -> bool:
        """Return whether this runtime takes a model file; `artifact` is its name, empty for a file from elsewhere."""
        quantization = artifact.partition("-")[2]
        fits = not self.quantizations or not quantization or quantization in self.quantizations
        return Path(path).suffix in self.suffixes and fits


RUNTIMES: Registry[RuntimeEntry] = Registry(
    "runtime",
    {
        "litert": RuntimeEntry(
            target="edgemnist.model.runtimes.litert:LiteRTClassifier",
            summary="LiteRT (TensorFlow Lite) interpreter",
            foreign=True,
            requires=(Package("ai-edge-litert", "ai_edge_litert"),),
            extra="tflite",
            suffixes=(".tflite",),
        ),
        "native": RuntimeEntry(
            target="edgemnist.model.native.classifier:NativeClassifier",
            summary="edgemnist's own engine for full-int8 TFLite",
            requires=(Resource("edgemnist-native", "edgemnist.model.native:library_version"),),
            suffixes=(".tflite",),
            quantizations=("int8",),
            partial=True,
            exact=True,
            roundings=("single", "double"),
            install="python -m edgemnist.model.native",
        ),
        "onnxruntime": RuntimeEntry(
            target="edgemnist.model.runtimes.onnxruntime:ONNXRuntimeClassifier",
            summary="ONNX Runtime, CPU provider",
            foreign=True,
            requires=(Package("onnxruntime", "onnxruntime"),),
            extra="onnx",
            suffixes=(".onnx",),
        ),
        "compiled": RuntimeEntry(
            target="edgemnist.model.native.classifier:CompiledClassifier",
            summary="C file, compiled on this machine",
            requires=(Resource("a C compiler", "edgemnist.model.native:compiler_name"),),
            foreign=True,
            origin="edgemnist.model.native.classifier:require_origin",
            suffixes=(".c",),
            exact=True,
            install="sudo apt install gcc",
        ),
        "browser": RuntimeEntry(
            target="edgemnist.model.native.webassembly:BrowserClassifier",
            summary="Web page, opened in a Chromium on this machine",
            requires=(Resource("Chromium", "edgemnist.model.native.webassembly:browser_name"),),
            suffixes=(".html",),
            by_name=True,
            exact=True,
            install="sudo apt install chromium",
        ),
        "keras": RuntimeEntry(
            target="edgemnist.model.runtimes.keras:KerasClassifier",
            summary="Keras model(x), on TensorFlow",
            foreign=True,
            requires=(Package("tensorflow", "tensorflow"),),
            extra="train",
            suffixes=(".keras", ".h5"),
        ),
        "integer": RuntimeEntry(
            target="edgemnist.model.runtimes.integer:IntegerClassifier",
            summary="NumPy reference of full-int8 TFLite, where no runtime has a wheel",
            suffixes=(".tflite",),
            roundings=("single", "double", "float"),
            quantizations=("int8",),
            by_name=True,
        ),
    },
)


def runtimes_of(path: Path | str, artifact: str = "") -> list[str]:
    """Return the runtimes that execute a model file, the default first; those that are asked for by name come last.

    The default is the first that is installed. `artifact` is the name of the artifact, empty for a file from elsewhere.
    Raises ArtifactError for an ending that no runtime takes.
    """
    names = [name for name, entry in RUNTIMES.items() if entry.executes(path, artifact)]
    if not names:
        known = dict.fromkeys(suffix for entry in RUNTIMES.values() for suffix in entry.suffixes)
        raise ArtifactError(f"No runtime takes {path}", hint=f"Model files end in {', '.join(known)}.")
    return sorted(names, key=lambda name: (RUNTIMES[name].by_name, bool(RUNTIMES[name].missing())))


def default_runtime(path: Path | str, artifact: str = "") -> str:
    """Return the first of `runtimes_of`. Raises ArtifactError as it does."""
    return runtimes_of(path, artifact)[0]


def version_of(runtime: str) -> str:
    """Return the versions of what a runtime stands on, such as `onnxruntime 1.32.0`, which may be NumPy alone."""
    versions: dict[str, str | None] = {**RUNTIMES[runtime].versions()} or {"numpy": Package("numpy", "numpy").version()}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def is_model_file(name: str | Path) -> bool:
    """Return whether a name is that of a model file, by its ending, and not that of an artifact."""
    return any(Path(name).suffix in entry.suffixes for entry in RUNTIMES.values())


def load(
    path: str | Path,
    *,
    runtime: str | None = None,
    threads: int = 1,
    labels: Sequence[str] | None = None,
    input_range: str | None = None,
    spec: InputSpec | None = None,
    numbers: bool | None = None,
    rounding: str | None = None,
    trusted: bool = False,
) -> Classifier:
    """Return a classifier for a model file, in the default runtime for its ending, or in the one named.

    `input_range` is what a black pixel and a white one are to the model: `0..1`, `-1..1`, any other `LOW..HIGH`, or
    `(x/255 - MEAN)/STD`; None for what the file says, or 0..1. `spec` says more of what it reads, and takes its place.
    With `numbers`, it answers with numbers of any meaning, and not with classes. What nobody says the file's tensors
    tell, and `Classifier.guesses` has what they leave open. `rounding` is the rule of the integer and native runtimes:
    `single`, LiteRT's reference and the default, or `double`, that of TensorFlow Lite for Microcontrollers.

    The hash in a manifest is not checked here; `Exports.load` does that. Unless the file is `trusted`, a child process
    with limits of time and memory tries it first, and a C file is compiled only if it is what this edgemnist writes for
    the TFLite file beside it.

    Raises ArtifactError if the file cannot be used, MissingDependencyError, with the pip line, if the runtime is not
    installed, and UsageError if it does not round by that rule.
    """
    path = Path(path)
    runtime = runtime or default_runtime(path)
    entry = RUNTIMES[runtime]
    if input_range is not None and spec is None:
        from edgemnist.model.task import default_input

        spec = default_input(input_range)
    options: dict[str, Any] = {"threads": threads, "labels": labels, "spec": spec, "numbers": numbers}
    if rounding is not None:
        from edgemnist.model.runtimes.integer import Rounding

        if rounding not in entry.roundings:
            can = {name: " or ".join(one.roundings) for name, one in RUNTIMES.items() if one.roundings}
            known = ", ".join(f"{name} by {rules}" for name, rules in can.items())
            raise UsageError(
                f"The runtime {runtime} cannot be told to round by {rounding!r}", hint=f"These can: {known}."
            )
        options["rounding"] = Rounding(rounding)
    implementation = entry.load()
    at_once = None
    if entry.foreign and not trusted:
        # A process that answers in our own code can do without.
        from edgemnist.model.runtimes.untrusted import try_file

        at_once = try_file(path, runtime, spec, numbers=numbers)
    classifier: Classifier = implementation.load(path, **options)
    if at_once is not None:
        classifier.most = min(classifier.most, at_once)
    return classifier
