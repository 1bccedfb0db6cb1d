"""Pages that lie on their side or upside down."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.vision.synthetic.forms import STYLES, compose_form
from edgemnist.digits.images.find import bounds
from edgemnist.digits.read.page import FEWEST_TO_TURN, box_before, read_page
from edgemnist.model.runtimes.interface import Classifier
from tools.likeness.page import Digits
from tools.likeness.strokes import print_text

PAGE = Path(__file__).parent / "pages" / "photo.jpg"
LYING = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
"""Turned so against the clock, a page has to be turned by as many degrees clockwise."""


@pytest.mark.parametrize("degrees", LYING)
def test_a_page_is_turned_to_be_read_and_its_boxes_lie_where_its_digits_do(
    degrees: int, classifier: Classifier
) -> None:
    page = Image.open(PAGE)
    upright, lying = read_page(page, classifier), read_page(page.transpose(LYING[degrees]), classifier)
    assert upright.turned == 0
    assert lying.turned == degrees
    assert [number.text for number in lying.numbers] == [number.text for number in upright.numbers]
    assert (lying.width, lying.height) == (page.size if degrees == 180 else page.size[::-1])
    quarters = degrees // 90
    for straight, turned in zip(upright.digits, lying.digits, strict=True):
        # The page as it should be is the lying one turned back.
        assert box_before(straight.box, -quarters % 4, *page.size) == pytest.approx(turned.box, abs=2)


def test_a_form_upside_down_is_the_same_table(digits: Digits, classifier: Classifier) -> None:
    rng = np.random.default_rng(5)
    form = compose_form(digits.sample(200, rng), rng, STYLES["sudoku"])
    upright, lying = read_page(form.picture, classifier), read_page(form.picture[::-1, ::-1].copy(), classifier)
    assert (upright.turned, lying.turned) == (0, 180)
    (table,), (other,) = upright.tables, lying.tables
    same = [one.text == two.text for one, two in zip(table.cells, other.cells, strict=True)]
    assert np.mean(same) >= 0.95
    height, width = form.picture.shape[:2]
    x, y = other.corners[0]
    assert (width - x, height - y) == pytest.approx(table.corners[0], abs=4)


def test_a_page_of_letters_or_of_few_digits_is_left_as_it_lies(digits: Digits, classifier: Classifier) -> None:
    assert read_page(np.rot90(print_text("Voltage Amount", "DejaVuSans"), 2).copy(), classifier).turned == 0
    sheet = np.full((100, 100 * (FEWEST_TO_TURN - 1)), 255, dtype=np.uint8)
    for number, image in enumerate(digits.images[: FEWEST_TO_TURN - 1]):
        large = np.asarray(Image.fromarray(255 - image).resize((64, 64)))
        sheet[18:82, 100 * number + 18 : 100 * number + 82] = large
    assert read_page(sheet[::-1, ::-1].copy(), classifier).turned == 0


def test_a_box_is_brought_back_through_every_turn() -> None:
    sheet = np.zeros((40, 60), dtype=bool)
    sheet[5:12, 20:23] = True
    for quarters in range(4):
        turned = np.rot90(sheet, quarters)
        top, left, bottom, right = bounds(turned) or (0, 0, 0, 0)
        box = left, top, right - left, bottom - top
        assert box_before(box, quarters, turned.shape[1], turned.shape[0]) == (20, 5, 3, 7)
