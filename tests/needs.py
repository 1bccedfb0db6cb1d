"""Skips a test whose needs are not met, and says once, at the end, what would bring them.

A test says `@pytest.mark.needs("curl")`, a fixture `require("sshd")`; tests/programs.py has the names. With
EDGEMNIST_TESTS=all, as in .ci/run, what is missing is a failure.
"""

import functools
import os
import re
from collections import Counter

import pytest

from tests.programs import NEEDS

REASON = "needs {}: {}"
RUNTIMES = {"browser": "chromium", "compiled": "cc", "native": "engine"}
"""What a runtime needs that no package of Python brings."""


@functools.cache
def is_met(name: str) -> bool:
    """Return whether a need is met, looked up once for each process."""
    return NEEDS[name].found()


def remedy(name: str) -> str:
    """Return the line that brings what is missing."""
    need = NEEDS[name]
    return need.otherwise or f"sudo apt install {' '.join(need.packages)}"


def require(*names: str) -> None:
    """Skip the test, or fail it with EDGEMNIST_TESTS=all, unless all of these are here."""
    for name in names:
        if not is_met(name):
            reason = REASON.format(name, remedy(name))
            if os.environ.get("EDGEMNIST_TESTS") == "all" and NEEDS[name].everywhere:
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


def require_runtime(name: str) -> None:
    """Do the same for what a runtime needs."""
    if name in RUNTIMES:
        require(RUNTIMES[name])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look at the marks of a test before its fixtures cost anything."""
    for mark in item.iter_markers("needs"):
        require(*mark.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and what brings it."""
    reasons = [
        str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())
    ]
    if not reasons:
        return
    needs = [re.match(r"needs (\S+):", reason) for reason in reasons]
    left_out = Counter(need[1] for need in needs if need)
    others = Counter(reason for reason, need in zip(reasons, needs, strict=True) if not need)
    terminalreporter.section("left out")
    for reason, count in sorted(others.items()):
        terminalreporter.line(f"{reason}: {count}")
    for name, count in sorted(left_out.items()):
        if not NEEDS[name].packages:
            terminalreporter.line(f"{name}: {count} test{'s' * (count > 1)}. {remedy(name)}")
    packages = sorted({package for name in left_out for package in NEEDS[name].packages})
    if packages:
        named = ", ".join(f"{name}: {count}" for name, count in sorted(left_out.items()) if NEEDS[name].packages)
        terminalreporter.line(f"Tests without their program: {named}. Install them on Debian with:")
        terminalreporter.line(f"  sudo apt install {' '.join(packages)}")
