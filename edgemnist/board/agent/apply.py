"""From a transferred bundle to the release that serves, and back.

Every step can be cut off: the next holder of the lock sweeps up what was unfinished, and ends or undoes a switch whose
service had not been seen healthy yet.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgemnist.board.agent import SelfTestLimits, bundle
from edgemnist.board.agent.bundle import ANY_MACHINE, RECORD_FILE, SIGNATURE_FILE, WHEELS, Archive
from edgemnist.board.agent.durable import exclusive, hash_file, sync_directory, sync_tree, write_synced
from edgemnist.board.agent.facts import POINTER_BITS, program_machine
from edgemnist.board.agent.install import find_venv, make_venv, run_selftest
from edgemnist.board.agent.service import BoardService, find_service
from edgemnist.board.agent.store import DEPLOYED_FILE, Release, Store
from edgemnist.errors import EXIT_INTERRUPTED, BundleError, DeployError, GateMissedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgemnist.board.agent import Apply, Responder


class DamagedTransferError(DeployError):
    """What arrived is not what was sent; it has been removed, and sending it again may help."""


class StoppedError(DeployError):
    """The user stopped the work."""

    exit_code = EXIT_INTERRUPTED


def apply(store: Store, request: Apply, responder: Responder) -> dict[str, Any]:
    """Deploy a bundle, and return what the desk reads as `Applied`.

    Raises BundleError for a bundle that must be refused, DeployError where the board cannot, GateMissedError where
    the self-test or the service says no. The old release then serves as before.
    """
    with _turn(store, request.wait_s, responder) as service:
        old = store.current()
        release, fresh, report = _fit_release(store, request, responder)
        if old is not None and release.name == old.name:
            status = "unchanged"
        else:
            status = "deployed"
            responder.stoppable = False
            if old is not None and release.sequence < old.sequence:
                # The newest number says what was deployed last, and so what `rollback` comes back to.
                release = store.adopt(release.path, store.next_name(request.identity))
            try:
                switch(store, service, old, release, responder)
            except GateMissedError:
                if fresh:
                    # It has never served, so no `rollback` may come to it.
                    store.remove(release)
                raise
        responder.step("tidy")
        removed = store.prune(request.keep, store.part(request.sha256, request.token))
        return {"status": status, **_served(release, old), "removed": removed, "selftest": report}


def _served(release: Release, previous: Release | None) -> dict[str, Any]:
    return {"release": release.name, "previous": previous.name if previous else None}


def _fit_release(store: Store, request: Apply, responder: Responder) -> tuple[Release, bool, dict[str, Any]]:
    """Return the release of a bundle, whether it is a new one, and what its self-test reports."""
    release = find_release(store, request.identity)
    if release is not None:
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


def rollback(store: Store, name: str | None, wait_s: float, responder: Responder) -> dict[str, Any]:
    """Let an older release serve again: the named one, or the one before the current, or the newest.

    Raises DeployError if there is none, BundleError where the board does not trust it, GateMissedError where its
    self-test fails, or the service does not come up with it.
    """
    with _turn(store, wait_s, responder) as service:
        current = store.current()
        target = _rollback_target(store, current, name)
        _check_fit(store, target, responder)
        switch(store, service, current, target, responder)
        return _served(target, current)


def switch(store: Store, service: BoardService, old: Release | None, new: Release, responder: Responder) -> None:
    """Let `new` serve; raises GateMissedError where its service does not come up, and `old` serves again."""
    responder.stoppable = False
    responder.step("switch")
    store.begin_switch(old.name if old else None, new.name)
    store.switch(new.name)
    try:
        if service.restart:
            responder.step("service")
        service.activate(new.name)
    except GateMissedError as error:
        responder.step("going back")
        raise _go_back(store, service, old, error) from error
    _end_switch(store, new)


def _end_switch(store: Store, current: Release | None) -> None:
    if current is not None:
        # On a disk that is full it serves all the same; no way back leads to it then.
        with contextlib.suppress(OSError):
            name = (store.pending() or {}).get("from")
            older = [one.name for one in store.releases() if one.name == name and one.sequence < current.sequence]
            current.note_before(next(iter(older), None))
    store.end_switch()


def _go_back(store: Store, service: BoardService, old: Release | None, error: GateMissedError) -> GateMissedError:
    store.switch(old.name if old else None)
    state = "no release is serving, as before" if old is None else f"release {old.name} serves again"
    if old is not None:
        try:
            service.activate(old.name)
        except GateMissedError as other:
            state = f"the service does not come up with the old release {old.name} either ({other.message})"
    store.end_switch()
    return GateMissedError(f"{error.message}; {state}", hint="Look at the service's log on the board.")


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
    _end_switch(store, current)


@contextlib.contextmanager
def _turn(store: Store, wait_s: float, responder: Responder) -> Iterator[BoardService]:
    """Hold the lock, with everything that was left unfinished put in order."""
    store.create()
    with exclusive(store.lock, wait_s=wait_s, waiting=responder.step):
        store.sweep()
        service = find_service(store.settings)
        settle(store, service, responder)
        try:
            yield service
        except BaseException:
            # Half of an installation may have filled the disk.
            with contextlib.suppress(OSError):
                store.sweep()
            raise


def _stage(store: Store, request: Apply, responder: Responder) -> tuple[Path, dict[str, Any]]:
    """Unpack a bundle in `staging/`, install what it needs, and return its directory and what its self-test reports."""
    path = store.part(request.sha256, request.token)
    responder.step("check")
    if not path.exists() or hash_file(path) != request.sha256:
        # The next transfer starts afresh.
        path.unlink(missing_ok=True)
        raise DamagedTransferError("The bundle was damaged on its way to the board", hint="Run the same command again.")
    with Archive(path) as archive:
        raw, signature = bundle.read_raw_record(archive), bundle.read_signature(archive)
        # Before a stranger's bundle costs more than a glance.
        _check_signature(store, raw, signature)
        record = bundle.read_record(archive)
        if store.signed_only and record.machine == ANY_MACHINE:
            raise BundleError(
                "The signature of the bundle does not cover the packages that the board would fetch",
                hint="Make the bundle again, with this or a later version: edgemnist bundle --sign KEY "
                f"--machine {platform.machine()}",
            )
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


def find_release(store: Store, identity: str) -> Release | None:
    """Return the newest release of a bundle that is whole and, where the board requires it, validly signed."""
    for release in reversed(store.releases()):
        if release.name.endswith(f"-{identity[:12]}") and not release.problems() and _is_trusted(store, release):
            return release
    return None


def _is_trusted(store: Store, release: Release) -> bool:
    try:
        _check_signature(store, (release.path / RECORD_FILE).read_bytes(), release.signature())
    except BundleError:
        return False
    return True


def _check_fit(store: Store, release: Release, responder: Responder) -> None:
    """Raise DeployError, BundleError or GateMissedError for a release that is not fit to serve now."""
    responder.step("check")
    if problems := release.problems():
        raise DeployError(f"Release {release.name} is damaged: {problems[0]}", hint="Deploy its bundle again.")
    _check_signature(store, (release.path / RECORD_FILE).read_bytes(), release.signature())
    responder.step("self-test")
    limits = SelfTestLimits()
    # Those of its deployment; what is not readable was none.
    with contextlib.suppress(TypeError):
        limits = SelfTestLimits(**release.deployed().get("limits", {}))
    run_selftest(release.path, limits)


def _check_signature(store: Store, record: bytes, signature: bytes | None) -> None:
    if store.signed_only:
        bundle.verify(record, signature, store.allowed_signers)


def _rollback_target(store: Store, current: Release | None, name: str | None) -> Release:
    releases = store.releases()
    if name is not None:
        for release in releases:
            if release.name == name:
                return release
        there = ", ".join(release.name for release in releases)
        raise DeployError(f"There is no release {name} on this board", hint=f"There are: {there}.")
    older = [release for release in releases if current is None or release.sequence < current.sequence]
    whole = [release for release in older if not release.problems()]
    if not whole:
        raise DeployError("There is no older release on this board to go back to", hint="Deploy a bundle.")
    fit = [release for release in whole if _is_trusted(store, release)] or whole
    return next((release for release in fit if current is not None and release.name == current.before), fit[-1])
