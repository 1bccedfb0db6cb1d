"""How much memory this process has needed."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_rss() -> int | None:
    """Return the largest resident set of this process so far, in bytes, or None where the system does not tell.

    On Linux that is `VmHWM` and not `getrusage`: there the maximum of a new process starts from the memory of the
    process that spawned it (see exec_mmap in fs/exec.c), so that whatever TensorFlow has spawned looks like TensorFlow.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
