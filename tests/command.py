"""The command line as users run it: `run("verify", "--json", cwd=place)`, in this process, which has imported all."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tests.patience import PATIENCE_S

OWN_PROCESS = (sys.executable, "-m", "edgemnist")
"""What starts `edgemnist` in a process of its own: for a test of how it starts, or is stopped."""
_IGNORED = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""What Python shows nobody outside tests."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    words: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The document on stdout. Raises AssertionError if the command ended with an error."""
        assert self.returncode in {0, 1}, self.told("wanted a document")
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    def expect(self, code: int, *fragments: str) -> "Done":
        """Return it if it ended with this exit code and printed these. Raises AssertionError otherwise."""
        printed = _in_one_line(f"{self.stdout}\n{self.stderr}")
        absent = [fragment for fragment in fragments if _in_one_line(fragment) not in printed]
        wanted = f"wanted exit {code}" + f" and {absent}" * bool(absent)
        assert (self.returncode, absent) == (code, []), self.told(wanted)
        return self

    def told(self, wanted: str) -> str:
        """Return what it did and what was wanted, in one line, and then all that it printed."""
        lines = (self.stderr.strip() or self.stdout.strip() or "(nothing)").splitlines()
        said = next((line for line in lines if line.startswith("error:")), lines[-1]).strip()
        done = f"`edgemnist {' '.join(self.words)}` exited with {self.returncode} and said {said!r}"
        return f"{done}, {wanted}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def run(*words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = PATIENCE_S) -> Done:
    """Run a command line; in a process of its own where `env` changes how Python itself starts."""
    given = tuple(map(str, words))
    environment = {**os.environ, "COLUMNS": "100", **(env or {})}
    if any(name.startswith("PYTHON") for name in env or {}):
        ended = subprocess.run(
            [*OWN_PROCESS, *given],
            cwd=cwd,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Done(given, ended.returncode, ended.stdout, ended.stderr)

    from edgemnist.app import main

    with Path(os.devnull).open("rb") as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _as_a_process(given, cwd, environment, (nothing, out, err)):
            code = _exit_code(main)
        return Done(given, code, _contents(out), _contents(err))


def _contents(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _exit_code(main: Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


@contextlib.contextmanager
def _as_a_process(
    words: tuple[str, ...], cwd: Path, environment: Mapping[str, str], streams: tuple[BinaryIO, ...]
) -> Iterator[None]:
    """Give this process the words, directory, environment and streams of another, and take them back."""
    with contextlib.ExitStack() as stack:
        for number, stream in enumerate(streams):
            saved = os.dup(number)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, number)
            os.dup2(stream.fileno(), number)
        stack.enter_context(contextlib.chdir(cwd))
        before = dict(os.environ)
        stack.callback(os.environ.update, before)
        stack.callback(os.environ.clear)
        os.environ.clear()
        os.environ.update(environment)
        opened = {"stdin": "r", "stdout": "w", "stderr": "w"}
        files = {name: os.fdopen(number, mode, closefd=False) for number, (name, mode) in enumerate(opened.items())}
        # Where temporary files are is looked up once, and by the environment.
        for holder, name, value in (
            (sys, "argv", ["edgemnist", *words]),
            *((sys, name, file) for name, file in files.items()),
            (tempfile, "tempdir", None),
        ):
            stack.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, value)
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.getsignal(number))
        stack.enter_context(warnings.catch_warnings())
        warnings.resetwarnings()
        for category in _IGNORED:
            warnings.simplefilter("ignore", category)
        yield
