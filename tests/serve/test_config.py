"""Which tokens, addresses and limits a service is started with, and which it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgemnist.errors import UsageError
from edgemnist.serve.config import Limits, ServeConfig, check_token, is_loopback, read_token, unit_token
from edgemnist.serve.run import listen
from tests.notices import Notices

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert ServeConfig(host=host).hosts == frozenset({"localhost", "127.0.0.1", "[::1]", host})


def test_a_port_that_is_taken_is_told_in_the_words_of_the_system() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError) as failure:
            listen("127.0.0.1", port)
    assert failure.value.message == f"The service cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "board.lan", "", "localhost.evil.org"])
def test_what_others_can_reach_needs_one(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UsageError) as failure:
        ServeConfig(host=host)
    assert failure.value.message == f"Other machines can reach {host}, so the service needs a token"
    assert failure.value.hint == "Add --token-file FILE, or --token with the output of: openssl rand -hex 16"
    assert ServeConfig(host=host, token=TOKEN).hosts is None


def test_a_service_may_have_more_names() -> None:
    names = frozenset({"localhost", "127.0.0.1", "[::1]", "a.lan", "b.lan"})
    assert ServeConfig(names=("a.lan", "b.lan")).hosts == names


@pytest.mark.parametrize("token", [TOKEN, "aaaaaaaaaaaabcde", "!#$%&'()*+,-./:;", "x" * 12 + "abcd"])
def test_a_token_that_nobody_guesses_is_taken(token: str) -> None:
    check_token(token)
    assert ServeConfig(token=token).token == token


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "must have at least 16 ASCII characters and no spaces"),
        (TOKEN[1:], "must have at least 16 ASCII characters and no spaces"),
        (f"{TOKEN[:8]} {TOKEN[8:]}", "must have at least 16 ASCII characters and no spaces"),
        (f"{TOKEN}\n", "must have at least 16 ASCII characters and no spaces"),
        (f"{TOKEN}é", "must have at least 16 ASCII characters and no spaces"),
        ("abcd" * 4, "must have at least 5 different characters"),
        ("a" * 16, "must have at least 5 different characters"),
    ],
)
def test_a_token_that_can_be_guessed_or_not_sent_is_refused(token: str, problem: str) -> None:
    for use in (check_token, lambda text: ServeConfig(token=text)):
        with pytest.raises(UsageError) as failure:
            use(token)
        assert failure.value.message == f"The token {problem}"
        assert failure.value.hint == "Make one with: openssl rand -hex 16"


@pytest.mark.parametrize(("port", "fits"), [(0, True), (65_535, True), (-1, False), (65_536, False)])
def test_a_port_is_one_that_exists(port: int, *, fits: bool) -> None:
    if fits:
        assert ServeConfig(port=port).port == port
    else:
        with pytest.raises(UsageError, match="--port must be between 0 and 65,535"):
            ServeConfig(port=port)


@pytest.mark.parametrize(
    ("name", "least", "option"),
    [
        ("max_bytes", 1024, "--max-bytes must be at least 1,024"),
        ("max_pixels", 784, "--max-pixels must be at least 784"),
        ("concurrency", 1, "--concurrency must be at least 1"),
        ("rate", 0, "--rate must be at least 0"),
    ],
)
def test_a_limit_under_which_nothing_works_is_refused(name: str, least: int, option: str) -> None:
    assert getattr(Limits(**{name: least}), name) == least
    with pytest.raises(UsageError, match=option):
        Limits(**{name: least - 1})


def test_the_usual_limits_are_those_that_are_documented() -> None:
    usual = Limits()
    assert (usual.max_bytes, usual.max_held_bytes, usual.max_pixels) == (16_777_216, 33_554_432, 33_554_432)
    assert usual.decoded_bytes == 8 * 33_554_432
    assert usual.concurrency == os.cpu_count()
    assert Limits(max_pixels=1000).decoded_bytes == 8000


def test_processors_that_cannot_be_counted_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert Limits().concurrency == 1


def test_the_token_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    notices = Notices()
    assert read_token(TOKEN, None, notices) == TOKEN
    assert read_token(None, None, notices) is None
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN} \nanother\n", encoding="utf-8")
    file.chmod(0o600)
    assert read_token("not this one", file, notices) == TOKEN
    file.write_text(f"\n{TOKEN}é", encoding="utf-8")
    assert read_token(None, file, notices) == f"{TOKEN}é"
    assert notices.messages == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_token_that_others_can_read_is_told(mode: int, tmp_path: Path) -> None:
    notices = Notices()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(mode)
    assert read_token(None, tmp_path / "token", notices) == TOKEN
    assert notices.messages == [
        f"Other users can read the token in {tmp_path / 'token'}. Fix that with: chmod 600 {tmp_path / 'token'}"
    ]


@pytest.mark.parametrize("mode", [0o600, 0o622, 0o611])
def test_a_token_that_others_can_only_replace_or_run_is_not_read_by_them(mode: int, tmp_path: Path) -> None:
    notices = Notices()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(mode)
    read_token(None, tmp_path / "token", notices)
    assert notices.messages == []


def test_a_token_file_that_cannot_be_read_is_told_with_how_to_make_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(UsageError) as failure:
        read_token(None, file)
    assert failure.value.message == f"The token file {file} cannot be read: No such file or directory"
    assert failure.value.hint == f"Make it with: openssl rand -hex 16 > {file}"
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError) as failure:
        read_token(None, file)
    assert failure.value.message == f"The token file {file} cannot be read: it is not UTF-8"


def test_no_token_is_written_into_a_unit(tmp_path: Path) -> None:
    assert unit_token(None, None) is None
    for token in (None, TOKEN):
        stand_in = unit_token(token, tmp_path / "token")
        assert stand_in is not None
        check_token(stand_in)
        assert stand_in == "0123456789abcdef"
    with pytest.raises(UsageError) as failure:
        unit_token(TOKEN, None)
    assert failure.value.message == "A token must not be written into a unit: everybody on the machine can read it"
    assert failure.value.hint == "Put it into a file that only root can read, and name that with --token-file."
