"""Frames, combs, grids and tables: found as they are, and read cell by cell."""

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks.vision.forms import Cells, compare
from benchmarks.vision.scoring import Score, score
from benchmarks.vision.synthetic.forms import STYLES, compose_form
from edgemnist.digits.images.grey import Grey, to_grey
from edgemnist.digits.read import assemble, context
from edgemnist.digits.read.assemble import Assembled
from edgemnist.digits.read.find import find_sheet
from edgemnist.digits.read.grid import make_grid
from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.page import read_page
from edgemnist.digits.read.piece import Piece
from edgemnist.digits.read.recognize import Reading
from edgemnist.digits.read.strips import Mark
from edgemnist.digits.results import ReadResult
from edgemnist.digits.task import DIGITS, Box
from edgemnist.model.runtimes.interface import Classifier
from tests.conftest import Run
from tests.sweeping import swept
from tools.likeness.fonts import font_file
from tools.likeness.page import Digits

pytestmark = pytest.mark.all

MODEL = Path(__file__).parents[2] / "exports" / "reference" / "tflite-int8.tflite"
WHITE = 245
SEED = 77


@pytest.mark.parametrize("name", sorted(STYLES))
def test_a_photographed_form_comes_out_as_its_tables(name: str, digits: Digits, classifier: Classifier) -> None:
    cells, found = Cells(), Score()
    for number in range(2):
        rng = np.random.default_rng(SEED + number)
        form = compose_form(digits.sample(200, rng), rng, STYLES[name])
        result = read_page(form.picture, classifier)
        cells += compare(result, form.tables)
        found += score(result.digits, form.truths)
    assert cells.found == cells.tables
    assert cells.surplus == 0
    assert cells.right >= 0.85 * cells.cells
    assert found.share >= 0.92
    assert found.false <= 2


def read_drawing(drawing: Grey, classifier: Classifier) -> ReadResult:
    """Read a grey drawing as a camera would have it, not quite sharp."""
    return read_page(np.asarray(cv2.GaussianBlur(drawing, (0, 0), 0.7), dtype=np.uint8), classifier)


def blank(height: int = 700, width: int = 900) -> Grey:
    """Return white paper with some grain."""
    grain = np.random.default_rng(0).normal(0, 2, (height, width))
    return np.clip(WHITE + grain, 0, 255).astype(np.uint8)


def ruled(left: int, top: int, *, rows: int, columns: int, side: int, thickness: int) -> Grey:
    """Return paper with a grid of squares on it."""
    sheet = blank()
    for row in range(rows + 1):
        y = top + row * side
        cv2.line(sheet, (left, y), (left + columns * side, y), 40, thickness)
    for column in range(columns + 1):
        x = left + column * side
        cv2.line(sheet, (x, top), (x, top + rows * side), 40, thickness)
    return sheet


def write(sheet: Grey, image: Grey, x: int, y: int, side: int) -> None:
    """Write a digit, white on black, into a square of paper."""
    large = cv2.resize(255 - image, (side, side), interpolation=cv2.INTER_AREA)
    np.minimum(sheet[y : y + side, x : x + side], large, out=sheet[y : y + side, x : x + side])


@pytest.mark.parametrize("name", ["sudoku", "sudoku-grey"])
@pytest.mark.parametrize("side", [320, 480, 640])
def test_a_table_in_a_small_photograph_is_whole(side: int, name: str, digits: Digits, classifier: Classifier) -> None:
    rng = np.random.default_rng(SEED)
    form = compose_form(digits.sample(200, rng), rng, STYLES[name])
    height, width = form.picture.shape[:2]
    size = round(side * width / max(height, width)), round(side * height / max(height, width))
    small = np.asarray(cv2.resize(form.picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    (table,) = [table for table in read_page(small, classifier).tables if len(table.cells) > 1]
    assert (table.rows, table.columns) == (9, 9)
    (truth,) = form.tables
    assert sum(cell.text == truth.texts[cell.row][cell.column] for cell in table.cells) >= 78


def test_a_table_beside_a_picture_in_dim_light_is_no_board(digits: Digits, classifier: Classifier) -> None:
    rng = np.random.default_rng(SEED)
    form = compose_form(digits.sample(200, rng), rng, STYLES["sudoku"])
    page = to_grey(Image.fromarray(form.picture), 2048)
    clouds = cv2.GaussianBlur(rng.normal(0, 1, (len(page), 300)).astype(np.float32), (0, 0), 25)
    printed = (120 + 60 * clouds / clouds.std()).clip(20, 250)
    result = read_page((0.13 * np.hstack([printed, page])).astype(np.uint8), classifier)
    assert [(table.rows, table.columns) for table in result.tables] == [(9, 9)]
    assert len(result.digits) >= 60


def test_a_table_whose_inner_lines_are_as_faint_as_the_grain_of_the_picture_is_whole(
    digits: Digits, classifier: Classifier
) -> None:
    """Every other one of nine by nine squares holds a digit."""
    sheet, side, edge = blank(700, 700), 70, 35
    for line in range(10):
        at, shade = edge + line * side, 40 if line % 3 == 0 else 232
        for start, stop in (((edge, at), (edge + 9 * side, at)), ((at, edge), (at, edge + 9 * side))):
            cv2.line(sheet, start, stop, shade, 2)
    for number, (row, column) in enumerate(itertools.product(range(9), range(9))):
        if number % 2:
            write(sheet, digits.images[number], edge + column * side + 14, edge + row * side + 14, 46)
    grainy = sheet + np.random.default_rng(2).normal(0, 3, sheet.shape)
    (table,) = read_page(grainy.clip(0, 255).astype(np.uint8), classifier).tables
    assert (table.rows, table.columns) == (9, 9)
    texts = [cell.text for cell in table.cells]
    assert all(text == "" for text in texts[::2])
    right = sum(text == str(label) for text, label in zip(texts[1::2], digits.labels[1:81:2], strict=True))
    assert right >= 36, "of 40"


def test_a_word_that_is_printed_into_a_cell_is_no_number(digits: Digits, classifier: Classifier) -> None:
    sheet = ruled(60, 60, rows=3, columns=3, side=200, thickness=2)
    picture = Image.fromarray(sheet)
    font = ImageFont.truetype(str(font_file("DejaVuSans")), 60)
    for row, word in enumerate(("Line", "Field", "Title")):
        ImageDraw.Draw(picture).text((80, 120 + 200 * row), word, fill=30, font=font)
    sheet = np.array(picture)
    for row in range(3):
        write(sheet, digits.images[row], 310, 110 + 200 * row, 100)
    result = read_drawing(sheet, classifier)
    (table,) = result.tables
    texts = {(cell.row, cell.column): cell.text for cell in table.cells}
    assert [texts[row, 1] for row in range(3)] == [str(label) for label in digits.labels[:3]]
    assert {character for row in range(3) for character in texts[row, 0]} == {"?"}


@pytest.mark.parametrize("thickness", [1, 3, 10])
def test_an_empty_grid_has_empty_cells(thickness: int, classifier: Classifier) -> None:
    result = read_drawing(ruled(80, 60, rows=5, columns=7, side=90, thickness=thickness), classifier)
    (table,) = result.tables
    assert (table.rows, table.columns, len(table.cells)) == (5, 7, 35)
    assert all(cell.text == "" and cell.confidence is None for cell in table.cells)
    assert result.digits == []
    expected = [(80, 60), (80 + 7 * 90, 60), (80 + 7 * 90, 60 + 5 * 90), (80, 60 + 5 * 90)]
    assert np.abs(np.array(table.corners) - expected).max() <= 4


def test_a_merged_cell_is_one_cell(classifier: Classifier) -> None:
    sheet = ruled(80, 60, rows=4, columns=5, side=100, thickness=3)
    # The side between the second and the third cell of the second row.
    cv2.rectangle(sheet, (80 + 2 * 100 - 5, 60 + 100 + 5), (80 + 2 * 100 + 5, 60 + 200 - 5), WHITE, -1)
    (table,) = read_drawing(sheet, classifier).tables
    assert (table.rows, table.columns, len(table.cells)) == (4, 5, 19)
    (merged,) = [cell for cell in table.cells if cell.columns > 1 or cell.rows > 1]
    assert (merged.row, merged.column, merged.rows, merged.columns) == (1, 1, 1, 2)


def test_a_table_in_a_cell_of_another_one_is_read_on_its_own(digits: Digits, classifier: Classifier) -> None:
    sheet = blank(1300, 1300)

    def grid(left: int, cells: int, side: int) -> None:
        for at in range(left, left + cells * side + 1, side):
            cv2.line(sheet, (left, at), (left + cells * side, at), 40, 3)
            cv2.line(sheet, (at, left), (at, left + cells * side), 40, 3)

    grid(100, 4, 260)
    grid(120, 3, 70)
    for number, (row, column) in enumerate(itertools.product(range(3), range(3))):
        write(sheet, digits.images[number], 137 + 70 * column, 137 + 70 * row, 38)
    for number in (9, 10, 11):
        write(sheet, digits.images[number], 180 + 260 * (number - 8), 180, 90)
    result = read_drawing(sheet, classifier)
    assert [(table.rows, table.columns) for table in result.tables] == [(4, 4), (3, 3)]
    outer, inner = ([cell.text for cell in table.cells] for table in result.tables)
    assert inner == [str(label) for label in digits.labels[:9]]
    assert outer == ["", *(str(label) for label in digits.labels[9:12]), *[""] * 12]


def in_table(*pieces: tuple[Box, int, float]) -> Assembled:
    """Return what sure twos, each with a box, a cell and a confidence, make of a table of two by three cells.

    Strips are not asked: there is no ink in the cells.
    """
    sheet = replace(find_sheet(ruled(40, 60, rows=2, columns=3, side=90, thickness=3), dark=True), ink=None)
    readings = [
        Reading(Piece(box, np.full((box[3], box[2]), 200, dtype=np.uint8), 0, cell), 2, sure)
        for box, cell, sure in pieces
    ]
    return Assembled(readings, sheet, DIGITS, ReadConfig(min_confidence=0.2), (1, 1))


def test_a_minus_before_each_number_of_a_column_is_in_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def marks(boxes: Sequence[Box]) -> list[Mark]:
        return [Mark("-" if len(boxes) > 1 and box == boxes[0] else "2", 0.95, box[0] + 9) for box in boxes]

    monkeypatch.setattr(context, "signs_of", lambda numbers, _: [*map(marks, numbers)])
    monkeypatch.setattr(assemble, "judge", lambda seen: ([None] * len(seen), [1.0] * len(seen)))
    readings: list[Reading] = []
    for row, column in itertools.product(range(6), range(3)):
        for left, sure, label in ((16, 0.99, 2), *[(-8, 0.0, 1)] * (column == 1)):
            box = (50 + 60 * column + left, 75 + 60 * row, 18, 30)
            piece = Piece(box, np.full((30, 18), 200, dtype=np.uint8), 0, 3 * row + column)
            readings.append(Reading(piece, label, sure))
    sheet = find_sheet(ruled(40, 60, rows=6, columns=3, side=60, thickness=3), dark=True)
    page = Assembled(readings, sheet, DIGITS, ReadConfig(), (1, 1))
    assert [number.text for number in page.numbers] == ["2", "-2", "2"] * 6


@pytest.mark.parametrize("sure", [(0.99, 0.7), (0.7, 0.99)])
def test_a_cell_and_its_number_are_as_sure_as_their_least_sure_digit(sure: tuple[float, float]) -> None:
    page = in_table(((55, 80, 24, 40), 0, sure[0]), ((84, 80, 24, 40), 0, sure[1]))
    (number,), cell = page.numbers, page.tables[0].cells[0]
    assert (number.text, number.confidence) == (cell.text, cell.confidence) == ("22", 0.7)


def barcode(sheet: Grey) -> None:
    rng = np.random.default_rng(1)
    x = 150
    while x < 750:
        width = int(rng.integers(2, 9))
        cv2.rectangle(sheet, (x, 250), (x + width, 450), 30, -1)
        x += width + int(rng.integers(3, 10))


def crossword(sheet: Grey, seed: int = 3) -> None:
    rng = np.random.default_rng(seed)
    for row, column in itertools.product(range(11), range(13)):
        x, y = 60 + 56 * column, 30 + 56 * row
        cv2.rectangle(sheet, (x, y), (x + 56, y + 56), 20, -1 if rng.random() < 0.25 else 2)


def halftone(sheet: Grey) -> None:
    """A printed photograph, from black to white: dots of which those between touch like the lines of a table."""
    y, x = np.mgrid[0 : sheet.shape[0], 0 : sheet.shape[1]]
    tone = np.hypot(x - sheet.shape[1] / 2, y - sheet.shape[0] / 2) / (0.7 * max(sheet.shape))
    sheet[:] = np.where(np.sin(x / 3) + np.sin(y / 3) > 4 * (tone - 0.5), 230, 40)


def arrows(sheet: Grey) -> None:
    rng = np.random.default_rng(9)
    for _ in range(40):
        x, y = int(rng.integers(30, sheet.shape[1] - 100)), int(rng.integers(30, sheet.shape[0] - 30))
        cv2.arrowedLine(sheet, (x, y), (x + 60, y), 40, 4, tipLength=0.25)


def ticks(sheet: Grey) -> None:
    sheet[:] = ruled(80, 60, rows=6, columns=8, side=90, thickness=3)
    for row, column in itertools.product(range(6), range(0, 8, 2)):
        x, y = 80 + 90 * column, 60 + 90 * row
        tick = np.array([(x + 25, y + 45), (x + 40, y + 65), (x + 70, y + 22)])
        cv2.polylines(sheet, [tick], isClosed=False, color=40, thickness=4, lineType=cv2.LINE_AA)


def ovals(sheet: Grey) -> None:
    for row, column in itertools.product(range(7), range(6)):
        cv2.ellipse(sheet, (120 + 120 * column, 80 + 85 * row), (26, 20), 0, 0, 360, 50, 2, cv2.LINE_AA)


def prose(sheet: Grey) -> None:
    """Print with many an o, n and l, alone and side by side."""
    image = Image.fromarray(sheet)
    font = ImageFont.truetype(font_file("DejaVuSans"), 28)
    lines = ("once or twice she had peeped into the book", "her sister was reading, but it had no pictures or",
             "conversation in it, and what is the use of a", "book without pictures or conversation in it",
             "so she was considering in her own mind, as", "well as she could, for the hot day made her feel",
             "very sleepy and stupid, whether the pleasure")  # fmt: skip
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((30, 20 + 46 * number), line, fill=25, font=font)
    sheet[:] = np.asarray(image)


NO_DIGITS = (barcode, crossword, halftone, arrows, ovals, prose, ticks)


def photographed(sheet: Grey, seed: int) -> Grey:
    """Return a sheet as a camera sees it: from aside, in uneven light, soft and with grain."""
    rng = np.random.default_rng(seed)
    height, width = sheet.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float32)
    seen = corners * 0.9 + 0.05 * np.array([width, height]) + rng.uniform(-0.04, 0.04, (4, 2)) * width
    matrix = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    tilted = cv2.warpPerspective(sheet, matrix, (width, height), flags=cv2.INTER_AREA, borderValue=255)
    light = np.linspace(rng.uniform(0.7, 1.0), 0.95, width)
    grain = rng.normal(0, rng.uniform(1, 5), sheet.shape)
    soft = cv2.GaussianBlur(tilted, (0, 0), rng.uniform(0.5, 1.2))
    return np.clip(soft * light + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", swept([0, 1, 2, 3], kept=[0, 1]))
@pytest.mark.parametrize("draw", NO_DIGITS)
def test_where_there_is_no_digit_neither_a_scan_nor_a_photograph_shows_one(
    draw: Callable[[Grey], None], seed: int, classifier: Classifier
) -> None:
    sheet = blank()
    draw(sheet)
    result = read_drawing(photographed(sheet, seed) if seed else sheet, classifier)
    assert [digit for digit in result.digits if digit.digit is not None] == []
    assert all(cell.text.strip("? ") == "" for table in result.tables for cell in table.cells)


def test_ruled_paper_is_no_table(classifier: Classifier) -> None:
    """It ends just before the picture does: the table shows at the left and at the right."""
    sheet = blank()
    for y in range(60, 700, 60):
        cv2.line(sheet, (0, y), (899, y), 120, 2)
    sheet[:, :3] = sheet[:, -3:] = 60
    assert read_drawing(sheet, classifier).tables == []


@pytest.mark.parametrize("seed", [3, 4, 5, 6])
def test_a_crossword_puzzle_is_one_table_whatever_is_black(seed: int, classifier: Classifier) -> None:
    sheet = blank()
    crossword(sheet, seed)
    result = read_drawing(sheet, classifier)
    (table,) = result.tables
    assert (table.rows, table.columns) == (11, 13)
    assert not result.digits


def test_lines_too_thick_for_a_table_hide_no_digit(digits: Digits, classifier: Classifier) -> None:
    sheet = blank(1300, 1300)
    for at in range(100, 1101, 200):
        cv2.line(sheet, (100, at), (1100, at), 30, 30)
        cv2.line(sheet, (at, 100), (at, 1100), 30, 30)
    for number, (row, column) in enumerate(itertools.product(range(5), range(5))):
        write(sheet, digits.images[number], 155 + 200 * column, 155 + 200 * row, 90)
    found = [digit.digit for digit in read_drawing(sheet, classifier).digits]
    assert len(found) == 25
    assert sum(one == truth for one, truth in zip(found, digits.labels.tolist(), strict=False)) >= 23


def test_a_frame_around_a_part_of_the_page_swallows_no_digit(digits: Digits, classifier: Classifier) -> None:
    sheet = blank(1300, 1300)
    cv2.rectangle(sheet, (100, 100), (1200, 1200), 30, 4)
    cv2.line(sheet, (100, 650), (1200, 650), 30, 4)
    for number, (row, column) in enumerate(itertools.product(range(4), range(3))):
        write(sheet, digits.images[number], 300 + 60 * column, 200 + 130 * row + 180 * (row // 2), 50)
    result = read_drawing(sheet, classifier)
    assert not result.tables
    found = [digit.digit for digit in result.digits]
    assert len(found) == 12
    assert sum(one == truth for one, truth in zip(found, digits.labels.tolist(), strict=False)) >= 11


def test_the_digits_of_a_comb_are_one_number_with_its_blanks(digits: Digits, classifier: Classifier) -> None:
    sheet = ruled(60, 200, rows=1, columns=8, side=95, thickness=3)
    written = {1: 3, 2: 7, 4: 2, 6: 8}
    for column, wanted in written.items():
        write(sheet, digits.images[np.flatnonzero(digits.labels == wanted)[3]], 72 + column * 95, 212, 70)
    result = read_drawing(sheet, classifier)
    assert [number.text for number in result.numbers] == ["37 2 8"]
    (table,) = result.tables
    texts = {cell.column: cell.text for cell in table.cells if cell.text}
    assert texts == {column: str(digit) for column, digit in written.items()}
    assert [(digit.table, digit.row, digit.column) for digit in result.digits] == [(0, 0, column) for column in written]


def test_a_form_becomes_a_spreadsheet(digits: Digits, edgemnist: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    form = compose_form(digits.sample(200, rng), rng, STYLES["sudoku"])
    Image.fromarray(form.picture).save(tmp_path / "form.jpg", quality=90)
    done = edgemnist("read", "form.jpg", "--artifact", MODEL, "--csv", "form.csv", "--boxes", "boxes.png", "--json")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "form.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [len(row) for row in rows] == [9] * 9
    (table,) = json.loads(done.stdout)["tables"]
    assert rows == [[cell["text"] for cell in table["cells"] if cell["row"] == row] for row in range(9)]
    (true,) = form.tables
    assert np.mean(np.array(rows) == np.array(true.texts)) >= 0.9
    with Image.open(tmp_path / "boxes.png") as drawn:
        colours = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
    assert (colours == (0, 158, 115)).all(axis=1).sum() > 1000
    shown = edgemnist("read", "form.jpg", "--artifact", MODEL, "--table")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("├") == 8


def test_several_tables_become_files_with_a_number(edgemnist: Run, tmp_path: Path) -> None:
    sheet = np.minimum(
        ruled(40, 60, rows=4, columns=3, side=90, thickness=3), ruled(440, 60, rows=4, columns=4, side=90, thickness=3)
    )
    Image.fromarray(sheet).save(tmp_path / "two.png")
    done = edgemnist("read", "two.png", "--artifact", MODEL, "--csv", "out.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out-1.csv").read_text() == ",,\n" * 4
    assert (tmp_path / "out-2.csv").read_text() == ",,,\n" * 4
    assert "out-1.csv" in done.stderr
    (tmp_path / "out-2.csv").write_text("name,town\n")
    (tmp_path / "out-1.csv").unlink()
    done = edgemnist("read", "two.png", "--artifact", MODEL, "--csv", "out.csv")
    assert done.returncode == 2
    assert "--csv would overwrite out-2.csv, which is not a table of what was read." in " ".join(done.stderr.split())
    assert (tmp_path / "out-2.csv").read_text() == "name,town\n"
    assert not (tmp_path / "out-1.csv").exists()


def test_lines_that_bend_away_from_each_other_are_no_table() -> None:
    """Crossings are found step by step. Between cubic lines, each step may lead further away, until it overflows."""
    bent = [(np.polynomial.Polynomial([offset, 0, 0, 1e-3]), 2.0) for offset in (100.0, 200.0)]
    assert make_grid(np.zeros((400, 400), dtype=np.uint8), bent, bent) is None
