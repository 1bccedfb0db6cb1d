"""`python -m edgemnist.model.exports FILE...`: are the artifacts in git whole, current and of one model? For a hook.

Each export directory is looked at that one of the files lies in, or that the commit deletes a file of. Nothing is
executed: hashes and the record tell. Prints a line for each fault, and exits 1 if there is one.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgemnist.errors import EXIT_BAD_INPUT, EXIT_GATE_MISSED, EXIT_OK, EdgemnistError, UsageError
from edgemnist.model.exports import CURRENT, Exports
from edgemnist.model.exports.golden import read_answers
from edgemnist.model.exports.manifest import MANIFEST_FILE


def faults(directory: Path) -> Iterator[str]:
    """Yield a sentence for each fault of an export directory that is in git.

    Raises ManifestError where its record is broken, and UsageError outside a repository of git.
    """
    if not _is_ours(directory / MANIFEST_FILE) or not (there := _git("ls-files", directory)):
        return
    opened = Exports.open(directory)
    manifest = opened.manifest
    yield from (f"{one.name} is {one.status}: {one.reason}." for one in opened.artifacts if one.status != CURRENT)
    try:
        if manifest.golden is not None:
            opened.read_golden()
        read_answers(directory, manifest, manifest.artifacts)
    except EdgemnistError as error:
        yield f"{error.message}."
    recorded = (*manifest.artifacts, *filter(None, (manifest.golden, manifest.answers)))
    missing = {one.file for one in recorded} - there
    yield from (f"{name} is recorded, but not in git: git add -f {directory / name}." for name in sorted(missing))


def _is_ours(path: Path) -> bool:
    """Return whether a file may be a record, however damaged: web pages and others have a `manifest.json`, too."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return path.exists()
    return not isinstance(document, dict) or not document.keys().isdisjoint({"schema_version", "artifacts"})


def _git(words: str, directory: Path) -> set[str]:
    """Return the paths that a command of git lists, from a directory. Raises UsageError outside a repository."""
    command = ["git", *words.split(), "-z"]
    done = subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True)  # noqa: S603 - the git of whoever commits
    if done.returncode:
        raise UsageError(f"{directory} is not in a git repository: {done.stderr.strip()}")
    return {*done.stdout.split("\0")} - {""}


def main(files: Iterable[str]) -> int:
    """Look at the export directories of files, and return the exit code."""
    code = EXIT_OK
    try:
        # pre-commit names no file that a commit deletes.
        deleted = _git("diff --cached --name-only --relative --no-renames --diff-filter=D", Path())
        for directory in sorted({Path(file).parent for file in (*files, *deleted)}):
            for sentence in faults(directory):
                sys.stdout.write(f"{directory}: {sentence}\n")
                code = EXIT_GATE_MISSED
    except EdgemnistError as error:
        sys.stderr.write(f"error: {error.message}.\n")
        return EXIT_BAD_INPUT
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
