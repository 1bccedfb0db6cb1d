"""A figure of a disturbed machine carries its mark wherever it is shown, and no ratio is formed with it."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from rich.console import RenderableType

from edgemnist.board.machine import host_facts
from edgemnist.ground.formatting import DISTURBED_LEGEND
from edgemnist.ground.results.bench import (
    KERAS,
    BenchResult,
    Block,
    Latency,
    with_speedups,
)
from edgemnist.ground.results.boards import BenchOnBoard, FleetBenchResult
from edgemnist.ground.results.pipeline import PipelineResult, PipelineRow
from edgemnist.model.exports import Exports
from edgemnist.model.exports.findings import choose
from edgemnist.pipeline.all import pipeline_page
from edgemnist.pipeline.bench.baseline import compare_with_baseline
from edgemnist.pipeline.bench.screen import bench_page, fleet_page
from edgemnist.pipeline.report.page import html_page, markdown_page
from tests.bench.machine import benched, latency, parity, run, verified
from tests.render.test_narrow import lines_of

CLEAN, TAINTED = Block(samples=9, p50_us=6.0), Block(samples=9, p50_us=6.0, taints=["another process"])
NAME = "tflite-int8"


def measured(name: str = NAME, p50: float = 6.0, *, tainted: bool) -> Latency:
    made = latency(name, p50)
    runtime = KERAS if name == KERAS else "litert"
    return msgspec.structs.replace(made, runtime=runtime, blocks=[TAINTED if tainted else CLEAN] * 3)


def figures(*, tainted: bool) -> list[Latency]:
    """Return an artifact, its float twin and Keras, of which the machine disturbed all or none."""
    rows = [(NAME, 6.0), ("tflite-float32", 24.0), (KERAS, 600.0)]
    return with_speedups([measured(*row, tainted=tainted) for row in rows])


def all_of(*, tainted: bool) -> RenderableType:
    rows = figures(tainted=tainted)
    parities = verified(parity(NAME))
    recommended, reason = choose(parities.artifacts, rows)
    row = PipelineRow(
        name=NAME, bytes=9, accuracy=0.9, flips=0, passed=True, p50_us=6.0, speedup=rows[0].speedup, tainted=tainted
    )
    data: Any = SimpleNamespace(data=parities.data, noun="image")
    result = PipelineResult(
        train=data,
        export=data,
        verify=parities,
        bench=benched(*rows),
        rows=[row],
        recommended=recommended,
        reason=reason,
    )
    return pipeline_page(result, Path("exports"))


def baseline_of(*, tainted: bool) -> RenderableType:
    then, now = run(NAME, [[6.0] * 9] * 3), run(NAME, [[6.0] * 9] * 3)
    if tainted:
        blocks = [msgspec.structs.replace(block, taints=["another process"]) for block in then.results[0].blocks]
        then = msgspec.structs.replace(then, results=[msgspec.structs.replace(then.results[0], blocks=blocks)])
    comparison = compare_with_baseline(now, then, file=Path("b.json"), max_slowdown=2)
    assert comparison.passed != tainted, "what is not known has not passed"
    return bench_page(msgspec.structs.replace(now, results=now.results, baseline=comparison))


PAGES: dict[str, Callable[..., RenderableType]] = {
    "bench": lambda tainted: bench_page(benched(*figures(tainted=tainted))),
    "boards": lambda tainted: fleet_page(
        FleetBenchResult(boards=[BenchOnBoard(host="pi", result=benched(*figures(tainted=tainted)))])
    ),
    "all": all_of,
}
FIGURE = re.compile(r"\d(?: ?(?:µs|ms)|/s)(?![\w/*])")
"""A time or a rate without the mark."""


@pytest.mark.parametrize("name", PAGES)
def test_a_tainted_figure_is_marked_in_every_table_and_in_no_ratio(name: str) -> None:
    tainted, clean = ("\n".join(lines_of(PAGES[name](tainted=which), 200)) for which in (True, False))
    assert not FIGURE.findall(tainted), tainted
    assert "×" not in tainted
    assert tainted.count(DISTURBED_LEGEND) == 1
    assert FIGURE.findall(clean)
    assert "*" not in clean


def test_which_one_is_the_fastest_is_not_told_by_tainted_figures() -> None:
    tainted, clean = (lines_of(PAGES["bench"](tainted=which), 200)[-1] for which in (True, False))
    assert "is the fastest: " in clean
    assert tainted.startswith("Which one is the fastest is unknown: the machine was disturbed.")


def test_a_tainted_run_is_no_baseline() -> None:
    text = "\n".join(lines_of(baseline_of(tainted=True), 200))
    assert "6.00 µs*" in text
    assert "unknown" in text
    assert "×  [" not in text
    assert text.rstrip().endswith(
        "Unknown whether anything is slower than in b.json. Next: measure both again, on a quiet machine."
    )
    assert "Nothing is slower than in b.json." in "\n".join(lines_of(baseline_of(tainted=False), 200))


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_speed_up_needs_two_clean_measurements(*, ours: bool, theirs: bool) -> None:
    one, other = measured(tainted=ours), measured(KERAS, 600.0, tainted=theirs)
    ratio = None if ours or theirs else 100.0
    assert one.times_as_fast_as(other) == ratio
    # An earlier edgemnist formed it with whatever it had measured.
    for row, kept in ((one, ratio), (msgspec.structs.replace(one, speedup=90.0), 90.0 if ratio else None)):
        assert with_speedups([row, other])[0].speedup == kept
    # A speed-up that an earlier run formed goes with its figure.
    (alone,) = with_speedups([msgspec.structs.replace(one, speedup=90.0)])
    assert alone.speedup == (None if ours else 90.0)


@pytest.mark.parametrize(("taints", "tainted"), [((), False), ((1, 0), False), ((1, 1, 0), True), ((1,), True)])
def test_figures_are_tainted_where_more_than_half_of_the_rounds_are(taints: tuple[int, ...], *, tainted: bool) -> None:
    blocks = [TAINTED if one else CLEAN for one in taints]
    assert msgspec.structs.replace(latency(NAME, 6.0), blocks=blocks).tainted == tainted


def test_the_report_marks_them_too(exports: Path) -> None:
    rows = {one.name: one.sha256 for one in Exports.open(exports).manifest.artifacts}
    results = [msgspec.structs.replace(measured(NAME, tainted=True), sha256=rows[NAME], p99_us=8.0)]
    Exports.open(exports).findings.save_bench(BenchResult(host=host_facts(), results=results))
    from edgemnist.pipeline.report.page import read_report_data

    facts = read_report_data(Exports.open(exports))
    for page in (html_page(facts), markdown_page(facts)):
        assert DISTURBED_LEGEND in page
        assert "6.00 µs*" in page
        assert not re.findall(r"[68]\.00 µs(?!\*)", page)
