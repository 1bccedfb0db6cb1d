"""What a board answers, read as from a stranger: typed, bounded, and without anything that a terminal would obey.

A board may be broken, or somebody else's. Whatever it answers costs one board its row in the report, and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edgemnist.agent.facts import BoardFacts, Probe
from edgemnist.errors import DeployError
from edgemnist.results.boards import SelfTestResult

MOST_LINE_BYTES = 1 << 25
"""Of one line on stdout: 32 MB. A benchmark with its raw samples is the longest answer, and takes a tenth of it."""
MOST_BYTES = 1 << 26
"""Of all that one command writes to stdout."""
MOST_VALUES = 1 << 21
"""Of one line: in Python, the smallest value takes fifty times the bytes that it has in JSON."""
MOST_ERROR_BYTES = 1 << 16
"""Of stderr; the first of it is kept, the rest is read and dropped."""
_MOST_BITS = 64
_MOST_MESSAGE = 2000
"""Characters of a text that the user is shown."""
MOST_ANSWER = 1 << 16
"""Bytes of a line that does not hold the output of a command: 200 releases fit in it."""
_MOST_TEXT = 1 << 16
"""Characters in a document that a command printed, in all its texts: what is measured is numbers."""
_MOST_OBJECTS = 2000
"""In such a document: `verify --layers` of 24 artifacts has 400."""
_MOST_OF_A_FILE = 20
"""Objects, and as many times 50 characters, that a document may have more for each file that it is about."""
MOST_STEPS = 100
"""That one command announces: a deployment has ten."""
_MOST_STEP = 100
"""Characters of a step."""

AnswerT = TypeVar("AnswerT")
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_Name = Annotated[str, msgspec.Meta(max_length=64)]
"""Of a release. Those of a board itself have 20 characters; a longer one would push the other boards off the page."""


class Prepared(msgspec.Struct, frozen=True):
    """The answer to `prepare`."""

    facts: BoardFacts
    known: bool
    offset: _Count
    """Bytes of the bundle that are there already."""
    signed_only: bool


class Applied(msgspec.Struct, frozen=True):
    """The answer to `apply`."""

    status: Literal["deployed", "shadow", "unchanged"]
    release: _Name
    previous: _Name | None
    removed: list[_Name]
    selftest: SelfTestResult

    def __post_init__(self) -> None:
        """Raise ValueError for a release that serves although its self-test failed."""
        if not self.selftest.passed:
            raise ValueError(f"{self.status}, with a self-test that failed")


class Examined(msgspec.Struct, frozen=True):
    """The answer to `doctor`."""

    facts: BoardFacts
    probes: list[Probe]
    installed: bool


class Ran(msgspec.Struct, frozen=True):
    """The answer to `run`."""

    exit_code: int
    release: str
    stdout: str
    stderr: str


class Reported(msgspec.Struct, frozen=True):
    """An error that the board reports."""

    type: str
    message: str
    hint: str


class Line(msgspec.Struct, frozen=True):
    """One line of an answer; one of its fields is set."""

    process: Annotated[int, msgspec.Meta(gt=1, le=1 << 31)] | None = None
    step: str | None = None
    result: dict[str, Any] | None = None
    error: Reported | None = None


def decode(host: str, data: str | bytes, kind: type[AnswerT], *, most: int | None = None) -> AnswerT:
    """Read a JSON document. Raises DeployError if it is not one of this kind, or longer than `most` bytes."""
    data = data.encode() if isinstance(data, str) else data
    with _readable(host):
        if most is not None and len(data) > most:
            raise ValueError(f"more than {most >> 10} KB")
        # What stands in a text, as the result of a command does, counts once more when that is read.
        if sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} values")
        return msgspec.json.decode(data, type=kind)


def convert(host: str, document: object, kind: type[AnswerT]) -> AnswerT:
    """Read a decoded document, its texts cleaned and cut. Raises DeployError if it is not one of this kind."""
    with _readable(host):
        # What a command printed is read on its own.
        return msgspec.convert(cleaned(document, MOST_LINE_BYTES if kind is Ran else _MOST_MESSAGE), kind)


def bounded(host: str, document: AnswerT, files: int) -> AnswerT:
    """Return what a command printed there about so many files. Raises DeployError if no page has so much on it."""
    values: list[object] = [document]
    objects = characters = 0
    while values:
        value = values.pop()
        if isinstance(value, dict):
            objects += 1
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, str):
            characters += len(value)
    with _readable(host):
        if objects > _MOST_OBJECTS + files * _MOST_OF_A_FILE or characters > _MOST_TEXT + files * _MOST_OF_A_FILE * 50:
            raise ValueError(f"{objects:,} objects and {characters:,} characters")
    return document


def clean_result(host: str, result: AnswerT) -> AnswerT:
    """Return a result that was made of what a board said, its texts cleaned. Raises as `convert` does."""
    return convert(host, msgspec.to_builtins(result), type(result))


@contextlib.contextmanager
def _readable(host: str) -> Iterator[None]:
    try:
        yield
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DeployError(
            f"{host} sent an answer that this version cannot read: {message(str(error))}",
            hint=f"Deploy a bundle of this version: edgemnist deploy BUNDLE --to {host}",
        ) from None


def clean(text: str) -> str:
    """Return a text without control, format and private characters: no escape sequence, no reversed line.

    Line breaks stay, as what is read line by line needs them.
    """
    # ssh ends its own lines as a terminal wants them.
    text = text.replace("\r\n", "\n")
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text)


def cleaned(value: object, most: int = _MOST_MESSAGE) -> object:
    """Return a JSON document with every text in it cleaned, and cut after `most` characters.

    Raises RecursionError for one that is nested too deeply, and ValueError for a number that nothing here has.
    """
    if isinstance(value, str):
        return clean(value[:most])
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(f"a number of {value.bit_length():,} bits")
    if isinstance(value, dict):
        return {clean(str(key)[:most]): cleaned(item, most) for key, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item, most) for item in value]
    return value


def step_name(text: str) -> str:
    """Return the name of a step that the user is shown while it runs."""
    return message(text[:_MOST_STEP])


def message(text: str) -> str:
    """Return a text that the user is shown as one line of a message."""
    return " ".join(clean(text[:_MOST_MESSAGE]).split())
