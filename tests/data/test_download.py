"""Downloads, from real servers on loopback that fail in every way that servers do."""

from __future__ import annotations

import gzip
import hashlib
import random
import time
from collections.abc import Sequence

import pytest

from edgemnist.data import download as module
from edgemnist.data.download import RemoteFile, UnreachableError, content_sha256, fetch
from edgemnist.errors import DataError
from edgemnist.progress import SILENT, Reporter
from tests.data.conftest import Listener
from tests.data.mirror import Mirror

# Bytes that do not compress, so that the file is as large gzipped.
CONTENT = random.Random(3).randbytes(300_000)
PACKED = gzip.compress(CONTENT, mtime=0)
FILE = RemoteFile(name="images.gz", bytes=len(PACKED), sha256=hashlib.sha256(CONTENT).hexdigest())
# Nothing listens on port 1, and `.invalid` resolves nowhere (RFC 2606).
REFUSED = "http://127.0.0.1:1/"
UNKNOWN = "http://mirror.invalid/"


def download(mirrors: Sequence[str], reporter: Reporter = SILENT, **options: float) -> bytes:
    return fetch([FILE], mirrors, reporter, **{"reach_timeout": 30, "read_timeout": 0.5, **options})[FILE.name]


@pytest.mark.parametrize(
    "content", [PACKED, gzip.compress(CONTENT, compresslevel=0), CONTENT], ids=["gzip", "gzip again", "plain"]
)
def test_a_file_is_fetched_and_checked_however_the_mirror_packed_it(mirror: Mirror, content: bytes) -> None:
    mirror.files = {FILE.name: content}
    assert download([mirror.url]) == content


def test_progress_is_told_on_the_way(mirror: Mirror, listener: Listener) -> None:
    other = RemoteFile(name="labels.gz", bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())
    mirror.files = {FILE.name: PACKED, other.name: b"abc"}
    fetch([FILE, other], [mirror.url], listener)
    assert listener.tasks[0][1] == len(PACKED) + 3
    completed = [completed for completed, _ in listener.updates]
    assert completed == sorted(completed)
    assert len(completed) > 3
    assert completed[-1] == len(PACKED) + 3
    assert listener.updates[0][1].startswith("images.gz")


def test_a_connection_that_is_cut_is_tried_again(mirror: Mirror) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.cut_after = [100_000]
    assert download([mirror.url]) == PACKED
    assert mirror.sent == 100_000 + len(PACKED)


def test_a_mirror_that_always_cuts_is_given_up_and_another_one_is_asked(mirror: Mirror) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.cut_after = [1000] * 10
    with pytest.raises(UnreachableError, match="the connection ended after 1,000 of"):
        download([mirror.url])
    with Mirror(files={FILE.name: PACKED}, answers_head=False) as second:
        assert download([second.url, mirror.url]) == PACKED


def test_a_server_that_stalls_is_given_up_after_the_timeout(mirror: Mirror) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.stalls_after = 0
    with pytest.raises(UnreachableError, match="timed out"):
        download([mirror.url])


def test_a_mirror_that_trickles_is_given_up_after_the_time_of_a_file(mirror: Mirror) -> None:
    mirror.endless, mirror.pause = True, 0.05
    with pytest.raises(UnreachableError, match="timed out"):
        download([mirror.url], file_timeout=0.3)


def test_an_endless_mirror_is_given_up_before_it_fills_the_memory(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    mirror.endless = True
    with pytest.raises(DataError, match="its SHA-256 differs"):
        download([mirror.url])
    with Mirror(files={FILE.name: PACKED}, answers_head=False) as good:
        assert download([mirror.url, good.url]) == PACKED


def test_a_file_that_unpacks_to_more_than_any_data_set_is_not_unpacked(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2_000_000)
    mirror.files = {FILE.name: gzip.compress(bytes(200_000_000), mtime=0)}
    with pytest.raises(DataError, match="its SHA-256 differs"):
        download([mirror.url])
    assert content_sha256(gzip.compress(bytes(3_000_000))) == ""


def test_a_file_with_another_checksum_is_refused_and_not_kept(mirror: Mirror) -> None:
    mirror.files = {FILE.name: gzip.compress(CONTENT[:-1] + b"x")}
    with pytest.raises(DataError, match="its SHA-256 differs") as caught:
        download([mirror.url])
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.message.startswith(f"images.gz from {mirror.url.split('/')[2]} ")
    assert "--data" in caught.value.hint


def test_damaged_gzip_data_has_the_wrong_checksum(mirror: Mirror) -> None:
    mirror.files = {FILE.name: PACKED[:-100] + bytes(100)}
    with pytest.raises(DataError, match="its SHA-256 differs"):
        download([mirror.url])


def test_one_good_mirror_is_enough() -> None:
    with (
        Mirror(files={FILE.name: b"something else"}) as wrong,
        Mirror(files={FILE.name: PACKED}, stalls_after=10) as stalled,
        Mirror() as without,
        Mirror(files={FILE.name: PACKED}) as good,
    ):
        urls = [REFUSED, UNKNOWN, wrong.url, without.url, stalled.url, good.url]
        assert download(urls) == PACKED


def test_the_first_mirror_to_answer_is_asked_and_the_dead_ones_cost_nothing() -> None:
    with Mirror(silent=True) as dead, Mirror(files={FILE.name: PACKED}) as good:
        started = time.monotonic()
        assert download([dead.url, good.url]) == PACKED
        assert time.monotonic() - started < 20, "it waited for the dead one"
        assert dead.fetched() == []


def test_no_network_is_noticed_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="No mirror can be reached"):
        fetch([FILE], [REFUSED, UNKNOWN], SILENT)
    assert time.monotonic() - started < 5


@pytest.mark.slow
def test_a_network_that_swallows_everything_is_noticed_within_five_seconds() -> None:
    with Mirror(silent=True) as one, Mirror(silent=True) as two, Mirror(silent=True) as three:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"no answer within 4 s|timed out"):
            fetch([FILE], [one.url, two.url, three.url], SILENT)
        assert time.monotonic() - started < 5


def test_the_checksum_is_of_what_is_inside() -> None:
    assert content_sha256(PACKED) == content_sha256(CONTENT) == FILE.sha256
    assert content_sha256(PACKED[:-1]) == ""
