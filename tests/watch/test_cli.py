"""`edgemnist watch`, as users run it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import SourceError
from edgemnist.exports import reference_directory
from edgemnist.runtimes.interface import Classifier
from edgemnist.watch.sources import WatchConfig
from tests.conftest import Run
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


def test_a_video_is_read_one_line_a_reading_and_the_numbers_follow_it(
    edgemnist: Run, tmp_path: Path, show: Show, film: Film
) -> None:
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
        assert process.wait(30) == 0
        return re.sub(r"\x1b\[[0-9;]*m", "", said.decode())

    rows = [row.split() for row in seen().splitlines()]
    assert [row[1] for row in rows] == ["nothing", "4096", "4097"]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", row[0]) for row in rows)
    assert rows[0][-1] == "meter.avi"
    assert texts(lines(seen("--json"))) == ["4096", "4097"]


def test_frames_that_show_nothing_new_are_skipped(edgemnist: Run, tmp_path: Path, show: Show, film: Film) -> None:
    film(tmp_path / "meter.avi", [show("77")] * 30)
    readings = lines(edgemnist("watch", "meter.avi", "--exports", REFERENCE).stdout)
    assert len(readings) == 5
    assert texts(readings) == ["77"]


def test_a_number_that_only_one_frame_shows_is_not_told(edgemnist: Run, tmp_path: Path, show: Show, film: Film) -> None:
    film(tmp_path / "flash.avi", [show("12")] * 8 + [show("98")] + [show("12")] * 8)
    assert texts(lines(edgemnist("watch", "flash.avi", "--exports", REFERENCE, "--every").stdout)) == ["12"]
    hasty = lines(edgemnist("watch", "flash.avi", "--exports", REFERENCE, "--every", "--steady", "1").stdout)
    assert texts(hasty) == ["12", "98", "12"]


def test_a_video_that_is_cut_short_is_read_as_far_as_it_goes(
    edgemnist: Run, tmp_path: Path, show: Show, film: Film
) -> None:
    whole = film(tmp_path / "whole.avi", [show("31")] * 30).read_bytes()
    header, frames = whole[: whole.index(b"movi") + 4], whole[whole.index(b"movi") + 4 :]
    (tmp_path / "cut.avi").write_bytes(header + frames[: len(frames) // 3])
    done = edgemnist("watch", "cut.avi", "--exports", REFERENCE, "--every")
    assert done.returncode == 0
    assert texts(lines(done.stdout)) == ["31"]
    assert 5 < len(lines(done.stdout)) < 15
    assert "of 30 frames: it is damaged or cut short" in " ".join(done.stderr.split())


def test_a_single_picture_is_believed_at_once(edgemnist: Run, tmp_path: Path, show: Show) -> None:
    cv2.imwrite(str(tmp_path / "picture.png"), show("85"))
    done = edgemnist("watch", "picture.png", "--exports", REFERENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(lines(done.stdout)) == ["85"]


def test_a_video_that_is_too_short_for_its_frames_to_agree_says_so(
    edgemnist: Run, tmp_path: Path, show: Show, film: Film
) -> None:
    film(tmp_path / "short.avi", [show("85")] * 2)
    done = edgemnist("watch", "short.avi", "--exports", REFERENCE)
    assert done.returncode == 0
    assert texts(lines(done.stdout)) == []
    assert "short.avi ended after 2 of the 3 frames that have to agree" in " ".join(done.stderr.split())
    done = edgemnist("watch", "short.avi", "--exports", REFERENCE, "--steady", "2")
    assert texts(lines(done.stdout)) == ["85"]
    assert done.stderr == ""


def test_a_video_that_changes_its_size_is_read_on(edgemnist: Run, tmp_path: Path, show: Show) -> None:
    small = np.ascontiguousarray(show("64")[150:350, 60:460])
    frames = [show("32")] * 6 + [small] * 6
    jpegs = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
    (tmp_path / "sizes.mjpeg").write_bytes(b"".join(jpegs))
    done = edgemnist("watch", "sizes.mjpeg", "--exports", REFERENCE, "--every")
    assert done.returncode == 0, done.stderr
    assert texts(lines(done.stdout)) == ["32", "64"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "No source was given"),
        (("nowhere.mp4",), 2, "nowhere.mp4 does not exist"),
        (("text.mp4",), 2, "text.mp4 is not a video that can be read"),
        (("empty.mp4",), 2, "empty.mp4 is not a video that can be read"),
        (("9", "--give-up", "0"), 2, "Camera 9 has given no picture for 0 s"),
        (("picamera",), 3, "sudo apt install python3-picamera2"),
        (("--source", "picamera"), 3, "picamera2, which is not installed"),
        (("0", "--source", "1"), 2, "use only one of them"),
        (("0", "--source-file", "url"), 2, "use only one of them"),
        (("--source-file", "nowhere"), 2, "The source file nowhere cannot be read: No such file"),
        (("--source-file", "empty.mp4"), 2, "The source file empty.mp4 is empty"),
        (("--source-file", "url", "--give-up", "0"), 2, "http://127.0.0.1:9/ has given no picture for 0 s"),
        (("text.mp4", "--once"), 2, "--once needs a directory, and text.mp4 is not one"),
        ((".", "--steady", "0"), 2, "--steady must be at least 1 (got 0)"),
        (("broken.png",), 2, "broken.png is not a picture"),
        ((".", "--give-up", "nan"), 2, "--give-up must be at least 0 (got nan)"),
        ((".", "--give-up", "-1"), 2, "--give-up must be at least 0 (got -1)"),
    ],
)
def test_what_cannot_be_watched_is_said_in_a_sentence(
    arguments: tuple[str, ...], code: int, message: str, edgemnist: Run, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "broken.png").write_text("no picture")
    (tmp_path / "url").write_text("http://me:s@cret@127.0.0.1:9/\n")
    done = edgemnist("watch", *arguments, "--exports", REFERENCE)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
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
        assert process.wait(5) == 0
        assert process.stderr.read() == ""


def test_once_reads_what_is_there_oldest_first_and_ends(edgemnist: Run, tmp_path: Path, show: Show) -> None:
    for age, (name, text) in enumerate((("b.png", "20"), ("a.png", "35"), ("c.tiff", "46"))):
        Image.fromarray(show(text)).save(tmp_path / name)
        os.utime(tmp_path / name, (1_000_000 + age, 1_000_000 + age))
    (tmp_path / "d.jpg").touch()
    done = edgemnist("watch", ".", "--once", "--exports", REFERENCE)
    assert done.returncode == 0
    readings = lines(done.stdout)
    assert [Path(reading["source"]).name for reading in readings] == ["b.png", "a.png", "c.tiff"]
    assert [texts([reading])[0] for reading in readings] == ["20", "35", "46"]
    assert "d.jpg is empty" in done.stderr


def test_an_entry_that_cannot_be_read_is_passed_over(edgemnist: Run, tmp_path: Path, show: Show) -> None:
    cv2.imwrite(str(tmp_path / "z.png"), show("10"))
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "[bold].png").write_bytes(b"broken")
    done = edgemnist("watch", ".", "--once", "--exports", REFERENCE)
    assert done.returncode == 0, done.stderr
    assert texts(lines(done.stdout)) == ["10"]
    assert "[bold].png is not a picture" in " ".join(done.stderr.split())


def test_a_directory_that_goes_away_is_waited_for_and_read_on(
    classifier: Classifier, show: Show, tmp_path: Path
) -> None:
    scans, away = tmp_path / "scans", tmp_path / "away"
    scans.mkdir()
    cv2.imwrite(str(scans / "first.png"), show("10"))
    with Watcher(str(scans), classifier, WatchConfig(poll_s=0.05)) as watcher:
        watcher.wait(lambda: watcher.texts() == ["10"])
        scans.rename(away)
        gone = f"{scans} cannot be watched: No such file or directory; trying again."
        watcher.wait(lambda: watcher.notices.told == [gone])
        cv2.imwrite(str(away / "second.png"), show("20"))
        away.rename(scans)
        watcher.wait(lambda: watcher.texts() == ["10", "20"])
        assert watcher.notices.told == [gone, f"{scans} is back."]
        assert len(watcher.readings) == 2, "what was read before is not read again"


def test_a_directory_that_stays_away_is_given_up(classifier: Classifier, show: Show, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    cv2.imwrite(str(scans / "first.png"), show("10"))
    with Watcher(str(scans), classifier, WatchConfig(poll_s=0.05, give_up_s=0.3)) as watcher:
        watcher.wait(lambda: watcher.texts() == ["10"])
        scans.rename(tmp_path / "away")
        watcher.wait(lambda: watcher.error is not None)
    assert isinstance(watcher.error, SourceError)
    assert "scans could not be watched for 0.3 s: No such file" in watcher.error.message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_between_two_lines(number: signal.Signals, tmp_path: Path, show: Show, film: Film) -> None:
    film(tmp_path / "long.avi", [show("58")] * 200)
    with started("long.avi", "--every", cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        rest, complaint = process.communicate(timeout=60)
    assert process.returncode == 0
    assert complaint == ""
    assert len(lines(rest)) < 199


def test_a_reader_that_has_had_enough_ends_it(tmp_path: Path, show: Show, film: Film) -> None:
    film(tmp_path / "long.avi", [show("58")] * 200)
    with started("long.avi", "--every", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
        process.stdout = None
