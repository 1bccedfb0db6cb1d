"""Arrays and tables as people have them become a data set, or one sentence says what is wrong, and where."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import DataError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import task_named
from edgemnist.pipeline.data import arrays
from edgemnist.pipeline.data.arrays import read_arrays, read_contents
from edgemnist.pipeline.data.dataset import Dataset, describe, numbers_of
from tests.messages import Told
from tests.notices import Listener

RANDOM = np.random.default_rng(5)
NUMBERS = RANDOM.normal(size=(20, 5))
BYTES = RANDOM.integers(0, 256, (20, 6, 8, 3), dtype=np.uint8)
FOUR = np.arange(20) % 4
WORDS = np.array(["b", "10", "9", "a"])[FOUR]
TRAIN = {"x_train": NUMBERS, "y_train": FOUR}


def npz(path: Path, **members: Any) -> Path:
    np.savez(path / "set.npz", **members)
    return path / "set.npz"


def table(path: Path, text: str | bytes) -> Path:
    (path / "set.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return path / "set.csv"


def read(path: Path, **options: Any) -> tuple[Dataset, Listener]:
    listener = Listener()
    return read_arrays(path, listener, **options), listener


def together(dataset: Dataset) -> dict[bytes, str]:
    """Return the class of each row, wherever it went."""
    splits = (dataset.train, dataset.test)
    images = [image.tobytes() for split in splits for image in split.images]
    assert len(set(images)) == len(images)
    return dict(zip(images, [dataset.labels[label] for split in splits for label in split.labels], strict=True))


LEVELS = BYTES[..., 0]
SHARES = BYTES.astype(np.float64) / 255
GREY = SHARES[..., 0]
TAKEN = {
    "colour": (BYTES, BYTES, "20 pictures of 8×6 in colour"),
    "channels first": (BYTES.transpose(0, 3, 1, 2), BYTES, "20 pictures of 8×6 in colour"),
    "three rows": (BYTES[:, :3], BYTES[:, :3], "20 pictures of 8×3 in colour"),
    "with opacity": (np.dstack([BYTES[..., :1]] * 4).reshape(20, 6, 8, 4), None, "20 pictures of 8×6 with opacity"),
    "grey": (LEVELS, LEVELS, "20 pictures of 8×6."),
    "grey with an axis": (LEVELS[..., None], LEVELS, "20 pictures of 8×6."),
    "grey with the axis first": (LEVELS[:, None], LEVELS, "20 pictures of 8×6."),
    "int64": (LEVELS.astype(np.int64), LEVELS, "20 pictures of 8×6."),
    "by columns": (np.asfortranarray(LEVELS), LEVELS, "20 pictures of 8×6."),
    "shares": (SHARES, BYTES, "20 pictures of 8×6 in colour"),
    "big-endian shares": (SHARES.astype(">f4"), BYTES, "20 pictures of 8×6 in colour"),
    "floats to 255": (BYTES.astype(np.float32), BYTES, "20 pictures of 8×6 in colour"),
    "numbers": (NUMBERS, NUMBERS.astype(np.float32), "20 rows of 5 numbers"),
    "bytes in a row": (LEVELS[:, 0], LEVELS[:, 0].astype(np.float32), "20 rows of 8 numbers"),
    "two channels": (BYTES[..., :2], BYTES[..., :2].astype(np.float32), "20 rows of 6×8×2 numbers"),
    "a spectrogram": (SHARES[..., :1], GREY.astype(np.float32), "20 rows of 6×8 numbers"),
    "small integers": (LEVELS.astype(np.int16) // 16, (LEVELS // 16).astype(np.float32), "20 rows of 6×8 numbers"),
    "beyond 255": (LEVELS.astype(np.int16) + 9, (LEVELS + np.float32(9)), "20 rows of 6×8 numbers"),
    "signed": (LEVELS.astype(np.int16) - 9, (LEVELS - np.float32(9)), "20 rows of 6×8 numbers"),
    "bool": (np.eye(20) > 0, np.eye(20, dtype=np.float32), "20 rows of 20 numbers"),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_arrays_become_pictures_or_numbers_and_which_is_told(taken: str, tmp_path: Path) -> None:
    given, expected, told = TAKEN[taken]
    dataset, listener = read(npz(tmp_path, x=given, y=WORDS))
    assert dataset.labels == ("9", "10", "a", "b")
    assert np.bincount(dataset.test.labels).tolist() == [1, 1, 1, 1]
    assert len(dataset.train) == 16
    assert told in listener.heard
    assert f"{tmp_path / 'set.npz'} has no test part: 20 % of each class, 4 of 20, are kept" in listener.heard
    if expected is not None:
        assert dataset.train.images.dtype == expected.dtype
        assert dataset.train.images.shape[1:] == expected.shape[1:]
        assert together(dataset) == {row.tobytes(): word for row, word in zip(expected, WORDS, strict=True)}
    again, _ = read(tmp_path / "set.npz")
    assert again.identity == dataset.identity


def test_a_caller_who_knows_says_whether_arrays_are_pictures(tmp_path: Path) -> None:
    path = npz(tmp_path, x=GREY, y=FOUR)
    assert read(path)[0].train.images.dtype == np.float32
    assert read(path, task=task_named("pictures", InputSpec(shape=(6, 8))))[0].train.images.dtype == np.uint8
    numbers = task_named("numbers", numbers_of((6, 8, 3)))
    dataset, _ = read(npz(tmp_path, x=BYTES, y=FOUR), task=numbers)
    assert dataset.train.images.dtype == np.float32
    assert dataset.task == numbers
    for task, held in ((numbers, NUMBERS), (task_named("pictures", InputSpec(shape=(6, 8))), NUMBERS)):
        with pytest.raises(DataError, match=r"holds rows of 5 numbers, not (6×8×3 numbers|8×6 images): "):
            read(npz(tmp_path, x=held, y=FOUR), task=task)


def test_inputs_without_labels_are_a_data_set_whose_labels_nobody_may_ask_for(tmp_path: Path) -> None:
    dataset, listener = read(npz(tmp_path, x=NUMBERS))
    assert (len(dataset.train), len(dataset.test), dataset.labels) == (16, 4, ())
    assert "20 % of all, 4 of 20, are kept" in listener.heard
    assert len(set(dataset.train.spread(7, seed=1).tolist())) == 7
    assert describe(dataset).train.per_class == {}
    with pytest.raises(DataError, match="16 rows of the data set have no labels"):
        _ = dataset.train.labels
    # Of a model that answers with numbers, labels are not even read.
    numbers = msgspec.structs.replace(task_named("numbers", numbers_of((5,))), answers="numbers")
    assert read(npz(tmp_path, x=NUMBERS, y=FOUR / 2), task=numbers)[0].train.truth is None
    path = table(tmp_path, "".join(f"{row},1,2,3,4,0.5\n" for row in range(5)))
    assert read(path, task=numbers)[0].train.images.shape == (4, 5)
    path = table(tmp_path, "".join(f"{row}.5,1,2,3,4\n" for row in range(5)))
    assert read(path, task=numbers)[0].train.images.shape == (4, 5)


def test_rows_of_a_table_are_pictures_where_their_shape_is_given(tmp_path: Path) -> None:
    rows = ["label," + ",".join(f"p{pixel}" for pixel in range(48))]
    rows += [f"{label}," + ",".join(map(str, image.ravel())) for label, image in zip(FOUR, LEVELS, strict=True)]
    path = table(tmp_path, "\n".join(rows))
    assert read(path)[0].task.input == numbers_of((48,))
    dataset, listener = read(path, shape=(6, 8))
    assert dataset.task.input == InputSpec(shape=(6, 8))
    assert together(dataset) == together(read(npz(tmp_path, x=LEVELS, y=FOUR))[0])
    assert "20 pictures of 8×6." in listener.heard


@pytest.mark.parametrize("labels", [
    FOUR, FOUR[:, None], FOUR.astype(np.uint8), FOUR.astype(float), np.eye(4)[FOUR], np.eye(4)[FOUR] > 0,
    np.array([b"0", b"1", b"2", b"3"])[FOUR], np.array([" 0", "1 ", "2", "3"])[FOUR],
], ids=["int64", "a column", "uint8", "whole floats", "one-hot", "one-hot bool", "bytes", "spaces"])  # fmt: skip
def test_labels_of_any_form_are_the_same_classes(labels: np.ndarray, tmp_path: Path) -> None:
    some = labels[[2, 3, 3, 2]]
    dataset, listener = read(npz(tmp_path, X_train=NUMBERS, Y_train=labels, X_test=NUMBERS[:4], Y_test=some, more=1))
    assert f"Arrays of {tmp_path / 'set.npz'} were ignored: more" in listener.messages
    assert dataset.labels == ("0", "1", "2", "3")
    assert dataset.train.labels.tolist() == FOUR.tolist()
    assert dataset.test.labels.tolist() == [2, 3, 3, 2]
    np.testing.assert_array_equal(dataset.test.images, NUMBERS[:4].astype(np.float32))


@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("x", "labels"), ("x_train", "y_train"), ("X_1", "y_1"), ("a", "a_labels")]
)
def test_an_npy_finds_its_labels_beside_it(x: str, y: str, tmp_path: Path) -> None:
    np.save(tmp_path / f"{x}.npy", NUMBERS)
    np.save(tmp_path / "other.npy", FOUR)
    contents = read_contents(tmp_path / f"{x}.npy")
    assert contents.train.labels is None
    np.save(tmp_path / f"{y}.npy", FOUR)
    if y != "labels":
        np.save(tmp_path / "labels.npy", FOUR[1:])
    assert read(tmp_path / f"{x}.npy")[0].labels == ("0", "1", "2", "3")


PLAIN = "1.5,2,cat\n-1,1e3,dog\n" * 5


@pytest.mark.parametrize(("text", "columns", "told"), [
    ("w,h,kind\n" + PLAIN, ("w", "h"), "commas between the columns and a header; the labels are in column kind"),
    (PLAIN, ("1", "2"), "no header; the labels are in column 3, the last"),
    ("\ufeff" + PLAIN.replace(",", ";"), ("1", "2"), "with semicolons"),
    (PLAIN.replace(",", "\t").replace("\n", "\r\n"), ("1", "2"), "with tabs"),
    ("Y,w,h\n" + "cat,1.5,2\ndog,-1,1e3\n\n" * 5, ("w", "h"), "a header; the labels are in column Y."),
    ("w,class,label\n" + "1.5,2,cat\n-1,1e3,dog\n" * 5, ("w", "class"), "in column label, the last"),
    ('"w\r\n1","h ""2""",kind\n' + '"1.5", 2 ,"cat"\n-1,1e3,dog\n' * 5, ("w\r\n1", 'h "2"'), "a header"),
    (PLAIN.replace("cat", "y").replace("dog", "n"), ("1", "2"), "and no header"),
], ids=["header", "none", "semicolons", "tabs", "first column", "two names", "quotes", "y and n"])  # fmt: skip
def test_a_table_is_read_and_how_is_told(text: str, columns: tuple[str, ...], told: str, tmp_path: Path) -> None:
    path = table(tmp_path, text)
    contents = read_contents(path, listener := Listener())
    assert contents.columns == columns
    assert told in listener.heard
    assert contents.train.inputs.tolist() == [[1.5, 2.0], [-1.0, 1000.0]] * 5
    assert contents.train.labels is not None
    names = [contents.train.names[label] for label in contents.train.labels]
    assert names in (["cat", "dog"] * 5, ["y", "n"] * 5)
    dataset, _ = read(path)
    assert (len(dataset.train), np.bincount(dataset.test.labels).tolist()) == (8, [1, 1])


def test_names_of_columns_that_only_count_are_a_header(tmp_path: Path) -> None:
    for header in ("0,1,2,label\n", "0,1,2,3\n", "1,2,3,y\n"):
        assert len(read_contents(table(tmp_path, header + "5,6,7,0\n5,6,8,1\n")).train.inputs) == 2
    for row in ("0,1,0\n", "1,2,y\n"):
        assert len(read_contents(table(tmp_path, row + "5,6,0\n5,7,1\n")).train.inputs) == 3


def test_whole_numbers_that_float32_rounds_are_told(tmp_path: Path) -> None:
    _, listener = read(table(tmp_path, "time,kind\n" + "1700000001,a\n5,b\n" * 5))
    assert "line 2, column time is 1,700,000,001: beyond 16,777,216" in listener.heard


@pytest.mark.parametrize(("rows", "is_told"), [(9, False), (10, True), (11, True)])
def test_a_column_that_counts_the_rows_is_told(rows: int, is_told: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    order = [*range(1, rows), 0]
    lines = [f"{at + 7},{at // 2},{'ab'[at % 2]}" for at in order]
    _, listener = read(table(tmp_path, "\n".join(["id,heat,kind", *lines])))
    assert ("may tell the class: id." in listener.heard) == is_told


Write = Callable[[Path], Path]


def held(**members: Any) -> Write:
    return lambda path: npz(path, **members)


def text(content: str | bytes) -> Write:
    return lambda path: table(path, content)


def changed(values: np.ndarray, row: int, value: object) -> np.ndarray:
    copy = values.copy()
    copy[row] = value
    return copy


def raw(old: bytes, new: bytes) -> Write:
    """Write an `.npz` whose x has other bytes than NumPy writes."""

    def write(path: Path) -> Path:
        np.save(file := io.BytesIO(), NUMBERS)
        with zipfile.ZipFile(npz(path, y=FOUR), "a") as archive:
            assert old in file.getvalue()
            archive.writestr("x.npy", file.getvalue().replace(old, new))
        return path / "set.npz"

    return write


def damaged(old: slice, new: bytes) -> Write:
    def write(path: Path) -> Path:
        data = bytearray(npz(path, x=NUMBERS, y=FOUR).read_bytes())
        data[old] = new
        (path / "set.npz").write_bytes(data)
        return path / "set.npz"

    return write


BAD: list[Write] = [
    # Arrays that are missing, of objects, of no numbers, or of other shapes.
    *(held(a=NUMBERS, y=FOUR), held(**TRAIN, x_test=NUMBERS)),
    *(held(x=x, y=FOUR) for x in (
        *(np.array([[1], [1, 2]], dtype=object), WORDS[:, None], NUMBERS + 1j, np.zeros(4, "i4,f4"), NUMBERS[:, 0]),
        *(np.zeros((20, 1, 1, 1, 1, 1)), NUMBERS[:, :0]),
    )),
    *(held(x=NUMBERS[:0], y=FOUR[:0]), held(x=NUMBERS, y=FOUR[1:])),
    held(**TRAIN, x_test=NUMBERS[:, 1:], y_test=FOUR),
    held(x_train=LEVELS, y_train=FOUR, x_test=GREY, y_test=FOUR),
    # Values that are none, or no pixels.
    *(held(x=changed(NUMBERS, 7, value), y=FOUR) for value in (np.nan, -np.inf, 1e300)),
    held(x=changed(SHARES, 3, np.nan), y=FOUR),
    *(held(x=x, y=FOUR) for x in (SHARES * 4 - 2, BYTES.astype(int) + 1, SHARES * 1.5)),
    # Labels that are none.
    *(held(x=NUMBERS, y=y) for y in (
        *(WORDS.astype(object), FOUR - 1, changed(FOUR.astype("u8"), 3, 2**64 - 1), FOUR / 2),
        *(changed(FOUR.astype(float), 2, np.nan), np.stack([FOUR, FOUR], 1), np.eye(5)[FOUR], changed(WORDS, 2, "")),
        *(changed(WORDS, 2, "\u202e"), FOUR * 0 + 3, changed(FOUR, 0, 7)),
    )),
    *(held(x=np.zeros((2002, 1)), y=np.arange(2002) % 1001), held(x=np.zeros((1001, 1)), y=np.eye(1001))),
    held(**TRAIN, x_test=NUMBERS, y_test=FOUR + 1),
    # Promises that are not kept, and damage.
    held(x=np.zeros((2, (1 << 20) + 1), "u1"), y=FOUR[:2]),
    raw(b"(20, 5), }            ", b"(1000000, 1000000), } "),
    *(raw(b"(20, 5)", other) for other in (b"(21, 5)", b"(19, 5)")),
    *(raw(b"NUMPY\x01", b"NUMPY\x02"), raw(b"\x93NUMPY", b"1, 2, 3"), raw(b"{'descr'", b"((((((((")),
    *(damaged(slice(400, None), b""), damaged(slice(300, 302), b"no")),
    *(lambda path: table(path, "PK").rename(path / "set.npz"), lambda path: path, lambda path: path / "none.npz"),
    *(lambda _: Path("/dev/zero"), lambda path: table(path, PLAIN).rename(path / "set.mat")),
    # Tables: without rows, with gaps, of text, ragged, without labels, and in another encoding.
    *(text(content) for content in (
        *("", "a\nb\n", "a,b,label\n"),
        *("w,h,kind\n1,2,a\n3,,b\n", "w,h,kind\n1,2,a\nNA,3,b\n", "NA,NA,b\n1,2,a\n"),
        *("w,h,kind\n1,2,a\n3,tall,b\n", "label,w\na,1\nb,tall\n", "w;h;kind\n1,5;2;a\n", "w,h,kind\n1_0,2,a\n"),
        *("w,h,kind\n1,2,a\n\n3,nan,b\n", "w,h,kind\n1,-inf,a\n"),
        *('w,"h\ncm",kind\n1,2,a\n1,2,3,a\n', "w,h,kind\n1,a\n", 'w,h,kind\n1,2,a\n1,2,"b\n', 'w,h,kind\n1,2,"a"b\n'),
        *("w,h,kind\n1,2,a\n1,2,\n", f"w,h,kind\n1,2,{'a' * 256}\n", "w,h,kind\n1,2,a\x1b[2J\n"),
        "w,h,y\n1,2,0.5\n1,2,1\n",
        *("w,y\n" + "".join(f"1,k{row}\n" for row in range(1001)), ",w,kind\n0,1,a\n", "w,w,kind\n0,1,a\n"),
        *("w,kind\n1,a\n2,a\n", "w,kind\n1,a\n2,é\n".encode("latin-1"), "w,kind\n1,a\n".encode("utf-16")),
        "w,kind\n1,a\n1," + "a" * 1_000_000,
    )),
]  # fmt: skip


def test_one_sentence_says_what_is_wrong_and_where(tmp_path: Path, told: Told) -> None:
    for number, write in enumerate(BAD):
        (place := tmp_path / str(number)).mkdir()
        with told():
            read_arrays(write(place))
    assert [line for line in told.heard if "\n" in line] == []


def test_a_table_beyond_a_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    path = table(tmp_path, "w,h,kind\n1,2,a\n3,4,bbbbbbbbbbb\n"[:31])
    for limit, most in (("MOST_TEXT", 30), ("MOST_LINE", 16), ("MOST_ROWS", 1), ("MOST_BYTES", 31)):
        with monkeypatch.context() as patch:
            patch.setattr(arrays, limit, most)
            with told():
                read_contents(path)
            patch.setattr(arrays, limit, most + 1)
            assert len(read_contents(path).train.inputs) == 2


def test_arrays_beyond_a_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path, x=NUMBERS, y=FOUR)
    for limit, most in (("MOST_BYTES", NUMBERS.nbytes + FOUR.nbytes), ("MOST_ROWS", 20), ("MOST_NUMBERS", 5)):
        monkeypatch.setattr(arrays, limit, most - 1)
        with pytest.raises(DataError, match="is too large at 20"):
            read(path)
        monkeypatch.setattr(arrays, limit, most)
        read(path)
