"""What a board answers, line by line, whether or not anybody listens."""

from __future__ import annotations

import io
import json
import sys

import pytest

from edgemnist.agent import MARK, Apply, Responder, SelfTestLimits
from edgemnist.errors import BundleError


def test_every_line_is_marked_and_sent_at_once() -> None:
    flushed = []

    class Stream(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    stream = Stream()
    responder = Responder(stream)
    assert responder.stoppable
    responder.step("check")
    assert flushed[-1] == '@edgemnist {"step": "check"}\n'
    responder.error(BundleError("It is damaged", hint="Make it again."))
    responder.tell(result={"release": "1-0123456789ab"}, process=7)
    lines = [json.loads(line.removeprefix(MARK)) for line in flushed[-1].splitlines()]
    assert lines == [
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


def test_what_a_board_is_asked_for_has_the_values_that_older_boards_know() -> None:
    assert Apply(sha256="a", identity="b", limits=SelfTestLimits()) == Apply(
        sha256="a",
        identity="b",
        limits=SelfTestLimits(timeout_s=300.0, max_p99_us=None, max_rss_mb=None),
        token="",
        keep=3,
        wait_s=60.0,
        allow_downgrade=False,
        shadow=False,
    )
