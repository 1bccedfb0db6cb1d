"""`edgemnist read` and `edgemnist predict` on pictures of the real world, as users run them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.vision.refuse import print_page
from edgemnist.digits.images import open_image
from edgemnist.digits.images.find import bounds
from edgemnist.digits.read.cli import read_page_view
from edgemnist.digits.read.find import is_in_field
from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.digits.read.page import read_page
from edgemnist.digits.read.piece import Piece, Pieces
from edgemnist.digits.read.recognize import SIDE_BY_SIDE, TALL, Recognizer
from edgemnist.digits.read.run import read_file
from edgemnist.digits.results import ReadDigit, ReadResult, StageTimes
from edgemnist.digits.watch import run as module
from edgemnist.digits.watch.run import watch
from edgemnist.digits.watch.sources import Frame, WatchConfig
from edgemnist.field.drift import read_record
from edgemnist.field.samples.collector import CollectConfig
from edgemnist.model.answers import HEALTH_FILE, Answer
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.runtimes.interface import Classifier
from tests.conftest import REPOSITORY, Run, run_edgemnist
from tests.render.test_narrow import lines_of
from tests.samples.making import stored
from tools.likeness.page import Digits
from tools.likeness.strokes import print_text

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


def test_boxes_are_drawn_into_a_copy_of_the_page(edgemnist_json: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
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
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 1600), dtype=np.uint8))
SOFT = Image.open(PAGES / "photo.jpg").filter(ImageFilter.GaussianBlur(9))


@pytest.mark.parametrize(
    ("page", "words", "code", "told", "known"),
    [
        (BLANK, (), 0, "No digits were found on page.png.", {"digits": [], "complete": True}),
        # What was read is told all the same.
        (BLANK, ("--csv", "out.csv"), 2, "page.png shows no table, so out.csv was not written.", {"digits": []}),
        (NOISE, (), 0, "There is more ink on page.png than on any page of digits", {"complete": False, "sharp": True}),
        (Image.open(PAGES / "photo.jpg").rotate(180), (), 0, "turned 180° clockwise", {"turned": 180}),
        (SOFT, (), 0, "page.png is out of focus", {"sharp": False, "digits": []}),
    ],
    ids=["blank", "without a table", "noise", "upside down", "soft"],
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
    def summary(*rules: str) -> str:
        digits = [ReadDigit(digit=None, confidence=0.5, refused=rule, box=(0, 0, 9, 9), line=0) for rule in rules]
        times = StageTimes(find=1, normalize=1, classify=1, arrange=1)
        result = ReadResult(width=9, height=9, min_confidence=0.08, digits=digits, numbers=[], milliseconds=times)
        return "\n".join(lines_of(read_page_view(result), 80))

    assert "4 digits, 4 refused (1 below 8 %, 1 by size, 2 by word), 4 ms" in summary(
        "confidence", "word", "size", "word"
    )
    assert "2 digits, 2 refused below 8 %, 4 ms" in summary("confidence", "confidence")


def test_predict_shows_what_the_model_was_given(edgemnist: Run, tmp_path: Path) -> None:
    pixels = np.full((300, 200), 240, dtype=np.uint8)
    pixels[60:240, 90:110] = 20
    Image.fromarray(pixels).save(tmp_path / "one.png")
    done = edgemnist("predict", "one.png", "--artifact", MODEL, "--show")
    assert done.returncode == 0, done.stderr
    framed = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert len(framed) == 14
    assert any("█" in line for line in framed)
    document = json.loads(edgemnist("predict", "one.png", "--artifact", MODEL, "--show", "--json").stdout)
    (prediction,) = document["predictions"]
    given = np.array(prediction["image"])
    assert given.shape == (28, 28)
    assert prediction["digit"] == 1


def test_a_page_comes_through_a_pipe(edgemnist: Run, tmp_path: Path) -> None:
    page = PAGES / "everything.jpg"
    words = [sys.executable, "-m", "edgemnist", "read", "-", "--json"]
    done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, input=page.read_bytes())
    piped, named = json.loads(done.stdout), json.loads(edgemnist("read", page, "--json").stdout)
    assert (piped["source"], piped["numbers"]) == ("standard input", named["numbers"])


PAGE = REPOSITORY / "tests" / "read" / "pages" / "form.jpg"


def test_a_page_leaves_its_digits_and_never_itself(tmp_path: Path) -> None:
    exports = Exports.open("reference")
    plain = read_file(exports, PAGE, ReadConfig(), artifact="tflite-int8@integer")
    config = CollectConfig(directory=tmp_path)
    result = read_file(exports, PAGE, ReadConfig(), artifact="tflite-int8@integer", observing=[config])
    assert result.digits == plain.digits
    kept = stored(tmp_path)
    # The even draw has room for all of a page.
    assert len(kept) == len(result.digits) > 20
    assert sorted(str(one.answer) for one in kept) == sorted(str(one.digit) for one in result.digits)
    assert {one.source for one in kept} == {str(PAGE)}
    sure = [one for one in kept if one.confidence > 0.95]
    answers = exports.load("tflite-int8@integer").predict_proba(np.stack([one.image for one in sure])).argmax(axis=1)
    assert [str(answer) for answer in answers] == [one.answer for one in sure]


class Frames:
    """A camera that shows one page, then another."""

    connected = True

    def frames(self, *_: object) -> Iterator[Frame]:
        """Give six frames."""
        page = np.asarray(Image.open(PAGE).convert("L"))
        for number in range(6):
            shown = page if number < 3 else np.roll(page, 40, axis=0)
            yield Frame(picture=shown, arrived=0.0, source="camera", index=number)


@pytest.mark.parametrize(("every", "times"), [(False, 2), (True, 6)])
def test_what_a_camera_shows_is_taken_once_it_has_settled(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, *, every: bool, times: int
) -> None:
    monkeypatch.setattr(module, "open_source", lambda *_: Frames())
    published: list[Sequence[Answer]] = []
    config = WatchConfig(steady=2, every=every)
    watch("0", classifier, config, emit=lambda _: None, stop=Event(), publish=published.append)
    assert len(published) == times
    assert min(map(len, published)) > 20


def test_watch_counts_and_keeps(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "form.jpg").write_bytes(PAGE.read_bytes())
    words = ("--exports", "reference", "--artifact", "tflite-int8@integer")
    done = run_edgemnist("watch", "pages", "--once", "--collect", "samples", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "samples" / HEALTH_FILE)
    assert record.lately.images == len(stored(tmp_path / "samples")) > 20
    unit = run_edgemnist(
        "watch", "0", "--systemd", "--collect", "/srv/samples", "--health", "/srv/h/x.json", cwd=tmp_path
    )
    assert "--collect /srv/samples --health /srv/h/x.json" in unit.stdout
    assert "ReadWritePaths=/srv/samples /srv/h" in unit.stdout or "ReadWritePaths=/srv/h" in unit.stdout


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
