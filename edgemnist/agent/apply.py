"""From a transferred bundle to the release that serves, and back.

Every step can be cut off: the next holder of the lock sweeps up what was unfinished, and ends or undoes a switch whose
service had not been seen healthy yet.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgemnist.agent.bundle import (
    RECORD_FILE,
    SIGNATURE_FILE,
    WHEELS,
    Archive,
    BundleRecord,
    read_raw_record,
    read_record,
    read_signature,
    verify,
)
from edgemnist.agent.durable import discard_bytecode, exclusive, hash_file, sync_directory, sync_tree, write_synced
from edgemnist.agent.facts import POINTER_BITS, program_machine
from edgemnist.agent.install import find_venv, make_venv, run_selftest
from edgemnist.agent.service import BoardService, find_service
from edgemnist.agent.store import DEPLOYED_FILE, Release, Store
from edgemnist.errors import EXIT_INTERRUPTED, BundleError, DeployError, GateMissedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgemnist.agent import Apply, Responder, SelfTestLimits


class DamagedTransferError(DeployError):
    """What arrived is not what was sent; it has been removed, and sending it again may help."""


class StoppedError(DeployError):
    """The user stopped it."""

    exit_code = EXIT_INTERRUPTED


def apply(store: Store, request: Apply, responder: Responder) -> dict[str, Any]:
    """Deploy a bundle and return what came of it.

    Raises BundleError for a bundle that must be refused, DeployError where the board cannot, GateMissedError where
    the self-test or the service says no. The old release then serves as before.
    """
    with _turn(store, request.wait_s, responder) as service:
        old = store.current()
        if request.shadow and old is None:
            raise DeployError(
                "There is no release on this board yet for a shadow to answer beside",
                hint="Deploy without --shadow first.",
            )
        release, fresh, report = _fit_release(store, request, old, responder)
        if old is not None and release.name == old.name:
            status = "unchanged"
        else:
            status = "shadow" if request.shadow else "deployed"
            responder.stoppable = False
            if old is not None and release.sequence < old.sequence:
                # The newest number says what was deployed last, and so what `rollback` comes back to.
                release = store.adopt(release.path, store.next_name(request.identity))
            if request.shadow:
                responder.step("shadow")
                store.set_shadow(release.name)
            else:
                _serve(store, service, old, release, fresh=fresh, responder=responder)
        responder.step("tidy")
        _tidy_shadow(store)
        if store.signed_only and status != "shadow":
            store.remember(release.name.partition("-")[2])
        pruned = store.prune(request.keep, store.part(request.sha256, request.token))
        return {
            "status": status,
            "release": release.name,
            "previous": old.name if old else None,
            "removed": pruned,
            "selftest": report,
        }


def _fit_release(
    store: Store, request: Apply, old: Release | None, responder: Responder
) -> tuple[Release, bool, dict[str, Any]]:
    """Return the release of a bundle, whether it is a new one, and what its self-test reports."""
    release = find_release(store, request.identity)
    if release is not None:
        if not request.allow_downgrade and (old is None or release.name != old.name):
            _check_order(store, release.record(), request.identity)
        responder.step("self-test")
        return release, False, run_selftest(release.path, request.limits)
    try:
        staged, report = _stage(store, request, responder)
    except BundleError:
        # A bundle that is refused is not kept.
        store.part(request.sha256, request.token).unlink(missing_ok=True)
        raise
    responder.stoppable = False
    return store.adopt(staged, store.next_name(request.identity)), True, report


def _serve(
    store: Store, service: BoardService, old: Release | None, new: Release, *, fresh: bool, responder: Responder
) -> None:
    try:
        switch(store, service, old, new, responder)
    except GateMissedError:
        if fresh:
            # It has never served, so no `rollback` may come to it.
            store.remove(new)
        raise


def promote(store: Store, name: str, limits: SelfTestLimits, wait_s: float, responder: Responder) -> dict[str, Any]:
    """Let the release serve that has answered beside the one that serves; it must be the named one.

    It is checked and tests itself as in a deployment. Raises DeployError if it is not there, or damaged, BundleError if
    the board does not trust it, GateMissedError if the self-test or the service says no: it then stays in the shadow.
    """
    with _turn(store, wait_s, responder) as service:
        current, shadow = store.current(), store.shadow()
        if current is not None and current.name == name:
            # Done before: whoever asks again may not have been told, as the line was cut.
            return {"release": name, "previous": None}
        if shadow is None or shadow.name != name:
            raise no_shadow(name if shadow is not None else "")
        _check_whole(store, shadow, responder)
        responder.step("self-test")
        run_selftest(shadow.path, limits)
        switch(store, service, current, shadow, responder)
        _tidy_shadow(store)
        if store.signed_only:
            store.remember(name.partition("-")[2])
        return {"release": name, "previous": current.name if current else None}


def no_shadow(name: str) -> DeployError:
    """Return the error for a board that has no release, or not the named one, in the shadow."""
    what = f"Release {name} does not" if name else "No release"
    verb = "answer" if name else "answers"
    return DeployError(
        f"{what} {verb} beside the one that serves", hint="Deploy one with: edgemnist deploy BUNDLE --shadow --to HOST"
    )


def drop_shadow(store: Store, wait_s: float, responder: Responder) -> dict[str, Any]:
    """Let no release answer beside the one that serves. Raises DeployError if there is none."""
    with _turn(store, wait_s, responder):
        shadow = store.shadow()
        if shadow is None:
            raise no_shadow("")
        store.set_shadow(None)
        current = store.current()
        return {"release": shadow.name, "previous": current.name if current else None}


def rollback(store: Store, name: str | None, wait_s: float, responder: Responder) -> dict[str, Any]:
    """Let an older release serve again: the named one, or the newest whole one before the current.

    Raises DeployError if there is none, BundleError where the board does not trust it, GateMissedError where the
    service does not come up with it.
    """
    with _turn(store, wait_s, responder) as service:
        current = store.current()
        target = _rollback_target(store, current, name)
        _check_whole(store, target, responder)
        discard_bytecode(target.path / "venv")
        switch(store, service, current, target, responder)
        return {"release": target.name, "previous": current.name if current else None}


def switch(store: Store, service: BoardService, old: Release | None, new: Release, responder: Responder) -> None:
    """Let `new` serve, and `old` again where its service does not come up.

    Raises GateMissedError in the latter case.
    """
    responder.stoppable = False
    responder.step("switch")
    store.begin_switch(old.name if old else None, new.name)
    store.switch(new.name)
    try:
        if service.restart:
            responder.step("service")
        service.activate(new.name)
    except Exception as error:
        # Whatever it is, nobody has seen the service healthy.
        responder.step("going back")
        raise _go_back(store, service, old, _as_missed(error)) from error
    store.end_switch()


def _go_back(store: Store, service: BoardService, old: Release | None, error: GateMissedError) -> GateMissedError:
    store.switch(old.name if old else None)
    state = "no release is serving, as before" if old is None else f"release {old.name} serves again"
    if old is not None:
        try:
            service.activate(old.name)
        except Exception as other:  # noqa: BLE001 - as in `switch`
            state = f"the service does not come up with the old release {old.name} either ({_as_missed(other).message})"
    store.end_switch()
    return GateMissedError(f"{error.message}; {state}", hint="Look at the service's log on the board.")


def _as_missed(error: Exception) -> GateMissedError:
    return error if isinstance(error, GateMissedError) else GateMissedError(f"The service cannot be checked: {error!r}")


def settle(store: Store, service: BoardService, responder: Responder) -> None:
    """End a switch that was cut off: it stands where the service is well, and is undone where it is not."""
    pending = store.pending()
    if pending is None:
        return
    responder.step("finishing an interrupted switch")
    current = store.current()
    old = next((release for release in store.releases() if release.name == pending["from"]), None)
    if current is None and os.path.lexists(store.link):
        # The link was durable, and what it leads to was not.
        _go_back(store, service, old, GateMissedError(f"Release {pending['to']} is missing"))
        return
    try:
        if current is not None:
            service.activate(current.name)
    except GateMissedError as error:
        if current is not None and current.name == pending["to"]:
            _go_back(store, service, old, error)
            return
    store.end_switch()


@contextlib.contextmanager
def _turn(store: Store, wait_s: float, responder: Responder) -> Iterator[BoardService]:
    """Hold the lock, with everything that was left unfinished put in order."""
    store.create()
    with exclusive(store.lock, wait_s=wait_s, waiting=responder.step):
        store.sweep()
        service = find_service(store.settings)
        settle(store, service, responder)
        _tidy_shadow(store)
        try:
            yield service
        except BaseException:
            # Half of an installation may have filled the disk.
            with contextlib.suppress(OSError):
                store.sweep()
            raise


def _tidy_shadow(store: Store) -> None:
    """Forget a release in the shadow that serves by now, or is gone."""
    shadow = store.shadow()
    if os.path.lexists(store.shadow_link) and (shadow is None or shadow == store.current()):
        store.set_shadow(None)


def _stage(store: Store, request: Apply, responder: Responder) -> tuple[Path, dict[str, Any]]:
    """Unpack the transferred bundle in `staging/`, install what it needs, and let it test itself."""
    path = store.part(request.sha256, request.token)
    responder.step("check")
    with _open_transferred(path, request.sha256) as archive:
        raw, signature = read_raw_record(archive), read_signature(archive)
        # Before a stranger's bundle costs more than a glance.
        _check_signature(store, raw, signature)
        record = read_record(archive)
        if not request.allow_downgrade:
            _check_order(store, record, request.identity)
        machine = program_machine(platform.machine(), POINTER_BITS)
        record.check_fits("This board", machine, ".".join(map(str, sys.version_info[:2])))
        if record.identity() != request.identity:
            raise BundleError("The bundle is not the one that was announced", hint="Run the same command again.")
        responder.step("unpack")
        staged = store.staging / request.identity[:12]
        for file in record.files:
            if not file.path.startswith(WHEELS):
                place = staged / file.path
                place.parent.mkdir(parents=True, exist_ok=True)
                write_synced(place, archive.read(file.path))
        write_synced(staged / RECORD_FILE, raw)
        if signature is not None:
            write_synced(staged / SIGNATURE_FILE, signature)
        venv = find_venv(store, record)
        if venv is None:
            responder.step("install")
            venv = make_venv(store, record, archive)
    (staged / "venv").symlink_to(f"../../venvs/{venv}")
    responder.step("self-test")
    report = run_selftest(staged, request.limits)
    deployed = {"deployed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "selftest": report,
                "limits": asdict(request.limits)}  # fmt: skip
    write_synced(staged / DEPLOYED_FILE, json.dumps(deployed).encode())
    sync_tree(staged)
    sync_directory(store.staging)
    return staged, report


def _open_transferred(path: Path, sha256: str) -> Archive:
    """Open a bundle that was transferred; what came damaged is removed, so that the next transfer starts afresh."""
    with contextlib.suppress(FileNotFoundError):
        if hash_file(path) == sha256:
            return Archive(path)
        path.unlink()
    raise DamagedTransferError("The bundle was damaged on its way to the board", hint="Run the same command again.")


def find_release(store: Store, identity: str) -> Release | None:
    """Return the newest release of a bundle that is whole and, where the board wants that, well signed.

    The signature is no part of the identity: the same contents may be here unsigned.
    """
    return store.find(identity, lambda release: _is_trusted(store, release))


def _is_trusted(store: Store, release: Release) -> bool:
    try:
        _check_release(store, release)
    except BundleError:
        return False
    return True


def _check_whole(store: Store, release: Release, responder: Responder) -> None:
    responder.step("check")
    if problems := release.problems():
        raise DeployError(f"Release {release.name} is damaged: {problems[0]}", hint="Deploy its bundle again.")
    _check_release(store, release)


def _check_release(store: Store, release: Release) -> None:
    _check_signature(store, (release.path / RECORD_FILE).read_bytes(), release.signature())


def _check_signature(store: Store, record: bytes, signature: bytes | None) -> None:
    if not store.signed_only:
        return
    try:
        store.allowed_signers.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{store.allowed_signers} on the board cannot be read, so nobody is trusted: {error.strerror}",
            hint="Restore it on the board, or remove it if the board may take unsigned bundles.",
        ) from error
    verify(record, signature, store.allowed_signers)


def _check_order(store: Store, record: BundleRecord | None, identity: str) -> None:
    """Raise BundleError if a board that takes signed bundles only would go back to an earlier one.

    Who can replay an old bundle could otherwise bring back a fault that was fixed: its signature still holds. Bundles
    have no date, so earlier is one of an earlier edgemnist, or one that another has replaced on this board.
    """
    if not store.signed_only or record is None:
        return
    hint = "If you want that, add --allow-downgrade. To return to an earlier release, use: edgemnist rollback"
    trusted = [one for one in store.releases() if _is_trusted(store, one)]
    newest = max((_version(known.edgemnist) for one in trusted if (known := one.record())), default=())
    if _version(record.edgemnist) < newest:
        text = ".".join(str(part) for part in newest)
        raise BundleError(
            f"The bundle has edgemnist {record.edgemnist}, which is older than {text} on this board", hint=hint
        )
    *replaced, last = store.history() or [one.name.partition("-")[2] for one in trusted] or [""]
    if _version(record.edgemnist) == newest and identity[:12] in set(replaced) - {last}:
        raise BundleError("Another bundle has replaced this one on this board", hint=hint)


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _rollback_target(store: Store, current: Release | None, name: str | None) -> Release:
    releases = store.releases()
    if name is not None:
        for release in releases:
            if release.name == name:
                return release
        raise DeployError(
            f"There is no release {name} on this board", hint=f"There are: {', '.join(one.name for one in releases)}."
        )
    older = [one for one in releases if current is None or one.sequence < current.sequence]
    whole = [one for one in older if not one.problems()]
    if not whole:
        raise DeployError("There is no older release on this board to go back to", hint="Deploy a bundle.")
    trusted = [one for one in whole if _is_trusted(store, one)]
    return (trusted or whole)[-1]
