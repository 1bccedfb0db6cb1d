"""Pieces of ink become digits: what stands side by side stays two, what is broken becomes one."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.vision.refuse import print_page
from edgemnist.digits.images.find import bounds
from edgemnist.digits.read.find import is_in_field
from edgemnist.digits.read.page import read_page
from edgemnist.digits.read.piece import Piece, Pieces
from edgemnist.digits.read.recognize import SIDE_BY_SIDE, TALL, Recognizer
from edgemnist.model.runtimes.interface import Classifier
from tools.likeness.page import Digits
from tools.likeness.strokes import print_text

HEIGHT = 20


def cut(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    found = bounds(image > 0)
    assert found is not None
    top, left, bottom, right = found
    return image[top:bottom, left:right]


def test_two_tall_digits_side_by_side_are_never_read_as_one(digits: Digits, classifier: Classifier) -> None:
    wide = 0
    for one, other in zip(digits.images[:2000:2], digits.images[1:2000:2], strict=True):
        first, second = cut(one), cut(other)
        (h, w), (other_h, other_w) = first.shape, second.shape
        if w + 2 + other_w <= SIDE_BY_SIDE * max(h, other_h) or min(h, other_h) < TALL * HEIGHT:
            continue
        wide += 1
        pieces = [Piece((0, 0, w, h), first), Piece((w + 2, 0, other_w, other_h), second)]
        readings = Recognizer(classifier).recognize(Pieces(pieces, [], HEIGHT))
        assert len(readings) >= 2
    assert wide > 0


def test_a_digit_in_two_pieces_is_read_as_one(digits: Digits, classifier: Classifier) -> None:
    joined = 0
    for image in digits.images[:60]:
        ink = cut(image)
        at, width = len(ink) // 2, ink.shape[1]
        upper, lower = ink[: at - 1], ink[at + 1 :]
        pieces = [Piece((0, 0, width, len(upper)), upper), Piece((0, at + 1, width, len(lower)), lower)]
        joined += len(Recognizer(classifier).recognize(Pieces(pieces, [], HEIGHT))) == 1
    assert joined > 0.8 * 60


@pytest.mark.parametrize("font", ["STIXGeneral", "cmr10"])
def test_a_letter_is_not_cut_until_a_part_of_it_is_a_digit(font: str, classifier: Classifier) -> None:
    """The bow of a B or a D is a 3, and each half of an S something else."""
    found = read_page(print_text("B D S Z", font), classifier).digits
    assert [reading.digit for reading in found] == [None] * 4


@pytest.mark.all
@pytest.mark.parametrize(("font", "size"), [("DejaVuSans", 24), ("DejaVuSans-Bold", 18)])
def test_a_page_of_print_has_no_digit(font: str, size: int, classifier: Classifier) -> None:
    """Every h falls into a 1 and a 7, every l is a 1, and most other letters are too small to be read, or too many."""
    assert [found for found in read_page(print_page(font, size), classifier).digits if found.digit is not None] == []


def test_what_bright_letters_leave_of_a_dark_field_is_told_from_ink_on_paper() -> None:
    field = np.full((120, 200), 70, dtype=np.uint8)
    # The O of a headline: white, and as dark inside as outside.
    cv2.ellipse(field, (100, 60), (14, 22), 0, 0, 360, 230, 8)
    inside = Piece((92, 44, 16, 32), np.where(field[44:76, 92:108] < 150, 160, 0).astype(np.uint8))
    assert is_in_field(field, inside)
    paper = np.full((120, 200), 230, dtype=np.uint8)
    for x in (70, 100, 130):
        cv2.ellipse(paper, (x, 60), (12, 18), 0, 0, 360, 40, 8)
    assert not is_in_field(paper, Piece((84, 38, 32, 44), 230 - paper[38:82, 84:116]))
