"""What pip says is told as a reason."""

from __future__ import annotations

import sys

import pytest

from edgemnist.agent.install import _run
from edgemnist.errors import DeployError


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("WARNING: slow\nERROR: No matching x\nmore", "ERROR: No matching x"),
        # As pip tells a defect of its own.
        ("ERROR: Exception:\nTraceback (most recent call last):\n  File\nTypeError: x", "TypeError: x"),
        ("", "it gave no reason"),
    ],
)  # fmt: skip
def test_the_reason_of_a_failed_installation_is_told(said: str, reason: str) -> None:
    program = f"import sys; sys.stderr.write({said!r}); sys.exit(1)"
    with pytest.raises(DeployError) as caught:
        _run([sys.executable, "-c", program], "pip cannot install edgemnist", "A hint.")
    assert caught.value.message == f"pip cannot install edgemnist: {reason}"
