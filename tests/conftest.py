"""What the tests share: the command line as users run it, and one set of real artifacts."""

import contextlib
import gc
import json
import os
import re
import shutil
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from edgemnist.board.machine import usable_cpus
from tests.browser import browser
from tests.command import Done, run
from tests.firefox import firefox
from tests.judged import judged_here
from tests.messages import told
from tests.needs import pytest_runtest_setup, pytest_terminal_summary
from tests.programs import DATA

__all__ = ["browser", "firefox", "pytest_runtest_setup", "pytest_terminal_summary", "told"]

REPOSITORY = Path(__file__).parents[1]
MNIST = Path(DATA or "not-given").resolve()
"""The full MNIST; a test that reads it is marked with `needs("EDGEMNIST_DATA")`."""

LONGEST = ("test_named.py", "test_kills.py", "test_blocks.py")
"""Files that take minutes, with which `make test-all` begins."""
LAST = "test_agreement.py"
"""A file of many short tests: whichever worker is done takes one, so that none is left alone with a long file."""
DIVIDED = {"test_kills.py", "test_faults.py", "test_hostile.py", "test_blocks.py", "test_c_file.py", LAST}
"""Those for which nothing is made that other files do not need: the workers share them."""

ALL_FIXTURES = {
    *("dataset", "keras_model", "with_keras", "exports_with_c", "every_export"),
    *("browser", "firefox", "sshd", "fresh", "site"),
}
"""What trains, converts, opens a browser, deploys over ssh or installs: a test that uses one of these is for
`make test-all`, and so is one that needs a program."""
FOR_ALL = re.compile(
    r'^(import (keras|tensorflow)\b|pytest\.importorskip\("tensorflow"\)|pytestmark = pytest\.mark\.all$)', re.MULTILINE
)
"""What a file has of which `make test` runs nothing."""

# A shell that runs something in the background lets it ignore Ctrl-C, and nohup a terminal that closes, and so
# everything that is started from there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if os.name == "posix" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

Run = Callable[..., Done]


@contextlib.contextmanager
def allocates_less_than(most: int) -> Iterator[None]:
    """Check how many bytes Python and NumPy hold at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


run_edgemnist = run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is for `make test-all`, and begin with what takes longest, so that no worker is left alone with it."""
    for item in items:
        assert isinstance(item, pytest.Function)
        imports = {*vars(item.module), *item.function.__code__.co_names} & {"tf", "keras", "tensorflow"}
        needs = ALL_FIXTURES.intersection(item.fixturenames) or item.get_closest_marker("needs")
        if imports or needs or item.get_closest_marker("nightly"):
            item.add_marker("all")
    order = {**{name: place for place, name in enumerate(LONGEST)}, LAST: len(LONGEST) + 1}
    items.sort(key=lambda item: order.get(item.path.name, len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` stands for: one more than processors, since each waits now and then."""
    return min(len(usable_cpus()), 7) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile` the tests of a file stay with one worker, but for those of a divided one."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    scheduling = LoadFileScheduling(config, log)
    file_of = scheduling._split_scope
    scheduling._split_scope = lambda nodeid: nodeid if Path(file_of(nodeid)).name in DIVIDED else file_of(nodeid)
    return scheduling


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import, which takes seconds, what `make test` runs nothing of."""
    if "not all" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return bool(FOR_ALL.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_collection_finish() -> None:
    """Have garbage looked for among what tests make, and not among all that TensorFlow has made."""
    if "tensorflow" in sys.modules:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_settings(cache: Path) -> Iterator[None]:
    """Keep the tests, and what they share, away from the user's own cache and data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEMNIST_CACHE", str(cache))
        patch.delenv("EDGEMNIST_DATA", raising=False)
        yield


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of a parallel run see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cache(shared_directory: Path) -> Path:
    """Where the tests cache the embedded images."""
    return shared_directory / "cache"


MADE_EXPORTS = Path(__file__).parent / "exports" / "made"
"""All seven artifacts of a small network, made from the 5,000 images that every machine has, with the product's own
commands, `MAKING_EXPORTS`, so that hardly a test has to train."""
MAKING_EXPORTS = (
    "train --recipe baseline --hidden 128 --seed 3 --offline",
    "export --quantize int8 --quantize dynamic --quantize float16 --quantize float32 --offline",
)
ANOTHER_SEED = Path(__file__).parent / "exports" / "another_seed"
"""An artifact made in the same way with `--hidden 16 --seed 4`: a good one, of another model."""


@pytest.fixture(scope="session")
def made_exports(shared_directory: Path) -> Path:
    """A copy of `MADE_EXPORTS` that all tests share. Read only."""
    exports = shared_directory / "exports"
    with FileLock(shared_directory / "exports.lock"):
        if not exports.exists():
            shutil.copytree(MADE_EXPORTS, exports)
    return exports


def export_more(made: Path, exports: Path, kind: str, cache: Path) -> Path:
    """Copy an export directory, once for all workers, and export another format there."""
    with FileLock(exports.with_suffix(".lock")):
        if not exports.exists():
            new = Path(shutil.copytree(made, exports.with_suffix(".new") / "exports", dirs_exist_ok=True))
            environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
            done = run_edgemnist("export", "--format", kind, cwd=new.parent, env=environment)
            assert done.returncode == 0, done.stderr
            new.rename(exports)
    return exports


@pytest.fixture(scope="session")
def exports_with_c(made_exports: Path, shared_directory: Path, cache: Path) -> Path:
    """The same with the C file, which has to be asked for. Read only."""
    return export_more(made_exports, shared_directory / "with-c", "c", cache)


@pytest.fixture(scope="session")
def every_export(exports_with_c: Path, shared_directory: Path, cache: Path) -> Path:
    """The same with the web page, which has to be asked for, too. Read only."""
    return export_more(exports_with_c, shared_directory / "every", "web", cache)


@pytest.fixture
def exports(made_exports: Path, tmp_path: Path) -> Path:
    """A copy of the artifacts, to break."""
    return Path(shutil.copytree(made_exports, tmp_path / "exports"))


OLD_EXPORTS = Path(__file__).parent / "exports" / "made_by_0.1.0"
"""An export directory that edgemnist 0.1.0 made: small, verified and measured, and free of any training."""


@pytest.fixture
def old_exports(tmp_path: Path) -> Path:
    """A copy of what edgemnist 0.1.0 exported, verified and measured as if here and now, to break."""
    return judged_here(Path(shutil.copytree(OLD_EXPORTS, tmp_path / "old")))


@pytest.fixture
def edgemnist(tmp_path: Path) -> Run:
    """Run the command line in an empty directory: `edgemnist("verify", "--json")`."""

    def started(*arguments: str | Path, **options: Any) -> Done:
        return run_edgemnist(*arguments, **{"cwd": tmp_path, **options})

    return started


@pytest.fixture
def edgemnist_json(edgemnist: Run) -> Callable[..., dict[str, Any]]:
    """Run a command that has to work, with `--json`, and return its document."""

    def run(*arguments: str | Path, **options: Any) -> dict[str, Any]:
        done = edgemnist(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    return run
