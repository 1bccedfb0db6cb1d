"""Folders of pictures as people have them become a data set, or a sentence says why not."""

import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from edgemnist.errors import DataError
from edgemnist.ground.console import _console
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.model.runtimes.onnxruntime import decode_labels
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.data.folders import INVERTED, MOST_NAMED
from edgemnist.pipeline.data.sources import read_dataset
from tests.messages import Told
from tests.notices import Listener

HIDDEN = [
    *("\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"),
    *("\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\x1b", "\x7f", "\x9b", "\x00"),
]
"""Unicode's Bidi_Control, breaks of a line or a paragraph, and what a terminal obeys."""


def write_pictures(root: Path, counts: dict[str, int], *, suffix: str = ".png") -> None:
    """Write pictures whose first pixel inside the border tells their class and number."""
    for index, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(picture(index, number)).save(root / name / f"{number}{suffix}")


def picture(index: int, number: int) -> npt.NDArray[np.uint8]:
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[10:18, 10:18] = 255
    pixels[5, 5:7] = 100 + index, number
    # No two are alike but for a pixel.
    pixels[20:24, 5:9] = (50 * index + number) % 256
    return pixels


def read(directory: Path, reporter: Reporter = SILENT) -> Dataset:
    return read_dataset(directory, reporter, prepare="digit")


def test_pictures_keep_their_pixels_and_their_class_and_a_fifth_of_each_evaluates(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"10": 10, "9": 20, "cat": 2})
    dataset = read(tmp_path)
    # Numbers are in their order, and before names.
    assert dataset.labels == ("9", "10", "cat")
    assert np.bincount(dataset.test.labels).tolist() == [4, 2, 1]
    assert np.bincount(dataset.train.labels).tolist() == [16, 8, 1]
    written = {0: 1, 1: 0, 2: 2}
    for split in (dataset.train, dataset.test):
        for image, label in zip(split.images, split.labels, strict=True):
            np.testing.assert_array_equal(image, picture(written[int(label)], int(image[5, 6])))
    together = np.concatenate([dataset.train.images, dataset.test.images]).reshape(32, -1)
    assert len(np.unique(together, axis=0)) == 32
    assert read(tmp_path).identity == dataset.identity


def test_train_and_test_folders_are_kept_apart_and_one_beside_them_is_ignored_and_named(tmp_path: Path) -> None:
    for name, classes in (("train", {"a": 6, "b": 5}), ("test", {"a": 2, "b": 1}), ("valid", {"a": 10, "b": 10})):
        write_pictures(tmp_path / name, classes)
    listener = Listener()
    dataset = read(tmp_path, listener)
    assert (len(dataset.train), len(dataset.test)) == (11, 3)
    assert "were ignored: valid" in listener.heard
    assert listener.updates[-1][0] == listener.totals[0] == 14


def test_jpeg_files_of_another_size_are_brought_to_the_conditions_of_mnist(tmp_path: Path) -> None:
    for name, level in (("dim", 120), ("bright", 255)):
        (tmp_path / name).mkdir()
        pixels = np.zeros((100, 100), dtype=np.uint8)
        pixels[30:70, 30:70] = level
        for number, suffix in enumerate((".jpg", ".JPEG")):
            Image.fromarray(pixels).save(tmp_path / name / f"{number}{suffix}")
    dataset = read(tmp_path)
    # Full intensity, in the box of 20×20.
    assert dataset.train.images.max(axis=(1, 2)).min() >= 250
    assert (dataset.train.images > 127).any(axis=1).sum(axis=1).tolist() == [20] * len(dataset.train)


def test_dark_on_light_is_turned_round_and_what_is_no_picture_ignored_and_both_are_said(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 4, "b": 4})
    for path in (tmp_path / "b").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / ".DS_Store").touch()
    for directory in ("b/more", "__MACOSX"):
        (tmp_path / directory).mkdir()
    listener = Listener()
    dataset = read(tmp_path, listener)
    assert len(dataset.train) + len(dataset.test) == 8
    assert all(image[0, 0] == 0 and image[14, 14] == 255 for image in dataset.train.images)
    assert f"{INVERTED} in 4 of the 8 pictures in {tmp_path}." in listener.messages
    assert "3 entries" in listener.heard


def test_folders_that_make_no_data_set_are_refused(tmp_path: Path, told: Told) -> None:
    several: list[tuple[dict[str, int] | None, dict[str, int] | None]] = [
        *((train, None) for train in ({}, {"a": 3}, {"a": 3, "b": 0}, {"a": 3, "b": 1})),
        *(({"a": 3, "b": 3}, test) for test in ({"a": 1, "b": 0}, {"a": 1, "c": 1})),
        (None, {"a": 3, "b": 3}),
    ]
    for number, (train, test) in enumerate(several):
        for name, counts in (("train", train), ("test", test)):
            if counts is not None:
                (tmp_path / str(number) / name).mkdir(parents=True)
                write_pictures(tmp_path / str(number) / name, counts)
        with told():
            read_dataset(tmp_path / str(number))


def shown(text: str) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    _console(stream).print(text)
    return raw.getvalue().decode()


def test_what_turns_a_line_is_refused_in_names_and_shown_as_unknown_elsewhere(tmp_path: Path) -> None:
    for character in HIDDEN:
        assert shown(f"seven{character}gnp.exe") == "seven\N{REPLACEMENT CHARACTER}gnp.exe\n"
        assert decode_labels(json.dumps(["a", f"b{character}"])) is None
        if character != "\x00":
            classes = tmp_path / str(ord(character))
            write_pictures(classes, {"cat": 1, f"dog{character}": 1})
            with pytest.raises(DataError, match="characters in its name that cannot be seen: 'dog\\\\"):
                read_dataset(classes)
    for name in ("café", "数字", "שבע", "a b"):
        assert shown(name) == f"{name}\n"
        assert decode_labels(json.dumps([name, "b"])) == [name, "b"]


ALIKE = {"red": (200, 60, 60), "green": (20, 133, 30), "blue": (82, 92, 220)}
"""Colours that have nearly the same grey level."""


def disc(colour: tuple[int, int, int], at: int) -> Image.Image:
    drawn = Image.new("RGB", (40, 40))
    ImageDraw.Draw(drawn).ellipse((at, at, at + 16, at + 18), fill=colour)
    return drawn


def folder(root: Path, classes: dict[str, tuple[int, int, int]], suffix: str = ".png") -> Path:
    for name, colour in classes.items():
        (root / name).mkdir(parents=True)
        for index in range(5):
            disc(colour, 4 + index).save(root / name / f"{index}{suffix}")
    return root


def test_all_pictures_that_cannot_be_read_are_named_and_skipped_if_asked(tmp_path: Path) -> None:
    whole = read(folder(tmp_path, ALIKE))
    contents = {
        "red/cut.png": (tmp_path / "red" / "0.png").read_bytes()[:60],
        "green/empty.jpg": b"",
        "green/text.png": b"no picture",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    Image.new("L", (40, 40), 255).save(tmp_path / "red" / "blank.png")
    disc(ALIKE["red"], 4).save(tmp_path / "blue" / "moves.png", save_all=True, append_images=[disc(ALIKE["blue"], 9)])
    listener = Listener()
    with pytest.raises(DataError, match=r"^5 of the 20 pictures in .* cannot be read$") as refused:
        read(tmp_path, listener)
    assert "--skip-broken" in refused.value.hint
    named = {message.split(" ")[0] for message in listener.messages}
    assert named == {str(tmp_path / name) for name in [*contents, "red/blank.png", "blue/moves.png"]}
    assert read_dataset(tmp_path, listener, prepare="digit", skip_broken=True).identity == whole.identity
    assert f"Skipped 5 of the 20 pictures in {tmp_path}." in listener.messages


def test_of_thousands_that_cannot_be_read_twenty_are_named_and_an_empty_class_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, ALIKE)
    for path in (tmp_path / "red").iterdir():
        path.write_bytes(b"")
    for index in range(MOST_NAMED - 4):
        (tmp_path / "red" / f"bad{index:02}.png").write_bytes(b"")
    listener = Listener()
    with pytest.raises(DataError, match=r"^21 of the 31 pictures"):
        read(tmp_path, listener)
    assert len(listener.messages) == MOST_NAMED + 1
    assert listener.messages[-1] == "1 more picture cannot be read."
    with pytest.raises(DataError, match="no picture of class red that can be read"):
        read_dataset(tmp_path, skip_broken=True)
