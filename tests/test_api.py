"""`import edgemnist`: what it offers, and that a picture goes in and a digit comes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgemnist
from edgemnist.errors import DataError, ImageError
from edgemnist.model.task import default_task
from tests.messages import Told
from tests.serve.service import png, seven


def test_everything_that_is_offered_is_listed_and_there() -> None:
    assert {"Exports", "load", "prepare", "__version__", "__name__", "__doc__"} <= set(dir(edgemnist))
    for name in edgemnist.__all__:
        assert getattr(edgemnist, name) is not None
    # And nothing else: what a session completes is what it can use.
    assert {name for name in dir(edgemnist) if not name.startswith("__")} == {"Exports", "load", "prepare"}
    with pytest.raises(AttributeError, match="'lood'"):
        _ = edgemnist.lood  # type: ignore[attr-defined]  # the typing error that is tested


def test_a_classifier_says_what_it_is() -> None:
    exports = edgemnist.Exports.open("reference")
    classifier = exports.load("tflite-int8@integer")
    artifact = exports.directory / exports.artifact("tflite-int8").record.file
    digits = ", ".join(repr(str(digit)) for digit in range(10))
    assert repr(classifier) == f"<IntegerClassifier of {artifact}, 10 classes: {digits}>"
    classifier.labels = tuple(f"sign {number}" for number in range(43))
    assert repr(classifier).endswith("'sign 8', …, 'sign 42'>")


def test_any_picture_of_a_digit_is_prepared_for_any_classifier(tmp_path: Path) -> None:
    picture = seven(mode="RGB")
    picture.save(tmp_path / "seven.png")
    classifier = edgemnist.Exports.open("reference").load()
    forms: list[Any] = [
        tmp_path / "seven.png",
        str(tmp_path / "seven.png"),
        png(picture),
        picture,
        np.asarray(picture.convert("L")),
        np.asarray(picture.convert("L")).tolist(),
        np.asarray(picture) / 255,
        np.asarray(picture.convert("RGBA")),
    ]
    prepared = [edgemnist.prepare(form) for form in forms]
    assert all(np.array_equal(one, prepared[0]) for one in prepared)
    assert prepared[0].shape == (28, 28)
    assert classifier.labels[classifier.predict(prepared[0])[0]] == "7"
    with pytest.raises(ImageError):
        edgemnist.prepare(Image.new("L", (100, 100), 255))


@pytest.mark.parametrize("given", ["digit.png", None, Path("digit.png")])
def test_a_path_in_the_place_of_pixels_is_told_as_one(given: object) -> None:
    with pytest.raises(ValueError, match=rf"pixels must be numbers, not {type(given).__name__}; edgemnist\.prepare"):
        default_task().input.check(given)  # type: ignore[arg-type]  # what a caller may give by mistake


def test_what_is_no_picture_is_told(told: Told) -> None:
    pictures: list[Any] = [
        *(5, None, [[1, 2], [3]]),
        *(np.zeros(shape, np.uint8) for shape in ((2, 28, 28, 3), (28, 28, 2), (0, 28))),
        *(np.full((40, 40), value) for value in (300, np.nan, "x")),
    ]
    for picture in pictures:
        with told():
            edgemnist.prepare(picture)


MASK = np.eye(28)


@pytest.mark.parametrize(
    ("numbers", "brightest"),
    [
        (MASK.astype(np.int64), 1),
        (MASK.astype(np.int64).tolist(), 1),
        (MASK, 1),
        (MASK.astype(np.float16), 1),
        # Hardly a level above black, or a picture of which half of white is not reached.
        (MASK * 0.4, 0.4),
        (MASK * 0.01, 0.01),
        # Shares that were resized beyond white, and another scale.
        (MASK * np.linspace(0, 1.001, 28), 1.001),
        (MASK * np.linspace(0, 16, 28), 16),
    ],
)
def test_numbers_that_may_be_shares_of_white_or_almost_black_are_asked_for(numbers: Any, brightest: float) -> None:
    for taken in (edgemnist.prepare, default_task().input.check):
        with pytest.raises(
            DataError, match=f"The brightest pixel is {brightest:g}, in .*: a share of white, or"
        ) as asked:
            taken(numbers)
        assert "numpy.uint8" in asked.value.hint


def test_numbers_that_can_be_nothing_else_are_taken_as_that() -> None:
    shares, dark = MASK * np.linspace(0, 1, 28), MASK * 2.0
    assert default_task().input.check(shares).max() == 255
    assert default_task().input.check(shares * 32).max() == 32
    assert default_task().input.check(np.stack([MASK, dark])).max() == 2
    assert default_task().input.check(MASK.astype(np.uint8)).max() == 1
    for black in (np.zeros((28, 28)), np.zeros((28, 28), np.int64)):
        assert default_task().input.check(black).max() == 0


def test_names_stand_beside_labels_for_one_image_for_a_list_and_for_fractions(old_exports: Path) -> None:
    classifier = edgemnist.Exports.open(old_exports).load()
    image = edgemnist.prepare(seven(mode="L"))
    forms: list[tuple[Any, int]] = [
        (image, 1),
        (image.tolist(), 1),
        ([image, image], 2),
        (image / 255, 1),
        (image.astype(np.float32), 1),
        (image.reshape(1, 784), 1),
    ]
    expected = classifier.predict_proba(image)
    for form, count in forms:
        # A model may name a digit as well by pixels that are all but black: the same numbers are the same pixels.
        assert np.array_equal(classifier.predict_proba(form), np.repeat(expected, count, axis=0))
        assert classifier.predict_names(form) == [classifier.labels[index] for index in classifier.predict(form)]
        assert classifier.predict_names(form) == ["7"] * count
    with pytest.raises(ValueError, match="between 0 and 255"):
        classifier.predict_names(image.astype(np.float32) + 1)


def test_names_are_those_of_the_classes(old_exports: Path) -> None:
    named = edgemnist.load(old_exports / "tflite-int8.tflite", labels=list("abcdefghij"))
    assert named.predict_names(edgemnist.prepare(seven(mode="L"))) == ["h"]
