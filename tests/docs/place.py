"""The place in which a console block runs: its files, and stand-ins for what this machine is not."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from edgemnist.fleet.deploy.target import DEFAULT_ROOT
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from tests.command import OWN_PROCESS
from tests.conftest import REPOSITORY
from tests.deploy.loopback import LoopbackBoard, Sshd, make_key
from tests.shapes import SPECS
from tests.shapes.graphs import graph_of, write_tflite

PAGES = REPOSITORY / "tests" / "read" / "pages"
PAGE = PAGES / "everything.jpg"
PARSED = frozenset({"example", "minutes", "hardware"})
"""Needs of blocks whose command lines are parsed and not run: they train for minutes, or ask for a camera."""

EDGEMNIST = """case "$1 $*" in
*--seconds*) ;;
"bench "*) set -- "$@" --seconds 0.5 ;;
esac
exec {edgemnist} "$@\""""
"""Runs the command line as it is; what measures times less, since no figure is looked at but by a comparison."""
PARSE = 'exec {python} -m tests.parsing "$@"'
"""Takes a command line as `edgemnist` does, and stops before the command runs."""
BACKGROUND = """[ "$1" = serve ] || exec {python} -m edgemnist "$@"
exec {python} - "$@" <<'END'
import json, subprocess, sys, urllib.request

command = [sys.executable, "-m", "edgemnist", *sys.argv[1:], "--port", "0", "--json"]
with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
    try:
        text = ""
        while not text.endswith("\\n}}\\n"):
            line = process.stdout.readline().decode()
            assert line, "it does not start"
            text += line
        started = json.loads(text)
        assert started["token"] == ("--token-file" in sys.argv)
        address = started["url"].replace("0.0.0.0", "127.0.0.1").rstrip("/")
        assert urllib.request.urlopen(address + "/healthz", timeout=300).status == 200
    finally:
        process.terminate()
sys.exit(process.returncode)
END"""
"""Starts the service, asks it, and stops it again."""
MAKE = """command make -n -C {repository} "$@" >/dev/null
mkdir -p .venv/bin
touch .venv/bin/activate"""
"""Knows the targets, and makes nothing."""
PIP = """exec {python} - "$@" <<'END'
import pathlib, re, sys, tomllib

repository = pathlib.Path("{repository}")
extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
assert sys.argv[1] == "install"
named = re.fullmatch(r"(?:\\.|edgemnist)\\[([a-z,]+)\\]", sys.argv[-1])
assert named and set(named[1].split(",")) <= set(extras), sys.argv[-1]
if "-c" in sys.argv:
    assert (repository / sys.argv[sys.argv.index("-c") + 1]).is_file()
END"""
"""Knows the extras. `tests/test_install.py` installs."""
SUDO = """if [ "$1" = tee ]; then exec cat > "{place}/$(basename "$2")"; fi
echo "$@" >> {place}/said"""
"""Keeps what would be written into the system, and what would be said to systemd."""
SSH = 'exec {ssh} -F {config} "$@"'
CURL = """for word; do
    shift
    set -- "$@" "$(echo "$word" | sed 's#127.0.0.1:8000/#127.0.0.1:{port}/#')"
done
exec {curl} --fail-with-body "$@\""""
"""Asks the service of the test, whose port is another."""


class Place:
    """A directory to type a block in."""

    def __init__(self, directory: Path, exports: Path) -> None:
        self.directory = directory
        self._bin = directory / ".bin"
        self._bin.mkdir()
        self.environment = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "EDGEMNIST_OFFLINE": "1",
            "COLUMNS": "100",
        }
        self.words: dict[str, str] = {}
        """What this machine is not, by what it is instead."""
        shutil.copytree(exports, directory / "exports")
        self.golden = read_golden(exports, read_manifest(exports))
        seven = self.golden.images[list(self.golden.labels).index(7)]
        Image.fromarray(seven).save(directory / "digit.png")
        shutil.copy(PAGE, directory / "page.jpg")
        for name in ("form.jpg", "worksheet.jpg", "tally.jpg"):
            shutil.copy(PAGES / name, directory / name)
        self.program("edgemnist", EDGEMNIST)
        self.program("make", MAKE.replace("command make", str(shutil.which("make"))))
        self.program("pip", PIP)

    def program(self, name: str, script: str, **values: object) -> Path:
        """Put a stand-in on the path, or at one; a shell runs it."""
        known = {
            "python": sys.executable,
            "edgemnist": shlex.join(OWN_PROCESS),
            "repository": REPOSITORY,
            "place": self.directory,
            **values,
        }
        path = self._bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\nset -e\n{script.format(**known)}\n")
        path.chmod(0o755)
        return path

    def with_digits(self) -> None:
        for index, (image, label) in enumerate(zip(self.golden.images[:200], self.golden.labels, strict=False)):
            path = self.directory / "digits" / str(label) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)

    def with_model(self) -> None:
        shutil.copy(self.directory / "exports" / "model.keras", self.directory / "my-model.keras")

    def with_resnet(self) -> None:
        """Provide MLPerf Tiny's ResNet-8, or where it is not a network of its shape with a branch."""
        target, shared = self.directory / "pretrainedResnet_quant.tflite", os.environ.get("EDGEMNIST_SHARED")
        if shared:
            shutil.copy(Path(shared) / "mlperf_tiny" / target.name, target)
        else:
            write_tflite(graph_of(SPECS["colour"], "ADD"), target)

    def with_onnx(self) -> None:
        shutil.copy(self.directory / "exports" / "onnx-float32.onnx", self.directory / "my-model.onnx")

    def with_examples(self) -> None:
        """Have the scripts of the book where it calls them from."""
        shutil.copytree(REPOSITORY / "docs" / "examples", self.directory / "docs" / "examples")
        self.program("python", 'exec {python} "$@"')

    def with_signs(self) -> None:
        """Draw the pictures of a guide, half as many."""
        self._draw("signs.py", "signs", "200")

    def with_fan(self) -> None:
        self._draw("fan.py", "fan.csv")

    def _draw(self, script: str, *words: str) -> None:
        subprocess.run(
            [sys.executable, REPOSITORY / "docs" / "examples" / script, *words], cwd=self.directory, check=True
        )
        shutil.rmtree(self.directory / "exports")

    def with_key(self) -> None:
        self._at_home()
        (self.directory / ".ssh").mkdir()
        make_key(self.directory / ".ssh" / "id_ed25519")

    def with_board(self, board: LoopbackBoard, sshd: Sshd) -> None:
        config = sshd.client_config(self.directory / "ssh_config")
        config.write_text(config.read_text().replace("Host board*", "Host *"))
        self.environment |= {"EDGEMNIST_SSH_CONFIG": str(config), "EDGEMNIST_ROOT": str(board.root)}
        self.words |= {"pi@": "", ":2222": ""}
        self.program("ssh", SSH, ssh=shutil.which("ssh"), config=config)
        camera = self.program("rpicam-still", "exec cat {page}", page=PAGE)
        shutil.copy(camera, sshd.directory / "bin")

    def with_itself(self, installed: Path, bundle: Path) -> None:
        """Be at home on a board that serves a release, with the bundle of the next one."""
        self._at_home()
        shutil.copy(bundle, self.directory / "bundle.zip")
        root, others = self.directory / DEFAULT_ROOT, shutil.ignore_patterns(installed.name)
        shutil.copytree(installed.parent, root, symlinks=True, ignore=others)
        (root / "venvs").symlink_to(installed)
        # The Python that made the environment, as a system's own Python would be.
        python = Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name
        self.program("python3", 'exec {python} "$@"', python=python)

    def with_fleet(self, installed: Path) -> None:
        """Write the inventory of the guide, with a second board that has its packages already."""
        guide = (REPOSITORY / "docs" / "guides" / "fleet.md").read_text(encoding="utf-8")
        (inventory,) = re.findall(r"```toml\n# fleet.toml\n(.*?)```", guide, flags=re.DOTALL)
        door = self.directory / "door"
        door.mkdir()
        (door / "venvs").symlink_to(installed)
        self.words["/data/edgemnist"] = str(door)
        (self.directory / "fleet.toml").write_text(self.here(inventory))

    def with_meter(self) -> None:
        """Draw what the camera sees."""
        subprocess.run(
            [sys.executable, REPOSITORY / "docs" / "examples" / "meter.py", self.directory / "meter.jpg"], check=True
        )

    def with_service(self, port: int) -> None:
        """Let `curl` ask a service at another port than the usual one."""
        self.program("curl", CURL, curl=shutil.which("curl"), port=port)

    def on_a_board(self, *, parse: bool) -> None:
        """Be in the home directory of a board, whose `sudo` keeps what it is told."""
        self._at_home()
        release = self.directory / ".local" / "share" / "edgemnist" / "current"
        (release / "venv" / "bin").mkdir(parents=True)
        (release / "exports").symlink_to(self.directory / "exports")
        program = self.program("edgemnist", PARSE if parse else EDGEMNIST)
        shutil.copy(program, release / "venv" / "bin")
        self.program("sudo", SUDO)

    def _at_home(self) -> None:
        self.environment["HOME"] = str(self.directory)
        self.words["~/"] = f"{self.directory}/"

    def here(self, text: str) -> str:
        """Return a text of the book with what this machine is not: user `pi`, another port, a board's directory."""
        for there, here in self.words.items():
            text = text.replace(there, here)
        return text
