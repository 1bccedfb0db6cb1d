"""`edgemnist runtimes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgemnist.console import command_app, options

if TYPE_CHECKING:
    from edgemnist.exports.directory import Exports
    from edgemnist.results.data import RuntimesResult

app = command_app()


@app.command(epilog="Example: edgemnist runtimes --json")
def runtimes(*, exports: options.Exports = None, json: options.Json = False) -> None:
    """List the formats, quantizations and runtimes: which are installed, and how to get the others.

    It also lists which models of the export directory can run here.
    """
    from edgemnist.console import show
    from edgemnist.console.terminal import TerminalReporter
    from edgemnist.exports.directory import peek
    from edgemnist.runtimes.screen import runtimes_page

    opened = peek(exports, TerminalReporter())
    result = availability(opened)
    show(result, lambda: runtimes_page(result, opened.command) if opened else runtimes_page(result), json=json)


def availability(exports: Exports | None = None) -> RuntimesResult:
    """Return every format and runtime, with installed versions and the pip line for what is missing.

    With an export directory also each of its models, and whether it can run here.
    """
    from edgemnist.exports.models import model_name
    from edgemnist.formats import FORMATS
    from edgemnist.results.data import ArtifactSupport, FormatStatus, RuntimesResult, RuntimeStatus
    from edgemnist.runtimes import RUNTIMES, runtimes_of

    return RuntimesResult(
        formats=[
            FormatStatus(
                name=name,
                summary=entry.summary,
                suffix=entry.suffix,
                quantizations=[*entry.quantizations, *entry.trained],
                installed=not entry.missing(),
                versions=entry.versions(),
                install=entry.install_line() if entry.missing() else None,
            )
            for name, entry in FORMATS.items()
        ],
        runtimes=[
            RuntimeStatus(
                name=name,
                summary=entry.summary,
                suffixes=list(entry.suffixes),
                installed=not entry.missing(),
                versions=entry.versions(),
                install=entry.install_line() if entry.missing() else None,
            )
            for name, entry in RUNTIMES.items()
        ],
        exports=str(exports.directory) if exports is not None else None,
        artifacts=[
            ArtifactSupport(
                name=model_name(one.name, runtime, one.record.file),
                runtime=runtime,
                installed=not RUNTIMES[runtime].missing(),
                status=one.status,
                flash_bytes=one.record.footprint.flash_bytes if one.record.footprint else None,
                ram_bytes=one.record.footprint.ram_bytes if one.record.footprint else None,
            )
            for one in (exports.artifacts if exports is not None else ())
            for runtime in runtimes_of(one.record.file, one.name)
        ],
    )
