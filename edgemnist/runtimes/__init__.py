"""The runtimes that execute models, and `load`, which picks one from the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgemnist.errors import ArtifactError
from edgemnist.native import BUILD, Compiler, NativeLibrary
from edgemnist.native.build import INSTALL
from edgemnist.registry import Entry, Package, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgemnist.runtimes.interface import Classifier


@dataclass(frozen=True, kw_only=True)
class RuntimeEntry(Entry):
    """A runtime, and the files it executes."""

    suffixes: tuple[str, ...] = ()
    """Endings of the model files that this runtime is chosen for."""
    artifacts: tuple[str, ...] = ()
    """Artifacts that it executes where it is asked for by name, beside the files that it is chosen for."""
    exact: bool = False
    """Whether it promises every bit of the integer reference."""
    install: str = ""
    """The command that brings what is required, where that is no extra."""

    def install_line(self) -> str:
        """Return the command that brings what is required."""
        return self.install or super().install_line()


RUNTIMES: Registry[RuntimeEntry] = Registry(
    "runtime",
    {
        "litert": RuntimeEntry(
            target="edgemnist.runtimes.litert:LiteRTClassifier",
            summary="LiteRT (TensorFlow Lite) interpreter",
            requires=(Package("ai-edge-litert", "ai_edge_litert"),),
            extra="tflite",
            suffixes=(".tflite",),
        ),
        "onnxruntime": RuntimeEntry(
            target="edgemnist.runtimes.onnxruntime:ONNXRuntimeClassifier",
            summary="ONNX Runtime, CPU provider",
            requires=(Package("onnxruntime", "onnxruntime"),),
            extra="onnx",
            suffixes=(".onnx",),
        ),
        "compiled": RuntimeEntry(
            target="edgemnist.runtimes.compiled:CompiledClassifier",
            summary="C file, compiled on this machine",
            requires=(Compiler("a C compiler", "edgemnist.native.build"),),
            suffixes=(".c",),
            exact=True,
            install=INSTALL,
        ),
        "keras": RuntimeEntry(
            target="edgemnist.runtimes.keras:KerasClassifier",
            summary="Keras model(x), on TensorFlow",
            requires=(Package("tensorflow", "tensorflow"),),
            extra="train",
            suffixes=(".keras", ".h5"),
        ),
        "keras-predict": RuntimeEntry(
            target="edgemnist.runtimes.keras:KerasPredictClassifier",
            summary="Keras model.predict, on TensorFlow",
            requires=(Package("tensorflow", "tensorflow"),),
            extra="train",
        ),
        "native": RuntimeEntry(
            target="edgemnist.runtimes.native:NativeClassifier",
            summary="edgemnist's own engine for full-int8 TFLite",
            requires=(NativeLibrary("edgemnist-native", "edgemnist.native.engine"),),
            artifacts=("tflite-int8",),
            exact=True,
            install=BUILD,
        ),
        "integer": RuntimeEntry(
            target="edgemnist.runtimes.integer:IntegerClassifier",
            summary="NumPy reference of full-int8 TFLite, where no runtime has a wheel",
            artifacts=("tflite-int8",),
        ),
        "null": RuntimeEntry(
            target="edgemnist.runtimes.null:NullClassifier",
            summary="Answers without computing: the cost of the harness itself",
        ),
    },
)


def runtime_for(path: Path) -> str:
    """Return the name of the runtime for a model file. Raises ArtifactError for an ending that no runtime takes."""
    for name, entry in RUNTIMES.items():
        if path.suffix in entry.suffixes:
            return name
    known = [suffix for entry in RUNTIMES.values() for suffix in entry.suffixes]
    raise ArtifactError(f"{path} has an ending that no runtime takes", hint=f"Model files end in {', '.join(known)}.")


def load(
    path: str | Path, *, runtime: str | None = None, threads: int = 1, labels: Sequence[str] | None = None
) -> Classifier:
    """Return a classifier for a model file, in the runtime that its ending asks for.

    Raises ArtifactError where the file cannot be used, and MissingDependencyError, with the pip line, where the
    runtime is not installed. The hash in a manifest is not looked at here: see `edgemnist.manifest.read_recorded`.
    """
    path = Path(path)
    entry = RUNTIMES[runtime or runtime_for(path)]
    classifier: Classifier = entry.load().load(path, threads=threads, labels=labels)
    return classifier
