"""Which export directory a command reads: the user's own, or the reference that comes with the package."""

from __future__ import annotations

from pathlib import Path

from edgemnist.errors import ManifestError
from edgemnist.manifest import MANIFEST_FILE, Manifest, read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.runtimes import RUNTIMES

DEFAULT_EXPORTS = Path("exports")


def find_exports(directory: Path | None, reporter: Reporter = SILENT, *, artifact: str | None = None) -> Path:
    """Return `directory` where one was named, else `exports/` where it has been written to, else the reference.

    Model files count as well as a manifest: where that was lost, the user wants to hear of it, and not to be answered
    by another model. Where `artifact` is a model file, the reference does not answer, and no notice is given.
    """
    if directory is not None:
        return directory
    if DEFAULT_EXPORTS.is_dir() and any(
        path.name == MANIFEST_FILE or is_model_file(path) for path in DEFAULT_EXPORTS.iterdir()
    ):
        return DEFAULT_EXPORTS
    reference = reference_directory()
    if (reference / MANIFEST_FILE).exists():
        if artifact is None or not is_model_file(artifact):
            reporter.notice(
                f"{DEFAULT_EXPORTS}/ has no artifacts yet, so the reference that comes with edgemnist is used."
            )
        return reference
    return DEFAULT_EXPORTS


def peek(exports: Path | None, reporter: Reporter = SILENT) -> tuple[Path, Manifest | None]:
    """Return the export directory and its record, for a command that says something about it beside its own matter.

    Where no directory was named, a broken record is told of in a notice, and is None. Raises ManifestError where one
    was named and cannot be read.
    """
    directory = find_exports(exports)
    try:
        return directory, read_manifest(directory)
    except ManifestError as error:
        if exports is not None:
            raise
        reporter.notice(f"{error.message}.")
        return directory, None


def is_model_file(name: str | Path) -> bool:
    """Return whether a name is that of a model file, by its suffix, and not that of an artifact."""
    return Path(name).suffix in {suffix for entry in RUNTIMES.values() for suffix in entry.suffixes}


def reference_directory() -> Path:
    """Return where the reference artifacts are: within the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "reference"
    return installed if installed.exists() else package.parent / "exports" / "reference"


def keeps_results(directory: Path) -> bool:
    """Return whether results may be saved in an export directory: the reference is everybody's, and stays as it is."""
    return directory.resolve() != reference_directory().resolve()
