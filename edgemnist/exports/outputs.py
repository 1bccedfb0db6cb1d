"""What an output option must not replace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgemnist.errors import UsageError
from edgemnist.exports.manifest import MANIFEST_FILE, RECORD_FILES
from edgemnist.formats import file_name
from edgemnist.runtimes import is_model_file

PAGE: Final = Path(file_name("web", "int8"))
"""Of the artifact that is a web page."""


def check_output(option: str, path: Path | None, inputs: Sequence[Path] = ()) -> None:
    """Raise UsageError where an option would replace a model, a file of an export directory's record, or an input.

    `inputs` are the files and directories that the command reads.
    """
    if path is None or not path.exists():
        return
    what = ""
    if path.name in RECORD_FILES and (path.parent / MANIFEST_FILE).exists():
        what = "a file of an export directory"
    # A report ends in .html, too.
    elif is_model_file(path) and (path.suffix != PAGE.suffix or path.name == PAGE.name):
        what = "a model"
    elif any(one.exists() and _holds(one, path) for one in inputs):
        what = "which is read"
    if what:
        raise UsageError(f"{option} would overwrite {path}, {what}", hint="Name another file.")


def _holds(source: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(source.resolve()) or path.samefile(source)
