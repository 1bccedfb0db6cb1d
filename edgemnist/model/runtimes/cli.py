"""`edgemnist runtimes`: its options and its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.ground.console import TerminalReporter, command_app, options, show
from edgemnist.ground.console.tables import closing, table
from edgemnist.ground.formatting import count, footprint
from edgemnist.ground.registry import Entry
from edgemnist.ground.results.data import ArtifactSupport, FormatStatus, RuntimesResult, RuntimeStatus

if TYPE_CHECKING:
    from edgemnist.model.exports import Exports

app = command_app()


@app.command(epilog="Example: edgemnist runtimes --json")
def runtimes(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """List the formats, quantizations and runtimes: which are installed, and how to get the others.

    It also lists which models of the export directory can run here.
    """
    from edgemnist.model.exports import peek

    opened = peek(exports, TerminalReporter())
    result = availability(opened)
    show(result, lambda: runtimes_page(result, opened.command) if opened else runtimes_page(result), json=json)


def availability(exports: Exports | None = None) -> RuntimesResult:
    """Return every format and runtime, with installed versions and the pip line for what is missing.

    With an export directory also each of its models, and whether it can run here.
    """
    from edgemnist.model.exports.models import model_name
    from edgemnist.model.formats import FORMATS
    from edgemnist.model.runtimes import RUNTIMES, runtimes_of

    return RuntimesResult(
        formats=[
            FormatStatus(suffix=one.suffix, quantizations=[*one.quantizations, *one.trained], **_told(name, one))
            for name, one in FORMATS.items()
        ],
        runtimes=[RuntimeStatus(suffixes=list(one.suffixes), **_told(name, one)) for name, one in RUNTIMES.items()],
        exports=str(exports.directory) if exports is not None else None,
        artifacts=[
            ArtifactSupport(
                name=model_name(one.name, runtime, one.record.file),
                runtime=runtime,
                installed=not RUNTIMES[runtime].missing(),
                status=one.status,
                **({} if one.record.footprint is None else msgspec.structs.asdict(one.record.footprint)),
            )
            for one in (exports.artifacts if exports is not None else ())
            for runtime in runtimes_of(one.record.file, one.name)
        ],
    )


def _told(name: str, entry: Entry) -> dict[str, Any]:
    """Return what is said of formats and runtimes alike."""
    return {
        "name": name,
        "summary": entry.summary,
        "installed": not entry.missing(),
        "versions": entry.versions(),
        "install": entry.install_line() if entry.missing() else None,
    }


_WORDS = ("quantizations, the default first", "what it is", "files", "installed")


def runtimes_page(result: RuntimesResult, command: Callable[[str], str] = "edgemnist {}".format) -> RenderableType:
    """Draw the formats and the runtimes, and how to get what is missing.

    `command` completes the command that comes next, as `Exports.command` does.
    """
    formats = table("format", "quantizations, the default first", "installed", prose=_WORDS)
    for entry in result.formats:
        formats.add_row(entry.name, ", ".join(entry.quantizations), _state(entry.versions, entry.install))
    runtimes = table("runtime", "what it is", "files", "installed", prose=_WORDS)
    for row in result.runtimes:
        runtimes.add_row(row.name, row.summary, " ".join(row.suffixes), _state(row.versions, row.install))
    parts: list[RenderableType] = [formats, runtimes]
    if result.artifacts:
        artifacts = table(
            f"model of {result.exports}", "runtime", "file", "can run here", left=["runtime", "file", "can run here"]
        )
        for artifact in result.artifacts:
            whole = artifact.status in {"current", "outdated"}
            status = artifact.status if artifact.status == "current" else Text(artifact.status, "red")
            usable = "yes" if artifact.installed and whole else Text("no", "red")
            artifacts.add_row(artifact.name, artifact.runtime, status, usable)
        parts.append(artifacts)
        parts += [
            Text(footprint(one.name, one.flash_bytes, one.ram_bytes, one.stack_bytes))
            for one in result.artifacts
            if one.flash_bytes is not None and one.ram_bytes is not None
        ]
    runnable = sum(one.installed and one.status in {"current", "outdated"} for one in result.artifacts)
    if result.artifacts:
        all_of_them = runnable == len(result.artifacts)
        lacking = {one.runtime for one in result.artifacts if not one.installed}
        install = next((one.install for one in result.runtimes if one.install and one.name in lacking), None)
        step = command("export") if any(one.status != "current" for one in result.artifacts) else install
        verdict = f"{runnable} of {count(len(result.artifacts), 'model')} can run here."
        parts.append(closing(verdict, step or command("bench"), passed=all_of_them))
    else:
        parts.append(closing("There are no artifacts yet.", "edgemnist all"))
    return Group(*parts)


def _state(versions: dict[str, str], install: str | None) -> str | Text:
    if install is not None:
        return Text.assemble(("no", "red"), f": {install}")
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "yes"
