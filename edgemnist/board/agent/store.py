"""The releases on a board, which of them serves, and the one rename that changes that.

Whatever stands in `releases/` is complete and has passed its self-test on this board: it was prepared in `staging/` and
moved here by one rename. The order is that of the numbers in the names, never that of the clock, which may be wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemnist.board.agent.bundle import RECORD_FILE, SIGNATURE_FILE, WHEELS, BundleRecord, decode_record
from edgemnist.board.agent.durable import discard, exclusive, hash_file, replace_file, replace_link, sync_directory
from edgemnist.errors import BundleError, DeployError

_NAME = re.compile(r"\d+-[0-9a-f]{12}")
DEPLOYED_FILE = "deployed.json"
COMPLETE_FILE = ".complete"
"""Marks a virtual environment whose installation came to its end."""

_SILENT_S = 60
"""A transfer that has not grown for so long has been cut: ssh notices after 15 s."""
_ABANDONED_S = 86_400
"""A transfer that nobody took up again for a day."""


def is_release_name(name: str) -> bool:
    """Return whether a directory of `releases/` could have this name."""
    return _NAME.fullmatch(name) is not None


def release_of(exports: Path) -> str | None:
    """Return the name of the release that an export directory is in; None for any other directory."""
    name = exports.resolve().parent.name
    return name if is_release_name(name) else None


@dataclass(frozen=True)
class Release:
    """A directory in `releases/`."""

    path: Path
    sequence: int

    @property
    def name(self) -> str:
        """Return `<sequence>-<identity>`."""
        return self.path.name

    def record(self) -> BundleRecord | None:
        """Return the record of the bundle it came from, or None where that cannot be read."""
        with contextlib.suppress(OSError, BundleError):
            return decode_record((self.path / RECORD_FILE).read_bytes())
        return None

    def signature(self) -> bytes | None:
        """Return the signature of the bundle it came from."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / SIGNATURE_FILE).read_bytes()
        return None

    def deployed(self) -> dict[str, Any]:
        """Return what was written down when it was deployed."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            document = json.loads((self.path / DEPLOYED_FILE).read_bytes())
            if isinstance(document, dict):
                return document
        return {}

    @property
    def before(self) -> str | None:
        """The older release that served before this one, where that is known."""
        name = self.deployed().get("before")
        return name if isinstance(name, str) else None

    def note_before(self, name: str | None) -> None:
        """Write down the older release that served before this one, if one did."""
        known = self.deployed()
        if name is not None and known.get("before") != name:
            replace_file(self.path / DEPLOYED_FILE, json.dumps({**known, "before": name}).encode())

    def problems(self) -> list[str]:
        """Return what keeps the release from being whole, after reading every file of it."""
        record = self.record()
        if record is None:
            return [f"{RECORD_FILE} is missing or damaged"]
        found = []
        if record.identity()[:12] != self.name.partition("-")[2]:
            found.append(f"{RECORD_FILE} belongs to another release")
        for file in record.files:
            if file.path.startswith(WHEELS):
                continue
            try:
                if hash_file(self.path / file.path) != file.sha256:
                    found.append(f"{file.path} is damaged")
            except OSError as error:
                found.append(f"{file.path}: {error.strerror}")
        if not (self.path / "venv" / COMPLETE_FILE).is_file():
            found.append("its virtual environment is missing")
        return found


class Store:
    """What edgemnist keeps on a board, below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.releases_directory = root / "releases"
        self.venvs = root / "venvs"
        self.staging = root / "staging"
        self.incoming = root / "incoming"
        self.link = root / "current"
        self.lock = root / "lock"
        self.allowed_signers = root / "allowed_signers"
        self.settings = root / "board.toml"
        self._pending = root / "pending.json"

    @property
    def signed_only(self) -> bool:
        """Return whether the board takes signed bundles only. A link that leads nowhere was meant to say so, too."""
        return os.path.lexists(self.allowed_signers)

    def create(self) -> None:
        """Make the directories that are missing."""
        wanted = (self.root, self.releases_directory, self.venvs, self.staging, self.incoming)
        missing = [directory for directory in wanted if not directory.exists()]
        for directory in missing:
            directory.mkdir(parents=True, exist_ok=True)
        for directory in missing:
            sync_directory(directory.parent)

    def releases(self) -> list[Release]:
        """Return the releases, the oldest first."""
        try:
            entries = list(self.releases_directory.iterdir())
        except FileNotFoundError:
            return []
        releases = [Release(one, int(one.name.partition("-")[0])) for one in entries if is_release_name(one.name)]
        return sorted(releases, key=lambda release: release.sequence)

    def current(self) -> Release | None:
        """Return the release that serves."""
        return self._named(self.link.resolve().name)

    def _named(self, name: str | None) -> Release | None:
        return next((release for release in self.releases() if release.name == name), None)

    def next_name(self, identity: str) -> str:
        """Return the name for a release that is newer than all others."""
        last = max((release.sequence for release in self.releases()), default=0)
        return f"{last + 1}-{identity[:12]}"

    def adopt(self, path: Path, name: str) -> Release:
        """Move a finished directory to `releases/`, at once."""
        target = self.releases_directory / name
        path.rename(target)
        sync_directory(self.releases_directory)
        sync_directory(path.parent)
        return Release(target, int(name.partition("-")[0]))

    def part(self, sha256: str, token: str = "") -> Path:
        """Return where a deployment, known by its token, sends a bundle: two that send one at once use two files.

        What a deployment that is gone has sent of it already is taken over.
        """
        own = self.incoming / (f"{sha256}.{token}" if token else sha256)
        if own.exists():
            return own
        for other in sorted(self.incoming.glob(f"{sha256}*")):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - other.stat().st_mtime > _SILENT_S:
                    other.rename(own)
                    break
        return own

    def switch(self, name: str | None) -> None:
        """Let another release serve, by one rename; None for none at all."""
        if name is not None:
            replace_link(self.link, f"releases/{name}")
        elif os.path.lexists(self.link):
            self.link.unlink()
            sync_directory(self.root)

    def pending(self) -> dict[str, str | None] | None:
        """Return the switch, `from` and `to`, whose service has not been seen healthy yet."""
        with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
            document = json.loads(self._pending.read_bytes())
            if isinstance(document, dict) and isinstance(document.get("to"), str):
                return {"from": document.get("from"), "to": document["to"]}
        return None

    def begin_switch(self, old: str | None, new: str) -> None:
        """Write down that a switch begins, so that whoever finds it can finish or undo it."""
        replace_file(self._pending, json.dumps({"from": old, "to": new}).encode())

    def end_switch(self) -> None:
        """Write down that the switch is done, or undone."""
        with contextlib.suppress(FileNotFoundError):
            self._pending.unlink()
        sync_directory(self.root)

    def remove(self, release: Release) -> None:
        """Remove a release; half of it is never seen in `releases/`."""
        discard(release.path, self.staging)

    def sweep(self) -> None:
        """Remove what an interrupted deployment left behind. Only for the holder of the lock."""
        unfinished = [venv for venv in self.venvs.iterdir() if not (venv / COMPLETE_FILE).is_file()]
        for leftover in [*self.staging.iterdir(), *unfinished]:
            if leftover.is_dir() and not leftover.is_symlink():
                discard(leftover, self.staging)
            else:
                leftover.unlink()

    def sweep_if_idle(self) -> None:
        """Remove what an interrupted deployment left behind, unless another one is at work."""
        with contextlib.suppress(DeployError, OSError), exclusive(self.lock, wait_s=0, waiting=lambda _: None):
            self.sweep()

    def prune(self, keep: int, part: Path) -> list[str]:
        """Remove all but the newest `keep` releases, the one that serves, and what nobody needs. Return their names.

        If more than one is kept, the one that served before is among them: to it `rollback` goes back. `part` is the
        bundle that was deployed just now, whose file is not needed any more.
        """
        current = self.current()
        before = current.before if current is not None and keep > 1 else None
        needed = (current, self._named(before))
        releases = self.releases()
        old = [release for release in releases[: max(0, len(releases) - keep)] if release not in needed]
        for release in old:
            self.remove(release)
        used = {(release.path / "venv").resolve().name for release in self.releases()}
        for venv in self.venvs.iterdir():
            if venv.name not in used:
                discard(venv, self.staging)
        now = time.time()
        for bundle in self.incoming.iterdir():
            # Another bundle may be on its way at this moment, or wait for its transfer to be resumed.
            if bundle == part or now - bundle.stat().st_mtime > _ABANDONED_S:
                bundle.unlink()
        return [release.name for release in old]
