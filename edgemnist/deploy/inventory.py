"""`fleet.toml`: the boards of a fleet.

root = "/srv/edgemnist"          # for all boards that name no other; may be left out

[[board]]
host = "pi@kitchen.local"        # as for ssh; aliases of the SSH configuration work

[[board]]
host = "pi@door.local:2222"
root = "/data/edgemnist"
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from edgemnist.deploy.target import Target
from edgemnist.errors import UsageError


class _Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    root: str | None = None


class _Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    board: list[_Board]
    root: str | None = None


def read_inventory(path: Path, *, root: str | None = None, ssh_config: Path | None = None) -> list[Target]:
    """Return the boards of an inventory; `root` takes the place of the file's own.

    Raises UsageError where the file cannot be read or says something that makes no sense.
    """
    hint = 'Each board is two lines: [[board]] and host = "user@host".'
    try:
        text = path.read_text(encoding="utf-8")
        inventory = msgspec.convert(tomllib.loads(text), _Inventory)
    except OSError as error:
        raise UsageError(f"The inventory {path} cannot be read: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise UsageError(f"The inventory {path} makes no sense: {error}", hint=hint) from error
    return [
        Target.of(board.host, root=root or board.root or inventory.root, ssh_config=ssh_config)
        for board in inventory.board
    ]
