"""`edgemnist doctor` on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edgemnist.agent.facts import collect_facts, probe_all
from edgemnist.doctor.checks import examine
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.boards import DoctorResult


def doctor(exports: Path, reporter: Reporter = SILENT) -> DoctorResult:
    """Examine this machine, its runtimes and the artifacts of an export directory."""
    with reporter.task("Importing the runtimes"):
        probes = probe_all(Path(sys.executable))
    command = [sys.executable, "-m", "edgemnist.doctor.artifacts", str(exports)]
    with reporter.task("Testing the artifacts"):
        # In a process of its own: NumPy may crash too, and that is then a failed check.
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    return examine("this machine", collect_facts(exports), probes, done.stdout)
