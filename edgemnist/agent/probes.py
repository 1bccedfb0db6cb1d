"""Does a package load here? Each is imported in a process of its own, so that a crash is an answer, not the end."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from pathlib import Path


MODULES = {
    "numpy": "numpy",
    "msgspec": "msgspec",
    "pillow": "PIL.Image",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "onnxruntime": "onnxruntime",
}
"""What to import, by name on the package index: everything on a board that has machine code in it."""

LOADED = "loaded"
MISSING = "missing"
CRASHED = "crashed"
FAILED = "failed"
_IMPORT = (
    "import importlib, importlib.metadata, sys\n"
    "try:\n    version = importlib.metadata.version(sys.argv[1])\n"
    "except importlib.metadata.PackageNotFoundError:\n    sys.exit(9)\n"
    "print(version, flush=True)\n"
    "importlib.import_module(sys.argv[2])\n"
)
_NOT_INSTALLED = 9
_TIMEOUT_S = 120
"""A cold import from a slow SD card takes seconds, never minutes."""


@dataclass(frozen=True)
class Probe:
    """How the import of a package ended."""

    package: str
    state: str
    """`loaded`, `missing`, `crashed` (by a signal) or `failed` (by an exception, or for time)."""
    version: Optional[str]
    detail: str
    """Name of the signal, or the last line of the exception."""

    def document(self) -> dict[str, Any]:
        """Return the probe as plain JSON."""
        return dataclasses.asdict(self)


def probe(python: Path, package: str, module: str) -> Probe:
    """Import `module` of `package` with that Python, and see."""
    # -I: neither the current directory nor PYTHONPATH lends it a module.
    command = [str(python), "-I", "-c", _IMPORT, package, module]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Probe(package, FAILED, None, f"the import did not end within {_TIMEOUT_S} s")
    except OSError as error:
        return Probe(package, FAILED, None, f"{python} cannot be run: {error.strerror}")
    version = done.stdout.strip() or None
    if done.returncode == 0:
        return Probe(package, LOADED, version, "")
    if done.returncode == _NOT_INSTALLED and version is None:
        return Probe(package, MISSING, None, "")
    if done.returncode < 0:
        return Probe(package, CRASHED, version, signal.Signals(-done.returncode).name)
    lines = done.stderr.strip().splitlines()
    return Probe(package, FAILED, version, lines[-1] if lines else f"it ended with {done.returncode}")


def probe_all(python: Path) -> list[Probe]:
    """Probe everything that a board may need."""
    return [probe(python, package, module) for package, module in MODULES.items()]
