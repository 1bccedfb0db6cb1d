"""The part that runs on the board, as one file: a ZIP archive of `edgemnist.agent` and the errors, for Python 3.9+."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import edgemnist
from edgemnist.agent.archive import write_contents

_MAIN = b"import edgemnist.agent.__main__\n"


@dataclass(frozen=True)
class Agent:
    """The file that is sent."""

    data: bytes

    @property
    def sha256(self) -> str:
        """Return the hash of the file, which is its name on the board: another version is another file."""
        return hashlib.sha256(self.data).hexdigest()


@cache
def make_agent() -> Agent:
    """Return the file; the same package gives the same bytes."""
    package = Path(edgemnist.__file__).parent
    paths = [package / "errors.py", *sorted((package / "agent").glob("*.py"))]
    files = {f"edgemnist/{path.relative_to(package).as_posix()}": path.read_bytes() for path in paths}
    # The package's own __init__ imports what a board need not have.
    files["edgemnist/__init__.py"] = b""
    files["__main__.py"] = _MAIN
    stream = io.BytesIO()
    write_contents(stream, files)
    return Agent(stream.getvalue())
