"""An emulated Raspberry Pi with the product installed in it, and artifacts to try on both sides."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import MNIST
from tests.needs import require

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = REPOSITORY / ".cache" / "pi"
SUITE = os.environ.get("SUITE", "")
"""Debian's release on the board, `bookworm` or `trixie`; this machine's own where nothing is said."""
MODELS = ("3", "4", "5")
"""Cortex-A53, -A72 and -A76; only the last has the int8 dot-product instructions."""

SERVER = "openssh-server openssh-sftp-server python3-venv ca-certificates"
"""What a Raspberry Pi OS has, and a deployment needs."""

CRASHED = re.compile(r"terminated with signal|is not opened: it makes the runtime \w+ crash|self-test crashed \(SIG")
"""What proot says of a process that crashed, and the product of a child that did."""

RunOnPi = Callable[..., subprocess.CompletedProcess[str]]


def run(command: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command of the host that has to work, and return its output."""
    done = subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def exports(shared_directory: Path) -> Path:
    """All artifacts of the classic network, made on this machine, and 2,000 images, or 1,000: an emulator is slow."""
    exports = shared_directory / "pi" / "exports"
    data = ["--data", str(MNIST)] if MNIST.is_dir() else []
    with FileLock(shared_directory / "pi.lock"):
        if not (exports / "golden.npz").exists():
            exports.parent.mkdir(exist_ok=True)
            for command in (["train", "--recipe", "baseline"], ["export", "--golden", "2000" if data else "1000"]):
                run([sys.executable, "-m", "edgemnist", *command, *data], cwd=exports.parent)
    return exports


@pytest.fixture(scope="session")
def wheel(shared_directory: Path) -> Path:
    """The product as it would be installed, without the engine that is compiled for this machine."""
    directory = shared_directory / "wheel"
    command: list[str | Path] = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory, "."]
    with FileLock(shared_directory / "wheel.lock"):
        if not directory.exists():
            run(command, cwd=REPOSITORY, env={**os.environ, "CC": "no-such-compiler"})
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="session")
def sysroot(wheel: Path, shared_directory: Path) -> Path:
    """An arm64 user space with `edgemnist[pi]`; what it stands on is kept for the next run, the product is not."""
    require("qemu")
    recipe = [HERE / "make-sysroot.sh", REPOSITORY / "constraints-light.txt", REPOSITORY / "pyproject.toml"]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest()[:12]
    directory = CACHE / (SUITE or "host")
    root = directory / f"sysroot-{key}"
    finished, installed = root / ".finished", shared_directory / "installed"
    with FileLock(shared_directory / "sysroot.lock"):
        if not finished.exists():
            shutil.rmtree(directory, ignore_errors=True)
            run(
                [HERE / "make-sysroot.sh", root, REPOSITORY / "constraints-light.txt", f"{wheel}[pi]"],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHON": sys.executable, "DEBS": SERVER},
            )
            finished.touch()
        if not installed.exists():
            packages = next(root.glob("usr/local/lib/python3.*/dist-packages"))
            for old in packages.glob("edgemnist*"):
                shutil.rmtree(old)
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(packages)
            installed.touch()
    return root


@pytest.fixture(scope="session")
def run_on_pi(sysroot: Path) -> RunOnPi:
    """Run a command on an emulated board: `run_on_pi("4", "python3", "-V", cwd=...)`."""

    def once(model: str, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HERE / "run-on-pi.sh", sysroot, *command],
            cwd=cwd,
            env={**os.environ, "PI_MODEL": model},
            check=False,
            capture_output=True,
            text=True,
        )

    def run_it(model: str, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        done = once(model, *command, cwd=cwd)
        # QEMU's user mode loses a race between threads once in a while, and the heap with it. What the product does
        # wrong, it does again.
        return once(model, *command, cwd=cwd) if CRASHED.search(done.stderr) else done

    return run_it
