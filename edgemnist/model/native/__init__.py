"""The engine in C that executes full-int8 networks: its sources, its shared library, and how it is compiled.

`python -m edgemnist.model.native` compiles it for this machine, as the build hook and the installation on a board do,
with $CC, cc, gcc or clang, whichever comes first. `python -m edgemnist.model.native wasm` compiles it for web pages,
with clang and lld. What the build hook runs needs the standard library alone and nothing of edgemnist, which is not
installed yet.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SOURCES = Path(__file__).parent
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic")
OPTIONS = (
    *("-O3", "-falign-functions=64", "-fno-asynchronous-unwind-tables", "-DNDEBUG", "-fvisibility=hidden"),
    # What GCC's -O3 repeats gains nothing with AVX2, 5 % with SSE2 alone: 78 KB. Clang never does, and would only warn.
    *("-fno-unswitch-loops", "-fno-peel-loops", "--param=vect-epilogues-nomask=0"),
    "--param=max-completely-peeled-insns=50",
    *("-Wno-ignored-optimization-argument", "-Wno-unused-command-line-argument", "-shared", "-s"),
)
"""Without the alignment, whatever is linked before a dense layer's loop can make it 5 % slower."""
SUFFIXES = {"win32": ".dll", "darwin": ".dylib"}
INSTALL = "sudo apt install gcc"
BUILD: Final = "python -m edgemnist.model.native"


class CompilerError(Exception):
    """There is no compiler, or it failed: the message is one sentence, and what to do."""


def find_compiler() -> list[str] | None:
    """Return the command of a C compiler, or None if there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return None


def library_name() -> str:
    """Return the name of the shared library on this system."""
    return f"engine{SUFFIXES.get(sys.platform, '.so')}"


def find_library() -> Path:
    """Return where the shared library is, or would be once it is compiled."""
    return SOURCES / library_name()


def library_version() -> str | None:
    """Return the version of edgemnist that the shared library came with, or None if there is none."""
    if not find_library().is_file():
        return None
    from edgemnist import __version__

    return __version__


def compiler_name() -> str | None:
    """Return the name of the C compiler, or None if there is none."""
    found = find_compiler()
    return None if found is None else Path(found[0]).name


def engine_sources() -> list[Path]:
    """Return the C files of the shared library."""
    return [SOURCES / "engine.c", SOURCES / "library.c", *_brought("wasm"), *sorted(SOURCES.glob("kernel_*.c"))]


def _brought(but: str) -> list[Path]:
    """Return the C files in other wings' folders `native`, without those for Python (`_library`) or pages (`_wasm`)."""
    found = sorted(SOURCES.parents[1].glob("*/native/*.c"))
    return [path for path in found if path.parent != SOURCES and not path.stem.endswith(f"_{but}")]


WASM_OPTIONS = (
    *("--target=wasm32", "-Os", "-msimd128", "-mbulk-memory", "-DNDEBUG", "-fvisibility=hidden"),
    *("-nostdlib", "-s", "-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,--export=__heap_base"),
)
"""Small rather than fast where both are not to be had, as a page carries it."""


def compile_wasm(target: Path) -> None:
    """Compile the WebAssembly module to `target`, with clang and lld. Raises CompilerError."""
    sources = [SOURCES / "wasm.c", SOURCES / "kernel_wasm.c", *_brought("library")]
    compile_c(sources, target, compiler=["clang"], options=WASM_OPTIONS)


def compile_library(target: Path, *, compiler: Sequence[str] | None = None, options: Sequence[str] = ()) -> None:
    """Compile the shared library to `target`. Raises CompilerError."""
    compile_c(engine_sources(), target, compiler=compiler, options=(*OPTIONS, *options))


def compile_c(
    sources: Sequence[Path], target: Path, *, compiler: Sequence[str] | None = None, options: Sequence[str] = ()
) -> None:
    """Compile C99 files to `target`, which is there as a whole or not at all. Raises CompilerError."""
    other = "" if compiler else ". Name another compiler with: CC=gcc"
    compiler = compiler or find_compiler()
    if compiler is None:
        raise CompilerError(f"There is no C compiler. Install one with: {INSTALL}")
    position = () if target.suffix in {".dll", ".wasm"} else ("-fPIC",)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".engine-") as directory:
        made = Path(directory) / target.name
        command = [*compiler, "-std=c99", *position, *options, *map(str, sources), "-o", str(made)]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own sources
        except OSError as error:
            raise CompilerError(f"{compiler[0]} cannot be run: {error.strerror}. Name another with: CC=gcc") from error
        if done.returncode != 0:
            raise CompilerError(f"{compiler[0]} cannot compile {sources[0].name}: {first_error(done.stderr)}{other}")
        made.replace(target)


def first_error(output: str) -> str:
    """Return the first line of a compiler's output that is an error, or else the first line."""
    lines = [line for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it says nothing")


def main() -> int:
    """Compile the library, or with `wasm` the WebAssembly module, where it belongs; return the exit code."""
    wasm = sys.argv[1:] == ["wasm"]
    target = SOURCES / ("engine.wasm" if wasm else library_name())
    try:
        (compile_wasm if wasm else compile_library)(target)
    except (CompilerError, OSError) as error:
        print(f"edgemnist: {error}", file=sys.stderr)  # noqa: T201 - a program of its own
        return 3
    print(target)  # noqa: T201 - the result
    return 0
