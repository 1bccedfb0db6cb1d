"""Which export directory a command reads: the user's own, or the reference that comes with the package."""

from __future__ import annotations

from pathlib import Path

from edgemnist.manifest import MANIFEST_FILE
from edgemnist.progress import SILENT, Reporter

DEFAULT_EXPORTS = Path("exports")


def find_exports(directory: Path | None, reporter: Reporter = SILENT) -> Path:
    """Return `directory` where one was named, else `exports/` where it has been written to, else the reference."""
    if directory is not None:
        return directory
    if (DEFAULT_EXPORTS / MANIFEST_FILE).exists():
        return DEFAULT_EXPORTS
    reference = reference_directory()
    if (reference / MANIFEST_FILE).exists():
        reporter.notice(f"{DEFAULT_EXPORTS}/ has no artifacts yet, so the reference that comes with edgemnist is used.")
        return reference
    return DEFAULT_EXPORTS


def reference_directory() -> Path:
    """Return where the reference artifacts are: within the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "reference"
    return installed if installed.exists() else package.parent / "exports" / "reference"
