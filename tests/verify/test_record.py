"""What `verify.json` remembers, and what it forgets."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edgemnist.errors import ManifestError
from edgemnist.exports import Exports
from edgemnist.exports.findings import VERIFY_FILE
from edgemnist.results.verify import VerifyResult
from edgemnist.verify.gate import LimitOverrides
from edgemnist.verify.run import verify
from tests.notices import Notices
from tests.verify.damage import edit_manifest, flip_bits_in_the_middle, replace_artifact


def read_verification(exports: Path) -> VerifyResult | None:
    found = Exports.open(exports).findings.verify
    return None if found is None else found.result


def save_verification(exports: Path, result: VerifyResult, notices: Notices | None = None) -> bool:
    return Exports.open(exports).findings.save_verification(result, notices or Notices())


def verified_names(exports: Path) -> list[str]:
    opened = Exports.open(exports)
    return [model.name for model in opened.select() if opened.findings.is_verified(model.name)]


def names_of(result: VerifyResult | None) -> list[str]:
    assert result is not None
    return [parity.name for parity in result.artifacts]


def test_nothing_is_verified_before_anything_was(exports: Path) -> None:
    assert read_verification(exports) is None
    assert verified_names(exports) == []


def test_a_result_is_read_back_as_it_was_saved(exports: Path) -> None:
    result = verify(Exports.open(exports), ["tflite-int8"])
    assert save_verification(exports, result)
    assert read_verification(exports) == result
    assert verified_names(exports) == ["tflite-int8"]


def test_what_was_verified_earlier_is_kept(exports: Path) -> None:
    save_verification(exports, verify(Exports.open(exports), ["tflite-int8", "onnx-int8"]))
    strict = LimitOverrides(max_abs_diff=0.0)
    save_verification(exports, verify(Exports.open(exports), ["onnx-int8", "tflite-float32"], strict))
    saved = read_verification(exports)
    assert sorted(names_of(saved)) == ["onnx-int8", "tflite-float32", "tflite-int8"]
    assert saved is not None
    assert not saved.passed
    assert verified_names(exports) == ["tflite-int8"]


def test_a_changed_artifact_is_no_longer_verified(exports: Path) -> None:
    save_verification(exports, verify(Exports.open(exports), ["tflite-int8", "tflite-int4"]))
    replace_artifact(exports, "tflite-int8", flip_bits_in_the_middle((exports / "tflite-int8.tflite").read_bytes()))
    assert verified_names(exports) == ["tflite-int4"]
    save_verification(exports, verify(Exports.open(exports), ["tflite-int4"]))
    assert names_of(read_verification(exports)) == ["tflite-int4"]


@pytest.mark.needs("cc")
def test_layers_and_votes_outlive_a_look_at_one_artifact_and_no_change_of_theirs(exports: Path) -> None:
    names = ["tflite-int8", "tflite-int8@native", "tflite-int4"]
    save_verification(exports, verify(Exports.open(exports), names, layers=True))
    save_verification(exports, verify(Exports.open(exports), ["tflite-int4"]))
    saved = read_verification(exports)
    assert saved is not None
    assert saved.vote is not None
    assert [one.name for one in saved.layers] == ["tflite-int8", "tflite-int4"]
    replace_artifact(exports, "tflite-int8", flip_bits_in_the_middle((exports / "tflite-int8.tflite").read_bytes()))
    changed = read_verification(exports)
    assert changed is not None
    assert changed.vote is None
    assert [one.name for one in changed.layers] == ["tflite-int4"]
    replace_artifact(exports, "tflite-float32", (exports / "tflite-float16.tflite").read_bytes())
    after = read_verification(exports)
    assert after is not None
    assert after.layers == [], "what they were compared with is another file"


def test_what_was_held_against_another_model_counts_for_nothing(exports: Path) -> None:
    result = verify(Exports.open(exports), ["tflite-int8"])
    save_verification(exports, msgspec.structs.replace(result, model_sha256="ab" * 32))
    assert verified_names(exports) == []
    save_verification(exports, verify(Exports.open(exports), ["tflite-int4"]))
    assert names_of(read_verification(exports)) == ["tflite-int4"]


def test_an_artifact_that_was_removed_is_forgotten(exports: Path) -> None:
    save_verification(exports, verify(Exports.open(exports), ["tflite-int8", "tflite-int4"]))
    edit_manifest(
        exports,
        lambda manifest: msgspec.structs.replace(
            manifest, artifacts=[one for one in manifest.artifacts if one.name != "tflite-int8"]
        ),
    )
    assert verified_names(exports) == ["tflite-int4"]


def test_a_record_of_a_newer_version_is_not_guessed_at(exports: Path) -> None:
    newer = msgspec.structs.replace(verify(Exports.open(exports), ["tflite-int8"]), schema_version=99)
    (exports / VERIFY_FILE).write_text(newer.to_json())
    with pytest.raises(ManifestError, match="schema version 99"):
        read_verification(exports)


@pytest.mark.parametrize("contents", [b"", b"{", b"[]", b'{"schema_version": 1}'])
def test_a_broken_record_is_an_error_to_read_and_replaced_by_the_next(contents: bytes, exports: Path) -> None:
    (exports / VERIFY_FILE).write_bytes(contents)
    with pytest.raises(ManifestError, match=VERIFY_FILE) as caught:
        verified_names(exports)
    assert "edgemnist verify" in caught.value.hint
    notices = Notices()
    assert save_verification(exports, verify(Exports.open(exports), ["tflite-int8"]), notices)
    assert "replaced" in notices.messages[0]
    assert names_of(read_verification(exports)) == ["tflite-int8"]


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Make a directory one that this process cannot write to, even where the tests run as root."""
    directory.chmod(0o555)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_a_directory_that_cannot_be_written_costs_a_notice_and_no_result(made_exports: Path) -> None:
    opened = Exports.open(made_exports)
    result = verify(opened, ["tflite-int8"])
    notices = Notices()
    # Not below pytest's own directories, which only their owner may enter.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        with read_only(Path(place)):
            assert not Exports(Path(place), opened.manifest).findings.save_verification(result, notices)
        assert list(Path(place).iterdir()) == []
    assert len(notices.messages) == 1
    assert "was not saved" in notices.messages[0]
