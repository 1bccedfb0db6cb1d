"""`edgemnist doctor` on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgemnist.agent.facts import Facts, collect_facts
from edgemnist.agent.probes import Probe, probe_all
from edgemnist.doctor.artifacts import judge_artifacts
from edgemnist.doctor.checks import HERE, Means, judge, worst
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.boards import DoctorResult, Level


def doctor(exports: Path, reporter: Reporter = SILENT) -> DoctorResult:
    """Examine this machine, its runtimes and the artifacts of an export directory."""
    with reporter.task("Importing the runtimes"):
        probes = probe_all(Path(sys.executable))
    command = [sys.executable, "-m", "edgemnist.doctor.artifacts", str(exports)]
    with reporter.task("Testing the artifacts"):
        # In a process of its own: NumPy may crash too, and is a finding then.
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    return examine("this machine", collect_facts(exports), probes, done.stdout)


def examine(
    host: str, facts: Facts, probes: Sequence[Probe], selftest: str | None, means: Means = HERE
) -> DoctorResult:
    """Return the findings about a board; `selftest` is what `edgemnist.doctor.artifacts` printed there."""
    findings = [*judge(facts, probes, means), *judge_artifacts(selftest)]
    healthy = worst(findings) is not Level.FAILURE
    return DoctorResult(host=host, healthy=healthy, findings=findings, facts=facts.document())
