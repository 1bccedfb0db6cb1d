"""The report in short, for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgemnist.report.commands import COMMENT, reproduce
from edgemnist.report.data import ReportData, rows


def markdown_page(facts: ReportData) -> str:
    """Return the summary, one table, the host and how to get the same, in GitHub's Markdown."""
    parts = [f"## edgemnist: {facts.headline()}"]
    if facts.advice is not None:
        parts += [
            facts.advice.reason,
            _list([*facts.advice.facts, *(f"**Doubt:** {one}" for one in facts.advice.warnings)]),
        ]
    parts += [f"**{one}**" for one in facts.warnings()]
    parts.append(_artifacts(facts))
    failures = [f"**{row.name}** missed its gate: {reason}" for row in rows(facts) for reason in row.reasons]
    failures += facts.gates()
    if failures:
        parts.append(_list(failures))
    if facts.missing():
        parts.append(f"Not known yet; run {', '.join(f'`{command}`' for command in facts.missing())}.")
    if facts.benched is not None:
        host = facts.benched.host
        named = [f"{name} {host[name]}" for name in ("machine", "cpu", "os", "governor") if host.get(name)]
        parts.append(f"Measured on {', '.join(named)}.")
    hashes = [(f"`{one.file}`", f"`{one.sha256}`") for one in facts.manifest.artifacts]
    parts.append(_folded("Hashes", table(("file", "SHA-256"), hashes)))
    parts.append(_folded("Reproduce", "\n".join(["```console", *map(_prompted, reproduce(facts)), "```"])))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is set to the right."""
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in (head, rule, *lines)
    )


def _artifacts(facts: ReportData) -> str:
    head = ("artifact", "size", "accuracy", "drop", "flips", "p50", "p99", "vs Keras", "gate")
    return table(
        head,
        (
            (
                f"**{row.name}**" if row.chosen else row.name,
                row.size,
                row.accuracy,
                row.drop,
                row.flips,
                row.p50,
                row.p99,
                row.speedup,
                row.gate,
            )
            for row in rows(facts)
        ),
    )


def _prompted(line: str) -> str:
    return line if line.startswith(COMMENT) else f"$ {line}"


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
