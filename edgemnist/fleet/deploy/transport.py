"""The way to a board: the user's own OpenSSH, `ssh` and `sftp`; or none, where this machine is the board.

A library that speaks the SSH protocol by itself (Paramiko, AsyncSSH) honours a part of the user's configuration:
`Match exec`, `ProxyJump` chains, hardware keys or revoked host keys would keep out of reach what `ssh pi` reaches.
`sftp` resumes transfers, `ControlMaster` makes one login serve every step.

Two settings are not the user's to relax here: a host key that is not known is never accepted (`StrictHostKeyChecking`),
and nothing asks questions in the middle of a deployment (`BatchMode`): keys with a passphrase belong in the agent.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgemnist.errors import DeployError, MissingDependencyError, UsageError
from edgemnist.fleet.deploy.answers import MOST_BYTES, MOST_ERROR_BYTES, MOST_LINE_BYTES, clean, message
from edgemnist.ground.boards import Stop

_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=15",
    # A line that is cut is noticed after 15 s, not after TCP's two hours.
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
)
_CONNECTION_FAILED = 255
"""Exit code of `ssh` for all troubles of its own."""
_CUT = re.compile(r"connection (closed|reset|lost)|broken pipe|mux_client", re.IGNORECASE)
_READY = b"edgemnist-ready"
_CLOSE_S = 5
_LOGIN_S = 120.0
"""For the login; that nobody is there is known after 15 s, but a `ProxyCommand` may ask for a key to be touched."""
_LEAST_BYTES_PER_S = 1_000
"""Of a transfer: a line of GPRS has five times as many."""
QUICK_S = 300.0
"""For what a board does at once, even a slow one that swaps."""


class ConnectionLostError(DeployError):
    """An open connection was cut. Doing the same again continues where it stopped."""


@dataclass(frozen=True)
class Host:
    """A board, as the user names it."""

    name: str
    """As it was written: `[user@]host[:port]`, where the host may be an alias of the SSH configuration."""
    destination: str
    """What `ssh` is given; empty for this machine."""
    port: int | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        return not self.destination

    def named(self, option: str) -> str:
        """Return what follows a command to name it by an option, quoted for a shell; nothing for this machine."""
        return "" if self.is_here else f" {option} {shlex.quote(self.name)}"

    @property
    def sftp_destination(self) -> str:
        """Return the destination as sftp wants it: there a colon begins a path, unless it is in brackets."""
        user, at, address = self.destination.rpartition("@")
        return f"{user}{at}[{address}]" if ":" in address else self.destination


def parse_host(text: str) -> Host:
    """Read `[user@]host[:port]`, with an IPv6 address in brackets. Raises UsageError for anything else."""
    found = re.fullmatch(r"((?:[^@\s]+@)?)(?:\[([\w:.%-]+)\]|([^\s:@\[\]]+))(?::(\d{1,5}))?", text)
    # A name that begins with a dash would be taken for an option by ssh.
    if found is None or text.startswith("-") or (found[2] or found[3]).startswith("-"):
        raise UsageError(f"{text!r} is not a host", hint="Write it as user@host or user@host:port, as for ssh.")
    return Host(text, found[1] + (found[2] or found[3]), int(found[4]) if found[4] else None)


def this_machine() -> Host:
    """Return this machine, by its own name."""
    return Host(socket.gethostname(), "")


class Connection:
    """One login to a board, shared by every step. Made by `connect`."""

    _as_login: Mapping[str, object] = {}
    """How to start a program that is to find what a login to the board would."""

    def __init__(self, host: Host, options: list[str], cut: Callable[[], None] | None = None) -> None:
        """`cut` ends the connection at once, and with it everything that goes through it."""
        self.host = host
        self._options = options
        self._cut = cut

    def run(
        self, command: str, data: bytes = b"", *, on_line: Callable[[str], None] | None = None, limit_s: float = QUICK_S
    ) -> tuple[int, str]:
        """Run a shell command on the board with `data` on its stdin; return its exit code and its stderr.

        `on_line` is given each line of its stdout. Raises ConnectionLostError if the connection is cut, and DeployError
        if the board takes longer than `limit_s` or writes more than any answer has.
        """
        words = ["ssh", *self._options, "--", self.host.destination, command]
        code, said = self._run(words, data, on_line, limit_s)
        if code == _CONNECTION_FAILED or code < 0:
            raise _lost(self.host, said)
        return code, said

    def _run(
        self, words: list[str], data: bytes, on_line: Callable[[str], None] | None, limit_s: float
    ) -> tuple[int, str]:
        """Run a program that speaks with the board; see `run`."""
        errors: list[str] = []
        late = threading.Event()
        with _running(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **self._as_login) as ssh:

            def give_up() -> None:
                late.set()
                self._end(ssh)

            clock = threading.Timer(limit_s, give_up)
            drain = threading.Thread(target=_drain, args=(ssh.stderr, errors), daemon=True)
            # A board that reads nothing must not keep this side from listening to it.
            feed = threading.Thread(target=_feed, args=(ssh.stdin, data), daemon=True)
            for helper in (clock, drain, feed):
                helper.start()
            try:
                self._listen(ssh, on_line)
                ssh.wait()
            except BaseException:
                # A board that goes on for ever would keep the pipes open, and whoever closes them waiting.
                self._end(ssh)
                raise
            finally:
                clock.cancel()
            drain.join(_CLOSE_S)
        said = clean("".join(errors)).strip()
        if late.is_set():
            raise DeployError(
                f"{self.host.name} did not answer within {limit_s:,.0f} s",
                hint=f"Look at the board with: edgemnist doctor{self.host.named('--on')}",
            )
        return ssh.returncode, said

    def _listen(self, ssh: subprocess.Popen[bytes], on_line: Callable[[str], None] | None) -> None:
        """Read stdout to its end. Raises DeployError, and ends the program, if it is longer than any answer."""
        assert ssh.stdout is not None  # noqa: S101 - for the type checker
        left = MOST_BYTES
        while line := ssh.stdout.readline(MOST_LINE_BYTES):
            left -= len(line)
            if left < 0 or len(line) == MOST_LINE_BYTES:
                self._end(ssh)
                raise DeployError(
                    f"{self.host.name} answers with more than {(MOST_BYTES if left < 0 else MOST_LINE_BYTES) >> 20} MB",
                    hint=f"Does its login script write anything? ssh {self.host.destination} true",
                )
            if on_line is not None:
                on_line(line.decode(errors="replace").rstrip("\n"))

    def _end(self, ssh: subprocess.Popen[bytes]) -> None:
        # The one that shares the connection has handed its pipes over, and they stay open when it ends.
        if self._cut is not None:
            self._cut()
        ssh.kill()

    def put(self, local: Path, remote: str) -> None:
        """Send a file; what is there of it already is not sent again.

        Raises DeployError where the board does not take it, ConnectionLostError where the connection is cut.
        """
        if "\n" in str(local.absolute()):
            # A line break would end sftp's command, and begin another one.
            raise UsageError(
                f"A bundle cannot be sent from {str(local)!r}", hint="Move it to a path without line breaks."
            )
        # In sftp's own language a path is quoted with double quotes, and a backslash escapes.
        names = " ".join('"' + re.sub(r'(["\\])', r"\\\1", name) + '"' for name in (str(local.absolute()), remote))
        command = ["sftp", *self._options, "-b", "-", "--", self.host.sftp_destination]
        limit_s = QUICK_S + local.stat().st_size / _LEAST_BYTES_PER_S
        code, errors = self._run(command, f"reput {names}\n".encode(), lambda _: None, limit_s)
        if code == 0:
            return
        # sftp tells what the board refuses; of a connection that was cut it says nothing, or that it was.
        if not errors or code == _CONNECTION_FAILED or _CUT.search(errors):
            raise _lost(self.host, errors)
        raise _not_accepted(self.host, _last(errors))


class LocalConnection(Connection):
    """This machine in the place of a board: the same commands, run by its own shell without a login."""

    def __init__(self) -> None:
        super().__init__(this_machine(), [])
        # Relative paths start at the home directory, and Ctrl-C of the terminal reaches nothing that it has started,
        # such as the restart of a service.
        self._as_login = {"cwd": Path.home(), "start_new_session": True}

    def run(
        self, command: str, data: bytes = b"", *, on_line: Callable[[str], None] | None = None, limit_s: float = QUICK_S
    ) -> tuple[int, str]:
        """See `Connection.run`. No connection can be lost."""
        return self._run(["sh", "-c", command], data, on_line, limit_s)

    def put(self, local: Path, remote: str) -> None:
        """Copy a file. Raises DeployError where it cannot be written."""
        try:
            shutil.copyfile(local, Path.home() / remote)
        except OSError as error:
            raise _not_accepted(self.host, error.strerror or str(error)) from error


def _not_accepted(host: Host, reason: str) -> DeployError:
    return DeployError(f"{host.name} does not accept the bundle: {reason}", hint="Is its disk full or read-only?")


@contextlib.contextmanager
def connect(host: Host, ssh_config: Path | None = None, stop: Stop | None = None) -> Iterator[Connection]:
    """Log in to a board, and out at the end; `stop` cuts the line. On this machine there is nothing to log in to.

    Raises DeployError, with what to do about it, if the board cannot be reached, shows a host key that is not known, or
    refuses the login; MissingDependencyError if OpenSSH is not installed; UsageError on a machine that cannot be one.
    """
    if host.is_here:
        if os.name == "nt":
            raise UsageError("Windows cannot keep releases", hint="Name a board with --to user@host.")
        yield LocalConnection()
        return
    options = [word for option in _OPTIONS for word in ("-o", option)]
    if ssh_config is not None:
        options = ["-F", str(ssh_config), *options]
    if host.port is not None:
        options += ["-o", f"Port={host.port}"]
    if os.name == "nt":
        # OpenSSH for Windows cannot share connections.
        yield Connection(host, options)
        return
    # Short: a socket's path has 100 characters at the most.
    with tempfile.TemporaryDirectory(prefix="em-", ignore_cleanup_errors=True) as directory:
        options += ["-o", f"ControlPath={directory}/%C"]
        # It ends with its stdin, and so with this process however that ends.
        master = _start(
            ["ssh", *options, "-o", "ControlMaster=yes", "--", host.destination, f"echo {_READY.decode()}; exec cat"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            # Everything else goes through the master, and ends with it.
            with (stop or Stop()).by(master.kill):
                _await_login(host, ssh_config, master)
                yield Connection(host, [*options, "-o", "ControlMaster=no"], master.kill)
        except KeyboardInterrupt:
            master.kill()
            raise
        finally:
            _close(master)


def _await_login(host: Host, ssh_config: Path | None, master: subprocess.Popen[bytes]) -> None:
    assert master.stdout is not None  # noqa: S101 - for the type checker
    clock = threading.Timer(_LOGIN_S, master.kill)
    clock.start()
    try:
        # A login script may greet first.
        while line := master.stdout.readline(MOST_ERROR_BYTES):
            if line.strip() == _READY:
                return
    finally:
        clock.cancel()
    assert master.stderr is not None  # noqa: S101 - for the type checker
    if master.wait() < 0:
        raise _lost(host, "")
    raise _refused(host, ssh_config, clean(master.stderr.read(MOST_ERROR_BYTES).decode(errors="replace")).strip())


def _close(master: subprocess.Popen[bytes]) -> None:
    with master, contextlib.suppress(BrokenPipeError):
        assert master.stdin is not None  # noqa: S101 - for the type checker
        master.stdin.close()
        try:
            master.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            master.kill()


def _start(command: list[str], **streams: object) -> subprocess.Popen[bytes]:
    try:
        with _deaf_to_ctrl_c():
            return subprocess.Popen(command, stdout=subprocess.PIPE, **streams)  # type: ignore[call-overload, no-any-return]  # streams of any kind
    except FileNotFoundError:
        raise MissingDependencyError("A deployment", ["OpenSSH"], "sudo apt install openssh-client") from None


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Keep Ctrl-C from programs that are started in the body: it is said here what ends then, and how.

    ssh listens to a signal that was ignored, not to one that is blocked; a session of its own has no terminal for a
    `ProxyCommand`.
    """
    if os.name == "nt":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _running(command: list[str], **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that ends with the body at the latest."""
    with _start(command, **streams) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stdin is not None:
                # Popen closes it, too, and fails if the program has not read everything, or a thread is still writing.
                with contextlib.suppress(OSError, ValueError):
                    process.stdin.close()


def _drain(stream: IO[bytes], said: list[str]) -> None:
    """Read a stream to its end, and keep the first of it."""
    # Whoever gives up closes it.
    with contextlib.suppress(OSError, ValueError):
        said.append(stream.read(MOST_ERROR_BYTES).decode(errors="replace"))
        while stream.read(MOST_ERROR_BYTES):
            pass


def _feed(stream: IO[bytes], data: bytes) -> None:
    # If the other end is gone, the exit code tells.
    with contextlib.suppress(OSError, ValueError):
        stream.write(data)
    with contextlib.suppress(OSError, ValueError):
        stream.close()


_REFUSALS = (
    (
        r"HOST IDENTIFICATION HAS CHANGED|host key .* has changed",
        "presents a host key other than the known one",
        "If the board was reinstalled, forget the old key: {forget}   If not, do not connect.",
    ),
    (
        r"host key is known|Host key verification failed",
        "has a host key that is not known here",
        "Connect once with `ssh {login}`, and compare the fingerprint that it shows with the board's own.",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "does not let you in",
        "Copy your key there with: ssh-copy-id {login}   A key with a passphrase belongs in the agent: ssh-add",
    ),
    (r"Could not resolve hostname", "cannot be found by its name", "Try its address, or NAME.local."),
    (r"Connection refused", "refuses connections", "Is the SSH server switched on there? sudo raspi-config"),
    (r"timed out|No route to host|unreachable", "cannot be reached", "Is it switched on, and on this network?"),
)


def _refused(host: Host, ssh_config: Path | None, errors: str) -> DeployError:
    login = _login(host, ssh_config)
    for pattern, what, hint in _REFUSALS:
        if re.search(pattern, errors, re.IGNORECASE):
            return DeployError(f"{host.name} {what}", hint=hint.format(login=login, forget=_forget(host, errors)))
    return DeployError(f"{host.name} cannot be reached: {_last(errors)}", hint=f"Does this work? ssh {login}")


def _login(host: Host, ssh_config: Path | None) -> str:
    """Return the words behind `ssh` that go the same way to the same board; it takes no port in a name."""
    config = ["-F", str(ssh_config)] if ssh_config is not None else []
    port = ["-p", str(host.port)] if host.port is not None else []
    return shlex.join([*config, *port, host.destination])


def _forget(host: Host, errors: str) -> str:
    """Return the command that forgets a host key, by the name and in the file that ssh says it has it from."""
    address = host.destination.rpartition("@")[2]
    told = re.search(r"Host key for (\S+) has changed", errors)
    name = told[1] if told else f"[{address}]:{host.port}" if host.port is not None else address
    file = re.search(r"^Offending .*key in (.+):\d+\s*$", errors, re.MULTILINE)
    return shlex.join(["ssh-keygen", *(["-f", file[1]] if file else []), "-R", name])


def _lost(host: Host, errors: str) -> ConnectionLostError:
    return ConnectionLostError(
        f"The connection to {host.name} was cut: {_last(errors)}",
        hint="Run the same command again: it continues where it stopped.",
    )


def _last(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return message(lines[-1]).rstrip(".") if lines else "ssh gave no reason"


def remote_path(root: str, *parts: str) -> str:
    """Return a path on the board, quoted for its shell; a relative one starts at the home directory."""
    return shlex.quote(plain_path(root, *parts))


def plain_path(root: str, *parts: str) -> str:
    """Return a path on the board, as sftp takes it."""
    path = "/".join([root.removeprefix("~/"), *parts])
    # What begins with a dash would be an option.
    return f"./{path}" if path.startswith("-") else path
