"""The engine in C that executes full-int8 networks: its sources, its shared library, and what a network is to it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

from edgemnist.native.build import SOURCES, library_name

BUILD: Final = "python -m edgemnist.native"
BOARDS: Final = ("aarch64", "armv7l", "armv6l")
"""Processors of Raspberry Pis, as Linux names them: of the 3 and later ones, of the 2, and of the 1 and Zero."""


def board_library(machine: str) -> Path:
    """Return where a bundle's package has the shared library for the processor of a board."""
    return SOURCES / f"engine-{machine}.so"


def find_library() -> Path:
    """Return the shared library: the one compiled for this system, or else a bundle's for this processor.

    What is returned need not exist.
    """
    own = SOURCES / library_name()
    if own.is_file():
        return own
    from edgemnist.agent.facts import POINTER_BITS, program_machine

    bundled = board_library(program_machine(platform.machine(), POINTER_BITS))
    return bundled if bundled.is_file() else own


def library_version() -> str | None:
    """Return the version of edgemnist that the shared library came with, or None if there is none."""
    if not find_library().is_file():
        return None
    from edgemnist import __version__

    return __version__
