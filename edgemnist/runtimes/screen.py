"""The page of `edgemnist runtimes`."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.text import Text

from edgemnist.console.tables import closing, table
from edgemnist.formatting import count, footprint
from edgemnist.results.data import RuntimesResult

_WORDS = ("quantizations, the default first", "what it is", "files", "installed")


def runtimes_page(result: RuntimesResult, command: Callable[[str], str] = "edgemnist {}".format) -> RenderableType:
    """Draw the formats and the runtimes, and how to get what is missing.

    `command` completes the command that comes next, as `Exports.command` does.
    """
    formats = table("format", "quantizations, the default first", "installed", prose=_WORDS)
    for one in result.formats:
        formats.add_row(one.name, ", ".join(one.quantizations), _state(one.versions, one.install))
    runtimes = table("runtime", "what it is", "files", "installed", prose=_WORDS)
    for runtime in result.runtimes:
        runtimes.add_row(
            runtime.name, runtime.summary, " ".join(runtime.suffixes), _state(runtime.versions, runtime.install)
        )
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
            Text(footprint(one.name, one.flash_bytes, one.ram_bytes))
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
