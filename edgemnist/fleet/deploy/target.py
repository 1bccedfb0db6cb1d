"""A board to work with, and what it is asked to do."""

import base64
import json
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec

import edgemnist
from edgemnist.board.agent import MARK
from edgemnist.board.agent.apply import DamagedTransferError, StoppedError
from edgemnist.board.agent.bundle import encode_archive
from edgemnist.board.agent.facts import throttle_names
from edgemnist.errors import (
    EXIT_BAD_INPUT,
    EXIT_GATE_MISSED,
    EXIT_OK,
    BundleError,
    DeployError,
    EdgemnistError,
    GateMissedError,
    UsageError,
)
from edgemnist.fleet.deploy.answers import AnswerT, Examined, Line, Ran, cleaned, convert, decode, message
from edgemnist.fleet.deploy.transport import (
    QUICK_S,
    Connection,
    ConnectionLostError,
    Host,
    connect,
    parse_host,
    plain_path,
    remote_path,
    this_machine,
)
from edgemnist.fleet.doctor.checks import RepairCommands
from edgemnist.ground.boards import EXPORTS, Answer, Stop
from edgemnist.ground.results import SCHEMA_VERSION
from edgemnist.ground.storage import sha256

DEFAULT_ROOT = ".local/share/edgemnist"
"""Below the home directory of the user who logs in, or runs the command."""
ANSWER_S = 7_200.0
"""Two hours: the slowest board verifies 10,000 images in less."""
MEASURE_S = 172_800.0
"""Two days: `bench` takes as long as it was told to."""
_NOT_SENT_YET = 91
_PYTHON_MISSING = 127
_REPORTED: dict[str, type[EdgemnistError]] = {
    kind.__name__: kind for kind in (BundleError, GateMissedError, DamagedTransferError, StoppedError)
}
"""Errors of the board that are the same here; all others are a board that refused."""


@cache
def make_agent() -> bytes:
    """Return the program that runs on the board: one file, a ZIP archive of `edgemnist.board.agent` and the errors."""
    package = Path(edgemnist.__file__).parent
    paths = [package / "errors.py", package / "board" / "__init__.py", *(package / "board" / "agent").glob("*.py")]
    files = {f"edgemnist/{path.relative_to(package).as_posix()}": path.read_bytes() for path in paths}
    # The package's own __init__ imports what a board need not have.
    files["edgemnist/__init__.py"] = b""
    files["__main__.py"] = b"import edgemnist.board.agent.__main__\n"
    return encode_archive(files)


def agent_name() -> str:
    """Return the name of that file on a board: another version is another file."""
    return f"{sha256(make_agent())}.pyz"


@dataclass(frozen=True, kw_only=True)
class BoardAddress:
    """Where a board is, and where edgemnist is on it: what commands ask is documented in `ground.boards.Board`."""

    host: Host
    root: str = DEFAULT_ROOT
    ssh_config: Path | None = None
    """Instead of the user's own configuration."""

    @classmethod
    def of(cls, text: str | None, *, root: str | None = None, ssh_config: Path | None = None) -> Self:
        """Return the board that `[user@]host[:port]` names, or this machine. Raises UsageError for what names none."""
        if root is not None and (not root.isprintable() or not root.strip()):
            raise UsageError(f"--root must be a path without line breaks (got {root!r})")
        if root is not None and root.startswith("~") and not root.startswith("~/"):
            # The board's shell and its Python would not mean the same by it.
            raise UsageError(
                f"--root must not begin with ~, except for ~/ (got {root!r})",
                hint="Write the whole path, or one that starts at the home directory, such as edgemnist.",
            )
        if text is None:
            return cls(host=this_machine(), root=root or DEFAULT_ROOT)
        return cls(host=parse_host(text), root=root or DEFAULT_ROOT, ssh_config=ssh_config)

    @property
    def words(self) -> str:
        """What follows `--to` or `--on` to name it, quoted for a shell."""
        return shlex.quote(self.host.name) + self._where

    def named(self, option: str) -> str:
        """Return what follows a command to name it by `--to` or `--on`; of this machine, only where edgemnist is."""
        return self.host.named(option) + self._where

    @property
    def _where(self) -> str:
        words = ["--root", self.root] if self.root != DEFAULT_ROOT else []
        words += ["--ssh-config", str(self.ssh_config)] if self.ssh_config is not None else []
        return "".join(f" {shlex.quote(word)}" for word in words)

    def repair(self, *, installed: bool) -> RepairCommands:
        """Return the commands that fix the software there, as a user would type them, in whatever directory."""
        home = "" if self.root.startswith("/") else "~/"
        pip = home + remote_path(self.root, "current", "venv", "bin", "pip")
        return RepairCommands(pip=pip if installed else None, board=self.words)

    @property
    def name(self) -> str:
        """The board's address, as it was given."""
        return self.host.name

    def answer(
        self,
        words: Sequence[str],
        kind: type[Any],
        files: Mapping[str, bytes] | None = None,
        stop: Stop | None = None,
        *,
        partial: bool = False,
    ) -> Answer:
        """See `Board.answer`. Raises DeployError where no release serves there, or the command failed there."""
        module = ["edgemnist", *words, "--exports", EXPORTS, "--json"]
        answer, said = self._run(module, files or {}, stop, MEASURE_S if words[0] == "bench" else ANSWER_S)
        # A missed gate is an answer, too.
        half_done = partial and answer.exit_code == EXIT_BAD_INPUT and answer.stdout.strip()
        if answer.exit_code not in (EXIT_OK, EXIT_GATE_MISSED) and not half_done:
            hint = said[1] if len(said) > 1 else ""
            raise DeployError(f"{self.name}: {said[0].removeprefix('error: ').rstrip('.')}", hint=hint)
        try:
            document = cleaned(msgspec.json.decode(answer.stdout, type=dict[str, Any]))
        except (ValueError, RecursionError):
            # Python ends with the same code where it crashes, and its reason stands last.
            raise DeployError(
                f"{self.name}: edgemnist {words[0]} crashed there: {said[-1].rstrip('.')}",
                hint=f"See what loads there: edgemnist doctor --on {self.name}",
            ) from None
        return Answer(convert(self.name, document, kind), answer.release)

    def ask_module(self, words: Sequence[str], files: Mapping[str, bytes] | None = None) -> str:
        """See `Board.ask_module`. Raises DeployError if no release serves there, or it fails there."""
        answer, said = self._run(words, files or {}, None, QUICK_S)
        if answer.exit_code == EXIT_OK:
            return answer.stdout
        if "No module named" in said[-1]:
            raise DeployError(
                f"{self.name} has a release that cannot do this yet",
                hint=f"Deploy a bundle of this version: edgemnist deploy BUNDLE --to {self.name}",
            )
        raise DeployError(f"{self.name}: {said[0].rstrip('.')}", hint=said[1] if len(said) > 1 else "")

    def read(self, text: str, kind: type[AnswerT]) -> AnswerT:
        """Return a JSON document that the board printed, its texts cleaned. Raises DeployError if it is none."""
        return convert(self.name, decode(self.name, text, Any), kind)

    def throttled(self, stop: Stop | None = None) -> list[str]:
        """See `Board.throttled`."""
        with open_board(self, stop) as board:
            return throttle_names(board.ask("doctor", Examined, {"imports": False}).facts.throttled or 0)

    def _run(
        self, module: Sequence[str], files: Mapping[str, bytes], stop: Stop | None, limit_s: float
    ) -> tuple[Ran, list[str]]:
        """Return how `python -m MODULE` ended in the current release, and the lines that it wrote on stderr."""
        sent = {name: base64.b64encode(data).decode() for name, data in files.items()}
        with open_board(self, stop) as board:
            answer = board.ask("run", Ran, {"module": list(module), "files": sent}, limit_s=limit_s)
        said = [message(line) for line in answer.stderr.splitlines() if line.strip()]
        return answer, said or ["it gave no reason"]


class Board:
    """A board with an open login. Made by `open_board`."""

    def __init__(self, target: BoardAddress, connection: Connection) -> None:
        self._target = target
        self._connection = connection
        self._interrupted = threading.Event()
        self._process = 0

    def ask(
        self,
        command: str,
        kind: type[AnswerT],
        request: dict[str, Any] | None = None,
        on_step: Callable[[str], None] | None = None,
        *,
        limit_s: float = QUICK_S,
    ) -> AnswerT:
        """Have the board do something and return its answer; `on_step` is given each step that begins there.

        Raises the error that the board reports, ConnectionLostError if the connection is cut, and DeployError for an
        answer that is not of this kind or takes longer than `limit_s`.
        """
        data = json.dumps(request or {}).encode()
        code, answer, errors = self._call(command, data, on_step, limit_s)
        if code == _NOT_SENT_YET:
            self._send_agent()
            code, answer, errors = self._call(command, data, on_step, limit_s)
        name = self._target.host.name
        if answer.result is not None:
            return convert(name, {**answer.result, "host": name, "schema_version": SCHEMA_VERSION}, kind)
        if answer.error is not None:
            # What it was there, or else a board that refused.
            error = _REPORTED.get(answer.error.type, DeployError)
            raise error(
                f"{name}: {message(answer.error.message) or 'it gave no reason'}", hint=message(answer.error.hint)
            )
        if code == _PYTHON_MISSING:
            raise DeployError(f"{name} has no python3", hint="Install it there with: sudo apt install python3-venv")
        # Nothing but a kill, or a defect of ours, ends it without an answer.
        reason = message(errors.splitlines()[-1]) if errors else f"exit code {code}"
        raise ConnectionLostError(
            f"{name} stopped in the middle of {command}: {reason}", hint="Run the same command again."
        )

    def interrupt(self) -> None:
        """Have what the board is asked to do end there; called from another thread."""
        self._interrupted.set()
        if self._process:
            # Where the line is cut there is nothing to be done, and the one that waits is told.
            with suppress(DeployError):
                self._connection.run(f"kill -s INT {self._process}")

    def send(self, file: Path, name: str) -> None:
        """Send a bundle, or the rest of it, to where the board looks for one of this name."""
        self._connection.put(file, plain_path(self._target.root, "incoming", name))

    def _call(
        self, command: str, data: bytes, on_step: Callable[[str], None] | None, limit_s: float
    ) -> tuple[int, Line, str]:
        answer = Line()

        def on_line(text: str) -> None:
            nonlocal answer
            if not text.startswith(MARK):
                return
            line = decode(self._target.host.name, text[len(MARK) :], Line)
            if line.process is not None:
                self._process = line.process
                if self._interrupted.is_set():
                    self.interrupt()
            if line.step is not None and on_step is not None:
                on_step(message(line.step))
            if line.result is not None or line.error is not None:
                answer = line

        self._process = 0
        file = remote_path(self._target.root, "agent", agent_name())
        root = remote_path(self._target.root)
        # A file that was cut off, by a power failure for example, has another size.
        script = (
            f'[ "$(wc -c < {file} 2>/dev/null || echo 0)" -eq {len(make_agent())} ] || exit {_NOT_SENT_YET}; '
            f"exec python3 -I -B {file} {command} {root}"
        )
        try:
            code, errors = self._connection.run(_in_sh(script), data, on_line=on_line, limit_s=limit_s)
        except ConnectionLostError:
            # An answer that came is so, whatever cuts the line after it: a stop that comes too late does.
            if answer == Line():
                raise
            return 0, answer, ""
        return code, answer, errors

    def _send_agent(self) -> None:
        directory = remote_path(self._target.root, "agent")
        file = remote_path(self._target.root, "agent", agent_name())
        # A cut connection looks like the end of the file, so the size decides.
        script = (
            # The file is run later: nobody else may write to it, whatever the login says.
            f"umask go-w; mkdir -p {directory} && cat > {file}.$$ && "
            f'[ "$(wc -c < {file}.$$)" -eq {len(make_agent())} ] && sync && mv {file}.$$ {file} || '
            f"{{ rm -f {file}.$$; exit 1; }}"
        )
        code, errors = self._connection.run(_in_sh(script), make_agent())
        if code != 0:
            reason = message(errors.splitlines()[-1]) if errors else "it gave no reason"
            raise DeployError(
                f"{self._target.host.name} cannot be written to: {reason}",
                hint="Is its disk full or read-only? Another directory can be named with --root.",
            )


@contextmanager
def open_board(target: BoardAddress, stop: Stop | None = None) -> Iterator[Board]:
    """Log in to a board; `stop` cuts the line. Raises what `connect` raises."""
    with connect(target.host, target.ssh_config, stop) as connection:
        yield Board(target, connection)


def _in_sh(script: str) -> str:
    """Return a command that runs a POSIX script, whatever the login shell is."""
    return f"exec sh -c {shlex.quote(script)}"


def require_distinct(targets: Sequence[BoardAddress]) -> None:
    """Raise UsageError if no board is named, or one twice."""
    if not targets:
        raise UsageError("No board is named", hint="Name one with --to user@host, or several with --inventory FILE.")
    seen = set()
    for target in targets:
        if (target.host.name, target.root) in seen:
            raise UsageError(f"{target.host.name} is named twice", hint="Name each board once.")
        seen.add((target.host.name, target.root))
