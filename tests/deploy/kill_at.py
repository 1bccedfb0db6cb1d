"""Runs the board's program and kills it, as `kill -9` would, just before its N-th step that touches the board.

python3 kill_at.py PROGRAM.pyz; every line of stdin asks for a run, {"limit": N, "command", "root", "request"}, and is
answered by a line {"code", "steps", "said"}. With N = 0 nothing is killed, and `steps` tells them all. The program is
loaded once, and each run is a process that is forked from there: hundreds of them take seconds.
"""

import io
import json
import os
import runpy
import signal
import sys
import tempfile
from typing import Any

TOUCHING = ("open", "os.", "shutil.", "subprocess.Popen", "fcntl.", "urllib.")
HARMLESS = {"os.putenv", "os.listdir", "os.scandir", "os.walk"}


def run(program: str, asked: dict[str, Any], report: int) -> None:
    """Be the board's program, until it ends or is killed."""
    root, limit = asked["root"], asked["limit"]
    steps: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if not event.startswith(TOUCHING) or event in HARMLESS:
            return
        # What Python reads of itself is no step; a process that is started, a lock or a request always is.
        if event.startswith(("open", "os.", "shutil.")) and root not in str(arguments):
            return
        # Nor is what it compiled: how much of that lies about depends on what ran before.
        if "__pycache__" in str(arguments):
            return
        steps.append(f"{event} {arguments}")
        if len(steps) == limit:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.argv = [program, asked["command"], root]
    sys.stdin = io.StringIO(json.dumps(asked["request"]))
    sys.addaudithook(watch)
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        os.write(report, json.dumps(steps).encode())


def in_a_process(program: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return how a run ended: a signal is a negative number."""
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            try:
                run(program, asked, report.fileno())
            except SystemExit as ended:
                sys.stdout.flush()
                os._exit(ended.code if isinstance(ended.code, int) else 1)
            os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        report.seek(0)
        said.seek(0)
        return {"code": code, "steps": json.loads(report.read() or b"[]"), "said": said.read().decode()}


def main() -> None:
    program = sys.argv[1]
    sys.path.insert(0, program)
    # All but `__main__`, which runs when it is imported.
    import urllib.request

    import edgemnist.agent.apply
    import edgemnist.agent.facts

    del urllib, edgemnist
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(in_a_process(program, json.loads(line))), file=answers, flush=True)


main()
