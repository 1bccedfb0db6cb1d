"""What is recorded of models of other shapes than digits: read as it was written, and never taken for digits."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import GoldenPack, decode_golden
from edgemnist.model.exports.manifest import MANIFEST_FILE, Manifest, ModelRecord
from edgemnist.model.exports.questions import golden_questions
from edgemnist.model.task import Task, default_task, unnamed_task
from tests.conftest import MADE_EXPORTS
from tests.shapes import SPECS
from tests.shapes.made import task_for

EACH = pytest.mark.parametrize("name", SPECS)


def pack(task: Task, answers: tuple[int, ...] = (3,)) -> GoldenPack:
    return GoldenPack(
        images=task.input.random(6),
        truth=np.arange(6) % 3,
        probabilities=np.random.default_rng(0).random((6, *answers), dtype=np.float32),
        class_labels=() if task.answers == "numbers" else ("a", "b", "c"),
        data=DataIdentity(source="random", train=0, test=6, sha256="", reduced=False),
        model_sha256="",
        task=task,
    )


@EACH
def test_a_manifest_says_what_its_models_are_for(name: str, tmp_path: Path) -> None:
    task = task_for(name)
    record = ModelRecord(file="model.onnx", bytes=0, sha256="", parameters=1, takes=task.input)
    written = Manifest(labels=["a", "b"], task=task, model=record)
    (tmp_path / MANIFEST_FILE).write_bytes(written.encode())
    exports = Exports.open(tmp_path)
    assert exports.manifest == written
    assert (exports.task, exports.model_path) == (task, tmp_path / "model.onnx")
    assert record.spec(task) == task.input


def test_a_manifest_without_a_task_is_one_of_digits() -> None:
    exports = Exports.open(MADE_EXPORTS)
    assert exports.task == unnamed_task()
    assert exports.model_path == MADE_EXPORTS / "model.keras"
    assert exports.manifest.model is not None
    # Its file says what it reads, as those of an earlier edgemnist do.
    assert exports.manifest.model.spec(exports.task) is None


def test_a_record_says_what_is_read_in_a_range_or_by_channel() -> None:
    plain = ModelRecord(file="m", bytes=0, sha256="", parameters=1)
    ranged = msgspec.structs.replace(plain, input_range="-1..1")
    assert ranged.spec(default_task()) == InputSpec.of_range((28, 28), "-1..1")
    for task in (task_for("colour"), task_for("row")):
        assert plain.spec(task) == task.input
    assert msgspec.structs.replace(plain, takes=SPECS["meter"]).spec(task_for("colour")) == SPECS["meter"]


@EACH
@pytest.mark.parametrize("answers", [(3,), (640,), (1,), (4, 2)])
def test_a_golden_pack_of_any_shape_is_read_as_it_was_written(name: str, answers: tuple[int, ...]) -> None:
    written = pack(task_for(name, numbers=answers != (3,)), answers)
    read = decode_golden(written.encode())
    assert (read.task, read.class_labels) == (written.task, written.class_labels)
    np.testing.assert_array_equal(read.images, written.images)
    np.testing.assert_array_equal(read.answers, written.probabilities)
    assert read.images.dtype == written.images.dtype


@EACH
def test_a_golden_pack_whose_labels_nobody_knows_has_none(name: str) -> None:
    written = replace(pack(task_for(name)), truth=None)
    read = decode_golden(written.encode())
    assert (read.truth, len(read)) == (None, 6)
    with pytest.raises(ArtifactError, match="has no labels: its 6 inputs come from random"):
        _ = read.labels
    manifest = Manifest(labels=["a", "b", "c"])
    (told,) = golden_questions(manifest, read)
    assert told == "The figures come from random without labels: nothing is said about accuracy."


@pytest.mark.parametrize(
    ("given", "expected"), [("colour", "picture"), ("picture", "colour"), ("spectrogram", "long"), ("row", "odd")]
)
def test_inputs_of_another_task_are_damage(given: str, expected: str) -> None:
    names = {"picture": "digit"}
    one, other = (task_for(names.get(name, name)) for name in (given, expected))
    mixed = GoldenPack(**{**vars(pack(one)), "task": other})
    with pytest.raises(ArtifactError, match=r"images are \w+ \[6, "):
        decode_golden(mixed.encode())
