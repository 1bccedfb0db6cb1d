"""Folders around the C file for embedded developers to open and build, and executables for small boards."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemnist.errors import ArtifactError, MissingDependencyError, UnknownNameError, UsageError
from edgemnist.export.interface import ExportConfig
from edgemnist.native.build import ZIG, CompilerError, compile_c
from edgemnist.storage import write_file

C_FORMAT: Final = "c"
HEADER: Final = "edgemnist.h"
"""The declarations beside it: they depend on the number of classes alone."""

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
