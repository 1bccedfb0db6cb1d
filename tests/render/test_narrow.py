"""On a narrow terminal a table folds its words, and loses no name, no mark and no figure."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console, RenderableType

from edgemnist import console as terminal
from edgemnist.deploy.cli import deploy_page
from edgemnist.doctor.cli import doctor_page
from edgemnist.releases import releases_page
from edgemnist.results.boards import (
    DEPLOYED,
    UNCHANGED,
    BoardResult,
    Check,
    DeployResult,
    DoctorResult,
    ReleaseRow,
    ReleasesResult,
    SelfTestResult,
)
from edgemnist.results.verify import VerifyResult
from edgemnist.verify.screen import verify_page
from tests.conftest import REPOSITORY, run_edgemnist

RELEASES = [f"{number}-0a7c2a8d0f7{number}" for number in (1, 2)]


def lines_of(page: RenderableType, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(page, crop=False)
    return [line.strip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_bar_keeps_its_name_and_the_time_left_in_one_line(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width)
    monkeypatch.setattr(terminal, "err", lambda: console)
    with terminal.TerminalReporter().task("Search", total=64) as task:
        for done in range(3):
            task.update(done, "16 networks · best 99.20 % in 3,136 bytes: " + "cnn:28:c8s2-c12-max-c16-c20:4bit · " * 3)
            time.sleep(0.02)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in stream.getvalue().split("\x1b[2K")]
    last = [line for line in lines if "networks" in line][-1]
    assert re.fullmatch(r"Search [━╸╺]{20,} 16 networks · best 99\.\S?.*… \d:\d\d:\d\d\s*", last)
    assert len(last.strip()) <= width


def unfolded(lines: list[str]) -> str:
    return re.sub(r"\s+", " ", " ".join(lines))


def test_the_doctors_names_marks_and_meanings_are_whole() -> None:
    names = ["board", "ai-edge-litert", "tflite-dynamic"]
    findings = [
        Check.ok(names[0], "Raspberry Pi 5 Model B Rev 1.0"),
        Check.failure(names[1], "2.3.0: ImportError: " + "x" * 120, "It is installed and does not load.", "pip …"),
        Check.warning(names[2], "not tried", "TFLite needs a runtime that is not installed on this board.", "pip …"),
    ]
    result = DoctorResult(host="pi", healthy=False, findings=findings, facts={})
    lines = lines_of(doctor_page(result), 80)
    assert max(map(len, lines)) <= 80
    for name, mark in zip(names, ("ok", "FAIL", "warning"), strict=True):
        assert any(re.match(rf"{name} +{mark}\b", line) for line in lines), lines
    for word in ("installed", "load.", "runtime", "board."):
        assert word in unfolded(lines)
    assert sum(line.count("x") for line in lines) == 120


def test_releases_prints_the_names_that_rollback_takes() -> None:
    rows = [
        ReleaseRow(
            release=release,
            current=release == RELEASES[1],
            problems=["exports/tflite-int8.tflite is damaged"] if release == RELEASES[0] else [],
            edgemnist="0.1.0",
            artifacts=["tflite-int8", "tflite-int4", "tflite-dynamic", "onnx-float32"],
            signed=True,
            deployed_at="2026-11-25T10:00:00Z",
        )
        for release in RELEASES
    ]
    lines = lines_of(releases_page(ReleasesResult(host="pi", releases=rows, pending=None, busy=None), "pi"), 80)
    assert max(map(len, lines)) <= 80
    assert any(re.match(rf"{RELEASES[0]} +0\.1\.0 ", line) for line in lines), lines
    assert any(re.match(rf"{RELEASES[1]} +serves +0\.1\.0 ", line) for line in lines), lines
    for word in ("tflite-dynamic,", "onnx-float32", "damaged", "intact", "2026-11-25", "10:00:00Z"):
        assert word in unfolded(lines)
    assert f"{RELEASES[0]}: exports/tflite-int8.tflite is damaged" in lines


def test_a_deployment_names_board_state_and_releases_in_full() -> None:
    hosts = ["pi@raspberrypi-in-the-kitchen.local:2222", "pi@door.local"]
    boards = [
        BoardResult(
            host=host,
            root=".local/share/edgemnist",
            status=status,
            release=RELEASES[1],
            previous=RELEASES[0],
            seconds=12.3,
            selftest=SelfTestResult(images=10_000, passed=True, reasons=[], artifacts=[], latencies=[]),
        )
        for host, status in zip(hosts, (UNCHANGED, DEPLOYED), strict=True)
    ]
    lines = lines_of(deploy_page(DeployResult(bundle="b.zip", identity="i", passed=True, boards=boards)), 80)
    for host, status in zip(hosts, ("unchanged", "deployed"), strict=True):
        row = next(line for line in lines if line.startswith(f"{host} "))
        assert row.split()[:5] == [host, status, RELEASES[1], RELEASES[0], "12.3"]
    assert unfolded(lines).endswith(f"The release is on 2 of 2 boards. Next: edgemnist bench --on {hosts[0]}")


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_verify_on_60_columns_has_every_figure(terminal: bool, exports: Path) -> None:  # noqa: FBT001 - a parameter
    wide = run_edgemnist("verify", cwd=exports.parent, env={"COLUMNS": "200"}).stdout
    narrow = on_terminal(60, "verify", cwd=exports.parent) if terminal else run_edgemnist(
        "verify", cwd=exports.parent, env={"COLUMNS": "60"}
    ).stdout  # fmt: skip
    rows = [line.split() for line in wide.splitlines() if re.match(r" *(tflite|onnx)-\w+ ", line)]
    assert len(rows) == 8
    assert [line.split() for line in narrow.splitlines() if re.match(r" *(tflite|onnx)-\w+ ", line)] == rows


def test_verify_fits_80_columns_and_names_what_depends_on_the_batch() -> None:
    recorded = (REPOSITORY / "tests/exports/made_by_0.1.0/verify.json").read_bytes()
    result = msgspec.json.decode(recorded, type=VerifyResult)
    names = ["onnx-float32@openvino", "tflite-int8@native"]
    models = [
        msgspec.structs.replace(one, name=name, flips=1234, accuracy_drop_points=-0.5, max_batch_diff=batch)
        for one, name, batch in zip(result.artifacts, names, (0.02, 0), strict=False)
    ]
    lines = lines_of(verify_page(msgspec.structs.replace(result, artifacts=models)), 80)
    row = next(line for line in lines if line.startswith(names[0]))
    assert "−0.50" in row
    assert "1,234" in row
    assert row.endswith("pass")
    assert max(map(len, lines)) <= 80
    said = [line for line in unfolded(lines).split(".") if "large batch" in line]
    assert [line.strip() for line in said] == [
        f"In a batch of one, answers differ from those in a large batch by up to 2e-02: {names[0]}"
    ]


def on_terminal(columns: int, *arguments: str, cwd: Path) -> str:
    """Return what a command prints on a terminal of so many columns, without its colours."""
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "edgemnist", *arguments],
        cwd=cwd, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, env={**environment, "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while chunk := read_or_nothing(reader):
        seen += chunk
    assert process.wait(60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode()).replace("\r\n", "\n")


def read_or_nothing(reader: int) -> bytes:
    """Read from a pseudo-terminal, whose other end closes with an error on Linux."""
    try:
        return os.read(reader, 1000)
    except OSError:
        return b""
