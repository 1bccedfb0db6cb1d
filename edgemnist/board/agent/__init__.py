"""What runs on the board: the store of releases, and the steps from a bundle to a release that serves.

The desk sends one JSON document, and the board answers with one JSON line a step. docs/concepts/releases.md has the
layout of the directory that edgemnist keeps there.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, TextIO

if TYPE_CHECKING:
    from edgemnist.errors import EdgemnistError


MARK = "@edgemnist "
"""Begins every line of an answer, so that a login script that greets does no harm."""


@dataclass(frozen=True)
class SelfTestLimits:
    """What a release has to reach on the board, besides parity; None is no limit."""

    timeout_s: float = 300.0
    max_p99_us: Optional[float] = None
    """Latency of one image."""
    max_rss_mb: Optional[float] = None
    """Peak memory of a process that answers."""


@dataclass(frozen=True)
class Apply:
    """Make a transferred bundle the release that serves."""

    sha256: str
    """Of the bundle file."""
    identity: str
    """Of its contents."""
    limits: SelfTestLimits
    token: str = ""
    """Of the deployment that sent it, which may not be the only one of this bundle."""
    keep: int = 3
    """Releases to keep."""
    wait_s: float = 60.0
    """For another deployment."""


class Responder:
    """Tells the other side what is going on; goes on alone where nobody listens any more."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._gone = False
        self.stoppable = True
        """False from where on stopping half way would not leave things as they were."""

    def step(self, name: str) -> None:
        """Say which step begins."""
        self.tell(step=name)

    def error(self, error: EdgemnistError) -> None:
        """Say why it failed."""
        self.tell(error={"type": type(error).__name__, "message": error.message, "hint": error.hint})

    def tell(self, **document: Any) -> None:  # noqa: ANN401 - any document
        """Send a document, such as the `result`, or the `process` that is at work, for the other side to stop it."""
        if self._gone:
            return
        try:
            print(f"{MARK}{json.dumps(document)}", file=self._stream, flush=True)
        except OSError:
            # The connection was cut. What has begun is finished here, since half of it would be worse than none.
            self._gone = True
            # Python would try to flush the rest at its end, and complain.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends
