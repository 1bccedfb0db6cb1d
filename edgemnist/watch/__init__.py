"""Reading a camera, a video or a directory for as long as it goes on.

`sources` gives frames, `change` tells which are worth reading, `steady` what several of them agree on; `run` is all of
that in a loop.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgemnist.results.pictures import WatchNumber, WatchReading
    from edgemnist.watch.config import WatchConfig
    from edgemnist.watch.run import watch

__all__ = ["WatchConfig", "WatchNumber", "WatchReading", "watch"]

_HOMES = {
    "WatchConfig": "edgemnist.watch.config",
    "WatchNumber": "edgemnist.results.pictures",
    "WatchReading": "edgemnist.results.pictures",
    "watch": "edgemnist.watch.run",
}


def __getattr__(name: str) -> object:
    # Late: `edgemnist --help` imports the options of this command, and not NumPy.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
