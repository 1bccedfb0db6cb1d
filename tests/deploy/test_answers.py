"""A board's answer is read as a stranger's: typed, bounded, and without anything that a terminal would obey."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from edgemnist.deploy.answers import (
    _MOST_BITS,
    MOST_VALUES,
    Applied,
    Line,
    Ran,
    bounded,
    clean,
    clean_result,
    cleaned,
    convert,
    decode,
    message,
    step_name,
)
from edgemnist.errors import DeployError


def test_no_text_moves_the_cursor_or_reverses_a_line() -> None:
    assert clean("\x1b[2Jred\x07 \u202etxt\ue000 café\t") == "\ufffd[2Jred\ufffd \ufffdtxt\ufffd café\ufffd"
    assert clean("one\r\ntwo\nthree\r") == "one\ntwo\nthree\ufffd"
    assert clean("as it was") == "as it was"


def test_every_text_of_a_document_is_cleaned_however_deep_it_lies() -> None:
    dirty = {"a\x1b": ["b\x1b", {"c": "d\x1b"}, 1, None, 2.5, True]}
    assert cleaned(dirty) == {"a\ufffd": ["b\ufffd", {"c": "d\ufffd"}, 1, None, 2.5, True]}
    assert cleaned({1: "one"}) == {"1": "one"}


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert message("  one\r\n two\x1b ") == "one two\ufffd"
    assert len(message("x" * 5000)) == 2000


RAN = {"exit_code": 0, "release": "1-a", "stdout": "\x1b[2J", "stderr": ""}


def test_a_text_that_would_fill_the_screen_is_cut_unless_it_is_what_a_command_printed() -> None:
    assert cleaned({"a" * 5000: ["b" * 5000]}) == {"a" * 2000: ["b" * 2000]}
    assert len(convert("pi", {**RAN, "stdout": "x" * 5000}, Ran).stdout) == 5000
    assert cleaned(["x" * 5000], 10) == ["x" * 10]
    told = convert("pi", {"error": {"type": "E", "message": "x" * 5000, "hint": ""}}, Line)
    assert told.error is not None
    assert len(told.error.message) == 2000


def test_a_step_is_one_short_line() -> None:
    assert step_name("un\npack\x1b " + "x" * 200) == "un pack\ufffd " + "x" * 91


def test_an_answer_has_no_more_bytes_than_its_line_may_have() -> None:
    line = b'{"step": "unpack"}'.ljust(2048)
    assert decode("pi", line, Line, most=2048).step == "unpack"
    with pytest.raises(DeployError, match=r"cannot read: more than 2 KB$"):
        decode("pi", line + b" ", Line, most=2048)


SELFTEST: dict[str, object] = {"passed": True, "reasons": [], "images": 1, "artifacts": [], "latencies": []}
APPLIED: dict[str, object] = {
    "status": "deployed",
    "release": "2-a",
    "previous": None,
    "removed": [],
    "selftest": SELFTEST,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"release": "x" * 100}, "`str` of length <= 64 - at `$.release`"),
        ({"previous": "x" * 100}, "`str` of length <= 64 - at `$.previous`"),
        ({"removed": ["x" * 100]}, "`str` of length <= 64 - at `$.removed"),
        ({"selftest": {**SELFTEST, "passed": False}}, "deployed, with a self-test that failed"),
    ],
)
def test_a_deployment_that_cannot_have_been_is_not_told_as_one(change: dict[str, object], reason: str) -> None:
    assert convert("pi", APPLIED, Applied).release == "2-a"
    with pytest.raises(DeployError) as caught:
        convert("pi", {**APPLIED, **change}, Applied)
    assert reason in caught.value.message


def test_an_answer_has_the_fields_of_its_kind() -> None:
    assert convert("pi", RAN, Ran) == Ran(exit_code=0, release="1-a", stdout="\ufffd[2J", stderr="")
    assert decode("pi", json.dumps({"step": "installing"}), Line) == Line(step="installing")
    assert decode("pi", b'{"process": 4711}', Line).process == 4711


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
    assert caught.value.hint == "Deploy a bundle of this version: edgemnist deploy BUNDLE --to pi"


@pytest.mark.parametrize("value", ["[]", "{}", "0", '""', "[[]]"])
def test_a_small_answer_of_more_values_than_any_takes_no_memory(value: str) -> None:
    few = '{"result": {"a": [' + ",".join([value] * 1000) + "]}}"
    assert decode("pi", few, Line).result is not None
    many = b'{"result": {"a": [' + b",".join([value.encode()] * (MOST_VALUES + 1)) + b"]}}"
    tracemalloc.start()
    with pytest.raises(DeployError, match="cannot read: more than 2,097,152 values"):
        decode("pi", many, Line)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("sign", [b",", b"[", b"{"])
def test_values_are_counted_by_each_sign_that_begins_one(sign: bytes) -> None:
    with pytest.raises(DeployError, match="truncated"):
        decode("pi", b'"' + sign * MOST_VALUES, Line)
    with pytest.raises(DeployError, match="more than 2,097,152 values"):
        decode("pi", b'"' + sign * (MOST_VALUES + 1), Line)


def test_a_document_of_another_kind_is_told_too() -> None:
    with pytest.raises(DeployError, match=r"pi sent an answer that this version cannot read: .*exit_code"):
        convert("pi", {**RAN, "exit_code": "none"}, Ran)


def test_a_result_that_was_made_of_what_a_board_said_is_cleaned_and_of_its_kind() -> None:
    said = Ran(exit_code=0, release="1-a", stdout="\x1b[2J", stderr="")
    found = clean_result("pi", said)
    assert isinstance(found, Ran)
    assert (found.stdout, found.release) == ("\ufffd[2J", "1-a")
    odd = Ran(exit_code="none", release="1-a", stdout="", stderr="")  # type: ignore[arg-type]
    with pytest.raises(DeployError, match=r"^pi sent an answer that this version cannot read"):
        clean_result("pi", odd)


def test_a_number_that_no_machine_has_is_told_with_its_size() -> None:
    with pytest.raises(ValueError, match=r"^a number of 100,001 bits$"):
        cleaned([1 << 100_000])
    largest = (1 << _MOST_BITS) - 1
    assert cleaned([largest]) == [largest]
    with pytest.raises(ValueError, match=f"{_MOST_BITS + 1:,} bits"):
        cleaned([largest + 1])


@pytest.mark.parametrize(
    ("document", "files", "said"),
    [
        ({"rows": [{}] * 1999}, 0, ""),
        ({"rows": [{}] * 2000}, 0, "2,001 objects and 0 characters"),
        ({"rows": [{}] * 2019}, 1, ""),
        ({"rows": [[{}], {"a": {}}] * 1000}, 0, "3,001 objects and 0 characters"),
        ({"rows": ["x"] * 65_536}, 0, ""),
        ({"rows": ["x"] * 65_536, "a": {"b": "x"}}, 0, "2 objects and 65,537 characters"),
        ({"rows": ["x" * 1000] * 66}, 1, ""),
        ({"rows": ["x"] * 66_537}, 1, "1 objects and 66,537 characters"),
        ({"rows": list(range(100_000))}, 0, ""),
    ],
)
def test_a_document_has_no_more_than_a_page(document: dict[str, object], files: int, said: str) -> None:
    if not said:
        assert bounded("pi", document, files) is document
        return
    with pytest.raises(DeployError, match=f"^pi sent an answer that this version cannot read: {said}$"):
        bounded("pi", document, files)
