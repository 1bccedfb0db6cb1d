"""`edgemnist read` and `edgemnist predict` on pictures of the real world, as users run them."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from rich.console import Console

from edgemnist.digits.images import open_image
from edgemnist.digits.read.cli import read_page_view
from edgemnist.digits.read.page import read_page
from edgemnist.ground.results.pictures import ReadDigit, ReadResult, StageTimes
from edgemnist.ground.sheet import HEADING, MARGIN, TILE
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes.interface import Classifier
from tests.conftest import Run

PAGES = Path(__file__).with_name("pages")
MODEL = reference_directory() / "tflite-int8.tflite"
TRUTH: dict[str, list[list[str]]] = json.loads((PAGES / "truth.json").read_text())


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_page_is_read_line_by_line(name: str, classifier: Classifier) -> None:
    lines: dict[int, str] = {}
    for number in read_page(open_image(PAGES / name), classifier).numbers:
        lines[number.line] = lines.get(number.line, "") + number.text
    expected = ["".join(line) for line in TRUTH[name]]
    assert len(lines) == len(expected)
    alike = sum(SequenceMatcher(None, *pair).ratio() for pair in zip(lines.values(), expected, strict=True))
    assert alike / len(expected) >= 0.7


def test_boxes_are_drawn_into_a_picture_of_the_page(
    edgemnist_json: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    name = min(TRUTH)
    document = edgemnist_json("read", PAGES / name, "--artifact", MODEL, "--boxes", "boxes.png")
    assert {"digit", "confidence", "box", "line"} <= set(document["digits"][0])
    assert {"text", "line", "box"} <= set(document["numbers"][0])
    assert set(document["milliseconds"]) == {"find", "normalize", "classify", "arrange"}
    with Image.open(tmp_path / "boxes.png") as drawn, Image.open(PAGES / name) as page:
        assert drawn.size == page.size
        changed = np.abs(np.asarray(drawn.convert("RGB"), dtype=int) - np.asarray(page.convert("RGB"))).sum(axis=2) > 60
    for digit in document["digits"]:
        x, y, w, _ = digit["box"]
        assert changed[max(0, y - 2) : y + 1, x : x + w].mean() > 0.5


BLANK = Image.new("L", (300, 200), 255)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800), dtype=np.uint8))


@pytest.mark.parametrize(
    ("page", "words", "code", "told", "known"),
    [
        (BLANK, (), 0, "No digits were found on page.png.", {"digits": [], "complete": True}),
        # What was read is told all the same.
        (BLANK, ("--csv", "out.csv"), 2, "page.png shows no table, so out.csv was not written.", {"digits": []}),
        (NOISE, (), 0, "There is more ink on page.png than on any page of digits", {"complete": False}),
        (Image.open(PAGES / "photo.jpg").rotate(180), (), 0, "turned 180° clockwise", {"turned": 180}),
    ],
    ids=["blank", "without a table", "noise", "upside down"],
)
def test_what_is_odd_about_a_page_is_told(
    page: Image.Image,
    words: tuple[str, ...],
    code: int,
    told: str,
    known: dict[str, Any],
    edgemnist: Run,
    tmp_path: Path,
) -> None:
    page.save(tmp_path / "page.png")
    done = edgemnist("read", "page.png", "--artifact", MODEL, "--json", *words)
    assert done.returncode == code
    assert told in " ".join(done.stderr.split())
    document = json.loads(done.stdout)
    assert {name: document[name] for name in known} == known
    assert not (tmp_path / "out.csv").exists()


def test_a_single_digit_is_one_digit_and_its_model_is_named_once(edgemnist: Run, tmp_path: Path) -> None:
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line((150, 60, 150, 240), fill=20, width=16)
    picture.save(tmp_path / "one.png")
    shutil.copy(MODEL, tmp_path)
    done = edgemnist("read", "one.png", "--artifact", "./tflite-int8.tflite@litert")
    summary = r"1 digit, 0 refused below 8 %, [\d,]+ ms · \./tflite-int8\.tflite(@litert|, litert)"
    assert re.fullmatch(summary, done.stdout.splitlines()[-1])


def test_what_was_refused_for_what_is_around_it_is_not_said_to_be_below_the_threshold() -> None:
    def summary(*confidences: float) -> str:
        digits = [ReadDigit(digit=None, confidence=one, box=(0, 0, 9, 9), line=0) for one in confidences]
        times = StageTimes(find=1, normalize=1, classify=1, arrange=1)
        result = ReadResult(width=9, height=9, min_confidence=0.08, digits=digits, numbers=[], milliseconds=times)
        stream = io.StringIO()
        Console(file=stream, width=80).print(read_page_view(result))
        return stream.getvalue()

    assert "3 digits, 3 refused (1 below 8 %, 2 by context), 4 ms" in summary(0.02, 0.3, 0.9)
    assert "2 digits, 2 refused below 8 %, 4 ms" in summary(0.02, 0.03)


def test_predict_shows_what_the_model_was_given(edgemnist: Run, tmp_path: Path) -> None:
    pixels = np.full((300, 200), 240, dtype=np.uint8)
    pixels[60:240, 90:110] = 20
    Image.fromarray(pixels).save(tmp_path / "one.png")
    done = edgemnist("predict", "one.png", "--artifact", MODEL, "--show", "--sheet", "given.png")
    assert done.returncode == 0, done.stderr
    framed = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert len(framed) == 14
    assert any("█" in line for line in framed)
    document = json.loads(edgemnist("predict", "one.png", "--artifact", MODEL, "--show", "--json").stdout)
    (prediction,) = document["predictions"]
    given = np.array(prediction["image"])
    assert given.shape == (28, 28)
    assert prediction["digit"] == 1
    with Image.open(tmp_path / "given.png") as sheet:
        top = MARGIN + HEADING
        shown = np.asarray(sheet)[top : top + TILE : (TILE // 28), MARGIN : MARGIN + TILE : (TILE // 28), 0]
        np.testing.assert_array_equal(shown, given)


def test_a_page_comes_through_a_pipe(edgemnist: Run, tmp_path: Path) -> None:
    page = PAGES / "everything.jpg"
    words = [sys.executable, "-m", "edgemnist", "read", "-", "--json"]
    done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, input=page.read_bytes())
    piped, named = json.loads(done.stdout), json.loads(edgemnist("read", page, "--json").stdout)
    assert (piped["source"], piped["numbers"]) == ("standard input", named["numbers"])
