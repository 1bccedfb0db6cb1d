"""On a narrow terminal a table folds its words, and loses no name, no mark and no figure."""

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

from edgemnist.board.agent.bundle import decode_record
from edgemnist.board.agent.facts import collect_facts
from edgemnist.errors import BundleError, explained
from edgemnist.fleet.deploy.cli import deploy_page
from edgemnist.fleet.deploy.target import BoardAddress
from edgemnist.fleet.doctor.cli import doctor_page
from edgemnist.fleet.release.cli import releases_page
from edgemnist.ground import console as terminal
from edgemnist.ground.console.tables import host_line
from edgemnist.ground.results.bench import BaselineComparison, Change, Ratio
from edgemnist.ground.results.boards import (
    BenchOnBoard,
    BoardResult,
    DeployResult,
    DoctorResult,
    Fault,
    FleetBenchResult,
    ReleaseRow,
    ReleasesResult,
)
from edgemnist.ground.results.verdict import MISSED, PASSED
from edgemnist.ground.storage import check_writable, commit_files, write_file
from edgemnist.model.exports import Exports
from edgemnist.model.formats import FORMATS
from edgemnist.model.runtimes import RUNTIMES
from edgemnist.pipeline.bench.screen import bench_page, fleet_page
from edgemnist.pipeline.report.page import write_report
from edgemnist.pipeline.search.study import locked
from edgemnist.pipeline.verify.screen import verify_page
from tests.bench import machine
from tests.conftest import OLD_EXPORTS, Run
from tests.judged import verified_here
from tests.messages import Told
from tests.verify import damage
from tests.verify.damage import damage_artifact

RELEASES = [f"{number}-0a7c2a8d0f7{number}" for number in (1, 2)]


def lines_of(page: RenderableType, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(page, crop=False)
    return [line.strip() for line in stream.getvalue().splitlines()]


def drawn(page: RenderableType) -> str:
    return "\n".join(lines_of(page, 100))


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
            artifacts=["tflite-int8", "tflite-dynamic", "tflite-dynamic", "onnx-float32"],
            signed=True,
            deployed_at="2026-11-25T10:00:00Z",
        )
        for release in RELEASES
    ]
    lines = lines_of(
        releases_page(ReleasesResult(host="pi", releases=rows, pending=None, busy=None), BoardAddress.of("pi")), 80
    )
    assert max(map(len, lines)) <= 80
    assert any(re.match(rf"{RELEASES[0]} +0\.1\.0 ", line) for line in lines), lines
    assert any(re.match(rf"{RELEASES[1]} +serves +0\.1\.0 ", line) for line in lines), lines
    for word in ("tflite-dynamic,", "onnx-float32", "damaged", "intact", "2026-11-25", "10:00:00Z"):
        assert word in unfolded(lines)
    assert f"{RELEASES[0]}: exports/tflite-int8.tflite is damaged" in lines


def test_verify_fits_80_columns() -> None:
    result = verified_here(OLD_EXPORTS)
    names = ["onnx-float32@onnxruntime", "tflite-int8@native"]
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


def test_bench_folds_long_paths() -> None:
    lines = lines_of(bench_page(machine.benched(machine.latency(f"{'models/' * 12}mine.onnx", 5.0))), 80)
    assert max(map(len, lines)) <= 80


SOURCES = Path(__file__).parents[2] / "edgemnist"


def test_a_missed_gate_leads_to_the_labels_that_changed_and_these_to_the_report(exports: Path, edgemnist: Run) -> None:
    damage_artifact(exports, "onnx-float32", damage.swap_onnx_outputs)
    words = ("verify", "onnx-float32", "--exports", exports)
    runs = [edgemnist(*words, *more) for more in ((), ("--flips",))]
    assert [done.returncode for done in runs] == [1, 1]
    first, second = (done.stdout.rstrip().splitlines()[-1] for done in runs)
    assert first.endswith(f"It misses the gate. Next: edgemnist verify onnx-float32 --flips --exports {exports}")
    assert second.endswith(f"Next: edgemnist report --exports {exports}")


OFF = Fault(type="DeployError", message="It is off", hint="", exit_code=2)
RUN = machine.benched(machine.latency("tflite-int8", 5.0))


def deployed(**board: Any) -> RenderableType:
    boards = [BoardResult(host="pi@door", root="x", **board)]
    result = DeployResult(bundle="b.zip", identity="i", passed="fault" not in board, boards=boards)
    return deploy_page(result, [BoardAddress.of("pi@door")])


def compared(*outcomes: str) -> RenderableType:
    names = {PASSED: "tflite-int8", MISSED: "tflite-dynamic"}
    changes = [
        Change(name=names[outcome], runtime="litert", p50_us=9, baseline_p50_us=5,
               ratio=Ratio(ratio=1.8, low=1.7, high=1.9), passed=outcome == PASSED)
        for outcome in outcomes
    ]  # fmt: skip
    found = BaselineComparison(file="b.json", max_slowdown=1.1, passed=MISSED not in outcomes, changes=changes)
    return bench_page(msgspec.structs.replace(RUN, baseline=found))


def measured(failed: int) -> RenderableType:
    boards = [BenchOnBoard(host=host, result=RUN) for host in "ab"[failed:]]
    return fleet_page(
        FleetBenchResult(boards=[*boards, *(BenchOnBoard(host=f"c{n}", fault=OFF) for n in range(failed))])
    )


def played(*faults: Fault | None) -> RenderableType:
    boards = [BenchOnBoard(host=host, fault=fault) for host, fault in zip("ab", faults, strict=True)]
    return fleet_page(FleetBenchResult(boards=boards))


def listed(count: int, problems: Sequence[str] = (), serves: int = 2) -> RenderableType:
    rows = [
        ReleaseRow(release=f"r{number}", current=number == serves, problems=list(problems) if number == 1 else [],
                   edgemnist=None, artifacts=[], signed=False, deployed_at=None)
        for number in range(3 - count, 3)
    ]  # fmt: skip
    return releases_page(ReleasesResult(host="pi", releases=rows, pending=None, busy=None), BoardAddress.of("pi"))


HEALTHY = DoctorResult(host="pi", healthy=True, findings=[], facts={})
LAST: list[RenderableType] = [
    doctor_page(HEALTHY, "edgemnist bench"),
    deployed(status="failed", fault=OFF),
    *(deployed(status=status) for status in ("deployed", "unchanged")),
    *(compared(*outcomes) for outcomes in ((PASSED,), (PASSED, MISSED))),
    *map(measured, range(3)),
    *(played(None, None), played(None, OFF)),
    *(listed(0), listed(2, serves=1), listed(1), listed(2), listed(2, ["a is damaged"])),
]


def test_a_page_ends_in_its_verdict_and_what_comes_next(told: Told) -> None:
    for page in LAST:
        told.says(lines_of(page, 200)[-1])


def test_a_report_names_its_directory_and_asks_no_foreign_model_for_a_training(exports: Path, tmp_path: Path) -> None:
    of_reference = write_report(Exports.open("reference"), tmp_path / "r.html")
    assert of_reference.missing
    assert all(command.endswith(" --exports reference") for command in of_reference.missing)
    (exports / "training.json").unlink(missing_ok=True)
    assert not any(" train " in command for command in write_report(Exports.open(exports)).missing)


def test_a_file_in_the_place_of_a_directory_is_told_as_one(tmp_path: Path, told: Told) -> None:
    file = tmp_path / "mine"
    file.touch()
    writes: list[Callable[[], object]] = [
        lambda: commit_files(file, {"a": b""}),
        lambda: check_writable(file, 1),
        lambda: write_file(file / "a.png", b""),
        lambda: locked(file).__enter__(),
    ]
    for write in writes:
        with told():
            write()
    with pytest.raises(OSError, match="File exists") as refused:
        file.mkdir()
    with told():
        raise explained(refused.value) or refused.value
    # It is no SD card that turned read-only.
    assert collect_facts(file).writable


def test_export_names_the_directory_as_it_was_given(tmp_path: Path, edgemnist: Run) -> None:
    (tmp_path / "file").touch()
    told = {place: edgemnist("export", "--offline", "--exports", place).stderr for place in ("mine", "file")}
    assert "Make one with: edgemnist train --exports mine" in unfolded([told["mine"]])
    assert "file is a file, not an export directory" in unfolded([told["file"]])


def test_a_host_is_told_with_units_and_thousands() -> None:
    facts = {"cpu": "Cortex-A76", "max_mhz": 2400, "memory_mb": 25276, "versions": {"numpy": "2"}}
    assert host_line(facts).plain == "Host: cpu Cortex-A76, clock 2,400 MHz, memory 25,276 MB"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (None, "pip install --upgrade edgemnist"),
        (
            {"url": "file:///home/ada/my%20digits", "dir_info": {"editable": True}},
            "git -C '/home/ada/my digits' pull && pip install '/home/ada/my digits'",
        ),
        (
            {"url": "https://example.org/edgemnist.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
            'pip install --upgrade "edgemnist @ git+https://example.org/edgemnist.git"',
        ),
        # From a bundle: a board gets a newer one by the next.
        (
            {"url": "file:///tmp/edgemnist-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install --upgrade edgemnist",
        ),
    ],
    ids=["an index", "a checkout", "a repository", "a wheel"],
)
def test_a_newer_edgemnist_comes_from_where_this_one_came_from(
    source: dict[str, Any] | None, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "edgemnist-0.1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: edgemnist\nVersion: 0.1.0\n")
    if source is not None:
        (place / "direct_url.json").write_text(json.dumps(source))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BundleError) as caught:
        decode_record(b'{"schema_version": 1000}')
    assert caught.value.hint == f"Install a newer edgemnist with: {line}"


PIP_LINE = re.compile(r"pip install ['\"]+([^'\" ]*)\[([a-z,]+)\]")


def test_extras_are_brought_for_the_edgemnist_that_is_installed_without_asking_an_index_for_it(tmp_path: Path) -> None:
    found = {match for path in SOURCES.rglob("*.py") for match in PIP_LINE.findall(path.read_text())}
    assert {name for name, _ in found} == {"edgemnist"}
    extras = {extra for _, named in found for extra in named.split(",")}
    extras |= {entry.extra for registry in (RUNTIMES, FORMATS) for entry in registry.values() if entry.extra}
    assert extras <= set(metadata("edgemnist").get_all("Provides-Extra") or ())
    pytest.importorskip("pip")
    lines = [f"edgemnist[{extra}]" for extra in sorted(extras)]
    # Without what the extras need, there is nothing left that an index would have to know.
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", *lines]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
