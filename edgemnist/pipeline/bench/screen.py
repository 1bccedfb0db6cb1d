"""What a terminal shows of `edgemnist bench`: figures of models, and of several boards."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.ground.console.tables import (
    closing,
    closing_of_boards,
    decision_lines,
    disturbed,
    fault_line,
    host_line,
    quality,
    table,
    throttle_note,
)
from edgemnist.ground.formatting import DISTURBED, count, kilobytes, microseconds
from edgemnist.ground.formatting import ratio as shown_ratio
from edgemnist.ground.inputs import noun_of
from edgemnist.ground.ratios import fastest_first, in_words
from edgemnist.ground.results.bench import BaselineComparison, BenchResult, Latency
from edgemnist.ground.results.boards import FleetBenchResult


def bench_page(result: BenchResult, step: str = "") -> RenderableType:
    """Draw latency, ratio, throughput and cost of each model, fastest first, and what to ship; `step` comes next."""
    noun = noun_of(result.input)
    rows = fastest_first(result.results)
    compared = any(row.speedup is not None for row in rows)
    page = table("artifact", "p50", "p90", "p99", "times as long", *["vs Keras"] * compared, prose=_paths(rows))
    cost = table("artifact", f"{noun}s/s", "first call", "load", "cold start", "peak RSS", "size", prose=_paths(rows))
    for row in rows:
        p50, *others = (
            microseconds(value, tainted=row.disturbed and value is not None)
            for value in (row.p50_us, row.p90_us, row.p99_us)
        )
        times = in_words(row.ratio) if row.ratio is not None else "1×"
        speedup = "" if row.speedup is None else shown_ratio(row.speedup.ratio)
        page.add_row(row.key, Text(p50, "bold"), *others, times, *[speedup] * compared)
        mark = DISTURBED if row.disturbed else ""
        cost.add_row(
            row.key,
            "–" if row.throughput_per_s is None else f"{row.throughput_per_s:,.0f}{mark}",
            microseconds(row.first_call_us, tainted=row.disturbed),
            f"{row.load_ms:,.1f} ms{mark}",
            "–" if row.cold_start_ms is None else f"{row.cold_start_ms:,.0f} ms{mark}",
            "–" if row.peak_rss_mb is None else f"{row.peak_rss_mb:,.0f} MB",
            kilobytes(row.bytes),
        )
    times = count(max(len(row.starts) for row in rows), "time")
    return Group(
        Text(
            f"One {noun} a call, {count(rows[0].threads, 'thread')}: blocks of calls in turns, "
            f"{count(result.rounds, 'round')}, each model started {times}."
        ),
        page,
        Text(f"{noun.capitalize()}s a second in batches of {rows[0].batch_size:,}."),
        cost,
        host_line(result.host),
        *_disturbed(result),
        *quality(result.warnings),
        *_ending(result, rows, step),
    )


def _disturbed(result: BenchResult) -> list[Text]:
    if not result.disturbed:
        return []
    why = f"The machine was disturbed ({'; '.join(result.disturbed)})"
    return [Text(f"{DISTURBED} {why}: times are too long, ratios are within their intervals.", "yellow")]


def _ending(result: BenchResult, rows: Sequence[Latency], step: str) -> Iterable[RenderableType]:
    """Yield what to ship, or which is the fastest, and what became slower."""
    compared = result.baseline
    step = "" if compared is not None else step
    if result.decision is not None:
        yield from decision_lines(result.decision, step)
    elif len(rows) > 1 and rows[1].ratio is not None:
        yield closing(f"{rows[0].key} is the fastest: {in_words(rows[1].ratio)} as fast as {rows[1].key}.", step)
    else:
        yield closing(f"{rows[0].key} takes {microseconds(rows[0].p50_us, tainted=rows[0].disturbed)} a call.", step)
    if compared is None:
        return
    if not compared.file:
        yield closing("Unknown whether anything became slower.", "name an earlier run with --baseline.", passed=False)
        return
    yield from _baseline(compared)


def _baseline(compared: BaselineComparison) -> Iterable[RenderableType]:
    page = table("artifact", "then", "now", "times as long", "verdict", left=["verdict"])
    for one in compared.changes:
        says = "same" if one.passed else "slower" if one.ratio is not None else "unknown"
        says = "faster" if one.ratio is not None and one.ratio.high < 1 else says
        page.add_row(
            one.name, microseconds(one.baseline_p50_us), microseconds(one.p50_us),
            "–" if one.ratio is None else in_words(one.ratio), Text(says, "" if one.passed else "bold red"),
        )  # fmt: skip
    limit = "by more than the interval" if compared.max_slowdown is None else f"than {compared.max_slowdown:g} times"
    yield Text(f"Against {compared.file}: slower {limit} does not pass. Ratios are corrected for the machine's speed.")
    yield page
    slower = [one.name for one in compared.changes if not one.passed and one.ratio is not None]
    absent = [one.name for one in compared.changes if one.ratio is None]
    if slower:
        yield closing(f"Slower than in {compared.file}: {', '.join(slower)}.", "", passed=False)
    elif absent:
        unknown = f"Unknown whether {', '.join(absent)} became slower: only one of the runs has it."
        yield closing(unknown, f"write {compared.file} again with --save.", passed=False)
    else:
        yield closing(f"Nothing is slower than in {compared.file}.", "")


def fleet_page(result: FleetBenchResult) -> RenderableType:
    """Draw p50 and p99 of each model, a column a board, and what is to be said of each board."""
    done = [board.host for board in result.boards if board.fault is None]
    failed = [board.host for board in result.boards if board.fault is not None]
    parts: list[RenderableType] = []
    if measured := [(board.host, board.result) for board in result.boards if board.result is not None]:
        page = table("artifact", "", *(host for host, _ in measured), left=[""])
        figures = [{one.key: one for one in found.results} for _, found in measured]
        for name in dict.fromkeys(name for found in figures for name in found):
            for label, value in (("p50", attrgetter("p50_us")), ("p99", attrgetter("p99_us"))):
                rows = [found.get(name) for found in figures]
                cells = ["" if one is None else microseconds(value(one), tainted=one.disturbed) for one in rows]
                page.add_row(name if label == "p50" else "", label, *cells)
        parts += [Text("One call at a time, each board on its own."), page]
        parts += disturbed(one.disturbed for found in figures for one in found.values())
        for host, found in measured:
            parts.append(Text.assemble(f"{host}: ", host_line(found.host)))
            if found.decision is not None:
                parts.append(Text(f"{host}: {found.decision.sentence}."))
    parts += [fault_line(board.host, board.host, board.fault) for board in result.boards if board.fault is not None]
    parts += [throttle_note(board.host, board.throttled) for board in result.boards if board.throttled]
    return Group(*parts, closing_of_boards(done, failed, f"edgemnist verify --on {(done or failed)[0]}"))


def _paths(rows: Sequence[Latency]) -> list[str]:
    """Return the column to fold where files are named: they may have long paths, and artifacts have short names."""
    return ["artifact"] * any("/" in one.key or "\\" in one.key for one in rows)
