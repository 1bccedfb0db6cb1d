"""What a board answers, line by line, whether or not anybody listens, and what it says of a program that failed."""

import io
import json
import sys
from pathlib import Path

import pytest

from edgemnist.board.agent import MARK, Responder, SelfTestLimits
from edgemnist.board.agent.install import _run, run_selftest
from edgemnist.errors import BundleError, DeployError, GateMissedError


def test_every_line_is_marked_and_sent_at_once() -> None:
    flushed = []

    class Stream(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    responder = Responder(Stream())
    assert responder.stoppable
    responder.step("check")
    assert flushed[-1] == '@edgemnist {"step": "check"}\n'
    responder.error(BundleError("It is damaged", hint="Make it again."))
    responder.tell(result={"release": "1-0123456789ab"}, process=7)
    assert [json.loads(line.removeprefix(MARK)) for line in flushed[-1].splitlines()] == [
        {"step": "check"},
        {"error": {"type": "BundleError", "message": "It is damaged", "hint": "Make it again."}},
        {"result": {"release": "1-0123456789ab"}, "process": 7},
    ]


def test_where_nobody_listens_any_more_the_work_goes_on_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            tried.append(text)
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    responder = Responder(sys.stdout)
    for _ in range(3):
        responder.step("check")
    assert len(tried) == 1
    # Nor does Python complain at its end.
    assert sys.stdout.write("é") == 1
    sys.stdout.close()


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
    with pytest.raises(DeployError, match=f"^pip cannot install edgemnist: {reason}$"):
        _run([sys.executable, "-c", program], "pip cannot install edgemnist", "A hint.")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "hung: it did not finish within 2 s"),
        ("kill -ILL $$", r"crashed \(SIGILL\): it printed nothing"),
        ("echo no module >&2; exit 3", r"crashed \(exit code 3\): no module"),
        ("echo '[1]'", r"crashed \(exit code 0\): it printed nothing"),
        ("""echo '{"passed": false, "reasons": ["a", "b"]}'""", "failed on the board: a; b"),
        # Its limits are those of the deployment.
        ('echo "$*" >&2; exit 1', r"crashed \(exit code 1\): .*/exports --max-p99-us 900.5 --max-rss-mb 64"),
    ],
)
def test_a_self_test_that_does_not_pass_says_why(script: str, said: str, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with pytest.raises(GateMissedError, match=f"^The self-test {said}$"):
        run_selftest(tmp_path, SelfTestLimits(timeout_s=2.0, max_p99_us=900.5, max_rss_mb=64))
