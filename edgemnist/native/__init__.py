"""The engine in C that executes full-int8 networks: its sources, its shared library, and what a network is to it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgemnist.native.build import library_name

LIBRARY: Final = Path(__file__).with_name(library_name())
"""The shared library, which a wheel brings and `python -m edgemnist.native` makes."""
BUILD: Final = "python -m edgemnist.native"
