"""A folder on any web server from which boards fetch releases. Trust is that of The Update Framework: needs python-tuf.

    N.root.json                which keys sign what; signed with the root key, which stays offline
    N.targets.json             bundles, each for a share of the boards; signed with the targets key, offline, too
    N.snapshot.json            which targets.json is the newest; signed with the online key
    timestamp.json             which snapshot is the newest, and what is halted; signed with the online key
    bundles/<sha256>.<name>    what `edgemnist bundle` wrote
    reports/<board>.json       what boards put there

A board knows a channel by the SHA-256 of its first root. Who publishes has all roots beside the keys.
"""

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urldefrag

import msgspec
import urllib3
from securesystemslib.signer import CryptoSigner, Signer
from tuf.api import exceptions as refused
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from edgemnist.board.agent import Apply, Responder, SelfTestLimits
from edgemnist.board.agent.apply import apply, find_release
from edgemnist.board.agent.durable import cannot_change, exclusive, replace_file
from edgemnist.board.agent.facts import read_text
from edgemnist.board.agent.store import Store
from edgemnist.errors import BundleError, DeployError, GateMissedError, MissingDependencyError, UsageError, reason_of
from edgemnist.fleet.deploy.answers import convert, decode
from edgemnist.fleet.deploy.run import LocalBundle, OnStep, open_bundle
from edgemnist.ground.registry import Registry
from edgemnist.ground.results import UNREADABLE, read_result
from edgemnist.ground.results.boards import FAILED, BoardResult, Fault, PublishResult, PullResult
from edgemnist.ground.storage import sha256, write_file

KEYS: Final = Registry("key", {"root": ["root"], "targets": ["targets"], "online": ["snapshot", "timestamp"]})
"""The roles that each key signs for."""
ROLES = {"root": (Root, 1095), "targets": (Targets, 365), "snapshot": (Snapshot, 14), "timestamp": (Timestamp, 14)}
"""And for how many days boards believe them, in the order in which they are written."""
ALL: Final = 1_000_000
"""A share of the boards is in millionths: the JSON that TUF signs has no fractions."""
HALTED, ISSUED = "x-edgemnist-halted", "x-edgemnist-issued"
"""What a timestamp says beside TUF's own: the bundle that no further board is to take, and the time, in seconds."""
MOST_REPORT_BYTES, SKEW_S = 1 << 16, 3_600.0
MOST_HOURS: Final = 4
"""For all that one pull fetches: python-tuf limits its size, and how long it waits for the next byte."""


def publish(
    channel: str, keys: Path, bundle: Path | None, share: float | None, *, most: int, key: str
) -> PublishResult:
    """Publish a bundle for a share of the boards, or renew what expires, and return how the boards do.

    `key` is one of `KEYS` to replace, or empty. The newest bundle is halted once more than `most` boards report that it
    failed, until its share is given again. Raises BundleError, UsageError for a missing key, and DeployError.
    """
    local = None if bundle is None else open_bundle(bundle)
    with _folder(channel) as folder:
        signed = _Signed(folder, keys)
        if key:
            signed.renew(key)
        if local is not None:
            signed.add(local)
        path, offer = signed.newest()
        if share is not None and path:
            offer["millionths"] = round(share * ALL)
            signed.changed.add("targets")
        boards = []
        for report in sorted((folder / "reports").glob("*.json")):
            try:
                with report.open("rb") as file:
                    document = decode(report.stem, file.read(MOST_REPORT_BYTES), Any)
                boards.append(convert(report.stem, document, PullResult))
            except (DeployError, OSError) as error:
                board = BoardResult(host=report.stem, root="", status=FAILED, fault=Fault.of(error))
                boards.append(PullResult(board=board))
        tried = [one.board.fault for one in boards if one.sequence == offer["sequence"]]
        if sum(fault is not None and fault.exit_code == GateMissedError.exit_code for fault in tried) > most:
            signed.halted = path
        elif share is not None or path != signed.halted:
            signed.halted = ""
        expires = f"{signed.write():%Y-%m-%d}"
    share, first = offer["millionths"] / ALL, sha256((keys / "1.root.json").read_bytes())
    return PublishResult(
        fingerprint=first, expires=expires, bundle=path, share=share, halted=bool(signed.halted), boards=boards
    )  # fmt: skip


@contextmanager
def _folder(channel: str) -> Iterator[Path]:
    """Give the folder of a channel, and write it back to `NAME:PATH`, as rclone writes it; `C:` is a directory."""
    if not re.match(r":?[\w.+@-]{2,}[^/\\]*:", channel):
        Path(channel).mkdir(parents=True, exist_ok=True)
        yield Path(channel)
        return
    with tempfile.TemporaryDirectory(prefix="edgemnist-channel-") as directory:
        _rclone("mkdir", channel)
        _rclone("copy", "--exclude=/bundles/**", channel, directory)
        yield Path(directory)
        _rclone("copy", "--exclude=/reports/**", "--exclude=/timestamp.json", directory, channel)
        _rclone("copyto", "--ignore-times", f"{directory}/timestamp.json", f"{channel}/timestamp.json")


def _rclone(*words: str) -> None:
    try:
        done = subprocess.run(["rclone", "--quiet", *words], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingDependencyError(words[-1], ["rclone"], "sudo apt install rclone") from None
    if done.returncode != 0:
        reason = re.sub(r"^[\d/]+ [\d:]+ ", "", done.stderr.strip().rpartition("\n")[2])
        raise DeployError(f"rclone failed: {reason}", hint=f"Try: rclone lsf {words[-1]}")


class _Signed:
    """The metadata of a channel, in memory until `write`."""

    def __init__(self, folder: Path, keys: Path) -> None:
        """Read what is there; make keys if nothing is published and no root exists."""
        self._folder, self._keys = folder, keys.absolute()
        self._of: dict[str, Metadata[Any]] = {}
        if (folder / "1.root.json").exists() and not (keys / "1.root.json").exists():
            raise UsageError(f"The keys of this channel are not in {keys}", hint="Say where with --keys DIR.")
        for role in ROLES:
            # Of numbers, the longest is the largest.
            found = list((keys if role == "root" else folder).glob(f"*{role}.json"))
            try:
                for path in sorted(found, key=lambda path: (len(path.name), path.name))[-1:]:
                    new = self._of[role] = Metadata[Any].from_file(str(path))
                    self._of["root"].signed.verify_delegate(role, new.signed_bytes, new.signatures)
            except (refused.RepositoryError, KeyError) as error:
                hint = f"After a rotation, copy the new key and the *.root.json into {keys}."
                raise DeployError(f"{path} is damaged, or of somebody else: {error}", hint=hint) from error
        self._fresh = ROLES.keys() - self._of.keys()
        self._of |= {role: Metadata(ROLES[role][0]()) for role in self._fresh}
        self.changed = {"snapshot", "timestamp", *self._fresh}
        self._root: Root = self._of["root"].signed
        self._targets: dict[str, TargetFile] = self._of["targets"].signed.targets
        self.halted: str = self._of["timestamp"].signed.unrecognized_fields.get(HALTED, "")
        self._public, self._old = dict(self._root.keys), list(self._root.roles["root"].keyids)
        for key in KEYS if "root" in self._fresh else ():
            self.renew(key)

    def renew(self, key: str) -> None:
        """Make a key that signs in the place of the one there may be."""
        signer = CryptoSigner.generate_ed25519()
        self._public[signer.public_key.keyid] = signer.public_key
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._keys / f"{key}-{signer.public_key.keyid[:12]}.pem"
        write_file(path, signer.private_bytes)
        path.chmod(0o600)
        for role in KEYS[key]:
            for keyid in list(self._root.roles[role].keyids):
                self._root.revoke_key(keyid, role)
            self._root.add_key(signer.public_key, role)
        self.changed |= {"root", *KEYS[key]}

    def newest(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the newest bundle and its metadata; the name is empty if nothing is published."""
        offers = {path: file.custom or {} for path, file in self._targets.items()}
        return max(offers.items(), key=lambda one: one[1]["sequence"], default=("", {"sequence": 0, "millionths": 0}))

    def add(self, local: LocalBundle) -> None:
        """Offer a bundle to all boards, unless it is the newest already."""
        newest, offer = self.newest()
        path = f"{local.record.identity()[:12]}.zip"
        if path == newest and self._targets[path].hashes["sha256"] == local.sha256:
            return
        (self._folder / "bundles").mkdir(exist_ok=True)
        write_file(self._folder / "bundles" / f"{local.sha256}.{path}", local.path.read_bytes())
        self._targets[path] = TargetFile.from_file(path, str(local.path), ["sha256"])
        custom = {"sequence": offer["sequence"] + 1, "identity": local.record.identity(), "millionths": ALL}
        self._targets[path].unrecognized_fields["custom"] = custom
        self.changed.add("targets")

    def write(self) -> datetime:
        """Sign what has changed or is half as old as it may be, write it, and return when the first of it expires."""
        now, files = datetime.now(UTC).replace(microsecond=0), dict[str, bytes]()
        for role, (_, days) in ROLES.items():
            metadata, signed = self._of[role], self._of[role].signed
            key = next(one for one, roles in KEYS.items() if role in roles)
            # Boards that know only the old root key believe the new one by it.
            keyids = (*self._root.roles[role].keyids, *self._old[: role == "root"])
            paths = {one: self._keys / f"{key}-{one[:12]}.pem" for one in keyids}
            aging = signed.expires < now + timedelta(days / 2) and all(path.exists() for path in paths.values())
            if role not in self.changed and not aging:
                continue
            signed.version += role not in self._fresh
            signed.expires = now + timedelta(days)
            if role == "snapshot":
                signed.meta = {"targets.json": MetaFile(self._of["targets"].signed.version)}
            elif role == "timestamp":
                signed.snapshot_meta = MetaFile(self._of["snapshot"].signed.version)
                signed.unrecognized_fields = {HALTED: self.halted, ISSUED: int(now.timestamp())}
            metadata.signatures.clear()
            try:
                for one, path in paths.items():
                    metadata.sign(Signer.from_priv_key_uri(f"file2:{path}", self._public[one]), append=True)
            except (OSError, ValueError) as error:
                why = f"The {key} key of this channel cannot be used: {error}"
                raise UsageError(why, hint="Say where it is with --keys DIR.") from error
            files[f"{role}.json" if role == "timestamp" else f"{signed.version}.{role}.json"] = metadata.to_bytes()
        for name in (name for name in files if name.endswith("root.json")):
            write_file(self._keys / name, files[name])
        for name, data in ({path.name: path.read_bytes() for path in self._keys.glob("*root.json")} | files).items():
            write_file(self._folder / name, data)
        return min((metadata.signed.expires for metadata in self._of.values()), default=now)


def board_name() -> str:
    """Return a name of this board that stays, and that a copy of its card does not have."""
    host = socket.gethostname()
    serial = read_text(Path("/proc/device-tree/serial-number")) or read_text(Path("/etc/machine-id")) or host
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', host)}-{sha256(serial.encode())[:12]}"


def pull(address: str, root: Path, name: str, report: str | None, on_step: OnStep) -> PullResult:
    """Take the newest bundle that a channel has for this board, and report. What goes wrong is in the result.

    `address` is a URL with `#` and the fingerprint, and `report` a URL that takes PUT. Raises UsageError.
    """
    url, fingerprint = urldefrag(address)
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint) or not re.match(r"https?://", url):
        raise UsageError(f"--channel must be as `release publish` shows it: https://…#FINGERPRINT (got {address})")
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(f"--name must be letters, figures, and . _ - (got {name!r})")
    known = root / "channel" / fingerprint[:16]
    known.mkdir(parents=True, exist_ok=True)
    with exclusive(known / "lock", wait_s=60.0, waiting=on_step), _in_time():
        result = PullResult(board=BoardResult(host=name, root=str(root), status="unchanged"))
        with suppress(OSError, *UNREADABLE):
            result = read_result(PullResult, (known / f"{name}.report").read_bytes())
        try:
            result = _take(url.rstrip("/"), fingerprint, known, result, on_step)
            replace_file(known / f"{name}.report", result.to_json().encode())
        except Exception as error:  # noqa: BLE001 - whatever it is, the board goes on, and says so
            board = msgspec.structs.replace(result.board, status=FAILED, fault=Fault.of(_plain(url, root, error)))
            result = msgspec.structs.replace(result, board=board)
    if report is not None:
        place = f"{report.rstrip('/')}/{name}.json"
        try:
            with _in_time():
                done = urllib3.request("PUT", place, body=result.to_json(), timeout=30.0, preload_content=False)
            why = f"{done.status} {done.reason}" if done.status >= 300 else ""  # noqa: PLR2004 - no success
        except (urllib3.exceptions.HTTPError, refused.DownloadError) as error:
            why = _why(error)
        on_step(f"the report was not put, which the next pull does: {why}" if why else "report")
    return result


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise refused.SlowRetrievalError(f"it takes more than {MOST_HOURS} hours")

    before, left = signal.signal(signal.SIGALRM, stop), signal.alarm(MOST_HOURS * 3600)
    try:
        yield
    finally:
        signal.alarm(left)
        signal.signal(signal.SIGALRM, before)


def _take(url: str, fingerprint: str, known: Path, before: PullResult, on_step: OnStep) -> PullResult:
    store = Store(known.parents[1])
    store.create()
    store.sweep_if_idle()
    place = int(sha256(before.board.host.encode())[:12], 16) / 16**12
    on_step(f"look for what is offered to more than {100 * place:.1f} % of the boards")
    fetcher, first = Urllib3Fetcher(), known / "root_history" / "1.root.json"
    root = first.read_bytes() if first.exists() else b""
    if sha256(root) != fingerprint:
        root = fetcher.download_bytes(f"{url}/1.root.json", 512_000)
    if sha256(root) != fingerprint:
        raise refused.UnsignedMetadataError("its first root has another fingerprint")
    updater = Updater(str(known), url, fetcher=fetcher, bootstrap=root)
    updater.refresh()
    for kept in (known / f"{role}.json" for role in ROLES if role != "root"):
        replace_file(kept, kept.read_bytes())  # It renames what it has not synced.
    said = Metadata[Timestamp].from_file(f"{known}/timestamp.json").signed.unrecognized_fields
    targets = Metadata[Targets].from_file(f"{known}/targets.json").signed.targets
    if time.time() < said.get(ISSUED, 0) - SKEW_S:
        raise refused.ExpiredMetadataError("by the clock of this board, it has not been signed yet")
    mine = [one for one in targets.values() if place * ALL < one.custom["millionths"] and one.path != said.get(HALTED)]
    newest = max(mine, key=lambda one: one.custom["sequence"], default=None)
    if newest is None or newest.custom["sequence"] <= before.sequence:
        return before
    digest = newest.hashes["sha256"]
    if find_release(store, newest.custom["identity"]) is None:
        if (free := shutil.disk_usage(store.root).free) < 2 * newest.length:
            why = f"This board has {free / 1e6:,.1f} MB free, but the bundle needs {2 * newest.length / 1e6:,.1f} MB"
            raise DeployError(why)
        on_step("transfer")
        tempfile.tempdir = str(store.incoming)  # /tmp may be in memory.
        updater.download_target(newest, str(store.part(digest)), f"{url}/bundles")
    signal.alarm(0)  # What was fetched is applied in whatever time that takes.
    responder = Responder()
    responder.step = on_step  # type: ignore[assignment]  # a method
    try:
        sent = Apply(sha256=digest, identity=newest.custom["identity"], limits=SelfTestLimits())
        answer = apply(store, sent, responder)
        told = {name: answer[name] for name in ("status", "release", "previous", "removed")}
        board = msgspec.structs.replace(before.board, fault=None, **told)
    except (GateMissedError, BundleError) as error:
        # It would end in the same way again.
        board = msgspec.structs.replace(before.board, status=FAILED, fault=Fault.of(error))
    return PullResult(sequence=newest.custom["sequence"], board=board)


def _plain(url: str, root: Path, error: Exception) -> Exception:
    """Return what python-tuf refuses, or the board's disk, as one sentence."""
    if isinstance(error, OSError):
        return cannot_change(root, error)
    if not isinstance(error, refused.RepositoryError | refused.DownloadError | urllib3.exceptions.HTTPError):
        return error
    why = "cannot be trusted" if isinstance(error, refused.RepositoryError) else "cannot be fetched"
    hint = f"The board goes on with what it has. Its clock says {time.strftime('%Y-%m-%d %H:%M')}."
    return DeployError(f"{url} {why}: {_why(error)}", hint=hint)


def _why(error: BaseException) -> str:
    """Return in words for what reason something was not fetched: urllib3 wraps it in up to four errors."""
    inner = next((one for one in (error.__cause__, *error.args) if isinstance(one, Exception)), None)
    if inner is not None and not isinstance(error, refused.RepositoryError):
        return _why(inner)
    if isinstance(error, HTTPException) and not isinstance(error, OSError):
        return "it ends early, or does not answer as a web server does"
    return reason_of(error) if isinstance(error, OSError) else str(error)
