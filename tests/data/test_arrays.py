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


BAD = {
    "a key that is missing": (held(a=NUMBERS, y=FOUR), "set.npz has no complete set of arrays, but a, y"),
    "no y_test": (held(**TRAIN, x_test=NUMBERS), "set of arrays, but x_test, x_train, y_train"),
    "labels of one part": (held(**TRAIN, x_test=NUMBERS), "set of arrays, but x_test, x_train, y_train"),
    "objects": (held(x=np.array([[1], [1, 2]], dtype=object), y=FOUR), "x in .*set.npz holds Python objects"),
    "objects as labels": (held(x=NUMBERS, y=WORDS.astype(object)), "y in .*set.npz holds Python objects"),
    "text": (held(x=WORDS[:, None], y=FOUR), "x in .* holds <U2, not numbers"),
    "complex": (held(x=NUMBERS + 1j, y=FOUR), "x in .* holds complex128, not numbers"),
    "a record": (held(x=np.zeros(4, "i4,f4"), y=FOUR), "x in .* not numbers"),
    "one dimension": (held(x=NUMBERS[:, 0], y=FOUR), r"x in .* has the shape \[20\]"),
    "six dimensions": (held(x=np.zeros((20, 1, 1, 1, 1, 1)), y=FOUR), "x in .* has the shape"),
    "no rows": (held(x=NUMBERS[:0], y=FOUR[:0]), r"x in .* is empty, of shape \[0, 5\]"),
    "no numbers": (held(x=NUMBERS[:, :0], y=FOUR), r"x in .* is empty, of shape \[20, 0\]"),
    "lengths": (held(x=NUMBERS, y=FOUR[1:]), "x in .* has 20 rows, and y in .* 19 labels"),
    "shapes of the parts": (held(**TRAIN, x_test=NUMBERS[:, 1:], y_test=FOUR), "rows of 5 .* rows of 4 numbers"),
    "kinds of the parts": (held(x_train=LEVELS, y_train=FOUR, x_test=GREY, y_test=FOUR), "8×6, .* rows of 6×8"),
    "NaN": (held(x=changed(NUMBERS, 7, np.nan), y=FOUR), r"x in .*, row 7, at \[0\], is nan"),
    "inf": (held(x=changed(NUMBERS, 7, -np.inf), y=FOUR), "row 7, .* is -inf"),
    "beyond float32": (held(x=changed(NUMBERS, 7, 1e300), y=FOUR), r"row 7, .* is 1e\+300"),
    "NaN in pictures": (held(x=changed(SHARES, 3, np.nan), y=FOUR), r"row 3, at \[0, 0, 0\], is nan"),
    "standardized pictures": (held(x=SHARES * 4 - 2, y=FOUR), "pictures, and pixels must be .*got -2 to 2"),
    "pictures beyond 255": (held(x=BYTES.astype(int) + 1, y=FOUR), "pictures, and pixels must be .*to 256"),
    "pictures of unknown white": (held(x=SHARES * 1.5, y=FOUR), "holds pictures of unknown white"),
    "a negative label": (held(x=NUMBERS, y=FOUR - 1), "y in .* is -1 in row 0"),
    "a label beyond int64": (held(x=NUMBERS, y=changed(FOUR.astype("u8"), 3, 2**64 - 1)), "18446744073709551615 in"),
    "a fraction as label": (held(x=NUMBERS, y=FOUR / 2), "y in .* is 0.5 in row 1"),
    "a label that is NaN": (held(x=NUMBERS, y=changed(FOUR.astype(float), 2, np.nan)), "y in .* is nan in row 2"),
    "labels in two columns": (held(x=NUMBERS, y=np.stack([FOUR, FOUR], 1)), r"y in .* has the shape \[20, 2\]"),
    "an empty class": (held(x=NUMBERS, y=np.eye(5)[FOUR]), "y in .* has no row of class 4"),
    "an empty name": (held(x=NUMBERS, y=changed(WORDS, 2, "")), "y in .* has no label, but ''"),
    "a name that cannot be seen": (held(x=NUMBERS, y=changed(WORDS, 2, "\u202e")), "has the label '.u202e'"),
    "one class": (held(x=NUMBERS, y=FOUR * 0 + 3), "set.npz has a single class, 3"),
    "one row of a class": (held(x=NUMBERS, y=changed(FOUR, 0, 7)), "Class 7 of .* has a single row"),
    "1,001 classes": (held(x=np.zeros((2002, 1)), y=np.arange(2002) % 1001), "has more than 1,000 classes"),
    "1,001 columns": (held(x=np.zeros((1001, 1)), y=np.eye(1001)), "has more than 1,000 classes"),
    "a class only in the test part": (held(**TRAIN, x_test=NUMBERS, y_test=FOUR + 1), "test part .* lacks: 4"),
    "too many numbers": (held(x=np.zeros((2, (1 << 20) + 1), "u1"), y=FOUR[:2]), "is too large at 2×1048577"),
    "a promise of 8 TB": (raw(b"(20, 5), }            ", b"(1000000, 1000000), } "), "too large at 1000000×1000000"),
    "a promise of more rows": (raw(b"(20, 5)", b"(21, 5)"), "x in .* promises 840 bytes, and 800 are there"),
    "a promise of fewer rows": (raw(b"(20, 5)", b"(19, 5)"), "x in .* promises 760 bytes, and more are there"),
    "another version": (raw(b"NUMPY\x01", b"NUMPY\x02"), "x in .* has a header of version 2"),
    "no header": (raw(b"\x93NUMPY", b"1, 2, 3"), "set.npz is damaged"),
    "a header of brackets": (raw(b"{'descr'", b"(((((((("), "set.npz is damaged"),
    "a cut archive": (damaged(slice(400, None), b""), "set.npz is damaged"),
    "a bit that flipped": (damaged(slice(300, 302), b"no"), "set.npz is damaged: Bad CRC-32"),
    "no archive": (lambda path: table(path, "PK").rename(path / "set.npz"), "set.npz is damaged"),
    "a directory": (lambda path: path, "is not a file"),
    "no file": (lambda path: path / "none.npz", "none.npz does not exist"),
    "a device": (lambda _: Path("/dev/zero"), "zero is not a file"),
    "another format": (lambda path: table(path, PLAIN).rename(path / "set.mat"), "set.mat is none of .npz"),
    "an empty table": (text(""), "set.csv has no two columns in line 1"),
    "a single column": (text("a\nb\n"), "set.csv has no two columns in line 1"),
    "a header only": (text("a,b,label\n"), "set.csv has a header, and no rows"),
    "a gap": (text("w,h,kind\n1,2,a\n3,,b\n"), "line 3, has no value in column h"),
    "a gap in words": (text("w,h,kind\n1,2,a\nNA,3,b\n"), "line 3, has no value in column w"),
    "a gap in line 1": (text("NA,NA,b\n1,2,a\n"), "line 1, has no value in column 1"),
    "text among numbers": (text("w,h,kind\n1,2,a\n3,tall,b\n"), "line 3, has 'tall', not a number, in column h"),
    "text behind the label": (text("label,w\na,1\nb,tall\n"), "line 3, has 'tall', not a number, in column w"),
    "decimal commas": (text("w;h;kind\n1,5;2;a\n"), "line 2, has '1,5', not a number"),
    "an underscore": (text("w,h,kind\n1_0,2,a\n"), "line 2, has '1_0', not a number"),
    "NaN in a table": (text("w,h,kind\n1,2,a\n\n3,nan,b\n"), "line 4, column h is nan"),
    "inf in a table": (text("w,h,kind\n1,-inf,a\n"), "line 2, column h is -inf"),
    "ragged": (text('w,"h\ncm",kind\n1,2,a\n1,2,3,a\n'), "line 4, has 4 columns, and 3 were before"),
    "short": (text("w,h,kind\n1,a\n"), "line 2, has 2 columns, and 3 were before"),
    "an open quote": (text('w,h,kind\n1,2,a\n1,2,"b\n'), "line 3, cannot be read: unexpected end of data"),
    "text behind a quote": (text('w,h,kind\n1,2,"a"b\n'), "line 2, cannot be read: ',' expected after '\"'"),
    "no label": (text("w,h,kind\n1,2,a\n1,2,\n"), "line 3, has no label, but ''"),
    "a label that is too long": (text(f"w,h,kind\n1,2,{'a' * 256}\n"), "line 2, has the label .* 256 characters"),
    "a hidden label": (text("w,h,kind\n1,2,a\x1b[2J\n"), r"line 2, has the label 'a.x1b\[2J'"),
    "fractions as labels": (text("w,h,y\n1,2,0.5\n1,2,1\n"), "has labels such as 0.5, which are no classes"),
    "1,001 labels": (text("w,y\n" + "".join(f"1,k{row}\n" for row in range(1001))), "line 1,002, has more than 1,000"),
    "an index": (text(",w,kind\n0,1,a\n"), "has no name for column 1 in its header"),
    "a name twice": (text("w,w,kind\n0,1,a\n"), "has two columns called w"),
    "one class in a table": (text("w,kind\n1,a\n2,a\n"), "set.csv has a single class, a"),
    "Latin-1": (text("w,kind\n1,a\n2,é\n".encode("latin-1")), "line 3, is not UTF-8"),
    "UTF-16": (text("w,kind\n1,a\n".encode("utf-16")), "line 1, is not UTF-8"),
    "a field of a megabyte": (text("w,kind\n1,a\n1," + "a" * 1_000_000), "line 3, cannot be read: field larger"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_one_sentence_says_what_is_wrong_and_where(bad: str, tmp_path: Path) -> None:
    write, message = BAD[bad]
    with pytest.raises(DataError, match=message) as caught:
        read_arrays(write(tmp_path))
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("limit", "most", "told"), [
    ("MOST_TEXT", 30, "has 31 bytes, and 30 is the limit"),
    ("MOST_LINE", 16, "line 3, is longer than 16 characters"),
    ("MOST_ROWS", 1, "line 3, is beyond the limits of 1 rows"),
    ("MOST_BYTES", 31, "line 3, is beyond the limits"),
])  # fmt: skip
def test_a_table_beyond_a_limit_is_refused(
    limit: str, most: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path, "w,h,kind\n1,2,a\n3,4,bbbbbbbbbbb\n"[:31])
    monkeypatch.setattr(arrays, limit, most)
    with pytest.raises(DataError, match=told):
        read_contents(path)
    monkeypatch.setattr(arrays, limit, most + 1)
    assert len(read_contents(path).train.inputs) == 2


def test_arrays_beyond_a_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path, x=NUMBERS, y=FOUR)
    for limit, most in (("MOST_BYTES", NUMBERS.nbytes + FOUR.nbytes), ("MOST_ROWS", 20), ("MOST_NUMBERS", 5)):
        monkeypatch.setattr(arrays, limit, most - 1)
        with pytest.raises(DataError, match="is too large at 20"):
            read(path)
        monkeypatch.setattr(arrays, limit, most)
        read(path)
