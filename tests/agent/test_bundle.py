"""What a board takes: one encoding, one record, and who signed it."""

from __future__ import annotations

import hashlib
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemnist.agent.bundle import (
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
from edgemnist.errors import BundleError, MissingDependencyError, upgrade_line
from tests.deploy.loopback import make_key

WHEEL = encode_archive({"a-1.0+b.dist-info/METADATA": b"Name: a\nProvides-Extra: tflite\n"})
FILES = {"wheels/a-1.0+b.whl": WHEEL, "exports/manifest.json": b"{}"}
RECORD = BundleRecord(
    schema_version=1,
    edgemnist="1.0",
    package="wheels/a-1.0+b.whl",
    extras=["tflite"],
    constraints=["numpy==2"],
    machine="aarch64",
    pythons=["3.11", "3.13"],
    artifacts=["tflite-int8"],
    labels=["0", "1"],
    files=[
        BundledFile(path=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in FILES.items()
    ],
)


def written(path: Path, **changes: bytes | None) -> Path:
    """Write a bundle, with some files changed or, where None, left out."""
    names = {"record": RECORD_FILE, "signature": SIGNATURE_FILE, "wheel": "wheels/a-1.0+b.whl"}
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
        found = [(one.filename, one.date_time, one.compress_type) for one in archive.infolist()]
        assert found == [(name, (1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED) for name in ("a", "b")]
        # What a Unix system writes for a file that everybody may read.
        assert {(one.create_system, one.external_attr >> 16) for one in archive.infolist()} == {(3, 0o100644)}
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
    with pytest.raises(BundleError, match=f"{path} is damaged"):
        archive.read(RECORD_FILE)
    with Archive(written(path)) as archive:
        assert read_signature(archive) is None


def test_a_change_of_any_byte_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip")
    data = path.read_bytes()
    for place in range(0, len(data), 5):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(BundleError):
            read(path)


@pytest.mark.parametrize("place", [0, 10], ids=["signature", "time"])
def test_a_changed_header_of_a_member_is_damage(place: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with Archive(path) as archive, pytest.raises(BundleError, match=f"^{path} is damaged, or not a bundle$"):
        archive.check_encoding()


@pytest.mark.parametrize("place", [4, 6], ids=["made by", "needs"])
def test_a_member_of_another_version_of_zip_is_damage(place: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + place] = 210
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"^{path} is damaged, or not a bundle$"):
        read(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6" + bytes(17), bytes(22), b"PK\5\6" + bytes(18) + b"\0"])
def test_what_is_no_archive_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"^{path} is damaged, or not a bundle$") as caught:
        Archive(path)
    assert caught.value.hint == "Make it again with: edgemnist bundle"


def test_a_bundle_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"^There is no bundle {tmp_path / 'a.zip'}$") as caught:
        Archive(tmp_path / "a.zip")
    assert caught.value.hint == "Make one with: edgemnist bundle"


def test_members_that_claim_more_than_the_file_has_are_refused_unread(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", big=bytes(1000))
    path.write_bytes(path.read_bytes().replace((1000).to_bytes(4, "little"), (2000).to_bytes(4, "little")))
    with pytest.raises(BundleError, match=f"{path} is damaged"):
        Archive(path)


def test_a_compressed_member_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "mixed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        # It would fit into the file, by what it claims.
        archive.writestr("a", random.Random(1).randbytes(2000), zipfile.ZIP_STORED)
        archive.writestr("b", bytes(100), zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleError, match="damaged, or not a bundle"):
        Archive(path)


def test_a_directory_of_millions_of_members_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    path.write_bytes(encode_archive({f"{number:02000}": b"" for number in range(600)}))
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match="damaged, or not a bundle"):
            Archive(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


def test_a_directory_below_a_megabyte_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(encode_archive({f"{number:02000}": b"" for number in range(500)}))
    with Archive(tmp_path / "a.zip") as archive:
        assert len(archive.names()) == 500


def test_a_record_that_is_longer_than_any_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "long.zip").write_bytes(encode_archive(dict.fromkeys((RECORD_FILE, SIGNATURE_FILE), b" " * (5 << 20))))
    with Archive(tmp_path / "long.zip") as archive:
        for read_part in (read_raw_record, read_signature):
            with pytest.raises(BundleError, match="more than 4,194,304 bytes"):
                read_part(archive)


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[]", b"{}", b'{"files": 3}', b"\xff", b"null"])
def test_a_record_that_is_not_one_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError):
        decode_record(data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extra": b"", "zzz": b""}, "a.zip contains extra, which its record does not list"),
        ({"wheel": None}, "a.zip is not a bundle: it has no wheels/a-1.0+b.whl"),
        ({"wheel": b"whEel"}, "wheels/a-1.0+b.whl in a.zip is not the file that the record describes"),
        ({"record": None}, "a.zip is not a bundle: it has no bundle.json"),
        ({"record": RECORD.encode() + b" "}, "bundle.json is not as edgemnist writes it"),
    ],
)
def test_files_are_held_against_the_record(
    changes: dict[str, bytes | None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError) as caught:
        read(written(Path("a.zip"), **changes))
    assert caught.value.message == said


@pytest.mark.parametrize("package", ["wheels/none.whl", "", "exports/manifest.json"])
def test_a_record_whose_package_is_no_wheel_of_the_bundle_is_refused(package: str, tmp_path: Path) -> None:
    record = replace(RECORD, package=package).encode()
    with pytest.raises(BundleError) as caught:
        read(written(tmp_path / "a.zip", record=record))
    assert caught.value.message == f"bundle.json names a package that the bundle does not have: {package!r}"


def test_extras_that_the_package_does_not_have_are_refused_before_pip_sees_them(tmp_path: Path) -> None:
    record = replace(RECORD, extras=["tflite", "np4"]).encode()
    with pytest.raises(BundleError) as caught:
        read(written(tmp_path / "a.zip", record=record))
    assert caught.value.message == "bundle.json names an extra that its package does not have: 'np4'"


@pytest.mark.parametrize("wheel", [b"wheel", encode_archive({"a/METADATA": b"Provides-Extra: tflite"})])
def test_a_package_that_is_no_wheel_is_refused(wheel: bytes, tmp_path: Path) -> None:
    (first, *others) = RECORD.files
    files = [replace(first, bytes=len(wheel), sha256=hashlib.sha256(wheel).hexdigest()), *others]
    with pytest.raises(BundleError, match="The package in the bundle is not a wheel"):
        read(written(tmp_path / "a.zip", record=replace(RECORD, files=files).encode(), wheel=wheel))


@pytest.mark.parametrize("pin", ["np6", "--index-url http://x", "numpy @ http://x", "numpy>=2", "numpy==2\n-r x", ""])
def test_a_constraint_is_the_version_of_a_package_and_nothing_else(pin: str) -> None:
    with pytest.raises(BundleError) as caught:
        decode_record(replace(RECORD, constraints=["numpy==2", pin]).encode())
    assert caught.value.message == f"bundle.json has a constraint that is not NAME==VERSION: {pin!r}"


NOT_A_RECORD = "bundle.json is not the record of a bundle: "
FIELDS = (
    "its fields are not schema_version, edgemnist, package, extras, constraints, machine, pythons, artifacts, labels, "
    "files"
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.update(labels="01"), NOT_A_RECORD + "labels is not a list[str]"),
        (lambda document: document.update(labels=["0", 1]), NOT_A_RECORD + "labels is not a list[str]"),
        (lambda document: document.update(machine=None), NOT_A_RECORD + "machine is not a str"),
        (lambda document: document.update(schema_version="1"), NOT_A_RECORD + "schema_version is not a int"),
        (lambda document: document.pop("labels"), NOT_A_RECORD + FIELDS),
        (lambda document: document.update(more=1), NOT_A_RECORD + FIELDS),
        (lambda document: document["files"][0].pop("bytes"), NOT_A_RECORD + "its fields are not path, bytes, sha256"),
        (lambda document: document["files"][0].update(bytes="5"), NOT_A_RECORD + "bytes is not a int"),
    ],
)
def test_a_record_of_other_fields_is_refused_by_name(change: Callable[[dict[str, Any]], object], said: str) -> None:
    document = json.loads(RECORD.encode())
    change(document)
    with pytest.raises(BundleError) as caught:
        decode_record(json.dumps(document).encode())
    assert caught.value.message == said


def test_a_record_of_a_newer_edgemnist_says_so() -> None:
    with pytest.raises(BundleError, match="has schema version 2, and this edgemnist reads up to 1") as caught:
        decode_record(replace(RECORD, schema_version=2).encode())
    assert caught.value.hint == f"Install a newer edgemnist with: {upgrade_line()}"


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../b", "a//b", ".a", "a/.b", "a/", "a\n", "-a", "a b", ""])
def test_no_path_leads_outside(path: str) -> None:
    record = replace(RECORD, files=[*RECORD.files, BundledFile(path=path, bytes=0, sha256="")])
    with pytest.raises(BundleError) as caught:
        decode_record(record.encode())
    assert caught.value.message == f"The bundle names a file {path!r}, which could be written outside its directory"


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


@pytest.mark.needs("ssh-keygen")
def test_a_signature_holds_for_its_signer_and_contents_only(tmp_path: Path) -> None:
    mine, other = make_key(tmp_path / "mine"), make_key(tmp_path / "other")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"me@here {(tmp_path / 'mine.pub').read_text()}")
    assert verify(b"data", sign(b"data", mine), allowed) == "me@here"
    with pytest.raises(BundleError, match="does not trust"):
        verify(b"data", sign(b"data", other), allowed)
    with pytest.raises(BundleError, match="is not valid"):
        verify(b"date", sign(b"data", mine), allowed)
    with pytest.raises(BundleError, match="not signed"):
        verify(b"data", None, allowed)
    with pytest.raises(BundleError):
        verify(b"data", b"nonsense", allowed)
    allowed.write_text("")
    with pytest.raises(BundleError, match="does not trust"):
        verify(b"data", sign(b"data", mine), allowed)


@pytest.mark.needs("ssh-keygen")
def test_a_signature_for_another_purpose_does_not_count(tmp_path: Path) -> None:
    mine = make_key(tmp_path / "mine")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"me@here {(tmp_path / 'mine.pub').read_text()}")
    signature = _ssh_keygen("sign", "-f", str(mine), "-n", "git", data=b"data").stdout
    with pytest.raises(BundleError, match="is not valid"):
        verify(b"data", signature, allowed)


@pytest.mark.needs("ssh-keygen")
def test_a_key_that_cannot_sign_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot be signed with .*missing: .*No such file or directory") as caught:
        sign(b"data", tmp_path / "missing")
    assert caught.value.hint.startswith("Name an SSH key file such as ~/.ssh/id_ed25519")


@pytest.mark.needs("ssh-keygen")
def test_what_is_refused_is_told_with_what_to_do(tmp_path: Path) -> None:
    mine = make_key(tmp_path / "mine")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"me@here,you@there {(tmp_path / 'mine.pub').read_text()}")
    assert verify(b"data", sign(b"data", mine), allowed) == "me@here"
    hint = f"Sign it with: edgemnist bundle --sign KEY, with a key listed in {allowed}"
    for data, signature, said in (
        (b"data", None, "The bundle is not signed, and this board accepts only signed bundles"),
        (b"data", b"nonsense", "The bundle is signed with a key that this board does not trust"),
        (b"date", sign(b"data", mine), "The signature of the bundle is not valid: "),
    ):
        with pytest.raises(BundleError) as caught:
            verify(data, signature, allowed)
        assert (caught.value.message.startswith(said), caught.value.hint) == (True, hint)


def test_without_ssh_keygen_it_is_named_and_its_silence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError) as caught:
        sign(b"data", tmp_path / "key")
    assert caught.value.message == "A signature needs ssh-keygen, which is not installed"
    assert caught.value.hint == "Install it with: sudo apt install openssh-client"
    program = tmp_path / "ssh-keygen"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(BundleError, match=r"key: ssh-keygen ended with 3$"):
        sign(b"data", tmp_path / "key")
