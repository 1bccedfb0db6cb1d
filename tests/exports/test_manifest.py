"""The manifest is the only way into an export directory, and believes nothing that it cannot check."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.errors import ArtifactError, ManifestError, UnknownNameError, upgrade_line
from edgemnist.ground.results import SCHEMA_VERSION
from edgemnist.ground.storage import sha256
from edgemnist.model.exports.manifest import (
    MANIFEST_FILE,
    Artifact,
    FileRecord,
    Manifest,
    NewerManifestError,
    TensorSpec,
    check_recorded,
    kept_model,
    open_recorded,
    read_manifest,
    read_recorded,
)
from tests.messages import Told


def artifact(name: str, **changes: Any) -> Artifact:
    kind, _, quantization = name.partition("-")
    return msgspec.structs.replace(
        Artifact(
            file=f"{name}.{kind}",
            bytes=1,
            sha256=sha256(b"x"),
            name=name,
            format=kind,
            quantization=quantization,
            input=TensorSpec(name="images", dtype="int8", shape=[-1, 28, 28], scale=1 / 255, zero_point=-128),
            output=TensorSpec(name="scores", dtype="float32", shape=["batch", 10]),
            model_sha256=sha256(b"model"),
            versions={"tensorflow": "2.21.0"},
        ),
        **changes,
    )


def test_fields_that_a_later_edgemnist_adds_do_not_disturb(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text('{"schema_version": 1, "labels": ["0"], "colour": "blue"}')
    assert read_manifest(tmp_path) == Manifest(labels=["0"])


def test_a_broken_manifest_is_a_clear_error(tmp_path: Path) -> None:
    begin, model = (
        '{"schema_version": 1, "labels": [',
        '], "model": {"bytes": 1, "sha256": "", "parameters": 1, "file": ',
    )
    texts = ("", "{", "[]", "null", '{"labels": []}', '{"schema_version": "1", "labels": []}', '{"schema_version": 1}')
    endings = ("1]}", '"\xff"]}', '"0"], "artifacts": [{}]}', f'{model}"../x"}}}}', f'{model}"a\\\\b"}}}}')
    for text in (*texts, *(f"{begin}{end}" for end in endings)):
        # What is not ASCII here is not UTF-8 either.
        (tmp_path / MANIFEST_FILE).write_bytes(text.encode("latin-1"))
        with pytest.raises(ManifestError, match="is not a manifest"):
            read_manifest(tmp_path)


def test_why_there_is_no_manifest_is_told_with_what_to_do(tmp_path: Path, told: Told) -> None:
    missing, empty, file, other = (tmp_path / name for name in ("missing", "empty", "file", "other"))
    empty.mkdir()
    file.touch()
    other.mkdir()
    (other / "notes").touch()
    for directory in (missing, missing / "below", empty, file, other):
        with told():
            read_manifest(directory)
    (other / "manifest.json").mkdir()
    (empty / "manifest.json").write_text("[]")
    for directory in (other, empty):
        with told():
            read_manifest(directory)


def test_a_model_is_kept_when_another_replaces_it(tmp_path: Path) -> None:
    assert kept_model(tmp_path / "missing", b"new") == {}
    assert kept_model(tmp_path, b"new") == {}
    model = tmp_path / "model.keras"
    model.write_bytes(b"old")
    assert kept_model(tmp_path, b"old") == {}
    assert kept_model(tmp_path, b"new") == {"previous.keras": b"old"}
    assert kept_model(model, b"new") == {}
    model.unlink()
    model.mkdir()
    with pytest.raises(ManifestError) as caught:
        kept_model(tmp_path, b"new")
    assert caught.value.message == f"{model} cannot be read: Is a directory"


def test_what_is_wrong_with_a_recorded_file_is_told_with_what_to_do(tmp_path: Path, told: Told) -> None:
    path, record = tmp_path / "a", FileRecord.of("a", b"x" * 1_000)
    digits = record.sha256
    for place in (0, 7, 8, 15, 16, 31, 32, 62, 63):
        other = digits[:place] + ("0" if digits[place] != "0" else "1") + digits[place + 1 :]
        path.write_bytes(b"x" * 1_000)
        with pytest.raises(ArtifactError, match="its SHA-256 differs"):
            check_recorded(tmp_path, msgspec.structs.replace(record, sha256=other))
    path.unlink()
    for data in (None, b"", b"x" * 1_001, b"y" * 1_000):
        if data is not None:
            path.write_bytes(data)
        for attempt in (read_recorded, check_recorded):
            with told():
                attempt(tmp_path, record)
    path.write_bytes(b"x" * 1_000)
    assert read_recorded(tmp_path, record) == b"x" * 1_000
    with open_recorded(tmp_path, record) as file:
        assert file.tell() == 0
    assert file.closed
    path.unlink()
    path.mkdir()
    with told():
        read_recorded(tmp_path, record)


def test_a_newer_manifest_and_an_unknown_artifact_are_told_in_full(tmp_path: Path) -> None:
    newer = Manifest(schema_version=SCHEMA_VERSION + 1, labels=["0"], artifacts=[artifact("tflite-int8")])
    # What else a newer version has is not looked at: it may have changed beyond recognition.
    (tmp_path / MANIFEST_FILE).write_text(f'{{"schema_version": {SCHEMA_VERSION + 1}, "labels": {{}}}}')
    with pytest.raises(NewerManifestError, match=f"schema version {SCHEMA_VERSION + 1}") as caught:
        read_manifest(tmp_path)
    assert caught.value.hint == f"Install a newer edgemnist with: {upgrade_line()}"
    with pytest.raises(UnknownNameError) as unknown:
        newer.artifact("tflite-in8")
    assert unknown.value.message.startswith("There is no artifact 'tflite-in8'")
    assert "did you mean 'tflite-int8'" in unknown.value.message
