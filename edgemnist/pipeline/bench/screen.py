"""What a terminal shows of `edgemnist bench`: figures of models, what to ship, and figures of several boards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgemnist.ground.console.tables import (
    closing,
    closing_of_boards,
    disturbed,
    fault_line,
    host_line,
    quality,
    table,
    throttle_note,
    with_interval,
)
from edgemnist.ground.formatting import DISTURBED, count, kilobytes, microseconds, percent, ratio
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.results.bench import (
    BaselineComparison,
    BenchResult,
    Latency,
)
from edgemnist.ground.results.boards import FleetBenchResult
from edgemnist.ground.results.verdict import MISSED, UNKNOWN

if TYPE_CHECKING:
    from edgemnist.model.exports import Exports


def bench_page(result: BenchResult, exports: Exports | None = None) -> RenderableType:
    """Draw latency, throughput and cost of each model, fastest first, and what to ship from `exports`."""
    step = "" if exports is None else exports.command("report")
    noun = noun_of(result.input)
    prose = _paths(result.results)
    cost = table("artifact", f"{noun}s/s", "first call", "load", "cold start", "peak RSS", "size", prose=prose)
    ordered = sorted(result.results, key=attrgetter("p50_us"))
    for one in ordered:
        shown, mark = partial(microseconds, tainted=one.tainted), DISTURBED if one.tainted else ""
        cost.add_row(
            one.key,
            f"{one.throughput_per_s:,.0f}{mark}",
            shown(one.first_call_us),
            f"{one.load_ms:,.1f} ms{mark}",
            f"{one.cold_start_ms:,.0f} ms{mark}",
            "–" if one.peak_rss_mb is None else f"{one.peak_rss_mb:,.0f} MB",
            kilobytes(one.bytes),
        )
    parts: list[RenderableType] = [
        Text(
            f"One {noun}, {count(result.results[0].threads, 'thread')}, fresh processes, "
            f"at least {min(one.samples for one in result.results):,} timed calls each."
        ),
        _latencies(ordered),
        Text(f"{noun.capitalize()}s a second in batches of {result.results[0].batch_size:,}."),
        cost,
    ]
    marked = [one.tainted for one in ordered]
    marked += [one.tainted for one in (result.baseline.changes if result.baseline is not None else [])]
    parts += [*disturbed(marked), host_line(result.host), *quality([*result.warnings, *_warnings(result.results)])]
    if result.baseline is None and exports is not None and not exports.is_reference:
        parts += _ship(exports)
        return Group(*parts)
    if result.baseline is None:
        p50 = microseconds(ordered[0].p50_us, tainted=ordered[0].tainted)
        said = f"{ordered[0].key} {'is the fastest:' if len(ordered) > 1 else 'takes'} {p50} a call (p50)."
        if len(ordered) > 1 and any(marked):
            said = "Which one is the fastest is unknown: the machine was disturbed."
        last = closing(said, step)
    elif not result.baseline.file:
        parts += quality(result.baseline.verdict.reasons)
        last = closing("Unknown whether anything became slower.", "name an earlier run with --baseline.", passed=False)
    else:
        parts.append(_baseline(result.baseline))
        slower = [one.name for one in result.baseline.changes if one.verdict.outcome == MISSED]
        last = closing(f"Nothing is slower than in {result.baseline.file}.", step)
        if slower:
            last = closing(f"Slower than in {result.baseline.file}: {', '.join(slower)}.", step, passed=False)
        elif not result.baseline.passed:
            again = "measure both again, on a quiet machine."
            last = closing(f"Unknown whether anything is slower than in {result.baseline.file}.", again, passed=False)
    return Group(*parts, last)


def _ship(exports: Exports) -> list[RenderableType]:
    """Say what to ship, and why, as far as its gate and these figures tell."""
    if exports.is_reference:
        return []
    if not (found := exports.findings.verify) or not found.current:
        return [
            closing("What may be shipped is unknown until it is verified.", exports.command("verify"), passed=False)
        ]
    name, reason = exports.findings.fastest()
    if name is None:
        return [closing(reason, "", passed=False)]
    return [Text(reason), closing(f"Ship {name}.", exports.command(f"bundle {name}"))]


def fleet_page(result: FleetBenchResult) -> RenderableType:
    """Draw what was measured on several boards, side by side."""
    done = [board.host for board in result.boards if board.fault is None]
    failed = [board.host for board in result.boards if board.fault is not None]
    parts = list(_side_by_side(result))
    parts += [fault_line(board.host, board.host, board.fault) for board in result.boards if board.fault is not None]
    parts += [throttle_note(board.host, board.throttled) for board in result.boards if board.throttled]
    return Group(*parts, closing_of_boards(done, failed, f"edgemnist verify --on {(done or failed)[0]}"))


def _side_by_side(result: FleetBenchResult) -> Iterable[RenderableType]:
    """Yield p50 and p99 of each artifact, a column a board, and what is to be said of each board."""
    measured = [(board.host, board.result) for board in result.boards if board.result is not None]
    if not measured:
        return
    page = table("artifact", "", *(host for host, _ in measured), left=[""])
    figures = [{one.key: one for one in found.results} for _, found in measured]
    for name in dict.fromkeys(name for found in figures for name in found):
        for label, value in (("p50", attrgetter("p50_us")), ("p99", attrgetter("p99_us"))):
            rows = [found.get(name) for found in figures]
            cells = ["" if one is None else microseconds(value(one), tainted=one.tainted) for one in rows]
            page.add_row(name if label == "p50" else "", label, *cells)
    yield Text("One call at a time, each board on its own.")
    yield page
    yield from disturbed(one.tainted for found in figures for one in found.values())
    for host, found in measured:
        yield Text.assemble(f"{host}: ", host_line(found.host))
        yield from quality(f"{host}: {warning}" for warning in (*found.warnings, *_warnings(found.results)))


def _paths(rows: Sequence[Latency]) -> list[str]:
    """Return the column to fold where files are named: they may have long paths, and artifacts have short names."""
    return ["artifact"] * any("/" in one.key or "\\" in one.key for one in rows)


def _latencies(rows: Sequence[Latency]) -> Table:
    # No column for the runtime, which the name tells: on a terminal of 80 columns the figures need the room.
    compared = any(one.speedup is not None for one in rows)
    more = ["vs Keras"] if compared else []
    page = table("artifact", "p50", "p90", "p99", "p99.9", "mean", "min", *more, prose=_paths(rows))
    for one in rows:
        figures = (one.p50_us, one.p90_us, one.p99_us, one.p999_us, one.mean_us, one.min_us)
        p50, *others = (microseconds(figure, tainted=one.tainted) for figure in figures)
        page.add_row(one.key, Text(p50, "bold"), *others, *([ratio(one.speedup)] if compared else []))
    return page


def _baseline(comparison: BaselineComparison) -> RenderableType:
    page = table("artifact", "then", "now", "machine", "ratio [95 %]", "verdict", left=["verdict"])
    colors = {"slower": "bold red", "faster": "green", "unclear": "bold red", "same": "", UNKNOWN: "bold red"}
    for change in comparison.changes:
        known = change.ratio is not None and (change.verdict.outcome != UNKNOWN or change.ratio.verdict == "unclear")
        says = change.ratio.verdict if known and change.ratio is not None else UNKNOWN
        page.add_row(
            change.name,
            microseconds(change.baseline_p50_us, tainted=change.tainted),
            microseconds(change.p50_us, tainted=change.tainted),
            "–" if change.machine is None else f"{change.machine:.3f}×",
            with_interval(change.ratio),
            Text(says, style=colors[says]),
        )
    heading = (
        f"Against {comparison.file}: slower means by more than both {comparison.max_slowdown:g}× and the noise. "
        "The ratio is that of p50, corrected for the machine: how long the same fixed work took, now over then."
    )
    ratios = [(one.name, one.ratio) for one in comparison.changes if one.ratio is not None]
    noise = ", ".join(f"{name} ± {percent((ratio.high - ratio.low) / 2, 1)}" for name, ratio in ratios)
    told = [*comparison.verdict.reasons, *comparison.warnings]
    return Group(Text(heading), page, *([Text(f"Noise: {noise}.")] if ratios else []), *quality(told))


def _warnings(rows: Iterable[Latency]) -> list[str]:
    """Return what is to be said about the quality of the figures, a line for each model at most."""
    return [f"{one.key}: {'; '.join(one.warnings)}" for one in rows if one.warnings]
