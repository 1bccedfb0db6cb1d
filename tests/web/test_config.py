"""Which tokens, addresses and limits a service is started with, and which it refuses."""

from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.web.config import SiteConfig, read_token
from edgemnist.ground.web.server import listen
from edgemnist.serve.cli import unit_token
from edgemnist.serve.config import PictureLimits
from tests.messages import Told
from tests.notices import Notices

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert SiteConfig(host=host, names=("a.lan",)).hosts == frozenset(
        {"localhost", "127.0.0.1", "[::1]", host, "a.lan"}
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "board.lan", "", "localhost.evil.org"])
def test_what_others_can_reach_needs_one(host: str) -> None:
    with pytest.raises(UsageError, match=f"^Other machines can reach {host}, so the service needs a token$"):
        SiteConfig(host=host)
    assert SiteConfig(host=host, token=TOKEN).hosts is None


LENGTH = "must have at least 16 ASCII characters and no spaces"
VARIETY = "must have at least 5 different characters"
TOKENS = {
    **dict.fromkeys((TOKEN, "aaaaaaaaaaaabcde", "!#$%&'()*+,-./:;", "x" * 12 + "abcd")),
    **dict.fromkeys(("", TOKEN[1:], f"{TOKEN[:8]} {TOKEN[8:]}", f"{TOKEN}\n", f"{TOKEN}é"), LENGTH),
    **dict.fromkeys(("abcd" * 4, "a" * 16), VARIETY),
}


@pytest.mark.parametrize(("token", "problem"), TOKENS.items())
def test_a_token_that_can_be_guessed_or_not_sent_is_refused(token: str, problem: str | None) -> None:
    if problem is None:
        assert SiteConfig(token=token).token == token
        return
    with pytest.raises(UsageError, match=f"The token {problem}"):
        SiteConfig(token=token)


@pytest.mark.parametrize(
    ("make", "name", "least", "refused"),
    [
        (SiteConfig, "port", 0, "--port must be between 0 and 65,535"),
        (PictureLimits, "max_bytes", 1024, "--max-bytes must be at least 1,024"),
        (PictureLimits, "max_pixels", 784, "--max-pixels must be at least 784"),
        (PictureLimits, "concurrency", 1, "--concurrency must be at least 1"),
        (PictureLimits, "rate", 0, "--rate must be at least 0"),
    ],
)
def test_a_limit_under_which_nothing_works_is_refused(make: Any, name: str, least: int, refused: str) -> None:
    assert getattr(make(**{name: least}), name) == least
    with pytest.raises(UsageError, match=refused):
        make(**{name: least - 1})
    if make is SiteConfig:
        with pytest.raises(UsageError, match=refused):
            SiteConfig(port=65_536)


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


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o600, 0o622, 0o611])
def test_a_token_that_others_can_read_is_told(mode: int, tmp_path: Path) -> None:
    notices, file = Notices(), tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    assert read_token(None, file, notices) == TOKEN
    said = f"Other users can read the token in {file}. Fix that with: chmod 600 {file}"
    assert notices.messages == ([said] if mode & 0o044 else [])


def test_what_is_wrong_with_a_token_or_a_port_is_told(tmp_path: Path, told: Told) -> None:
    assert unit_token(None, None) is None
    for token in (None, TOKEN):
        assert SiteConfig(token=unit_token(token, tmp_path / "token")).token == "0123456789abcdef"
    with told():
        unit_token(TOKEN, None)
    with told():
        read_token(None, tmp_path / "none")
    (tmp_path / "token").write_bytes(b"\xff")
    with told():
        read_token(None, tmp_path / "token")
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=f"^The service cannot listen on 127.0.0.1:{port}: Address already in use$"
        ):
            listen("127.0.0.1", port)
