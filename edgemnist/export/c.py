"""One C file with the network and the engine that executes it, for anything that has a C compiler.

Around it, folders for embedded developers to open and build, and executables for small boards.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ArtifactError, MissingDependencyError, ModelError, UnknownNameError, UsageError
from edgemnist.export.interface import ExportConfig, Exported
from edgemnist.export.tflite import LEVELS, TFLiteExporter, largest_weight
from edgemnist.exports.manifest import Footprint, TensorSpec
from edgemnist.native import ZIG, CompilerError, compile_c, find_compiler
from edgemnist.native.amalgamation import Origin, c_source, describe
from edgemnist.native.network import Network, read_network
from edgemnist.runtimes.integer import Rounding, chain, step
from edgemnist.runtimes.tflite import read_graph
from edgemnist.storage import sha256, write_file

C_FORMAT: Final = "c"
HEADER: Final = "edgemnist.h"
"""The declarations beside it: they depend on the number of classes alone."""
TWIN: Final = "int8"
"""The quantization of the TFLite file that the network is read from."""
BITS: Final = {"int4": 4, "int2": 2}
"""Bits of a weight, by quantization, if fewer than 8."""


class NetworkExporter(TFLiteExporter):
    """Writes the network of `tflite-int8` for our own engine: both give the same answers, bit for bit."""

    @abstractmethod
    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the file for a network."""

    def convert(self, model: Any, quantization: str) -> bytes:  # noqa: ANN401 - Keras has no types
        """Return a file; see `Exporter.convert`. It holds weights in as few bits as they need.

        A part of the model need not be a classifier, and stays TFLite. Raises ModelError if weights need more bits than
        were asked for.
        """
        from edgemnist import __version__

        tflite = super().convert(model, TWIN)
        if found := super().departures(tflite, TWIN):
            raise ValueError(found[0])
        self._check_width(tflite, quantization)
        graph = read_graph(tflite)
        for operator in chain(graph):
            step(graph, operator, Rounding())
        if model is not self.source.model:
            return tflite
        origin = Origin(
            version=__version__,
            model_sha256=self.source.sha256,
            tflite_sha256=sha256(tflite),
            labels=self.labels,
        )
        return self.written(read_network(graph), origin)

    def _check_width(self, tflite: bytes, quantization: str) -> None:
        """Raise ModelError if weights need more bits than were asked for."""
        if quantization in BITS and (found := largest_weight(tflite)) > LEVELS[quantization]:
            bits, most = BITS[quantization], LEVELS[quantization]
            raise ModelError(
                f"{self.source.path} cannot be exported as {self.format}-{quantization}: its weights were not trained "
                f"for {bits} bits, which hold {-most} to {most}, but reach {found}",
                hint=f"Train a network for it, for example with: edgemnist train --network mlp:14:64-32:{bits}bit",
            )

    def departures(self, data: bytes, quantization: str) -> list[str]:
        """Return nothing: a file that is not full int8 never becomes a network; see `Exporter.departures`."""
        del data, quantization
        return []


def score_tensor(classes: int, scale: float, zero_point: int) -> TensorSpec:
    """Return the record of the answers."""
    return TensorSpec(name="probabilities", dtype="uint8", shape=[classes], scale=scale, zero_point=zero_point)


IMAGE: Final = TensorSpec(name="image", dtype="uint8", shape=[IMAGE_SIDE**2])


class CExporter(NetworkExporter):
    """Writes the network as C."""

    format: ClassVar[str] = "c"

    def written(self, network: Network, origin: Origin) -> bytes:
        """Return the C file for a network."""
        return c_source(network, origin).encode()

    def inspect(self, data: bytes, quantization: str) -> Exported:
        """Compile a C file if there is a compiler; see `Exporter.inspect`."""
        if find_compiler() is not None:
            from edgemnist.native.classifier import CompiledClassifier

            CompiledClassifier(data, Path(f"{self.format}-{quantization}.c"), labels=self.labels)
        described = describe(data)
        if described is None:
            raise self._not_as_asked(quantization, "it is not a C file that edgemnist wrote")
        return Exported(
            data=data,
            input=IMAGE,
            output=score_tensor(described.classes, described.scale, described.zero_point),
            footprint=Footprint(
                flash_bytes=described.data_bytes + described.engine_bytes,
                ram_bytes=described.memory_bytes,
            ),
            companions={HEADER: described.header.encode()},
        )


_READ_SERIAL: Final = """\
/* Reads images of 28 x 28 bytes, white on black, from the serial port, and answers each with a line: the digit, then
 * its probability in 256ths. */"""

_CMAKE: Final = {
    "CMakeLists.txt": """\
# cmake -B build && cmake --build build && build/digit picture.pgm
cmake_minimum_required(VERSION 3.13)
project(digit C)
set(CMAKE_C_STANDARD 99)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# For programs of your own: target_link_libraries(yours PRIVATE edgemnist)
add_library(edgemnist STATIC edgemnist.c)
target_include_directories(edgemnist PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})

add_executable(digit edgemnist.c)
target_compile_definitions(digit PRIVATE EDGEMNIST_MAIN)
""",
}

_ARDUINO: Final = {
    "library.properties": """\
name=edgemnist
version=1.0.0
author=edgemnist
maintainer=edgemnist
sentence=Reads a handwritten digit of 28 x 28 pixels.
paragraph=An int8 network and its engine in one C file, without dependencies.
category=Data Processing
url=
architectures=*
includes=edgemnist.h
""",
    "examples/Digit/Digit.ino": f"""\
{_READ_SERIAL}
#include <edgemnist.h>

static uint8_t image[784];
static uint8_t probabilities[EDGEMNIST_CLASSES];

void setup() {{
  Serial.begin(115200);
  Serial.setTimeout(5000);
}}

void loop() {{
  if (Serial.readBytes(reinterpret_cast<char *>(image), sizeof image) == sizeof image) {{
    const int digit = edgemnist_classify(image, probabilities);
    Serial.print(edgemnist_labels[digit]);
    Serial.print(' ');
    Serial.println(probabilities[digit]);
  }}
}}
""",
}

_PICO: Final = {
    "CMakeLists.txt": """\
# PICO_SDK_PATH=/path/to/pico-sdk cmake -B build && cmake --build build, then copy build/digit.uf2 to the board.
cmake_minimum_required(VERSION 3.13)
include($ENV{PICO_SDK_PATH}/external/pico_sdk_import.cmake)
project(digit C CXX ASM)
set(CMAKE_C_STANDARD 99)
pico_sdk_init()

add_executable(digit main.c edgemnist.c)
target_link_libraries(digit pico_stdlib)
pico_enable_stdio_usb(digit 1)
pico_enable_stdio_uart(digit 0)
pico_add_extra_outputs(digit)
""",
    "main.c": f"""\
{_READ_SERIAL}
#include <stdio.h>

#include "edgemnist.h"
#include "pico/stdlib.h"

int main(void)
{{
    static uint8_t image[784], probabilities[EDGEMNIST_CLASSES];
    stdio_init_all();
    for (;;) {{
        for (unsigned i = 0; i < sizeof image; ++i) {{
            image[i] = (uint8_t)getchar();
        }}
        const int digit = edgemnist_classify(image, probabilities);
        printf("%s %d\\n", edgemnist_labels[digit], probabilities[digit]);
    }}
}}
""",
}

_ZEPHYR: Final = {
    "zephyr/module.yml": """\
# Add this folder to ZEPHYR_EXTRA_MODULES, and CONFIG_EDGEMNIST=y to prj.conf.
name: edgemnist
build:
  cmake: .
  kconfig: Kconfig
""",
    "Kconfig": """\
config EDGEMNIST
    bool "Classifier of handwritten digits"
    help
      An int8 network and its engine: edgemnist_classify() in edgemnist.h.
""",
    "CMakeLists.txt": """\
if(CONFIG_EDGEMNIST)
  zephyr_library()
  zephyr_library_sources(edgemnist.c)
  zephyr_include_directories(.)
endif()
""",
}

PROJECTS: Final[Mapping[str, Mapping[str, str]]] = {
    "arduino": _ARDUINO,
    "cmake": _CMAKE,
    "pico": _PICO,
    "zephyr": _ZEPHYR,
}
"""The files of each kind of project, beside `edgemnist.c` and `edgemnist.h`."""

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


@dataclass(frozen=True)
class CExtras:
    """What to make from the C file beside itself."""

    projects: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: ExportConfig, *, projects: Sequence[str], targets: Sequence[str]) -> CExtras:
        """Return what a user's options ask for.

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
        return cls(tuple(projects), tuple(targets))

    def write(self, exports: Path, files: Sequence[str]) -> list[Path]:
        """Write everything into an export directory that has these C files, from the last one; return the paths."""
        if not self.projects and not self.targets:
            return []
        source, header = exports / files[-1], exports / HEADER
        return [
            *(
                write_project(kind, source.read_bytes(), header.read_bytes(), exports, artifact=source.stem)
                for kind in self.projects
            ),
            *(write_executable(target, source, exports) for target in self.targets),
        ]


def write_project(kind: str, source: bytes, header: bytes, directory: Path, *, artifact: str = "c-int8") -> Path:
    """Write a project around a C file into a folder of `directory`, replacing an earlier one; return the folder.

    `kind` is one of `PROJECTS`, `artifact` the name of the C file's. Raises StorageError.
    """
    folder = directory / f"{artifact}-{kind}"
    where = _SOURCES.get(kind, ".")
    files = {f"{where}/edgemnist.c": source, f"{where}/edgemnist.h": header}
    files |= {name: text.encode() for name, text in PROJECTS[kind].items()}
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


def write_executable(target: str, source: Path, directory: Path) -> Path:
    """Compile a C file to a static executable, `digit-<target>` in `directory`; return its path.

    `target` is one of `TARGETS`. Raises ArtifactError if the compiler fails.
    """
    system, *options = TARGETS[target]
    path = directory / f"digit-{target}"
    # Sections that nothing refers to are left out, and symbols, which a debugger alone wants.
    small = ("-O3", "-static", "-s", "-ffunction-sections", "-Wl,--gc-sections", "-fno-sanitize=all")
    try:
        compile_c([source], path, compiler=ZIG, options=("-target", system, *options, *small, "-DEDGEMNIST_MAIN"))
    except CompilerError as error:
        raise ArtifactError(f"{source} cannot be compiled for {target}: {error}") from error
    return path
