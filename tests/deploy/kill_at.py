"""Runs the board's program and kills it, as `kill -9` would, just before its N-th step that touches the board.

python3 kill_at.py N PROGRAM.pyz COMMAND ROOT, the request on stdin; with N = 0 it prints the number of steps on stderr.
"""

import os
import runpy
import signal
import sys

TOUCHING = ("open", "os.", "shutil.", "subprocess.Popen", "fcntl.", "urllib.")
limit = int(sys.argv[1])
sys.argv = sys.argv[2:]
root = sys.argv[-1]
steps = 0


def watch(event: str, arguments: tuple[object, ...]) -> None:
    global steps  # noqa: PLW0603 - an audit hook has nowhere else to count
    if not event.startswith(TOUCHING) or event in {"os.putenv", "os.listdir", "os.scandir", "os.walk"}:
        return
    # What Python reads of itself is no step; a process that is started, a lock or a request always is.
    if event.startswith(("open", "os.", "shutil.")) and root not in str(arguments):
        return
    steps += 1
    if steps == limit:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(watch)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    if limit == 0:
        sys.stderr.write(f"{steps}\n")
