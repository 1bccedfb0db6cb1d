"""Reading a camera, a video or a directory for as long as it goes on.

`sources` gives frames, `change` tells which are worth reading, `steady` what several of them agree on; `run` is all of
that in a loop.
"""

from edgemnist.results.pictures import WatchNumber, WatchReading
from edgemnist.watch.config import WatchConfig
from edgemnist.watch.run import watch

__all__ = ["WatchConfig", "WatchNumber", "WatchReading", "watch"]
