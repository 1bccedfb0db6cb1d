"""One C file with the network and the engine that executes it, for anything that has a C compiler.

Around it, folders for embedded developers to open and build, and executables for small boards.
"""

import importlib.util
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from edgemnist import __version__
from edgemnist.errors import ArtifactError, MissingDependencyError, ModelError, UnknownNameError, UsageError
from edgemnist.ground.storage import sha256, write_file
from edgemnist.model.exports.manifest import Footprint, TensorSpec
from edgemnist.model.native import ZIG, CompilerError, compile_c, find_compiler
from edgemnist.model.native.amalgamation import RECOMMENDED, Origin, c_file, origin_of
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.runtimes.integer import Rounding, plan
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.model.task import Task, code_of, default_task
from edgemnist.pipeline.export.interface import ExportConfig, Exported
from edgemnist.pipeline.export.tflite import LEVELS, TFLiteExporter, largest_weight

C_FORMAT: Final = "c"
HEADER: Final = "edgemnist.h"
"""The declarations beside it: they depend on what the network takes and answers, and not on its weights."""
TWIN: Final = "int8"
"""The quantization of the TFLite file that the network is read from."""


class NetworkExporter(TFLiteExporter):
    """Writes the network of `tflite-int8` for our own engine: both give the same answers, bit for bit."""

    @abstractmethod
    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the file for a network."""

    def export(self, quantization: str) -> Exported:
        """Convert the model, and check the result; see `Exporter.export`."""
        exported = super().export(quantization)
        return replace(exported, twin=self._twin)

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a file; see `Exporter.convert`. It holds weights in as few bits as they need.

        A part of the model need not be a classifier, and stays TFLite. Raises ModelError if weights need more bits than
        were asked for.
        """
        self._twin = tflite = self.source.tflite or super().convert(model, TWIN)
        if self.source.tflite is None and (departures := super().departures(tflite, TWIN)):
            raise ValueError(departures[0])
        if quantization != TWIN and (found := largest_weight(tflite)) > (most := LEVELS[quantization]):
            bits = quantization.removeprefix("int")
            raise ModelError(
                f"{self.source.path} cannot be exported as {self.format}-{quantization}: its weights were not trained "
                f"for {bits} bits, which hold {-most} to {most}, but reach {found}",
                hint=f"Train a network for it, for example with: edgemnist train --network mlp:64-32:{bits}bit",
            )
        graph = read_graph(tflite)
        plan(graph)
        if model is not self.source.model:
            return tflite
        network = read_network(graph, self.source.spec, Rounding(self.source.rounding))
        origin = Origin(
            version=__version__,
            model_sha256=self.source.sha256,
            tflite_sha256=sha256(tflite),
            labels=() if self.source.numbers else self.labels,
            source=self.source.title,
            task=self._task(network),
        )
        return self.written(network, origin)

    def _task(self, network: Network) -> Task | None:
        """Return what the network is for; None where pictures are prepared as usual."""
        task = self.source.task
        if task.preparer == default_task().preparer:
            return None
        return msgspec.structs.replace(task, input=network.spec)

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return nothing: a file that is not full int8 never becomes a network; see `Exporter.departures`."""
        del data, quantization
        return []


def tensors_of(network: Network, labels: Sequence[str]) -> tuple[TensorSpec, TensorSpec]:
    """Return the records of a network's input and of its answers."""
    source = TensorSpec(name="image" if network.spec.is_picture else "input", dtype="uint8", shape=[network.inputs])
    if network.takes_levels:
        zero_point = network.held.zero_point - network.held.lowest
        source = msgspec.structs.replace(source, scale=network.held.scale, zero_point=zero_point)
    name = "probabilities" if labels else "numbers"
    scale, zero_point = network.score_scale, network.score_zero_point
    return source, TensorSpec(name=name, dtype="uint8", shape=[network.classes], scale=scale, zero_point=zero_point)


class CExporter(NetworkExporter):
    """Writes the network as C."""

    format: ClassVar[str] = "c"

    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the C file for a network."""
        self._made, self._network, self._labels = c_file(network, origin), network, origin.labels
        return self._made.text.encode()

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Compile a C file if there is a compiler; see `Exporter.inspect`."""
        if find_compiler() is not None:
            from edgemnist.model.native.classifier import CompiledClassifier

            CompiledClassifier(data, Path(f"{self.format}-{quantization}.c"), labels=self._labels or None)
        source, target = tensors_of(self._network, self._labels)
        return Exported(
            data=data,
            input=source,
            output=target,
            footprint=Footprint(**asdict(self._made.needs[RECOMMENDED])),
            companions={HEADER: self._made.header.encode()},
            rounding=self.source.rounding,
        )


PROJECTS: Final = ("arduino", "cmake", "pico", "zephyr")
"""The kinds of project, each a folder of `projects/` whose files come beside `edgemnist.c` and `edgemnist.h`."""

_SOURCES: Final = {"arduino": "src"}
"""Where these two files lie, if not at the top."""

TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "pi-zero": ("arm-linux-musleabihf", "-mcpu=arm1176jzf_s"),
    "pi": ("aarch64-linux-musl", "-mcpu=cortex_a53"),
    "linux-armv6": ("arm-linux-musleabihf", "-mcpu=arm1176jzf_s"),
    "linux-armv7": ("arm-linux-musleabihf", "-mcpu=generic+v7a+vfp3d16-neon"),
    "linux-aarch64": ("aarch64-linux-musl", "-mcpu=generic"),
    "linux-riscv64": ("riscv64-linux-musl",),
    "linux-x86_64": ("x86_64-linux-musl",),
}
"""Zig's name of the system of each static executable, and options; `pi-zero` is the first one, `pi` any later one."""


def check_extras(config: ExportConfig, projects: Sequence[str], targets: Sequence[str]) -> None:
    """Make sure that these projects and executables can be made beside an export.

    Raises UnknownNameError for a name that is not known, UsageError if no C file is exported, and
    MissingDependencyError if a target needs `ziglang` and it is not installed: before any work is done.
    """
    for kind, names, known in (("project", projects, PROJECTS), ("target", targets, TARGETS)):
        for name in names:
            if name not in known:
                raise UnknownNameError(kind, name, known)
    if (projects or targets) and C_FORMAT not in {spec.format for spec in config.specs}:
        option = "--project" if projects else "--target"
        raise UsageError(f"{option} is made from a C file, but none is exported", hint="Add: --format c")
    if targets and importlib.util.find_spec("ziglang") is None:
        raise MissingDependencyError("--target", ["ziglang"], 'pip install "edgemnist[native]"')


def write_extras(exports: Path, source: Path, projects: Sequence[str], targets: Sequence[str]) -> list[Path]:
    """Write projects and executables made from a C file into an export directory; return their paths."""
    texts = source.read_bytes(), (exports / HEADER).read_bytes()
    return [
        *(write_project(kind, *texts, exports, artifact=source.stem) for kind in projects),
        *(write_executable(target, source, exports) for target in targets),
    ]


def write_project(kind: str, source: bytes, header: bytes, directory: Path, *, artifact: str = "c-int8") -> Path:
    """Write a project around a C file into a folder of `directory`, replacing an earlier one; return the folder.

    `kind` is one of `PROJECTS`, `artifact` the name of the C file's. Raises StorageError.
    """
    folder = directory / f"{artifact}-{kind}"
    where = _SOURCES.get(kind, ".")
    files = {f"{where}/edgemnist.c": source, f"{where}/edgemnist.h": header}
    around = Path(__file__).parent / "projects" / kind
    files |= {
        _named(str(path.relative_to(around)), source): _named(path.read_text("utf-8"), source).encode()
        for path in around.rglob("*")
        if path.is_file()
    }
    with tempfile.TemporaryDirectory(dir=directory, prefix=".tmp-") as temporary:
        made, old = Path(temporary) / "made", Path(temporary) / "old"
        for name, data in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, data)
        if folder.exists():
            shutil.move(folder, old)
        made.replace(folder)
    return folder


def _named(text: str, source: bytes) -> str:
    """Return a text in which the program, called `model`, has the name that the task of a C file gives it."""
    origin = origin_of(source)
    code = code_of(origin.task if origin else None)
    if code is None:
        return text
    named = text.replace("model FILE", f"{code.name} {code.example}").replace("model", code.name)
    return named.replace("Model", code.name.title())


def write_executable(target: str, source: Path, directory: Path) -> Path:
    """Compile a C file to a static executable in `directory`, such as `model-<target>`; return its path.

    `target` is one of `TARGETS`. Raises ArtifactError if the compiler fails.
    """
    system, *options = TARGETS[target]
    path = directory / _named(f"model-{target}", source.read_bytes())
    # Sections that nothing refers to are left out, and symbols, which a debugger alone wants.
    small = (RECOMMENDED, "-static", "-s", "-ffunction-sections", "-Wl,--gc-sections", "-fno-sanitize=all")
    try:
        compile_c([source], path, compiler=ZIG, options=("-target", system, *options, *small, "-DEDGEMNIST_MAIN"))
    except CompilerError as error:
        raise ArtifactError(f"{source} cannot be compiled for {target}: {error}") from error
    return path
