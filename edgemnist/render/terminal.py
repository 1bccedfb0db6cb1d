"""The two streams that reach the user: results on stdout, progress and notices on stderr.

TensorFlow, XLA and the converters write to the file descriptors 1 and 2 from C++, past Python. So the consoles here
write to copies of those descriptors, and `quiet_libraries` sends the originals to a file while a library is at work.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from typing import TextIO

from rich.console import Console


@cache
def out() -> Console:
    """Return the console for results."""
    return _console(sys.__stdout__, 1)


@cache
def err() -> Console:
    """Return the console for progress and notices."""
    return _console(sys.__stderr__, 2)


def _console(stream: TextIO | None, descriptor: int) -> Console:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return Console(file=io.StringIO())
    encoding = getattr(stream, "encoding", None) or "utf-8"
    file = io.TextIOWrapper(os.fdopen(copy, "wb", 0), encoding=encoding, errors="replace", write_through=True)
    return Console(file=file, highlight=False, soft_wrap=not file.isatty())


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the chatter of libraries, C++ included, away from the terminal.

    What they wrote is shown on stderr only where the body ends in an exception that is a defect of ours.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    out(), err()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log, contextlib.ExitStack() as stack:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(log.fileno(), descriptor)
        yield
