"""The exporting machine's answers, and how far a machine may be from them."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import (
    ANSWERS_FILE,
    answer_all,
    answers_of_export,
    decode_answers,
    encode_answers,
    read_answers,
    read_golden,
)
from edgemnist.model.exports.manifest import MANIFEST_FILE, Manifest, read_manifest, record_of
from edgemnist.pipeline.verify.run import verify
from tests.notices import Notices


def with_answers(exports: Path, name: str = "tflite-int8") -> Manifest:
    """Answer for one artifact as an export does, and record it."""
    manifest = read_manifest(exports)
    artifact = manifest.artifact(name)
    made = {artifact.file: (exports / artifact.file).read_bytes()}
    data = answers_of_export(exports, manifest, manifest, made, read_golden(exports, manifest).images)
    (exports / "answers.npz").write_bytes(data)
    manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, data))
    (exports / MANIFEST_FILE).write_bytes(manifest.encode())
    return manifest


def test_verify_replays_what_the_exporting_machine_answered(exports: Path) -> None:
    manifest = with_answers(exports)
    assert [one.replay.verdict for one in verify(Exports.open(exports), ["tflite-int8"]).artifacts if one.replay] == [
        "identical"
    ]
    answers = dict(read_answers(exports, manifest))
    sha256 = manifest.artifact("tflite-int8").sha256
    answers[sha256] = np.roll(answers[sha256], 1, axis=0)
    data = encode_answers(answers)
    (exports / "answers.npz").write_bytes(data)
    changed = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, data))
    (exports / MANIFEST_FILE).write_bytes(changed.encode())
    result = verify(Exports.open(exports), ["tflite-int8"])
    assert not result.passed
    assert "exporting machine" in result.artifacts[0].reasons[0]


def test_an_export_of_one_artifact_keeps_the_answers_of_the_others(exports: Path) -> None:
    both = {one.sha256 for one in (with_answers(exports).artifact("tflite-int8"),)}
    manifest = with_answers(exports, "tflite-dynamic")
    both.add(manifest.artifact("tflite-dynamic").sha256)
    assert both <= set(read_answers(exports, manifest))
    other = msgspec.structs.replace(manifest, golden=None)
    data = answers_of_export(exports, manifest, other, {}, read_golden(exports, manifest).images)
    assert decode_answers(io.BytesIO(data)) == {}


def test_damaged_answers_of_other_artifacts_are_dropped_with_a_notice(exports: Path) -> None:
    manifest, told = with_answers(exports), Notices()
    images = read_golden(exports, manifest).images
    kept = {one.file: (exports / one.file).read_bytes() for one in manifest.artifacts}
    (exports / ANSWERS_FILE).write_bytes(b"nonsense")
    data = answers_of_export(exports, manifest, manifest, {}, images, reporter=told)
    assert decode_answers(io.BytesIO(data)) == {}
    (notice,) = told.messages
    assert notice.startswith(f"{exports / ANSWERS_FILE} has 8 bytes where the manifest says")
    assert "tflite-int8" in notice
    assert notice.endswith(f"run: edgemnist export --exports {exports}")
    # An export that makes all of them again loses nothing.
    few = msgspec.structs.replace(manifest, artifacts=[manifest.artifact("tflite-int8")])
    answers_of_export(exports, few, few, kept, images[:2], reporter=told)
    assert len(told.messages) == 1


def test_the_same_answers_give_the_same_bytes_and_damaged_ones_are_refused(exports: Path) -> None:
    manifest = read_manifest(exports)
    images = read_golden(exports, manifest).images[:50]
    answers = answer_all(exports, [manifest.artifact("tflite-int8")], images)
    assert encode_answers(answers) == encode_answers(dict(reversed(list(answers.items()))))
    with pytest.raises(ArtifactError, match="damaged"):
        decode_answers(io.BytesIO(encode_answers(answers)[:-30]))
    objects = io.BytesIO()
    np.savez(objects, x=np.array([{}], dtype=object))
    for data in (b"nonsense", objects.getvalue()):
        # NumPy's own words say how to load a pickle unsafely.
        with pytest.raises(ArtifactError, match=r"answers\.npz is damaged: it holds no arrays of numbers"):
            decode_answers(io.BytesIO(data))


@pytest.mark.parametrize("name", ["golden", "answers"])
def test_damage_is_told_with_the_command_for_its_directory(name: str, exports: Path, tmp_path: Path) -> None:
    directory = exports.rename(tmp_path / "my exports")
    manifest = read_manifest(directory)
    record = getattr(manifest, name)
    data = b"PK nonsense"
    (directory / record.file).write_bytes(data)
    changed = msgspec.structs.replace(record, bytes=len(data), sha256=sha256(data))
    manifest = msgspec.structs.replace(manifest, **{name: changed})
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        (read_golden if name == "golden" else read_answers)(directory, manifest)
    assert caught.value.hint == f"Write it again with: edgemnist export --exports '{directory}'"


@pytest.mark.parametrize("spoilt", [np.zeros((3, 10), np.float32), np.zeros((1000, 10), np.float64), np.array(["x"])])
def test_answers_that_are_not_those_to_the_golden_pack_are_damage(spoilt: np.ndarray, exports: Path) -> None:
    manifest = read_manifest(exports)
    data = encode_answers({manifest.artifact("tflite-int8").sha256: spoilt})
    (exports / ANSWERS_FILE).write_bytes(data)
    manifest = msgspec.structs.replace(manifest, answers=record_of(ANSWERS_FILE, data))
    with pytest.raises(ArtifactError, match=r"answers\.npz is damaged: it has .* for 1,000 images and 10 classes"):
        read_answers(exports, manifest)
