"""What each command found out: frozen, free of terminals and runtimes, and exactly what `--json` prints.

Every document carries `schema_version`; a field may be added within a version, never renamed or removed.
Shares such as accuracies and agreements lie between 0 and 1; drops are in percentage points, as their names say.
"""

from typing import Final, TypeVar

import msgspec

from edgemnist import TASK_HOMES
from edgemnist.ground.registry import OpenRegistry

SCHEMA_VERSION = 1
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no such document: it decodes text late, and nests no deeper than Python."""

FORMER_NAMES: Final[OpenRegistry[tuple[str, ...]]] = OpenRegistry("former name", TASK_HOMES, {})
"""Labels that mean `none-of-these`, as 0.1.0 wrote them, each with the classes of the models that it wrote them for."""

ResultT = TypeVar("ResultT", bound="Result")


def as_json(document: object) -> str:
    """Return a document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A document that a command prints or saves."""

    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Return the document as indented JSON."""
        return as_json(self)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document."""


def read_result(kind: type[ResultT], data: bytes) -> ResultT:
    """Decode a saved document. Raises one of `UNREADABLE` where it is not one of this kind."""
    return msgspec.json.decode(data, type=kind)
