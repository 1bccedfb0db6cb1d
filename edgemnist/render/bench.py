"""The page of `edgemnist bench`."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.render.tables import kilobytes, microseconds, ratio, table
from edgemnist.results import BenchResult


def bench_page(result: BenchResult) -> RenderableType:
    """Draw latency, throughput and cost of each artifact, fastest first."""
    latency = table("artifact", "p50", "p90", "p99", "mean", "min", "vs Keras")
    cost = table("artifact", "runtime", "images/s", "load", "cold start", "peak RSS", "size", left=["runtime"])
    for one in sorted(result.results, key=lambda one: one.p50_us):
        # Keras is measured in two ways, and its runtime says in which.
        name = one.runtime if one.runtime.startswith(one.name) else one.name
        latency.add_row(
            name,
            f"[bold]{microseconds(one.p50_us)}[/]",
            microseconds(one.p90_us),
            microseconds(one.p99_us),
            microseconds(one.mean_us),
            microseconds(one.min_us),
            ratio(one.speedup),
        )
        cost.add_row(
            name,
            one.runtime,
            f"{one.throughput_per_s:,.0f}",
            f"{one.load_ms:.1f} ms",
            f"{one.cold_start_ms:,.0f} ms",
            "" if one.peak_rss_mb is None else f"{one.peak_rss_mb:.0f} MB",
            kilobytes(one.bytes),
        )
    first = result.results[0]
    heading = (
        f"One image, {first.threads} thread{'s' if first.threads > 1 else ''}, fresh processes, "
        f"at least {min(one.samples for one in result.results):,} timed calls each."
    )
    return Group(
        Text(heading), latency, Text(f"Images a second in batches of {first.batch_size:,}."), cost, _host(result)
    )


def _host(result: BenchResult) -> Text:
    facts = [f"{name} {value}" for name, value in result.host.items() if isinstance(value, str | int) and value]
    return Text("Host: " + ", ".join(facts), style="dim")
