"""The native engine for the processors of boards, compiled here, because a board may have no compiler."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgemnist.errors import BundleError
from edgemnist.native import BOARDS, board_library
from edgemnist.native.build import ZIG, CompilerError, compile_library
from edgemnist.native.targets import WHEELS


def board_engines(*machines: str) -> dict[str, bytes]:
    """Return the shared libraries, by path within the package, for all Raspberry Pis and further processors.

    An installed package may have them already, as on a board. Raises BundleError where the compiler fails.
    """
    return {f"native/{board_library(one).name}": _engine(one) for one in dict.fromkeys((*BOARDS, *machines))}


def _engine(machine: str) -> bytes:
    there = board_library(machine)
    if there.is_file():
        return there.read_bytes()
    target = WHEELS[f"linux-{machine}"]
    with tempfile.TemporaryDirectory(prefix="edgemnist-engine-") as directory:
        made = Path(directory) / target.library
        try:
            compile_library(made, compiler=ZIG, options=("-target", target.triple, *target.options))
        except CompilerError as error:
            raise BundleError(f"The native engine for {machine} cannot be compiled: {error}") from error
        return made.read_bytes()


def can_build() -> bool:
    """Return whether the engines are there, or the compiler that makes them."""
    import importlib.util

    return importlib.util.find_spec("ziglang") is not None or all(board_library(one).is_file() for one in BOARDS)
