"""Runs something again and again, each time in a forked process, and kills it just before its N-th step.

A step is a call that touches the disk below one directory, starts a process, takes a lock or asks a server, which an
audit hook of Python sees; and, of SQLite, which Python does not see, the statements. So every state that a crash can
leave is reached, which random moments would miss.

`serve` is the process that forks: what is run is loaded once, and hundreds of runs take seconds. `Program` asks it.

`python -m tests.killing MODULE...` is one for the command line, with these modules imported, and prepared by those that
have a function of that name. A line of its stdin has
the "words", after `edgemnist`, and perhaps more of the "environment"; the directory is where they are run.
"""

import faulthandler
import http.client
import importlib
import json
import os
import runpy
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from tests.patience import PATIENCE_S

REPOSITORY = Path(__file__).parents[1]
TOUCHING = ("open", "os.", "shutil.", "subprocess.Popen", "fcntl.", "urllib.")
HARMLESS = {"os.putenv", "os.listdir", "os.scandir", "os.walk"}
LONGEST_S = 240
"""Seconds after which a run is ended."""


def kill_at(limit: int, root: str) -> list[str]:
    """Kill this process, as `kill -9` would, just before its step of this number; return the list of those done.

    With 0, nothing is killed.
    """
    steps: list[str] = []

    def note(step: str) -> None:
        steps.append(step)
        if len(steps) == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if not event.startswith(TOUCHING) or event in HARMLESS:
            return
        # What Python reads of itself is no step; a process that is started, a lock or a request always is.
        if event.startswith(("open", "os.", "shutil.")) and root not in str(arguments):
            return
        # Nor is what it compiled: how much of that lies about depends on what ran before.
        if "__pycache__" in str(arguments):
            return
        note(f"{event} {arguments}")

    sys.addaudithook(watch)
    connect = sqlite3.connect

    def traced(path: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(path, *arguments, **named)
        if root in str(path):
            connection.set_trace_callback(lambda statement: note(f"SQL {statement}"))
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]  # with what the product uses of it
    return steps


def in_a_process(run: Callable[[dict[str, Any]], None], asked: dict[str, Any]) -> dict[str, Any]:
    """Return how a run ended: a signal is a negative number."""
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            # Where it waits for ever, its caller shows where that is.
            faulthandler.dump_traceback_later(LONGEST_S, exit=True)
            steps = kill_at(asked["limit"], asked["root"])
            code = 1
            try:
                run(asked)
            except SystemExit as ended:
                sys.stdout.flush()
                code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
            except BaseException:  # noqa: BLE001 - it is told
                traceback.print_exc()
            finally:
                os.write(report.fileno(), json.dumps(steps).encode())
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        report.seek(0)
        said.seek(0)
        return {"code": code, "steps": json.loads(report.read() or b"[]"), "said": said.read().decode()}


def serve(run: Callable[[dict[str, Any]], None]) -> None:
    """Fork for every line of stdin, {"limit": N, "root": DIRECTORY, ...}, and answer {"code", "steps", "said"}."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(in_a_process(run, json.loads(line))), file=answers, flush=True)


class Program:
    """What is to be killed at any of its steps; as a context manager, which ends it."""

    def __init__(self, root: Path, *command: str | Path) -> None:
        """`command` are the words after `python`: a script that calls `serve`."""
        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )

    def start(self, *, limit: int = 0, **asked: Any) -> None:
        """Run it, up to the step of this number; with 0, to its end."""
        assert self._process.stdin is not None
        print(json.dumps({"limit": limit, "root": str(self._root), **asked}), file=self._process.stdin, flush=True)

    def ended(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def has_ended(self) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def run(self, *, limit: int = 0, **asked: Any) -> dict[str, Any]:
        """Run it, up to the step of this number, and return how it ended."""
        self.start(limit=limit, **asked)
        return self.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()


def answered_until_it_is_gone(
    program: Program, port: int, asked: Iterator[tuple[str, dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """Post one document after the other to a service that is to be killed, and yield each that it has answered."""
    for path, body in asked:
        while True:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            try:
                client.request("POST", path, json.dumps(body), {"content-type": "application/json"})
                answer = client.getresponse()
                assert answer.status == 200, answer.read()
                yield body
                break
            except (ConnectionError, http.client.HTTPException):
                # It may not listen yet.
                if program.has_ended():
                    return
                time.sleep(0.05)
            finally:
                client.close()


def state_of(root: Path) -> frozenset[tuple[str, str]]:
    """Return every name below a directory with what it holds; the lock is the kernel's, whatever its file says."""
    from edgemnist.board.agent.durable import hash_file

    found = set()
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(parent, name)
            if path.is_symlink():
                found.add((str(path), f"-> {path.readlink()}"))
            elif path.is_dir():
                found.add((str(path), "directory"))
            elif name != "lock":
                found.add((str(path), hash_file(path)))
    return frozenset(found)


def command_line(asked: dict[str, Any]) -> None:
    """Be `edgemnist WORDS`."""
    os.chdir(asked["root"])
    os.environ |= asked.get("environment", {})
    sys.argv[1:] = asked["words"]
    runpy.run_module("edgemnist", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        loaded = importlib.import_module(name)
        if hasattr(loaded, "prepare"):
            loaded.prepare()
    serve(command_line)
