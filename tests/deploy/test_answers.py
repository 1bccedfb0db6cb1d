"""A board's answer is read as a stranger's: typed, and without anything that a terminal would obey."""

import json

import pytest

from edgemnist.errors import DeployError
from edgemnist.fleet.deploy.answers import Applied, Line, Ran, clean, clean_result, cleaned, convert, decode, message

RAN = {"exit_code": 0, "release": "1-a", "stdout": "\x1b[2J", "stderr": ""}
SELFTEST: dict[str, object] = {"passed": True, "reasons": [], "images": 1, "artifacts": [], "latencies": []}
APPLIED: dict[str, object] = {
    "status": "deployed", "release": "2-a", "previous": None, "removed": [], "selftest": SELFTEST
}  # fmt: skip


def test_no_text_moves_the_cursor_or_reverses_a_line() -> None:
    assert clean("\x1b[2Jred\x07 \u202etxt\ue000 café\t") == "\ufffd[2Jred\ufffd \ufffdtxt\ufffd café\ufffd"
    assert clean("one\r\ntwo\nthree\r") == "one\ntwo\nthree\ufffd"
    assert message("  one\r\n two\x1b ") == "one two\ufffd"
    assert len(message("x" * 5000)) == 2000


def test_every_text_of_a_document_is_cleaned_and_cut_however_deep_it_lies() -> None:
    dirty = {"a\x1b": ["b\x1b", {"c": "d\x1b"}, 1, None, 2.5, True]}
    assert cleaned(dirty) == {"a\ufffd": ["b\ufffd", {"c": "d\ufffd"}, 1, None, 2.5, True]}
    assert cleaned({"a" * 5000: ["b" * 5000], 1: "one"}) == {"a" * 2000: ["b" * 2000], "1": "one"}
    assert cleaned(["x" * 5000], 10) == ["x" * 10]
    # What a command printed is read on its own.
    assert len(convert("pi", {**RAN, "stdout": "x" * 5000}, Ran).stdout) == 5000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"release": "x" * 100}, "`str` of length <= 64 - at `$.release`"),
        ({"previous": "x" * 100}, "`str` of length <= 64 - at `$.previous`"),
        ({"removed": ["x" * 100]}, "`str` of length <= 64 - at `$.removed"),
        ({"selftest": {**SELFTEST, "passed": False}}, "deployed, with a self-test that failed"),
        ({"status": "failed"}, "Invalid enum value 'failed'"),
    ],
)
def test_a_deployment_that_cannot_have_been_is_not_told_as_one(change: dict[str, object], reason: str) -> None:
    assert convert("pi", APPLIED, Applied).release == "2-a"
    with pytest.raises(DeployError) as caught:
        convert("pi", {**APPLIED, **change}, Applied)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"process": 1}', "Expected `int` >= 2 - at `$.process`"),
        (b'{"process": 4294967296}', "Expected `int` <= 2147483648 - at `$.process`"),
        (b'{"step": "\x1b"}', "JSON is malformed: invalid character (byte 10)"),
        (b'{"step": \xff}', "JSON is malformed: invalid character (byte 9)"),
        (b'{"result": {"a": ' + b"[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_an_answer_of_another_kind_is_told_in_a_sentence(data: bytes, reason: str) -> None:
    with pytest.raises(DeployError) as caught:
        decode("pi", data, Line)
    assert caught.value.message.startswith("pi sent an answer that this version cannot read: ")
    assert reason in caught.value.message


def test_an_answer_has_the_fields_of_its_kind_and_is_cleaned() -> None:
    there = Ran(exit_code=0, release="1-a", stdout="\ufffd[2J", stderr="")
    assert convert("pi", RAN, Ran) == there
    assert clean_result("pi", Ran(**RAN)) == there  # type: ignore[arg-type]  # they fit
    assert decode("pi", json.dumps({"step": "installing"}), Line) == Line(step="installing")
    assert decode("pi", b'{"process": 4711}', Line).process == 4711
    with pytest.raises(DeployError, match=r"pi sent an answer that this version cannot read: .*exit_code"):
        convert("pi", {**RAN, "exit_code": "none"}, Ran)
