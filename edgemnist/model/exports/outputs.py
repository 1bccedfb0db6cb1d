"""Files that an output option must not replace."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgemnist.errors import UsageError
from edgemnist.ground.storage import is_stream
from edgemnist.model.exports.manifest import MANIFEST_FILE, RECORD_FILES
from edgemnist.model.formats import file_name
from edgemnist.model.runtimes import is_model_file
from edgemnist.model.task import TASKS, default_task

PAGES: Final = tuple(file_name("web", "int8", stem) for stem in ("", TASKS[default_task().name].noun))
"""Files of artifacts that are web pages."""

PNG: Final = "a PNG"
PICTURE: Final = "a PNG or JPEG"
CSV: Final = "a table of what was read"
MARKDOWN: Final = "a report in Markdown"
HTML: Final = "a report in HTML"
JSON: Final = "a result in JSON"
XML: Final = "a result in XML"
ZIP: Final = "a bundle"

_BEGINNINGS: Final = {
    PNG: rb"\x89PNG",
    PICTURE: rb"\x89PNG|\xff\xd8\xff",
    # In a cell stands nothing but what was read, with the signs of numbers, and a mark where that was refused.
    CSV: rb"[0-9? ,.:/\-\"\n]*\Z",
    MARKDOWN: rb"## edgemnist: ",
    HTML: rb"<!doctype html>.*<title>edgemnist: ",
    JSON: rb"\{\s*\"schema_version\":",
    XML: rb"<\?xml [^>]*>\s*<testsuites name=\"edgemnist verify\"",
    ZIP: rb"PK\x03\x04",
}
"""How files of each kind begin if they were written here; pictures, whoever wrote them."""
_MOST_BEGINNING: Final = 4096


def check_output(option: str, path: Path | None, kind: str, inputs: Sequence[Path] = ()) -> None:
    """Raise UsageError if an option would replace a file that is not an earlier output of it.

    That is a model, a file of an export directory's record, an input, or a file of a kind that it does not write.
    `inputs` are the files and directories that the command reads.
    """
    if path is None or not path.exists() or is_stream(path):
        return
    what = ""
    if path.name in RECORD_FILES and (path.parent / MANIFEST_FILE).exists():
        what = "a file of an export directory"
    # A report ends in .html, too.
    elif is_model_file(path) and (path.suffix != Path(PAGES[0]).suffix or path.name in PAGES):
        what = "a model"
    elif any(one.exists() and (path.resolve().is_relative_to(one.resolve()) or path.samefile(one)) for one in inputs):
        what = "which is read"
    elif path.is_file() and not _is(kind, path):
        what = f"which is not {kind}"
    if what:
        raise UsageError(f"{option} would overwrite {path}, {what}", hint="Name another file.")


def _is(kind: str, path: Path) -> bool:
    """Return whether a file could be one that an option has written before. Raises UsageError if it cannot be read."""
    with path.open("rb") as file:
        beginning = file.read(_MOST_BEGINNING)
    return not beginning or re.match(_BEGINNINGS[kind], beginning, re.DOTALL) is not None
