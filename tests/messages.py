"""What users are told, word by word, in tests/messages.txt: a test says that something is told, and there it is read.

EDGEMNIST_MESSAGES=write python -m pytest FILE...

writes what the tests of these files hear into it, and the diff shows what has changed.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemnist.errors import EdgemnistError

FILE = Path(__file__).with_name("messages.txt")
WRITES = os.environ.get("EDGEMNIST_MESSAGES") == "write"


class Told:
    """Hears what is told, to compare it in the end with the sentences that tests/messages.txt has."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Expect an error."""
        with pytest.raises((EdgemnistError, ValueError)) as caught:
            yield
        error, hint = caught.value, getattr(caught.value, "hint", "")
        said = error.message if isinstance(error, EdgemnistError) else error
        self.says(f"{type(error).__name__}: {said}", *[f"    {hint}"] * bool(hint))

    def says(self, *lines: str) -> None:
        """Hear something else."""
        self.heard += lines or ["(nothing)"]


def known() -> dict[str, str]:
    """Return what is told, by the test or the command line that it is told in."""
    return dict(re.findall(r"^== (.*)\n((?:(?!== ).*\n)*)", FILE.read_text(encoding="utf-8"), re.MULTILINE))


def check(name: str, said: str) -> None:
    """Compare what was said with what is to be said, or write it there."""
    messages = known()
    if WRITES and messages.get(name) != said:
        messages[name] = said
        FILE.write_text("".join(f"== {one}\n{messages[one]}" for one in sorted(messages)), encoding="utf-8")
    assert said == messages.get(name), f"EDGEMNIST_MESSAGES=write would change {FILE.name}"


@pytest.fixture
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    """Hear what tests/messages.txt has for this test."""
    yield (told := Told())
    said = "".join(f"{line}\n" for line in told.heard)
    said = said.replace(str(tmp_path), "DIRECTORY").replace(str(FILE.parents[1]), "CHECKOUT")
    check(request.node.nodeid, said)
