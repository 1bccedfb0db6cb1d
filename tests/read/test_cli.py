"""`edgemnist read` and `edgemnist predict` on pictures of the real world, as users run them."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from rich.console import Console

from edgemnist.exports import reference_directory
from edgemnist.read.cli import read_page_view
from edgemnist.results.pictures import ReadDigit, ReadResult, StageTimes
from tests.conftest import REPOSITORY, Run

PAGES = Path(__file__).with_name("pages")
MODEL = reference_directory() / "tflite-int8.tflite"
TRUTH: dict[str, list[list[str]]] = json.loads((PAGES / "truth.json").read_text())


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_page_is_read_line_by_line(name: str, edgemnist: Run) -> None:
    done = edgemnist("read", PAGES / name, "--artifact", MODEL, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    lines: dict[int, list[str]] = {}
    for number in document["numbers"]:
        lines.setdefault(number["line"], []).append(number["text"])
    read, expected = ["".join(line) for line in lines.values()], ["".join(line) for line in TRUTH[name]]
    assert len(read) == len(expected)
    alike = sum(SequenceMatcher(None, one, other).ratio() for one, other in zip(read, expected, strict=True))
    assert alike / len(expected) >= 0.7
    assert {"digit", "confidence", "box", "line"} <= set(document["digits"][0])
    assert {"text", "line", "box"} <= set(document["numbers"][0])
    assert set(document["milliseconds"]) == {"find", "normalize", "classify", "arrange"}


def test_boxes_are_drawn_into_a_picture_of_the_page(edgemnist: Run, tmp_path: Path) -> None:
    name = min(TRUTH)
    done = edgemnist("read", PAGES / name, "--artifact", MODEL, "--boxes", "boxes.png", "--json")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "boxes.png") as drawn, Image.open(PAGES / name) as page:
        assert drawn.size == page.size
        changed = np.abs(np.asarray(drawn.convert("RGB"), dtype=int) - np.asarray(page.convert("RGB"))).sum(axis=2) > 60
    for digit in json.loads(done.stdout)["digits"]:
        x, y, w, _ = digit["box"]
        assert changed[max(0, y - 2) : y + 1, x : x + w].mean() > 0.5


def test_boxes_are_a_jpeg_where_the_name_says_so(edgemnist: Run, tmp_path: Path) -> None:
    done = edgemnist("read", PAGES / min(TRUTH), "--artifact", MODEL, "--boxes", "boxes.JPG")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "boxes.JPG") as drawn:
        assert drawn.format == "JPEG"


def test_what_is_read_does_not_depend_on_what_is_drawn_and_colours_stay(edgemnist: Run, tmp_path: Path) -> None:
    page = PAGES / "everything.jpg"
    read = [
        json.loads(edgemnist("read", page, "--artifact", MODEL, "--json", *drawn).stdout)
        for drawn in ((), ("--boxes", "boxes.png"))
    ]
    assert read[0]["digits"] == read[1]["digits"]
    with Image.open(tmp_path / "boxes.png") as drawn, Image.open(page) as given:
        # The table around the sheet is brown.
        assert np.abs(np.asarray(drawn.convert("RGB"))[:5, 200:].astype(int) - np.asarray(given)[:5, 200:]).max() <= 2


def test_the_book_shows_what_is_read_on_its_page(edgemnist: Run, tmp_path: Path) -> None:
    """After a change of the model or of reading, this brings the book up to date, together with what it prints.

    edgemnist read tests/read/pages/everything.jpg --boxes docs/images/read.jpg
    """
    guide = (REPOSITORY / "docs" / "guides" / "camera.md").read_text(encoding="utf-8")
    shown = re.search(r"^\$ edgemnist read page\.jpg .*\n```\n+```text\n((?:.+\n)+)```$", guide, flags=re.MULTILINE)
    assert shown
    done = edgemnist("read", PAGES / "everything.jpg", "--boxes", "read.jpg")
    assert done.returncode == 0, done.stderr
    assert without_times(shown[1]) == without_times(done.stdout)
    same_picture(REPOSITORY / "docs" / "images" / "read.jpg", tmp_path / "read.jpg", (900, 700))


def test_the_book_shows_the_tables_of_its_form(edgemnist: Run, tmp_path: Path) -> None:
    """After a change of the model or of reading, this brings the book up to date, together with what it prints.

    edgemnist read tests/read/pages/form.jpg --table --boxes docs/images/form.jpg
    """
    guide = (REPOSITORY / "docs" / "guides" / "forms.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n((?:.+\n)+?)```$", guide, flags=re.MULTILINE)
    assert shown
    done = edgemnist("read", PAGES / "form.jpg", "--table", "--boxes", "form.jpg")
    assert done.returncode == 0, done.stderr
    assert without_times(shown[1]) == without_times(done.stdout)
    same_picture(REPOSITORY / "docs" / "images" / "form.jpg", tmp_path / "form.jpg", (1000, 780))


def same_picture(old: Path, new: Path, size: tuple[int, int]) -> None:
    """Hold that two drawings show the same, whatever the JPEG quality and the confidences."""
    with Image.open(old) as before, Image.open(new) as now:
        assert before.size == now.size == size
        difference = np.abs(np.asarray(before, dtype=int) - np.asarray(now))
    # Means of 20×20 pixels: another JPEG quality or confidence changes one by up to 12, another digit by 15 and more.
    width, height = size
    assert difference.reshape(height // 20, 20, width // 20, 20 * 3).mean(axis=(1, 3)).max() < 13.5


def without_times(text: str) -> list[str]:
    """Return the lines of numbers, and how many digits there were: the last line as far as its milliseconds."""
    *numbers, summary = text.strip().splitlines()
    return [*(line.rstrip() for line in numbers), re.sub(r", [\d,]+ ms.*", "", summary)]


@pytest.mark.parametrize("name", ["boxes.gif", "boxes"])
def test_boxes_of_another_format_are_refused_before_anything_is_written(
    name: str, edgemnist: Run, tmp_path: Path
) -> None:
    done = edgemnist("read", PAGES / min(TRUTH), "--artifact", MODEL, "--boxes", name)
    assert done.returncode == 2
    assert ".png or .jpg" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_digits_says_so_and_is_no_failure(edgemnist: Run, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "blank.png")
    done = edgemnist("read", "blank.png", "--artifact", MODEL, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["digits"] == []
    assert "No digits were found on blank.png" in done.stderr


def test_a_single_digit_is_one_digit_and_its_model_is_named_once(edgemnist: Run, tmp_path: Path) -> None:
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line((150, 60, 150, 240), fill=20, width=16)
    picture.save(tmp_path / "one.png")
    shutil.copy(MODEL, tmp_path)
    done = edgemnist("read", "one.png", "--artifact", "./tflite-int8.tflite@litert")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^1 digit, 0 refused below 8 %, [\d,]+ ms · \./tflite-int8\.tflite(@litert|, litert)$",
        done.stdout,
        re.MULTILINE,
    )


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


def test_noise_is_told_not_to_have_been_read_completely(edgemnist: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    done = edgemnist("read", "noise.png", "--artifact", MODEL, "--json")
    assert done.returncode == 0
    assert not json.loads(done.stdout)["complete"]
    assert "more ink on noise.png" in done.stderr


@pytest.mark.parametrize("command", ["read", "predict"])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.jpg", b"", "is empty"),
        ("text.png", b"not a picture", "is not a picture"),
        ("none.png", None, "does not exist"),
    ],
)
def test_a_file_that_is_no_picture_is_named(
    command: str, name: str, data: bytes | None, message: str, *, edgemnist: Run, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    done = edgemnist(command, name, "--artifact", MODEL)
    assert done.returncode == 2
    assert f"{name} {message}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_threshold_that_is_no_probability_is_refused(edgemnist: Run) -> None:
    done = edgemnist("read", PAGES / min(TRUTH), "--artifact", MODEL, "--min-confidence", "1.5")
    assert done.returncode == 2
    assert "--min-confidence 1.5 is not a probability" in done.stderr


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
        np.testing.assert_array_equal(np.asarray(sheet)[12:-8:8, 12:-8:8], given)


def test_predict_refuses_an_empty_picture_by_name(edgemnist: Run, tmp_path: Path) -> None:
    Image.new("L", (300, 200), 255).save(tmp_path / "blank.png")
    done = edgemnist("predict", "blank.png", "--artifact", MODEL)
    assert done.returncode == 2
    assert "blank.png cannot be read as a digit: there is nothing on it but its background" in done.stderr


def test_a_page_comes_through_a_pipe(edgemnist: Run, tmp_path: Path) -> None:
    page = REPOSITORY / "tests" / "read" / "pages" / "everything.jpg"
    words = [sys.executable, "-m", "edgemnist", "read", "-", "--json"]
    done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, input=page.read_bytes())
    piped = json.loads(done.stdout)
    assert piped["source"] == "standard input"
    assert piped["numbers"] == json.loads(edgemnist("read", page, "--json").stdout)["numbers"]
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, input=b"no picture")
    assert done.returncode == 2
    assert b"standard input is not a picture" in done.stderr
