"""What is printed to repair a login works as it is printed, for an address with a port as for an alias."""

import getpass
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgemnist.errors import DeployError
from edgemnist.fleet.deploy.target import BoardAddress
from edgemnist.fleet.deploy.transport import connect
from tests.deploy.loopback import Sshd, make_key


@pytest.fixture(params=["user@address:port", "alias", "user@alias"])
def board(request: pytest.FixtureRequest, sshd: Sshd) -> str:
    """A board, as a user may name it."""
    user = getpass.getuser()
    return {"user@address:port": f"{user}@127.0.0.1:{sshd.port}", "alias": "board", "user@alias": f"{user}@board"}[
        str(request.param)
    ]


def config_for(sshd: Sshd, path: Path, host_key: Path | None = None) -> Path:
    """Write a client's configuration that also holds for the bare address."""
    sshd.client_config(path, host_key=host_key)
    own = path.read_text()
    common = "\n".join(line for line in own.splitlines() if not re.match(r"Host |  (HostName|Port) ", line))
    path.write_text(f"{own}Host 127.0.0.1\n{common}\n")
    return path


def hint_of(board: str, config: Path) -> str:
    target = BoardAddress.of(board, ssh_config=config)
    with pytest.raises(DeployError) as refused, connect(target.host, target.ssh_config):
        pass
    return refused.value.hint


def run(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*shlex.split(command), *more], check=False, capture_output=True, text=True)


def test_a_changed_host_key_is_forgotten_by_the_command_that_is_printed(board: str, sshd: Sshd, tmp_path: Path) -> None:
    config = config_for(sshd, tmp_path / "ssh_config", make_key(tmp_path / "another"))
    found = re.search(r"ssh-keygen .*?(?=   )", hint_of(board, config))
    assert found is not None
    done = run(found[0])
    assert done.returncode == 0, done.stderr
    assert config.with_suffix(".known").read_text() == ""


def test_an_unknown_host_key_is_learnt_by_the_command_that_is_printed(board: str, sshd: Sshd, tmp_path: Path) -> None:
    config = config_for(sshd, tmp_path / "ssh_config")
    known = config.with_suffix(".known")
    known.write_text("")
    found = re.search(r"`(ssh .*?)`", hint_of(board, config))
    assert found is not None
    # In the place of somebody who compares the fingerprint, and says yes.
    done = run(found[1], "-o", "StrictHostKeyChecking=accept-new", "true")
    assert done.returncode == 0, done.stderr
    target = BoardAddress.of(board, ssh_config=config)
    with connect(target.host, target.ssh_config) as connection:
        assert connection.run("true")[0] == 0


def test_the_desk_may_be_a_windows_that_has_no_locks_of_unix() -> None:
    code = "import sys; sys.modules['fcntl'] = None; import edgemnist.fleet.deploy.run"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
