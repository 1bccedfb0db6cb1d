"""What has to be right on a board before a bundle is sent there: a pure function over the doctor's findings."""

from __future__ import annotations

from collections.abc import Sequence

from edgemnist.bundle.record import ANY_MACHINE, BundleRecord
from edgemnist.doctor.checks import INSTALL_BYTES
from edgemnist.doctor.facts import Facts
from edgemnist.doctor.results import Finding, Level
from edgemnist.errors import BundleError, DeployError


def require_fit(host: str, facts: Facts, findings: Sequence[Finding], record: BundleRecord, size: int) -> None:
    """Raise where a bundle of `size` bytes cannot end well on a board.

    DeployError for a board that is not fit, BundleError for wheels of another processor or Python.
    """
    for finding in findings:
        if finding.level is Level.FAILURE:
            raise DeployError(
                f"{host}: {finding.name} {finding.value}: {finding.meaning}".rstrip("."), hint=finding.mend
            )
    if record.machine not in (ANY_MACHINE, facts.kernel_machine):
        raise BundleError(
            f"{host} is {facts.kernel_machine}, and the bundle has wheels for {record.machine}",
            hint=f"Make one with: edgemnist bundle --wheels --machine {facts.kernel_machine}",
        )
    python = ".".join(facts.python.split(".")[:2])
    if record.pythons and python not in record.pythons:
        raise BundleError(
            f"{host} has Python {python}, and the bundle has wheels for {', '.join(record.pythons)}",
            hint=f"Make one with: edgemnist bundle --wheels --python {python}",
        )
    # The bundle as it comes, and once more unpacked.
    if facts.disk_free_bytes is not None and facts.disk_free_bytes < 2 * size:
        raise DeployError(
            f"{host} has {facts.disk_free_bytes / 1e6:,.1f} MB free, and the bundle needs {2 * size / 1e6:,.1f} MB",
            hint=f"Free some space there: sudo apt clean   A first install takes {INSTALL_BYTES / 1e6:.0f} MB more.",
        )
