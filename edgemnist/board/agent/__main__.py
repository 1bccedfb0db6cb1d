"""`python3 board.pyz COMMAND DIRECTORY`, with a JSON document on stdin: what `edgemnist deploy` calls."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgemnist.board.agent import Apply, Responder, SelfTestLimits
from edgemnist.board.agent.apply import StoppedError, apply, find_release, rollback
from edgemnist.board.agent.durable import cannot_change, holder
from edgemnist.board.agent.facts import collect_facts, exposed, probe_all
from edgemnist.board.agent.install import end_with_the_line, finish, start
from edgemnist.board.agent.store import Store
from edgemnist.errors import EXIT_INTERRUPTED, DeployError, EdgemnistError


def prepare(store: Store, request: dict[str, Any], _: Responder) -> dict[str, Any]:
    """Return the facts about the board, and how much of a bundle it has already."""
    # What a power cut left of an installation may be all that keeps the disk full.
    store.sweep_if_idle()
    facts = asdict(collect_facts(store.root))
    known = bool(request["identity"]) and find_release(store, request["identity"]) is not None
    offset = 0
    if not known and facts["writable"]:
        store.create()
        part = store.part(request["sha256"], request.get("token", ""))
        part.touch()
        offset = part.stat().st_size
        if offset > request["bytes"]:
            os.truncate(part, 0)
            offset = 0
    return {"facts": facts, "known": known, "offset": offset, "signed_only": store.signed_only}


def _apply(store: Store, request: dict[str, Any], responder: Responder) -> dict[str, Any]:
    limits = SelfTestLimits(**request.pop("limits"))
    return apply(store, Apply(limits=limits, **request), responder)


def _rollback(store: Store, request: dict[str, Any], responder: Responder) -> dict[str, Any]:
    return rollback(store, request["release"], request["wait_s"], responder)


def releases(store: Store, _: dict[str, Any], __: Responder) -> dict[str, Any]:
    """Return every release, after reading every file of it."""
    current = store.current()
    rows = []
    for release in store.releases():
        record = release.record()
        rows.append({
            "release": release.name,
            "current": release == current,
            "problems": release.problems(),
            "edgemnist": record.edgemnist if record else None,
            "artifacts": record.artifacts if record else [],
            "signed": release.signature() is not None,
            "deployed_at": release.deployed().get("deployed_at"),
        })  # fmt: skip
    pending = store.pending()
    return {"releases": rows, "pending": pending["to"] if pending else None, "busy": holder(store.lock),
            "exposed": exposed(store.root)}  # fmt: skip


def doctor(store: Store, request: dict[str, Any], responder: Responder) -> dict[str, Any]:
    """Return the facts, and what loads here: with the current release's packages, or else the system's."""
    python = store.link / "venv" / "bin" / "python"
    installed = store.current() is not None and python.exists()
    probes = []
    if request["imports"]:
        responder.step("imports")
        probes = probe_all(python if installed else Path(sys.executable))
    return {
        "facts": asdict(collect_facts(store.root)),
        "probes": [asdict(probe) for probe in probes],
        "installed": installed,
    }


def run(store: Store, request: dict[str, Any], _: Responder) -> dict[str, Any]:
    """Run a command of the installed edgemnist on the current release, with files that were sent along."""
    if store.current() is None:
        raise DeployError(
            "There is no current release on this board", hint="Deploy one with: edgemnist deploy BUNDLE --to HOST"
        )
    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        for name, data in request["files"].items():
            (Path(directory) / name).write_bytes(base64.b64decode(data))
        # The real path: a switch in the meantime does not change what is looked at half way.
        release = store.link.resolve()
        module, *words = request["module"]
        words = [str(release / "exports") if word == "{exports}" else word for word in words]
        command = [str(release / "venv" / "bin" / "python"), "-I", "-m", module, *words]
        child = start(command, cwd=directory)
        # Nobody is there to read the answer then, and a board that measures is busy.
        end_with_the_line(child)
        output, errors = finish(child)
    return {"exit_code": child.returncode, "release": release.name, "stdout": output.decode(errors="replace"),
            "stderr": errors.decode(errors="replace")}  # fmt: skip


COMMANDS = {
    "prepare": prepare, "apply": _apply, "rollback": _rollback, "releases": releases,
    "doctor": doctor, "run": run,
}  # fmt: skip


def _end(*_: object) -> None:
    sys.exit(EXIT_INTERRUPTED)


def _stop(responder: Responder) -> None:
    if responder.stoppable:
        # Once is enough: what is put in order now is not to be stopped again.
        responder.stoppable = False
        raise KeyboardInterrupt


def main() -> int:
    """Do what is asked, and answer on stdout."""
    command, directory = sys.argv[1:]
    # What serves belongs to this user alone, whatever the login says: nobody else may write to it.
    os.umask(os.umask(0o022) | 0o022)
    responder = Responder()
    # A cut connection hangs up; what changes the board and has begun is finished here.
    signal.signal(signal.SIGHUP, _end if command == "run" else signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: _stop(responder))
    # On the machine of whoever deploys, it is started with this signal blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    responder.tell(process=os.getpid())
    store = Store(Path(directory).expanduser().absolute())
    try:
        responder.tell(result=COMMANDS[command](store, json.load(sys.stdin), responder))
    except EdgemnistError as error:
        responder.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        responder.error(StoppedError("It was stopped, and the previous release is still serving"))
        return EXIT_INTERRUPTED
    except OSError as error:
        responder.error(cannot_change(store.root, error))
        return DeployError.exit_code
    return 0


sys.exit(main())
