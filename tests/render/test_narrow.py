"""On a narrow terminal a table folds its words, and loses no name, no mark and no figure."""

import io
import re
import time

import msgspec
import pytest
from rich.console import Console, RenderableType

from edgemnist.fleet.release.cli import releases_page
from edgemnist.ground import console as terminal
from edgemnist.ground.results.boards import (
    ReleaseRow,
    ReleasesResult,
)
from edgemnist.pipeline.verify.screen import verify_page
from tests.conftest import OLD_EXPORTS
from tests.judged import verified_here

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


def test_verify_fits_80_columns() -> None:
    result = verified_here(OLD_EXPORTS)
    names = ["onnx-float32@openvino", "tflite-int8@native"]
    models = [
        msgspec.structs.replace(one, name=name, flips=1234, accuracy_drop_points=-0.5)
        for one, name in zip(result.artifacts, names, strict=False)
    ]
    page = verify_page(msgspec.structs.replace(result, artifacts=models))
    lines = lines_of(page, 80)
    row = next(line for line in lines if line.startswith(names[0]))
    assert "−0.50" in row
    assert "1,234" in row
    assert row.endswith("pass")
    assert max(map(len, lines)) <= 80
    narrow, wide = (
        [line.split() for line in lines_of(page, width) if line.startswith(tuple(names))] for width in (60, 200)
    )
    assert narrow == wide
