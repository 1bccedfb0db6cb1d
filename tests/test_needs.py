"""A machine without a program runs the other tests, and is told what would bring the rest."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

TEST = ("tests/test_systemd.py", "-k", "systemd_takes")


def run_without_programs(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options, *TEST],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": "/nowhere", "EDGEMNIST_TESTS": "", **environment},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_is_missing_is_named_once_with_the_line_that_brings_it(workers: str) -> None:
    done = run_without_programs("-n", workers)
    assert done.returncode == 0, done.stdout
    assert "Tests without their program: systemd-analyze: 2. Install them on Debian with:" in done.stdout
    assert "sudo apt install systemd\n" in done.stdout


def test_a_run_that_must_leave_nothing_out_fails() -> None:
    done = run_without_programs("-n", "0", EDGEMNIST_TESTS="all")
    assert done.returncode == 1
    assert "needs systemd-analyze: sudo apt install systemd" in done.stdout


def test_ctrl_c_reaches_what_tests_start_although_the_shell_ignores_it() -> None:
    code = "import tests.conftest, signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        ["sh", "-c", f"trap '' INT; exec {sys.executable} -c '{code}'"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n"


def test_the_packages_that_are_missing_are_printed_for_the_package_manager() -> None:
    command = [sys.executable, "tests/programs.py"]
    done = subprocess.run(command, cwd=REPOSITORY, env={"PATH": "/nowhere"}, check=True, capture_output=True, text=True)
    assert {"chromium", "faketime", "openssh-client"} <= set(done.stdout.split())
