"""How long a test waits for what must happen: only what hangs takes so long, however busy the machine is.

It is less than what pytest gives a test, so that the test itself says what did not happen.
"""

import time
from collections.abc import Callable

PATIENCE_S = 600


def comes_true(claim: Callable[[], object]) -> bool:
    """Wait until a claim is true; return whether it is."""
    end = time.monotonic() + PATIENCE_S
    while not (true := bool(claim())) and time.monotonic() < end:
        time.sleep(0.02)
    return true
