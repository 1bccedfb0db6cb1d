"""The README's walk to the board and back: each of its lines, as written, with boards on the loopback interface."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from PIL import Image

from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.loopback import LoopbackBoard, Sshd

README = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## To the board, and back")[2]
WALK = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    # The pipeline itself runs with the other commands of the README.
    if line.startswith("edgemnist ") and shlex.split(line, comments=True) != ["edgemnist", "all"]
]
FLEET = re.findall(r"```toml\n# fleet.toml\n(.*?)```", README, flags=re.DOTALL)[0]


def here(text: str, root: Path) -> str:
    """Return a text of the README with what this machine is not: user `pi`, another port, a directory of a board."""
    return text.replace("pi@", "").replace(":2222", "").replace("/data/edgemnist", str(root))


def test_every_line_of_the_walk_works(
    board: LoopbackBoard, installed: Path, exports: Path, sshd: Sshd, tmp_path: Path
) -> None:
    assert len(WALK) >= 9, "the README walks to the board and back"
    golden = read_golden(exports, read_manifest(exports))
    Image.fromarray(golden.images[0]).save(tmp_path / "digit.png")
    door = tmp_path / "door"
    door.mkdir()
    (door / "venvs").symlink_to(installed)
    (tmp_path / "fleet.toml").write_text(here(FLEET, door))
    config = sshd.client_config(tmp_path / "ssh_config_of_the_walk")
    config.write_text(config.read_text().replace("Host board*", "Host *"))
    environment = {"EDGEMNIST_SSH_CONFIG": str(config), "EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_OFFLINE": "1"}
    for line in WALK:
        words = shlex.split(here(line, door), comments=True)[1:]
        done = run_edgemnist(*words, cwd=tmp_path, env=environment)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    board.everything_is_whole()
