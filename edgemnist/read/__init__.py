"""Every digit on a page, in reading order, and the numbers that they form.

`pieces` finds connected ink, `recognize` reads, splits and joins it, `layout` puts it in order; `page` is all of that
in a row, on a picture in memory.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgemnist.read.config import ReadConfig
    from edgemnist.read.page import read_page
    from edgemnist.results.pictures import ReadDigit, ReadNumber, ReadResult

__all__ = ["ReadConfig", "ReadDigit", "ReadNumber", "ReadResult", "read_page"]

_HOMES = {
    "ReadConfig": "edgemnist.read.config",
    "read_page": "edgemnist.read.page",
    "ReadDigit": "edgemnist.results.pictures",
    "ReadNumber": "edgemnist.results.pictures",
    "ReadResult": "edgemnist.results.pictures",
}


def __getattr__(name: str) -> object:
    # Late: `edgemnist --help` imports the options of this command, and not NumPy.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
