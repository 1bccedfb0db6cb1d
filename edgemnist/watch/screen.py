"""The lines of `edgemnist watch`."""

from __future__ import annotations

import msgspec

from edgemnist.console.terminal import out
from edgemnist.results.pictures import WatchReading


def print_reading(reading: WatchReading) -> None:
    """Write one reading as one line of JSON. Raises BrokenPipeError where nobody reads any more."""
    out().file.write(msgspec.json.encode(reading).decode() + "\n")


def print_unit(text: str) -> None:
    """Write a systemd unit as it is."""
    out().file.write(text)
