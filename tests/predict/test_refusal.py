"""When a picture is one digit, none, or several."""

from typing import Any

import numpy as np
import pytest

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.predict.refusal import agreement, assess, verdict
from edgemnist.digits.read.likeness import shipped_network
from edgemnist.model.task import Assessment, Fitted

NONE = [0.0] * 10
SURE = [1.0] + [0.0] * 9


@pytest.mark.parametrize(
    ("likeness", "layout", "said"),
    [
        (SURE, {}, "digit"),
        ([0.0651] + [0.0] * 9, {}, "digit"),
        ([0.0649] + [0.0] * 9, {}, "no-digit"),
        # What the layout rules out is no digit, however sure the networks are.
        (SURE, {"crowded": True}, "no-digit"),
        (SURE, {"several": True}, "several"),
        (SURE, {"dotted": True}, "no-digit"),
        (SURE, {"aspect": 2.5}, "digit"),
        (SURE, {"aspect": 2.51}, "several"),
        # A single stroke is neither, however wide.
        (SURE, {"aspect": 3.0, "single": True}, "no-digit"),
        (NONE, {"aspect": 2.0, "single": True}, "no-digit"),
        (NONE, {"aspect": 1.3}, "no-digit"),
        (NONE, {"aspect": 1.31}, "several"),
        # Only what is crowded is a column of digits: a long stroke is not.
        (NONE, {"aspect": 0.39}, "no-digit"),
        (NONE, {"aspect": 0.39, "crowded": True}, "several"),
        (NONE, {"aspect": 0.4, "crowded": True}, "no-digit"),
    ],
)
def test_a_picture_is_one_digit_none_or_several(likeness: list[float], layout: dict[str, Any], said: str) -> None:
    assert verdict(Assessment(likeness=likeness, **layout), SURE) == said


def test_a_model_of_other_classes_has_no_verdict() -> None:
    assert verdict(None, [0.5, 0.5]) is verdict(Assessment(), [0.5, 0.5]) is None


def test_two_that_hesitate_between_the_same_digits_agree() -> None:
    assert agreement([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == pytest.approx(1)
    assert agreement([0.5, 0.5, 0.0], [0.0, 0.0, 1.0]) == 0
    # What the network gives to nothing at all is missing from the agreement.
    assert agreement([1.0, 0.0], [0.36, 0.0]) == pytest.approx(0.36)
    with pytest.raises(ValueError, match="shorter"):
        agreement([1.0, 0.0], [1.0])
    model = [0.6, 0.4] + [0.0] * 8
    assert verdict(Assessment(likeness=[0.1, 0.8] + [0.0] * 8), model) == "digit"
    assert verdict(Assessment(likeness=[0.0, 0.0, 1.0] + [0.0] * 7), model) == "no-digit"


def scribble(dots: int) -> Grey:
    """Return eight upright strokes that hang on one line, dark on light, uint8 [120, 120], with dots apart from it."""
    grey = np.full((120, 120), 255, np.uint8)
    for left in range(10, 106, 12):
        grey[20:100, left : left + 3] = 0
    grey[20:23, 10:106] = 0
    for dot in range(dots):
        grey[108:114, 20 + 40 * dot : 26 + 40 * dot] = 0
    return grey


def found(grey: Grey | None, box: tuple[int, int, int, int] = (10, 20, 96, 80), *, several: bool = False) -> Fitted:
    image = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    return Fitted(image, box, inverted=True, several=several, grey=grey)


def stroke(dots: int) -> Grey:
    """Return a dash, dark on light, uint8 [60, 120], with dots below it."""
    grey = np.full((60, 120), 255, np.uint8)
    grey[28:34, 10:110] = 0
    for dot in range(dots):
        grey[50:54, 60 + 20 * dot : 64 + 20 * dot] = 0
    return grey


def test_a_picture_is_assessed_by_its_ink_its_box_and_the_likeness_network() -> None:
    for dots, several in ((0, False), (1, False), (2, True)):
        assessment = assess(found(scribble(dots)))
        assert (assessment.crowded, assessment.several) == (True, several)
    assert [assess(found(stroke(dots))).single for dots in (0, 1)] == [True, False]
    alone = assess(found(None, (3, 4, 30, 40)))
    assert (alone.aspect, alone.crowded, alone.several) == (0.75, False, False)
    assert alone.likeness == shipped_network().digit_likeness(found(None).image[None])[0].tolist()
    assert assess(found(None, (3, 4, 30, 0))).aspect == 30
    assert assess(found(None, several=True)).several


def mark(dot: tuple[int, int, int, int], stroke: tuple[int, int, int, int] = (20, 55, 100, 65)) -> Grey:
    """Return a stroke and a dot, each from top and left to bottom and right, dark on light, uint8 [160, 120]."""
    grey = np.full((160, 120), 255, np.uint8)
    for top, left, bottom, right in (stroke, dot):
        grey[top:bottom, left:right] = 0
    return grey


@pytest.mark.parametrize(
    ("grey", "dotted"),
    [
        (mark((112, 55, 122, 65)), True),  # an exclamation mark
        (mark((130, 55, 140, 65)), True),
        (mark((60, 50, 75, 65), stroke=(106, 50, 130, 62)), True),  # a semicolon is mostly gap
        (mark((112, 80, 122, 90)), False),  # a one and a full stop
        (mark((130, 58, 132, 60)), False),  # a speck
        (mark((112, 40, 118, 80)), False),  # underlined
        (mark((150, 55, 160, 65)), False),  # of what stands below the picture
    ],
)
def test_a_dot_above_or_below_is_that_of_a_mark(grey: Grey, *, dotted: bool) -> None:
    assert assess(found(grey)).dotted == dotted
