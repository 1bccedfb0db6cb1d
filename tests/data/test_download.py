"""Downloads, from real servers on loopback that fail in every way that servers do."""

from __future__ import annotations

import gzip
import hashlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgemnist.data.download import MAX_ATTEMPTS, UnreachableError, content_sha256, fetch
from edgemnist.data.sources import RemoteFile
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


def download(mirrors: Sequence[str], directory: Path, reporter: Reporter = SILENT) -> bytes:
    return fetch([FILE], mirrors, directory, reporter, reach_timeout=30, read_timeout=0.3)[FILE.name]


def parts(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.parametrize(
    "content", [PACKED, gzip.compress(CONTENT, compresslevel=0), CONTENT], ids=["gzip", "gzip again", "plain"]
)
def test_a_file_is_fetched_and_checked_however_the_mirror_packed_it(
    mirror: Mirror, tmp_path: Path, content: bytes
) -> None:
    mirror.files = {FILE.name: content}
    assert download([mirror.url], tmp_path) == content
    assert parts(tmp_path) == []


def test_progress_is_told_on_the_way(mirror: Mirror, tmp_path: Path, listener: Listener) -> None:
    other = RemoteFile(name="labels.gz", bytes=3, sha256=hashlib.sha256(b"abc").hexdigest())
    mirror.files = {FILE.name: PACKED, other.name: b"abc"}
    fetch([FILE, other], [mirror.url], tmp_path, listener)
    assert listener.tasks[0][1] == len(PACKED) + 3
    completed = [completed for completed, _ in listener.updates]
    assert completed == sorted(completed)
    assert len(completed) > 3
    assert completed[-1] == len(PACKED) + 3
    assert listener.updates[0][1].startswith("images.gz")


def test_a_connection_that_is_cut_is_taken_up_where_it_ended(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.cut_after = [100_000, 50_000]
    assert download([mirror.url], tmp_path) == PACKED
    assert mirror.fetched() == [(FILE.name, 0), (FILE.name, 100_000), (FILE.name, 150_000)]
    assert mirror.sent == len(PACKED)


def test_a_later_run_goes_on_where_an_earlier_one_ended(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.cut_after = [1000] * MAX_ATTEMPTS
    with pytest.raises(UnreachableError, match="the connection ended after 1,000 of"):
        download([mirror.url], tmp_path)
    assert (tmp_path / "images.gz.part").read_bytes() == PACKED[: 1000 * MAX_ATTEMPTS]
    assert download([mirror.url], tmp_path) == PACKED
    assert mirror.fetched()[-1] == (FILE.name, 1000 * MAX_ATTEMPTS)
    assert parts(tmp_path) == []


def test_another_mirror_goes_on_where_one_ended(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.cut_after = [100_000, 0]
    with Mirror(files={FILE.name: PACKED}, answers_head=False) as second:
        assert download([second.url, mirror.url], tmp_path) == PACKED
        assert second.fetched() == [(FILE.name, 100_000)]


def test_a_mirror_that_knows_no_ranges_starts_anew(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.understands_ranges = False
    mirror.cut_after = [100_000]
    assert download([mirror.url], tmp_path) == PACKED
    assert mirror.sent == 100_000 + len(PACKED)


@pytest.mark.parametrize(
    "leftover", [b"x" * 5000, PACKED[:-1] + b"x", PACKED, PACKED + b"more"], ids=["other", "end", "all", "too much"]
)
def test_a_leftover_that_is_no_part_of_the_file_does_no_harm(mirror: Mirror, tmp_path: Path, leftover: bytes) -> None:
    mirror.files = {FILE.name: PACKED}
    (tmp_path / "images.gz.part").write_bytes(leftover)
    assert download([mirror.url], tmp_path) == PACKED
    assert parts(tmp_path) == []


def test_a_server_that_stalls_is_given_up_after_the_timeout(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.stalls_after = 0
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="timed out"):
        download([mirror.url], tmp_path)
    assert 0.25 < time.monotonic() - started < 8, "it waited for longer than it was told to"


def test_a_file_with_another_checksum_is_refused_and_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: gzip.compress(CONTENT[:-1] + b"x")}
    with pytest.raises(DataError, match="its SHA-256 differs") as caught:
        download([mirror.url], tmp_path)
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.message.startswith(f"images.gz from {mirror.url.split('/')[2]} ")
    assert "--data" in caught.value.hint
    assert parts(tmp_path) == []


def test_damaged_gzip_data_has_the_wrong_checksum(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED[:-100] + bytes(100)}
    with pytest.raises(DataError, match="its SHA-256 differs"):
        download([mirror.url], tmp_path)


def test_one_good_mirror_is_enough(tmp_path: Path) -> None:
    with (
        Mirror(files={FILE.name: b"something else"}) as wrong,
        Mirror(files={FILE.name: PACKED}, stalls_after=10) as stalled,
        Mirror() as without,
        Mirror(files={FILE.name: PACKED}) as good,
    ):
        urls = [REFUSED, UNKNOWN, wrong.url, without.url, stalled.url, good.url]
        assert download(urls, tmp_path) == PACKED


def test_the_first_mirror_to_answer_is_asked_and_the_dead_ones_cost_nothing(tmp_path: Path) -> None:
    with Mirror(silent=True) as dead, Mirror(files={FILE.name: PACKED}) as good:
        started = time.monotonic()
        assert download([dead.url, good.url], tmp_path) == PACKED
        assert time.monotonic() - started < 20, "it waited for the dead one"
        assert dead.fetched() == []


def test_no_network_is_noticed_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="No mirror can be reached"):
        fetch([FILE], [REFUSED, UNKNOWN], tmp_path, SILENT)
    assert time.monotonic() - started < 5


def test_a_network_that_swallows_everything_is_noticed_within_five_seconds(tmp_path: Path) -> None:
    with Mirror(silent=True) as one, Mirror(silent=True) as two, Mirror(silent=True) as three:
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"no answer within 4 s|timed out"):
            fetch([FILE], [one.url, two.url, three.url], tmp_path, SILENT)
        assert time.monotonic() - started < 5


def test_a_directory_that_cannot_be_written_is_no_failure(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {FILE.name: PACKED}
    mirror.cut_after = [100_000]
    (tmp_path / "file").touch()
    assert download([mirror.url], tmp_path / "file" / "below") == PACKED
    assert mirror.sent == len(PACKED)


def test_the_checksum_is_of_what_is_inside() -> None:
    assert content_sha256(PACKED) == content_sha256(CONTENT) == FILE.sha256
    assert content_sha256(PACKED[:-1]) == ""
