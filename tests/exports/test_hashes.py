"""A hash holds in all of its 64 digits."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemnist.errors import ArtifactError
from edgemnist.exports.manifest import FileRecord, check_recorded, read_recorded
from edgemnist.storage import sha256

DATA = b"an artifact"


def with_other_digit(place: int) -> str:
    """Return the hash of `DATA` with one digit changed."""
    digits = sha256(DATA)
    return digits[:place] + ("0" if digits[place] != "0" else "1") + digits[place + 1 :]


@pytest.mark.parametrize("place", [0, 7, 8, 15, 16, 31, 32, 62, 63])
def test_a_file_whose_hash_differs_in_any_digit_is_refused(place: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    record = FileRecord(file="file", bytes=len(DATA), sha256=with_other_digit(place))
    for use in (read_recorded, check_recorded):
        with pytest.raises(ArtifactError, match="SHA-256"):
            use(tmp_path, record)


def test_a_file_whose_hash_is_the_recorded_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    assert read_recorded(tmp_path, FileRecord(file="file", bytes=len(DATA), sha256=sha256(DATA))) == DATA
