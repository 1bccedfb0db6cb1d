"""Boards on this machine: a real sshd on the loopback interface, with keys and directories that are thrown away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemnist.board.agent import MARK
from edgemnist.board.agent.store import Store
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to
from edgemnist.fleet.deploy.target import BoardAddress, make_agent
from tests.needs import require

SSHD = "/usr/sbin/sshd"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def make_key(path: Path) -> Path:
    """Make an SSH key without passphrase, and its public half beside it."""
    require("ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True)
    return path


class Sshd:
    """An SSH server that lets one key in; its boards have this Python."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.host_key = make_key(directory / "host")
        self.user_key = make_key(directory / "user")
        programs = directory / "bin"
        programs.mkdir()
        # The Python that made this environment, as a system's own Python would be.
        (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name)
        # Start-up files of the login shell may put other programs first, so the path is set after them.
        session = directory / "session"
        session.write_text(f'#!/bin/sh\nexport PATH={programs}:/usr/bin:/bin\neval "$SSH_ORIGINAL_COMMAND"\n')
        session.chmod(0o755)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        # Bash reads its start-up files in a session of level 1 only. They belong to this machine and not to a board,
        # and killing them, as tests do, may leave their locks behind.
        self.config = directory / "sshd_config"
        self.config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.user_key}.pub\nStrictModes no\nUsePAM no\nMaxStartups 100\n"
            f"Subsystem sftp /usr/lib/openssh/sftp-server\nForceCommand {session}\nSetEnv SHLVL=2\n"
        )
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", self.config], stderr=subprocess.DEVNULL, start_new_session=True
        )
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("sshd does not start")

    @property
    def pid(self) -> int:
        """The server's process, from which all sessions descend."""
        return self._process.pid

    def stop(self) -> None:
        """Stop serving; connections that are there stay."""
        self._process.terminate()
        self._process.wait()

    def kill_sessions(self) -> None:
        """End every connection on the server's side, with everything that runs in it, as a power cut would."""
        for child in descendants(self.pid):
            kill(child)

    def client_config(self, path: Path, *, port: int | None = None, host_key: Path | None = None) -> Path:
        """Write the configuration of a client that knows this server, or another host key."""
        shown = port or self.port
        known = path.with_suffix(".known")
        public = (host_key or self.host_key).with_name((host_key or self.host_key).name + ".pub").read_text()
        known.write_text(f"[127.0.0.1]:{shown} {public}")
        path.write_text(
            f"Host board*\n  HostName 127.0.0.1\n  Port {shown}\n  IdentityFile {self.user_key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {known}\n  GlobalKnownHostsFile /dev/null\n"
        )
        return path


def descendants(pid: int) -> list[int]:
    """Return the processes below one, the deepest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = []
    level = children.get(pid, [])
    while level:
        found += level
        level = [child for parent in level for child in children.get(parent, [])]
    return found[::-1]


def processes_with(*words: str) -> list[int]:
    """Return the processes whose command line has all of these in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if all(word in line for word in words):
                found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@dataclass(frozen=True)
class LoopbackBoard:
    """A directory that plays a board, reached through the server."""

    name: str
    root: Path
    ssh_config: Path

    @property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def target(self) -> BoardAddress:
        return BoardAddress.of(self.name, root=str(self.root), ssh_config=self.ssh_config)

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes commands find the board."""
        return {"EDGEMNIST_ROOT": str(self.root), "EDGEMNIST_SSH_CONFIG": str(self.ssh_config)}

    def serves(self) -> str | None:
        """Return the identity, shortened, of the release that serves, after making sure that it is whole."""
        current = self.store.current()
        if current is None:
            assert not os.path.lexists(self.store.link)
            return None
        assert current.problems() == []
        return current.name.partition("-")[2]

    def everything_is_whole(self) -> None:
        """Hold what `releases` tells against what is there: before or after, as it may go on for one who was killed."""
        before, answer = self._found(), run_agent(self.root, "releases")
        assert all(row["problems"] == [] for row in answer["releases"])
        told = {row["release"]: row["current"] for row in answer["releases"]}
        assert list(told.items()) in (before, self._found())

    def _found(self) -> list[tuple[str, bool]]:
        current = self.store.current()
        return [(one.name, current is not None and one.name == current.name) for one in self.store.releases()]


def agent_file(directory: Path) -> Path:
    """Write the part that runs on the board."""
    path = directory / "board.pyz"
    path.write_bytes(make_agent())
    return path


def run_agent(root: Path, command: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Have a board do something without ssh, and return its answer; a refusal is `{"error": …}`."""
    program = agent_file(root.parent)
    done = subprocess.run(
        [sys.executable, "-I", program, command, root],
        input=json.dumps(request or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    assert last.startswith(MARK), done.stdout + done.stderr
    document: dict[str, Any] = json.loads(last[len(MARK) :])
    result: dict[str, Any] = document.get("result", document)
    return result


def copy_state(source: Path, target: Path) -> Path:
    """Put a copy of a board's directory in the place of another, links as links."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target, symlinks=True))


def the_next_try_succeeds(board: LoopbackBoard, bundle: LocalBundle) -> None:
    """See that `releases` tells the truth, and that the same command, once the cause is gone, ends well."""
    board.everything_is_whole()
    assert deploy_to(board.target, bundle, DeployConfig(retries=0), lambda _: None).fault is None
    assert board.serves() == bundle.record.identity()[:12]
    board.everything_is_whole()
