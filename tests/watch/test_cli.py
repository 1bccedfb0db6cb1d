"""`edgemnist watch`, as users run it."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edgemnist.digits.results import ReadNumber
from edgemnist.digits.task import Box
from edgemnist.digits.watch.run import Steadier, open_source
from edgemnist.digits.watch.sources import CREDENTIALS, WatchConfig, redacted
from edgemnist.errors import SourceError
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes.interface import Classifier
from tests.conftest import Run
from tests.patience import PATIENCE_S
from tests.watch.conftest import Film, Show
from tests.watch.watcher import Watcher

REFERENCE = str(reference_directory())


def lines(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def texts(readings: list[dict[str, Any]]) -> list[str]:
    """Return what was read, without repetitions."""
    return [
        text for text, _ in groupby(" ".join(one["text"] for one in reading["numbers"]) for reading in readings) if text
    ]


@contextmanager
def started(*arguments: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgemnist", "watch", *arguments, "--exports", REFERENCE],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_video_is_read_and_its_numbers_are_followed(edgemnist: Run, tmp_path: Path, show: Show, film: Film) -> None:
    film(tmp_path / "meter.avi", [show("4096")] * 12 + [show("4097")] * 12)
    done = edgemnist("watch", "meter.avi", "--exports", REFERENCE, "--every")
    assert done.returncode == 0, done.stderr
    readings = lines(done.stdout)
    assert [reading["frame"] for reading in readings] == list(range(24))
    assert texts(readings) == ["4096", "4097"]
    last = readings[-1]
    assert last["source"] == "meter.avi"
    assert last["position"] == pytest.approx(23 / 15, abs=0.01)
    assert last["confidence"] == min(number["confidence"] for number in last["numbers"])
    assert last["timestamp"].endswith("+00:00")
    assert set(last["milliseconds"]) == {"wait", "find", "normalize", "classify", "arrange", "total"}
    (number,) = last["numbers"]
    assert number["line"] == 0
    x, y, w, h = number["box"]
    assert 80 < x < x + w < 400
    assert 190 < y < y + h < 290


def test_a_terminal_is_shown_the_numbers_when_they_change(tmp_path: Path, show: Show, film: Film) -> None:
    film(tmp_path / "meter.avi", [show("4096")] * 12 + [show("4097")] * 12)

    def seen(*options: str) -> str:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "edgemnist", "watch", "meter.avi", "--exports", REFERENCE, "--every"]
        process = subprocess.Popen([*command, *options], stdout=theirs, stderr=subprocess.DEVNULL, cwd=tmp_path)
        os.close(theirs)
        said = b""
        # Linux tells of the end of a terminal with an error.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 4096):
                said += chunk
        os.close(ours)
        assert process.wait(PATIENCE_S) == 0
        return re.sub(r"\x1b\[[0-9;]*m", "", said.decode())

    rows = [row.split() for row in seen().splitlines()]
    assert [row[1] for row in rows] == ["nothing", "4096", "4097"]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", row[0]) for row in rows)
    assert rows[0][-1] == "meter.avi"
    assert texts(lines(seen("--json"))) == ["4096", "4097"]


@pytest.fixture
def sources(tmp_path: Path, show: Show, film: Film) -> Path:
    """Return a directory with a picture and videos: short, long, cut to a third, and of two sizes."""
    cv2.imwrite(str(tmp_path / "picture.png"), show("85"))
    film(tmp_path / "short.avi", [show("85")] * 2)
    whole = film(tmp_path / "meter.avi", [show("77")] * 30).read_bytes()
    start = whole.index(b"movi") + 4
    (tmp_path / "cut.avi").write_bytes(whole[: start + (len(whole) - start) // 3])
    frames = [show("32")] * 6 + [np.ascontiguousarray(show("64")[150:350, 60:460])] * 6
    (tmp_path / "sizes.mjpeg").write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return tmp_path


TOO_SHORT = "short.avi ended after 2 of the 3 frames that have to agree on a number: see --steady."


@pytest.mark.parametrize(
    ("words", "seen", "readings", "notice"),
    [
        (("picture.png",), ["85"], {1}, ""),
        (("short.avi",), [], {2}, TOO_SHORT),
        (("short.avi", "--steady", "2"), ["85"], {2}, ""),
        # Frames that show nothing new are skipped.
        (("meter.avi",), ["77"], {5}, ""),
        (("cut.avi", "--every"), ["77"], range(6, 15), "of 30 frames: it is damaged or cut short."),
        (("sizes.mjpeg", "--every"), ["32", "64"], {12}, ""),
    ],
)
def test_what_is_believed_at_once_and_what_frames_have_to_agree_on(
    words: tuple[str, ...], seen: list[str], readings: Container[int], notice: str, edgemnist: Run, sources: Path
) -> None:
    done = edgemnist("watch", *words, "--exports", REFERENCE, cwd=sources)
    told = " ".join(done.stderr.split()).removeprefix("note: ")
    assert done.returncode == 0
    assert told.endswith(notice) if notice else told == ""
    assert texts(lines(done.stdout)) == seen
    assert len(lines(done.stdout)) in readings


def test_a_password_in_a_file_is_not_printed(edgemnist: Run, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://me:s@cret@127.0.0.1:9/\n")
    done = edgemnist("watch", "--source-file", "url", "--give-up", "0", "--exports", REFERENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "http://127.0.0.1:9/ has given no picture for 0 s" in " ".join(done.stderr.split())
    assert "cret" not in done.stderr


def test_pictures_that_fall_into_a_directory_are_read_when_they_are_complete(tmp_path: Path, show: Show) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    cv2.imwrite(str(scans / "first.png"), show("10"))
    (scans / "notes.txt").write_text("not a picture")
    jpeg = cv2.imencode(".jpg", show("20"))[1].tobytes()
    with started("scans", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        assert (first["source"], texts([first])) == (str(Path("scans") / "first.png"), ["10"])
        with (scans / "slow.jpg").open("wb", buffering=0) as growing:
            for start in range(0, len(jpeg), len(jpeg) // 8 + 1):
                growing.write(jpeg[start : start + len(jpeg) // 8 + 1])
                time.sleep(0.1)
        second = json.loads(process.stdout.readline())
        assert texts([second]) == ["20"]
        (scans / "broken.png").write_bytes(b"broken")
        assert "broken.png is not a picture" in process.stderr.readline()
        cv2.imwrite(str(scans / "first.png"), show("30"))
        assert texts([json.loads(process.stdout.readline())]) == ["30"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == ""


def test_once_reads_what_is_there_oldest_first_and_ends(edgemnist: Run, tmp_path: Path, show: Show) -> None:
    for age, (name, text) in enumerate((("b.png", "20"), ("a.png", "35"), ("c.tiff", "46"))):
        Image.fromarray(show(text)).save(tmp_path / name)
        os.utime(tmp_path / name, (1_000_000 + age, 1_000_000 + age))
    (tmp_path / "d.jpg").touch()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "[bold].png").write_bytes(b"broken")
    done = edgemnist("watch", ".", "--once", "--exports", REFERENCE)
    assert done.returncode == 0
    readings = lines(done.stdout)
    assert [Path(reading["source"]).name for reading in readings] == ["b.png", "a.png", "c.tiff"]
    assert [texts([reading])[0] for reading in readings] == ["20", "35", "46"]
    assert "d.jpg is empty" in done.stderr
    assert "[bold].png is not a picture" in " ".join(done.stderr.split())


def test_a_directory_that_goes_is_waited_for_and_given_up(classifier: Classifier, show: Show, tmp_path: Path) -> None:
    scans, away = tmp_path / "scans", tmp_path / "away"
    scans.mkdir()
    cv2.imwrite(str(scans / "first.png"), show("10"))
    with Watcher(str(scans), classifier, WatchConfig(poll_s=0.05, give_up_s=PATIENCE_S)) as watcher:
        watcher.wait(lambda: watcher.texts() == ["10"])
        scans.rename(away)
        gone = f"{scans} cannot be watched: No such file or directory; trying again."
        watcher.wait(lambda: watcher.notices.messages == [gone])
        cv2.imwrite(str(away / "second.png"), show("20"))
        away.rename(scans)
        watcher.wait(lambda: watcher.texts() == ["10", "20"])
        assert watcher.notices.messages == [gone, f"{scans} is back."]
        assert len(watcher.readings) == 2, "what was read before is not read again"
    with Watcher(str(scans), classifier, WatchConfig(poll_s=0.05, give_up_s=0.3)) as watcher:
        watcher.wait(lambda: watcher.texts() == ["10", "20"])
        scans.rename(away)
        watcher.wait(lambda: watcher.error is not None)
    assert isinstance(watcher.error, SourceError)
    assert "scans could not be watched for 0.3 s: No such file" in watcher.error.message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_a_signal_ends_it_between_two_lines_and_so_does_a_reader_that_has_had_enough(
    number: signal.Signals | None, tmp_path: Path, show: Show, film: Film
) -> None:
    film(tmp_path / "long.avi", [show("58")] * 80)
    with started("long.avi", "--every", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        if number is None:
            process.stdout.close()
            process.stdout = None
        else:
            process.send_signal(number)
        rest, complaint = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, complaint) == (0, "")
    assert len(lines(rest or "")) < 79


SECRETS = [
    ("http://me:s@cret@cam/live", "http://cam/live"),
    ("http://cam:8080/live?token=secret", "http://cam:8080/live"),
    ("rtsp://me:secret@[fe80::1]:554/a/b?x=1&AUTH=secret#t", "rtsp://[fe80::1]:554/a/b"),
    ("http://cam/live#secret", "http://cam/live"),
    ("http://cam?access_key=secret", "http://cam"),
    # No password that any player takes, and printed all the same.
    ("http://me:sec/ret@cam/", "http://…"),
    ("http://me:secret?@cam/", "http://cam/"),
    ("ftp://me:secret@cam/", "ftp://cam/"),
    ("http://cam/x?user=me@secret", "http://cam/x"),
]


@pytest.mark.parametrize(("source", "shown"), SECRETS)
def test_no_secret_of_a_url_is_printed(source: str, shown: str) -> None:
    assert redacted(source) == shown
    # Where it is a directory that was meant, and where it is not known.
    for config in (WatchConfig(once=True), WatchConfig()):
        try:
            told = open_source(source, config).name
        except SourceError as error:
            told = error.message
        assert shown in told
        assert "cret" not in told


@pytest.mark.parametrize("source", ["0", "picamera", "a@b.mp4", "scans", "video?.mp4", "rtsp://cam/1"])
def test_what_has_no_secret_is_printed_whole(source: str) -> None:
    assert redacted(source) == source
    assert not CREDENTIALS.search(source)


def test_a_unit_is_refused_a_token_and_not_a_channel() -> None:
    assert CREDENTIALS.search("http://cam/?channel=1&token=x")
    assert not CREDENTIALS.search("rtsp://cam/realmonitor?channel=1&subtype=0")


PLACE: Box = (100, 50, 60, 30)


def number(text: str, confidence: float = 0.9, box: Box = PLACE, line: int = 0) -> ReadNumber:
    return ReadNumber(text=text, confidence=confidence, line=line, box=box)


@pytest.mark.parametrize(
    ("agreeing", "seen", "certain"),
    [
        (3, "12 12 12 12", [[], [], ["12"], ["12"]]),
        # A frame that errs or misses changes nothing, and a new number replaces the old one without a mixture.
        (2, "12 12 17 12 12 - 12", [[]] + 6 * [["12"]]),
        (2, "12 12 13 13", [[], ["12"], ["12"], ["13"]]),
        # What is gone is forgotten.
        (2, "12 12 12 - - -", [[], ["12"], ["12"], ["12"], [], []]),
        (1, "12 - 13", [["12"], [], ["13"]]),
    ],
)
def test_a_number_counts_when_enough_frames_agree_on_it(agreeing: int, seen: str, certain: list[list[str]]) -> None:
    """`-` is a frame that shows none."""
    steadier = Steadier(agreeing)
    frames = [[] if text == "-" else [number(text)] for text in seen.split()]
    assert [[one.text for one in steadier.add(frame)] for frame in frames] == certain


def test_numbers_are_followed_as_they_move_and_are_not_taken_for_one_another() -> None:
    steadier = Steadier(2)
    for shift in range(0, 100, 10):
        left, right = number("1", box=(shift, 0, 40, 30)), number("2", box=(shift + 60, 0, 40, 30))
        steady = steadier.add([left, right])
    assert [one.text for one in steady] == ["1", "2"]
    assert [one.box for one in steady] == [left.box, right.box]


def test_confidence_is_the_mean_of_the_frames_that_agree() -> None:
    steadier = Steadier(2)
    steadier.add([number("5", 0.7)])
    steadier.add([number("6", 0.1)])
    (steady,) = steadier.add([number("5", 0.9)])
    assert steady.confidence == 0.8
