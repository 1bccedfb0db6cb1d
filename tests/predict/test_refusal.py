"""When a picture is one digit, none, or several."""

from __future__ import annotations

import numpy as np
import pytest

from edgemnist.images.grey import Grey
from edgemnist.native.fitting import Fitted
from edgemnist.predict.refusal import Assessment, agreement, assess, verdict
from edgemnist.read.likeness import shipped_network


def test_what_the_layout_rules_out_is_no_digit_however_sure_the_networks_are() -> None:
    sure = [1.0] + [0.0] * 9
    assert verdict(Assessment(likeness=sure), sure) == "digit"
    assert verdict(Assessment(likeness=sure, crowded=True), sure) == "no-digit"
    assert verdict(Assessment(likeness=sure, aspect=3), sure) == "several"
    assert verdict(Assessment(likeness=sure, several=True), sure) == "several"
    # A single stroke is neither, however wide.
    assert verdict(Assessment(likeness=sure, aspect=3, single=True), sure) == "no-digit"
    assert verdict(Assessment(likeness=NONE, aspect=2, single=True), sure) == "no-digit"


def test_a_digit_between_two_is_a_digit_and_what_the_two_see_differently_is_none() -> None:
    model = [0.6, 0.4] + [0.0] * 8
    assert verdict(Assessment(likeness=[0.1, 0.8] + [0.0] * 8), model) == "digit"
    assert verdict(Assessment(likeness=[0.0, 0.0, 1.0] + [0.0] * 7), model) == "no-digit"


def test_two_that_hesitate_between_the_same_digits_agree() -> None:
    both, three = [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]
    assert agreement(both, both) == pytest.approx(1)
    assert agreement(both, three) == 0
    # What the network gives to nothing at all is missing from the agreement.
    assert agreement([1.0, 0.0], [0.36, 0.0]) == pytest.approx(0.36)
    with pytest.raises(ValueError, match="shorter"):
        agreement([1.0, 0.0], [1.0])


def test_a_model_of_other_classes_has_no_verdict() -> None:
    assert verdict(None, [0.5, 0.5]) is None


NONE = [0.0] * 10


@pytest.mark.parametrize(
    ("likeness", "aspect", "crowded", "said"),
    [
        ([0.0651] + [0.0] * 9, 1.0, False, "digit"),
        ([0.0649] + [0.0] * 9, 1.0, False, "no-digit"),
        ([1.0] + [0.0] * 9, 2.5, False, "digit"),
        ([1.0] + [0.0] * 9, 2.51, False, "several"),
        (NONE, 1.3, False, "no-digit"),
        (NONE, 1.31, False, "several"),
        # Only what is crowded is a column of digits: a long stroke is not.
        (NONE, 0.39, False, "no-digit"),
        (NONE, 0.39, True, "several"),
        (NONE, 0.4, True, "no-digit"),
    ],
)
def test_what_is_no_digit_is_several_where_it_is_wide_or_a_column(
    likeness: list[float],
    aspect: float,
    crowded: bool,  # noqa: FBT001 - a parameter of the test
    said: str,
) -> None:
    assessment = Assessment(likeness=likeness, aspect=aspect, crowded=crowded)
    assert verdict(assessment, [1.0] + [0.0] * 9) == said


def test_a_model_of_other_classes_is_not_asked_for_digits() -> None:
    assert verdict(Assessment(), [0.5, 0.5]) is None


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


@pytest.mark.parametrize(("dots", "several"), [(0, False), (1, False), (2, True)])
def test_more_strokes_than_any_digit_has_are_a_crowd_and_several_with_other_pieces(dots: int, several: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assessment = assess(found(scribble(dots)))
    assert (assessment.crowded, assessment.several) == (True, several)


def test_a_picture_is_assessed_by_its_box_and_the_likeness_network() -> None:
    alone = assess(found(None, (3, 4, 30, 40)))
    assert (alone.aspect, alone.crowded, alone.several) == (0.75, False, False)
    assert alone.likeness == shipped_network().digit_likeness(found(None).image[None])[0].tolist()
    assert assess(found(None, (3, 4, 30, 0))).aspect == 30
    assert assess(found(None, several=True)).several


def test_a_stroke_with_nothing_beside_it_is_a_single_one() -> None:
    stroke = np.full((60, 120), 255, np.uint8)
    stroke[28:34, 10:110] = 0
    assert assess(found(stroke, (10, 28, 100, 6))).single
    stroke[50:54, 60:64] = 0
    assert not assess(found(stroke, (10, 28, 100, 26))).single


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
def test_a_dot_above_or_below_is_that_of_a_mark(grey: Grey, dotted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert assess(found(grey)).dotted == dotted
    sure = [0.0, 1.0] + [0.0] * 8
    assert verdict(Assessment(likeness=sure, dotted=dotted), sure) == ("no-digit" if dotted else "digit")
