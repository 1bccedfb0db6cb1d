"""What a board takes: one encoding, one record, and who signed it."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemnist.board.agent.bundle import (
    NAMESPACE,
    RECORD_FILE,
    SIGNATURE_FILE,
    Archive,
    BundledFile,
    BundleRecord,
    _ssh_keygen,
    decode_record,
    encode_archive,
    read_raw_record,
    read_record,
    read_signature,
    sign,
    verify,
)
from edgemnist.errors import BundleError, MissingDependencyError
from tests.agent.making import PACKAGE, record_of
from tests.deploy.loopback import make_key
from tests.messages import Told

FILES = {PACKAGE: b"wheel", "exports/manifest.json": b"{}"}
RECORD = record_of(FILES, machine="aarch64", pythons=["3.11", "3.13"], artifacts=["tflite-int8"], labels=["0", "1"])
DAMAGED = "is damaged, or not a bundle"


def written(path: Path, **changes: bytes | None) -> Path:
    """Write a bundle, with some files changed or, where None, left out."""
    names = {"record": RECORD_FILE, "signature": SIGNATURE_FILE, "wheel": PACKAGE, "manifest": "exports/manifest.json"}
    files: dict[str, bytes | None] = {**FILES, RECORD_FILE: RECORD.encode()}
    files |= {names.get(name, name): data for name, data in changes.items()}
    path.write_bytes(encode_archive({name: data for name, data in files.items() if data is not None}))
    return path


def read(path: Path) -> BundleRecord:
    with Archive(path) as archive:
        return read_record(archive)


def test_files_have_one_encoding_in_whatever_order_they_come(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(encode_archive({"b": b"2" * 99, "a": b""}))
    assert (tmp_path / "a.zip").read_bytes() == encode_archive({"a": b"", "b": b"2" * 99})
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        members = archive.infolist()
        # What a Unix system writes for a file that everybody may read.
        assert [
            (member.filename, member.date_time, member.compress_type, member.create_system, member.external_attr >> 16)
            for member in members
        ] == [(name, (1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 3, 0o100644) for name in ("a", "b")]
        assert archive.read("b") == b"2" * 99


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", signature=b"signed")
    assert read(path) == RECORD
    with Archive(path) as archive:
        assert archive.names() == sorted([*FILES, RECORD_FILE, SIGNATURE_FILE])
        assert read_raw_record(archive) == RECORD.encode()
        assert read_signature(archive) == b"signed"
        assert archive.read("exports/manifest.json", most=2) == b"{}"
        with pytest.raises(BundleError, match=f"exports/manifest.json in {path} has more than 1 bytes"):
            archive.read("exports/manifest.json", most=1)
        with pytest.raises(BundleError, match=f"^{path} is not a bundle: it has no other$"):
            archive.read("other")
    with pytest.raises(BundleError, match=DAMAGED):
        archive.read(RECORD_FILE)
    with Archive(written(path)) as archive:
        assert read_signature(archive) is None


def test_a_change_of_any_byte_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip")
    data = path.read_bytes()
    # The version of ZIP that a member needs, which makes zipfile itself refuse it.
    version = data.index(b"PK\1\2") + 6
    for place in {version, *range(0, len(data), 5)}:
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 if place != version else 210)]) + data[place + 1 :])
        with pytest.raises(BundleError):
            read(path)
    for changed in (data[:0], data[:1], data[:100], data[:-1], data + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(BundleError, match=DAMAGED):
            read(path)


def test_members_that_claim_more_than_the_file_has_or_are_compressed_are_refused_unread(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", big=bytes(1000))
    path.write_bytes(path.read_bytes().replace((1000).to_bytes(4, "little"), (20_000).to_bytes(4, "little")))
    with pytest.raises(BundleError, match=DAMAGED):
        Archive(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b", bytes(100), zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleError, match=DAMAGED):
        Archive(path)
    with pytest.raises(BundleError, match="There is no bundle"):
        Archive(tmp_path / "none.zip")


def test_a_record_that_is_longer_than_any_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "long.zip").write_bytes(encode_archive(dict.fromkeys((RECORD_FILE, SIGNATURE_FILE), b" " * (5 << 20))))
    with Archive(tmp_path / "long.zip") as archive:
        for read_part in (read_raw_record, read_signature):
            with pytest.raises(BundleError, match="more than 4,194,304 bytes"):
                read_part(archive)


def test_files_are_held_against_the_record(tmp_path: Path, told: Told) -> None:
    several: list[dict[str, bytes | None]] = [
        {"extra": b"", "zzz": b""},
        *({"wheel": data} for data in (None, b"whEel")),
        {"manifest": b"}{"},
        *({"record": data} for data in (None, RECORD.encode() + b" ")),
    ]
    packages = ("wheels/none.whl", "", "exports/manifest.json")
    several += [{"record": replace(RECORD, package=package).encode()} for package in packages]
    for changes in several:
        with told():
            read(written(tmp_path / "a.zip", **changes))


NOT_A_RECORD = "bundle.json is not the record of a bundle: "


def test_a_record_of_other_fields_is_refused_by_name(told: Told) -> None:
    changes: list[Callable[[dict[str, Any]], object]] = [
        *((lambda document, labels=labels: document.update(labels=labels)) for labels in ("01", ["0", 1])),
        lambda document: document.update(machine=None),
        lambda document: document.update(schema_version="1"),
        lambda document: document.pop("labels"),
        lambda document: document.update(more=1),
        lambda document: document["files"][0].pop("bytes"),
        lambda document: document["files"][0].update(bytes="5"),
    ]
    for change in changes:
        document = json.loads(RECORD.encode())
        change(document)
        with told():
            decode_record(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[]", b"{}", b'{"files": 3}', b"\xff", b"null"])
def test_a_record_that_is_not_one_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=NOT_A_RECORD):
        decode_record(data)


def test_nothing_leads_outside_and_pip_sees_names_and_versions_only(told: Told) -> None:
    pins = ("np6", "--index-url http://x", "numpy @ http://x", "numpy>=2", "numpy==2\n-r x", "", "numpy==2@x",
            "numpy==2/x", "num@py==2", "a/b==2", "numpy==@", "-e==2")  # fmt: skip
    paths = ("/etc/passwd", "../a", "a/../b", "a//b", ".a", "a/.b", "a/", "a\n", "-a", "a b", "")
    several: list[dict[str, Any]] = [
        *({"constraints": ["numpy==2", pin]} for pin in pins),
        *({"extras": ["tflite", extra]} for extra in ("", "a] @ http://x", "a,b", "a b", "a\n")),
        *({"files": [*RECORD.files, BundledFile(path=path, bytes=0, sha256="")]} for path in paths),
        {"schema_version": 2},
    ]
    for fields in several:
        with told():
            decode_record(replace(RECORD, **fields).encode())


def test_a_record_is_compared_byte_by_byte() -> None:
    data = RECORD.encode()
    other = data.replace(b'{\n  "artifacts"', b'{\n\t "artifacts"')
    # The same document of the same length, for which nobody signed.
    assert (json.loads(other), len(other)) == (json.loads(data), len(data))
    assert other != data
    with pytest.raises(BundleError, match=r"bundle.json is not as edgemnist writes it"):
        decode_record(other)


def test_wheels_are_for_a_machine_and_its_pythons() -> None:
    RECORD.check_fits("pi", "aarch64", "3.13")
    replace(RECORD, machine="any", pythons=[]).check_fits("pi", "riscv64", "3.9")
    with pytest.raises(BundleError, match=r"^pi is armv7l, but the bundle has wheels for aarch64$") as caught:
        RECORD.check_fits("pi", "armv7l", "3.13")
    assert caught.value.hint == "Make one with: edgemnist bundle --wheels --machine armv7l"
    with pytest.raises(BundleError, match=r"^pi has Python 3.12, but the bundle has wheels for 3.11, 3.13$") as caught:
        RECORD.check_fits("pi", "aarch64", "3.12")
    assert caught.value.hint == "Make one with: edgemnist bundle --wheels --python 3.12"


def test_a_bundle_is_known_by_the_hash_of_its_record() -> None:
    assert RECORD.identity() == hashlib.sha256(RECORD.encode()).hexdigest()
    # Boards in the field compare it with what they keep.
    assert RECORD.encode().startswith(b'{\n  "artifacts": [\n    "tflite-int8"\n  ],\n  "constraints"')
    # And they accept no signature that was made for anything else.
    assert NAMESPACE == "edgemnist-bundle"


@pytest.mark.needs("ssh-keygen")
def test_a_signature_holds_for_its_signer_contents_and_purpose_only(tmp_path: Path) -> None:
    mine, other = make_key(tmp_path / "mine"), make_key(tmp_path / "other")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"me@here,you@there {(tmp_path / 'mine.pub').read_text()}")
    verify(b"data", sign(b"data", mine), allowed)

    def by(purpose: str) -> bytes:
        return _ssh_keygen("sign", "-f", str(mine), "-n", purpose, data=b"data").stdout

    # The name is part of the format: what other versions have signed counts.
    verify(b"data", by("edgemnist-bundle"), allowed)
    for data, signature, said in (
        (b"data", None, "The bundle is not signed, and this board accepts only signed bundles"),
        (b"data", b"nonsense", "The bundle is signed with a key that this board does not trust"),
        (b"data", sign(b"data", other), "The bundle is signed with a key that this board does not trust"),
        (b"date", sign(b"data", mine), "The signature of the bundle is not valid: "),
        (b"data", by("git"), "The signature of the bundle is not valid: "),
    ):
        with pytest.raises(BundleError) as caught:
            verify(data, signature, allowed)
        assert caught.value.message.startswith(said)
    for there in (True, False):
        allowed.write_text("") if there else allowed.unlink()
        with pytest.raises(BundleError, match="does not trust"):
            verify(b"data", sign(b"data", mine), allowed)


@pytest.mark.needs("ssh-keygen")
def test_what_cannot_sign_is_named_and_its_silence_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match=r"cannot be signed with .*missing: .*No such file or directory"):
        sign(b"data", tmp_path / "missing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="A signature needs ssh-keygen"):
        sign(b"data", tmp_path / "key")
    program = tmp_path / "ssh-keygen"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(BundleError, match=r"key: ssh-keygen ended with 3$"):
        sign(b"data", tmp_path / "key")
