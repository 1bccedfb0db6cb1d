"""What a board answers, read as from a stranger: typed, bounded, and without anything that a terminal would obey.

A board may be broken, or somebody else's. Whatever it answers costs one board its row in the report, and nothing else.
"""

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edgemnist.board.agent.facts import BoardFacts, Probe
from edgemnist.errors import DeployError
from edgemnist.ground.results.boards import SelfTestResult

MOST_LINE_BYTES = 1 << 25
"""Of one line on stdout: 32 MB. A benchmark with its raw samples is the longest answer, and takes a tenth of it."""
MOST_BYTES = 1 << 26
"""Of all that one command writes to stdout."""
MOST_ERROR_BYTES = 1 << 16
"""Of stderr: the rest is read and dropped."""
_MOST_MESSAGE = 2000
"""Characters of a text that the user is shown."""

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

    status: Literal["deployed", "unchanged"]
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


for _kind in (Prepared, Applied, Examined, Ran, Line):
    # What msgspec knows of a type is made here: where two threads make it at a time, the process may crash.
    msgspec.json.Decoder(_kind)


def decode(host: str, data: str | bytes, kind: type[AnswerT]) -> AnswerT:
    """Read a JSON document. Raises DeployError if it is not one of this kind."""
    with _readable(host):
        return msgspec.json.decode(data, type=kind)


def convert(host: str, document: object, kind: type[AnswerT]) -> AnswerT:
    """Read a decoded document, its texts cleaned and cut. Raises DeployError if it is not one of this kind."""
    with _readable(host):
        # What a command printed is read on its own.
        return msgspec.convert(cleaned(document, MOST_LINE_BYTES if kind is Ran else _MOST_MESSAGE), kind)


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
            hint="Deploy a bundle that this version made: edgemnist bundle",
        ) from None


def clean(text: str) -> str:
    """Return a text without control, format and private characters, but for line breaks: no escape sequence is left."""
    # ssh ends its own lines as a terminal wants them.
    text = text.replace("\r\n", "\n")
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def cleaned(value: object, most: int = _MOST_MESSAGE) -> object:
    """Return a JSON document with every text in it cleaned, and cut after `most` characters."""
    if isinstance(value, str):
        return clean(value[:most])
    if isinstance(value, dict):
        return {clean(str(key)[:most]): cleaned(item, most) for key, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item, most) for item in value]
    return value


def message(text: str) -> str:
    """Return a text that the user is shown as one line of a message."""
    return " ".join(clean(text[:_MOST_MESSAGE]).split())
