"""The last line of a command is its verdict and the next step, and figures are written in one way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.agent.bundle import decode_record
from edgemnist.agent.facts import collect_facts
from edgemnist.bench.cli import bench_page, fleet_bench_page
from edgemnist.console.tables import host_line
from edgemnist.deploy.cli import deploy_page
from edgemnist.doctor.cli import doctor_page
from edgemnist.errors import BundleError, StorageError, UsageError, explained
from edgemnist.exports import Exports
from edgemnist.formats import FORMATS
from edgemnist.formatting import percent
from edgemnist.promote.cli import promote_page
from edgemnist.recommend.cli import recommend_page
from edgemnist.releases import releases_page
from edgemnist.report.page import write_report
from edgemnist.results.bench import BaselineComparison, Change, Ratio
from edgemnist.results.boards import (
    BenchOnBoard,
    BoardResult,
    DeployResult,
    DoctorResult,
    Fault,
    FleetBenchResult,
    FleetScenarioResult,
    PromoteResult,
    ReleaseRow,
    ReleasesResult,
    ScenarioOnBoard,
)
from edgemnist.results.pipeline import RecommendResult
from edgemnist.runtimes import RUNTIMES
from edgemnist.runtimes.interface import as_images
from edgemnist.scenario.cli import fleet_scenario_page
from edgemnist.search.journal import locked
from edgemnist.storage import check_writable, commit_files, write_file
from tests.bench import machine
from tests.conftest import Run
from tests.render.test_narrow import lines_of, unfolded
from tests.verify import damage
from tests.verify.damage import damage_artifact

SOURCES = Path(__file__).parents[2] / "edgemnist"


def test_a_missed_gate_leads_to_the_labels_that_changed_and_these_to_the_report(exports: Path, edgemnist: Run) -> None:
    damage_artifact(exports, "onnx-float32", damage.swap_onnx_outputs)
    words = ("verify", "onnx-float32", "--exports", exports)
    first, second = (edgemnist(*words, *more).stdout.rstrip().splitlines()[-1] for more in ((), ("--flips",)))
    missed = "1 of 2 models missed the gate" if "of 2" in first else "1 of 1 model missed the gate"
    assert first == f"{missed}: onnx-float32. Next: edgemnist verify onnx-float32 --flips --exports {exports}"
    assert second.endswith(f"Next: edgemnist report --exports {exports}")


def test_a_reference_that_answers_with_no_numbers_is_refused_before_a_model_is_blamed(
    made_exports: Path, exports: Path, edgemnist: Run
) -> None:
    damage_artifact(exports, "onnx-float32", damage.answer_not_a_number)
    reference = exports / "onnx-float32.onnx"
    done = edgemnist("verify", "--reference", reference, made_exports / "onnx-float32.onnx", "--exports", made_exports)
    assert done.returncode == 2, done.stdout
    assert "with numbers that are not finite, so nothing can be compared with it" in unfolded([done.stderr])
    assert done.stdout == ""


def test_runtimes_leads_to_bench_or_to_the_command_that_writes_a_damaged_file_again(
    exports: Path, edgemnist: Run
) -> None:
    (exports / "onnx-float32.onnx").write_bytes(b"damaged")
    done = edgemnist("runtimes", "--exports", exports)
    assert done.stdout.rstrip().endswith(f"can run here. Next: edgemnist export --exports {exports}")


def test_the_doctor_and_a_deployment_end_in_what_comes_next() -> None:
    healthy = DoctorResult(host="pi", healthy=True, findings=[], facts={})
    assert lines_of(doctor_page(healthy, "edgemnist bench"), 80)[-1] == "pi is fit for edgemnist. Next: edgemnist bench"
    board = BoardResult(
        host="pi@door",
        root="x",
        status="failed",
        fault=Fault(type="DeployError", message="It is off", hint="", exit_code=2),
    )
    result = DeployResult(bundle="b.zip", identity="i", passed=False, boards=[board])
    last = lines_of(deploy_page(result), 100)[-1]
    assert last == "The release is on 0 of 1 board. Next: edgemnist doctor --on pi@door"


def test_a_comparison_ends_in_what_is_slower_and_what_comes_next() -> None:
    now = machine.run("tflite-int8", [[5.0]])
    changes = [
        Change(name=name, runtime="litert", p50_us=9, baseline_p50_us=5, noise=0,
               ratio=Ratio(ratio=1.8, low=1.7, high=1.9, verdict=verdict))
        for name, verdict in (("tflite-int8", "same"), ("tflite-int4", "slower"))
    ]  # fmt: skip
    for passed, verdict in (
        (True, "Nothing is slower than in b.json."),
        (False, "Slower than in b.json: tflite-int4."),
    ):
        compared = BaselineComparison(file="b.json", max_slowdown=1.1, passed=passed, changes=changes)
        page = bench_page(msgspec.structs.replace(now, baseline=compared), "edgemnist recommend")
        assert lines_of(page, 200)[-1] == f"{verdict} Next: edgemnist recommend"


def test_what_boards_measured_ends_in_how_many_did_and_what_comes_next() -> None:
    off = Fault(type="DeployError", message="It is off", hint="", exit_code=2)
    result = machine.run("tflite-int8", [[5.0]])
    loads: list[ScenarioOnBoard] = [ScenarioOnBoard(host="a"), ScenarioOnBoard(host="b")]
    boards = [BenchOnBoard(host="a", result=result), BenchOnBoard(host="b", result=result)]
    assert lines_of(fleet_bench_page(FleetBenchResult(boards=boards)), 200)[-1] == (
        "2 of 2 boards measured. Next: edgemnist verify --on a"
    )
    assert lines_of(fleet_scenario_page(FleetScenarioResult(boards=loads)), 200)[-1] == (
        "2 of 2 boards measured. Next: edgemnist releases --to a"
    )
    for failed in (1, 2):
        rows = [*boards[failed:], *(BenchOnBoard(host=f"c{number}", fault=off) for number in range(failed))]
        last = lines_of(fleet_bench_page(FleetBenchResult(boards=rows)), 200)[-1]
        assert last == f"{2 - failed} of 2 boards measured. Next: edgemnist doctor --on c0"
    loads[1] = ScenarioOnBoard(host="b", fault=off)
    last = lines_of(fleet_scenario_page(FleetScenarioResult(boards=loads)), 200)[-1]
    assert last == "1 of 2 boards measured. Next: edgemnist doctor --on b"


@pytest.mark.parametrize("name", ["tflite-int8", None])
def test_a_recommendation_ends_in_what_to_ship_and_what_comes_next(name: str | None) -> None:
    result = RecommendResult(recommended=name, reason="It is small.", facts=[], candidates=[], host={})
    last = lines_of(recommend_page(result, "edgemnist bundle"), 80)[-1]
    assert last == f"Ship {name or 'nothing'}. Next: edgemnist bundle"


def test_a_report_asks_for_the_directory_as_it_was_named_and_for_no_training_of_a_foreign_model(
    exports: Path, tmp_path: Path
) -> None:
    of_reference = write_report(Exports.open("reference"), tmp_path / "r.html")
    assert of_reference.missing
    assert all(command.endswith(" --exports reference") for command in of_reference.missing)
    (exports / "training.json").unlink(missing_ok=True)
    assert not any(" train " in command for command in write_report(Exports.open(exports)).missing)


def test_a_file_in_the_place_of_a_directory_is_told_as_one(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.touch()

    def lock() -> None:
        with locked(file):
            pass

    writes: list[Callable[[], None]] = [
        lambda: commit_files(file, {"a": b""}),
        lambda: check_writable(file, 1),
        lambda: write_file(file / "a.png", b""),
        lock,
    ]
    for write in writes:
        with pytest.raises(StorageError, match=r"mine(/\S*)? is a file, not a directory") as caught:
            write()
        assert "Free some space" not in caught.value.hint
    with pytest.raises(OSError, match="File exists") as refused:
        file.mkdir()
    told = explained(refused.value)
    assert isinstance(told, UsageError)
    assert told.message == f"{file} is a file, not a directory"
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


def test_every_percent_sign_has_its_space() -> None:
    assert (percent(0.9791), percent(0.5, 0)) == ("97.91 %", "50 %")
    tight = [
        f"{path.relative_to(SOURCES)}: {match[0]}"
        for path in sorted(SOURCES.rglob("*.py"))
        for match in re.finditer(r"\{[^{}\"]*:[,.\d]*%\}", path.read_text())
    ]
    assert tight == []


@pytest.mark.parametrize("given", ["digit.png", None, Path("digit.png")])
def test_a_path_in_the_place_of_pixels_is_told_as_one(given: object) -> None:
    with pytest.raises(ValueError, match=rf"pixels must be numbers, not {type(given).__name__}; edgemnist\.prepare"):
        as_images(given)  # type: ignore[arg-type]


def test_the_releases_of_a_board_lead_to_one_another() -> None:
    def last(**result: Any) -> str:
        return lines_of(promote_page(PromoteResult(host="pi", release="r2", **result), "me@pi --root here"), 120)[-1]

    assert last(passed=True, previous="r1").endswith("Next: edgemnist releases --to me@pi --root here")
    assert last(passed=True, dropped=True).endswith("Next: edgemnist releases --to me@pi --root here")
    assert last(passed=False, reasons=["Too few."]).endswith("Next: edgemnist promote --to me@pi --root here --drop")
    rows = [
        ReleaseRow(release=f"r{number}", current=number == 2, problems=[], edgemnist=None, artifacts=[], signed=False,
                   deployed_at=None)
        for number in (1, 2)
    ]  # fmt: skip
    for count, step in ((0, "deploy bundle.zip"), (1, "deploy bundle.zip"), (2, "rollback")):
        shown = releases_page(ReleasesResult(host="pi", releases=rows[2 - count :], pending=None, busy=None), "pi")
        assert lines_of(shown, 120)[-1].endswith(f"Next: edgemnist {step} --to pi")
    damaged = [msgspec.structs.replace(rows[0], problems=["a is damaged"]), rows[1]]
    shown = releases_page(ReleasesResult(host="pi", releases=damaged, pending=None, busy=None), "pi")
    assert lines_of(shown, 120)[-1] == "pi has 2 releases and serves r2. Next: edgemnist deploy bundle.zip --to pi"
