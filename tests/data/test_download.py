"""Downloads, from real servers on loopback that fail in every way that servers do."""

import gzip
import hashlib
import random
from collections.abc import Sequence

import pytest

from edgemnist.errors import DataError
from edgemnist.ground.progress import SILENT
from edgemnist.pipeline.data import download as module
from edgemnist.pipeline.data.download import RemoteFile, UnreachableError, fetch
from tests.data.mirror import Mirror
from tests.notices import Listener

# Bytes that do not compress, so that the file is as large gzipped.
CONTENT = random.Random(3).randbytes(300_000)
PACKED = gzip.compress(CONTENT, mtime=0)
FILE = RemoteFile("images.gz", len(PACKED), hashlib.sha256(CONTENT).hexdigest())
# Nothing listens on port 1, and `.invalid` resolves nowhere (RFC 2606).
REFUSED = "http://127.0.0.1:1/"
UNKNOWN = "http://mirror.invalid/"


def download(mirrors: Sequence[str], timeout: float = 3.0) -> bytes:
    return fetch([FILE], mirrors, SILENT, timeout=timeout)[FILE.name]


@pytest.mark.parametrize(
    "content", [PACKED, gzip.compress(CONTENT, compresslevel=0), CONTENT], ids=["gzip", "gzip again", "plain"]
)
def test_a_file_is_fetched_and_checked_however_the_mirror_packed_it(mirror: Mirror, content: bytes) -> None:
    mirror.files = {FILE.name: content}
    assert download([mirror.url]) == content


def test_progress_is_told_on_the_way(mirror: Mirror) -> None:
    other = RemoteFile("labels.gz", 3, hashlib.sha256(b"abc").hexdigest())
    mirror.files = {FILE.name: PACKED, other.name: b"abc"}
    listener = Listener()
    fetch([FILE, other], [mirror.url], listener)
    assert listener.totals == [len(PACKED) + 3]
    completed = [completed for completed, _ in listener.updates]
    assert completed == sorted(completed)
    assert len(completed) > 3
    assert completed[-1] == len(PACKED) + 3


@pytest.mark.parametrize(
    ("files", "faults", "message"),
    [
        ({FILE.name: PACKED}, {"cut_after": 1_000}, "the connection ended after 1,000 of"),
        ({FILE.name: PACKED}, {"stalls_after": 10}, "timed out"),
        ({}, {}, "Not Found"),
        ({}, {"endless": True}, "its SHA-256 differs"),
        ({FILE.name: gzip.compress(CONTENT[:-1] + b"x")}, {}, "its SHA-256 differs"),
        ({FILE.name: PACKED[:-1]}, {}, "its SHA-256 differs"),
        ({FILE.name: PACKED[:-100] + bytes(100)}, {}, "its SHA-256 differs"),
        # It unpacks to more than any data set.
        ({FILE.name: gzip.compress(bytes(3_000_000), mtime=0)}, {}, "its SHA-256 differs"),
    ],
    ids=["cut", "stalls", "without", "endless", "other", "short", "damaged", "large"],
)
def test_a_mirror_without_the_whole_file_is_an_error_and_one_good_mirror_is_enough(
    files: dict[str, bytes], faults: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    with Mirror(files=files, **faults) as bad, Mirror(files={FILE.name: PACKED}) as good:  # type: ignore[arg-type]  # of several types
        with pytest.raises(DataError, match=message) as caught:
            download([bad.url], timeout=0.5)
        wrong = "SHA-256" in message
        assert isinstance(caught.value, UnreachableError) != wrong
        assert bool(caught.value.hint and "--data" in caught.value.hint) == wrong
        assert download([REFUSED, UNKNOWN, bad.url, good.url], timeout=0.5) == PACKED


def test_the_mirror_that_had_a_file_is_asked_first_for_the_next(mirror: Mirror) -> None:
    others = [RemoteFile(name, 3, hashlib.sha256(b"abc").hexdigest()) for name in ("a", "b", "c")]
    mirror.files = {other.name: b"abc" for other in others}
    with Mirror() as empty:
        assert len(fetch(others, [empty.url, mirror.url], SILENT)) == 3
        assert (empty.requests, mirror.requests) == (["a"], ["a", "b", "c"])


def test_no_network_is_noticed_at_once() -> None:
    # Whoever waits for an answer waits for an hour.
    with pytest.raises(UnreachableError, match="could not be downloaded"):
        download([REFUSED, UNKNOWN], timeout=3600)
