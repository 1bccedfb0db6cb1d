"""What the tests share: the command line as users run it, and one set of real artifacts."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

from edgemnist.bench import process
from edgemnist.machine import usable_cpus
from tests.browser import browser
from tests.firefox import firefox
from tests.forking import FORKS_MEASURING
from tests.needs import pytest_itemcollected, pytest_runtest_setup, pytest_terminal_summary
from tests.processes import MEASURING, begin_forking, command_line, end_forking
from tests.programs import DATA

__all__ = ["browser", "firefox", "pytest_itemcollected", "pytest_runtest_setup", "pytest_terminal_summary"]

REPOSITORY = Path(__file__).parents[1]
MNIST = Path(DATA or "not-given").resolve()
"""The full MNIST; a test that reads it is marked with `needs("EDGEMNIST_DATA")`."""

LONGEST = ("test_frontier.py", "test_checkpoint.py", "test_kills.py", "test_blocks.py")
"""Files that take minutes. The first two train on their own, while one worker makes the artifacts for all others."""
LAST = "test_agreement.py"
"""A file of many short tests: whichever worker is done takes one, so that none is left alone with a long file."""
DIVIDED = {"test_kills.py", "test_blocks.py", LAST}
"""Those for which nothing is made that other files do not need: the workers share them."""

SLOW_FIXTURES = {
    "made_exports",
    "dataset",
    "browser",
    "firefox",
    "sshd",
    "fresh",
    "odd_models",
    "keras_model",
    "edgemnist",
}
"""What trains, converts, opens a browser, deploys over ssh, installs or starts the command line: a test that uses one
of these is slow."""
SLOW_MODULES = {"tf", "keras", "subprocess", "run_edgemnist", "serving"}
"""What a test module imports whose tests are slow: TensorFlow, or what starts processes."""
IMPORTS_TENSORFLOW = re.compile(r'^(import (keras|tensorflow)\b|pytest\.importorskip\("tensorflow"\))', re.MULTILINE)

# A shell that runs something in the background lets it ignore Ctrl-C, and nohup a terminal that closes, and so
# everything that is started from there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if os.name == "posix" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

Run = Callable[..., subprocess.CompletedProcess[str]]


def run_edgemnist(
    *arguments: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [*command_line(env), *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **(env or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with what takes longest, so that no worker is left alone with it at the end."""
    for item in items:
        imported = vars(getattr(item, "module", item))
        if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())) or SLOW_MODULES & imported.keys():
            item.add_marker("slow")
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
    """Do not import what `make test-fast` leaves out for importing TensorFlow, which takes seconds."""
    if "not slow" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    return bool(IMPORTS_TENSORFLOW.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_collection_finish() -> None:
    """Have garbage looked for among what tests make, and not among all that TensorFlow has made."""
    if "tensorflow" in sys.modules:
        gc.collect()
        gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was started, and make ready what mutmut forks for every mutant, once it has collected the tests."""
    end_forking()
    if config.option.collectonly and "MUTANT_UNDER_TEST" in os.environ:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf  # noqa: F401 - here it takes its seconds once
        from hypothesis import Phase, settings

        # That a fault is noticed is enough: nobody reads the smallest example.
        settings.register_profile("mutants", database=None, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")

        # Garbage collection in a child would copy all that it shares with the others.
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_settings(cache: Path) -> Iterator[None]:
    """Keep the tests, and what they share, away from the user's own cache and data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEMNIST_CACHE", str(cache))
        patch.delenv("EDGEMNIST_DATA", raising=False)
        patch.setenv(FORKS_MEASURING, "1")
        yield


@pytest.fixture(scope="module")
def measuring_starts() -> Iterator[None]:
    """Have what measures started as for a user, in a module that looks at its start, its memory or its end."""
    begin_forking()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_COMMAND", list(MEASURING))
        patch.delenv(FORKS_MEASURING)
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


@pytest.fixture(scope="session")
def made_exports(shared_directory: Path, cache: Path) -> Path:
    """All eight artifacts of a small network, made once by the product's own commands. Read only."""
    exports = shared_directory / "exports"
    # 5,000 images are what every machine has: no test may need a download.
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    with FileLock(shared_directory / "exports.lock"):
        if not (exports / "golden.npz").exists():
            for command in (["train", "--recipe", "baseline", "--hidden", "128", "--seed", "3"], ["export"]):
                done = run_edgemnist(*command, cwd=shared_directory, env=environment)
                assert done.returncode == 0, done.stderr
    return exports


@pytest.fixture(scope="session")
def exports_with_c(made_exports: Path, shared_directory: Path, cache: Path) -> Path:
    """The same with the C file, which has to be asked for. Read only."""
    exports = shared_directory / "with-c" / "exports"
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    with FileLock(shared_directory / "with-c.lock"):
        if not (exports / "c-int8.c").exists():
            shutil.copytree(made_exports, exports, dirs_exist_ok=True)
            done = run_edgemnist("export", "--format", "c", cwd=exports.parent, env=environment)
            assert done.returncode == 0, done.stderr
    return exports


@pytest.fixture(scope="session")
def every_export(exports_with_c: Path, shared_directory: Path, cache: Path) -> Path:
    """The same with the web page, which has to be asked for, too. Read only."""
    exports = shared_directory / "every" / "exports"
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    with FileLock(shared_directory / "every.lock"):
        if not (exports / "digit.html").exists():
            shutil.copytree(exports_with_c, exports, dirs_exist_ok=True)
            done = run_edgemnist("export", "--format", "web", cwd=exports.parent, env=environment)
            assert done.returncode == 0, done.stderr
    return exports


@pytest.fixture
def exports(made_exports: Path, tmp_path: Path) -> Path:
    """A copy of the artifacts, to break."""
    return Path(shutil.copytree(made_exports, tmp_path / "exports"))


OLD_EXPORTS = Path(__file__).parent / "exports" / "made_by_0.1.0"
"""An export directory that edgemnist 0.1.0 made: small, verified and measured, and free of any training."""


@pytest.fixture
def old_exports(tmp_path: Path) -> Path:
    """A copy of what edgemnist 0.1.0 exported, to break."""
    return Path(shutil.copytree(OLD_EXPORTS, tmp_path / "old"))


@pytest.fixture
def edgemnist(tmp_path: Path) -> Run:
    """Run the command line in an empty directory: `edgemnist("verify", "--json")`."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_edgemnist(*arguments, **{"cwd": tmp_path, **options})

    return run


@pytest.fixture
def edgemnist_json(edgemnist: Run) -> Callable[..., dict[str, Any]]:
    """Run a command that has to work, with `--json`, and return its document."""

    def run(*arguments: str | Path, **options: Any) -> dict[str, Any]:
        done = edgemnist(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    return run
