"""A server, boards and bundles that the tests of a deployment share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from edgemnist.fleet.deploy.run import LocalBundle
from tests.deploy.bundles import bundled, of_another_model, request_for, small_exports
from tests.deploy.loopback import LoopbackBoard, Sshd, run_agent
from tests.needs import require


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    require("sshd")
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.kill_sessions()
    server.stop()


@pytest.fixture(scope="session")
def old_bundle(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """What serves before."""
    return bundled(small_exports(made_exports, tmp_path_factory.mktemp("bundles") / "old", ["tflite-int8"]))


@pytest.fixture(scope="session")
def new_bundle(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """What is to serve afterwards."""
    names = ["tflite-int8", "tflite-dynamic"]
    return bundled(small_exports(made_exports, tmp_path_factory.mktemp("bundles") / "new", names))


@pytest.fixture(scope="session")
def bad_bundle(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalBundle:
    """One whose artifact belongs to another model than its golden pack."""
    target = tmp_path_factory.mktemp("bundles") / "bad"
    return bundled(small_exports(made_exports, target, ["tflite-int8"], change=of_another_model))


@pytest.fixture(scope="session")
def installed(shared_directory: Path, old_bundle: LocalBundle) -> Path:
    """The virtual environments of a board, installed once for all boards of all workers by a deployment."""
    seed = shared_directory / "seed"
    with FileLock(shared_directory / "seed.lock"):
        if not (seed / "current").exists():
            put_bundle(seed, old_bundle)
            answer = run_agent(seed, "apply", request_for(old_bundle, timeout_s=600.0))
            assert answer.get("status") == "deployed", answer
    return seed / "venvs"


def put_bundle(root: Path, bundle: LocalBundle) -> None:
    """Lay a bundle where a transfer would have put it."""
    (root / "incoming").mkdir(parents=True, exist_ok=True)
    shutil.copy(bundle.path, root / "incoming" / bundle.sha256)


@pytest.fixture
def new_board(sshd: Sshd, installed: Path, tmp_path: Path) -> Callable[[str], LoopbackBoard]:
    """Set up an empty board, in which only the packages are installed already: `new_board("board1")`."""
    config = sshd.client_config(tmp_path / "ssh_config")

    def make(name: str) -> LoopbackBoard:
        root = tmp_path / name / "edgemnist"
        root.mkdir(parents=True)
        (root / "venvs").symlink_to(installed)
        return LoopbackBoard(name, root, config)

    return make


@pytest.fixture
def board(new_board: Callable[[str], LoopbackBoard], installed: Path) -> LoopbackBoard:
    """A board that serves the old bundle, as its deployment left the first one."""
    made = new_board("board")
    others = shutil.ignore_patterns(installed.name)
    shutil.copytree(installed.parent, made.root, symlinks=True, ignore=others, dirs_exist_ok=True)
    return made


@pytest.fixture
def old(old_bundle: LocalBundle) -> str:
    """How the old release is told: its identity, shortened."""
    return old_bundle.record.identity()[:12]


@pytest.fixture
def new(new_bundle: LocalBundle) -> str:
    return new_bundle.record.identity()[:12]
