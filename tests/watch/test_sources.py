"""What is printed of a source."""

import pytest

from edgemnist.digits.watch.capture import open_source
from edgemnist.digits.watch.sources import CREDENTIALS, WatchConfig, redacted
from edgemnist.errors import SourceError

SECRETS = [
    ("http://me:s@cret@cam/live", "http://cam/live"),
    ("http://cam:8080/live?token=secret", "http://cam:8080/live"),
    ("rtsp://me:secret@[fe80::1]:554/a/b?x=1&AUTH=secret#t", "rtsp://[fe80::1]:554/a/b"),
    ("http://cam/live#secret", "http://cam/live"),
    ("http://cam?access_key=secret", "http://cam"),
    # No password that any player takes, and printed all the same.
    ("http://me:sec/ret@cam/", "http://…"),
    ("http://me:secret?@cam/", "http://cam/"),
    ("ftp://me:secret@cam/", "ftp://cam/"),
    ("http://cam/x?user=me@secret", "http://cam/x"),
]


@pytest.mark.parametrize(("source", "shown"), SECRETS)
def test_no_secret_of_a_url_is_printed(source: str, shown: str) -> None:
    assert redacted(source) == shown
    # Where it is a directory that was meant, and where it is not known.
    for config in (WatchConfig(once=True), WatchConfig()):
        try:
            told = open_source(source, config).name
        except SourceError as error:
            told = error.message
        assert shown in told
        assert "cret" not in told


@pytest.mark.parametrize("source", ["0", "picamera", "a@b.mp4", "scans", "video?.mp4", "rtsp://cam/1"])
def test_what_has_no_secret_is_printed_whole(source: str) -> None:
    assert redacted(source) == source
    assert not CREDENTIALS.search(source)


def test_a_unit_is_refused_a_token_and_not_a_channel() -> None:
    assert CREDENTIALS.search("http://cam/?channel=1&token=x")
    assert not CREDENTIALS.search("rtsp://cam/realmonitor?channel=1&subtype=0")
