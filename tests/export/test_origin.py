"""An export starts from the model that is recorded, or from one that was named, and from nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.data.dataset import Dataset
from edgemnist.errors import ManifestError, ModelError, StorageError
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import MANIFEST_FILE, MODEL_FILE, read_manifest, read_recorded
from edgemnist.progress import Reporter, Task

ONE = ExportConfig.of(formats=["tflite"], quantizations=["float32"], golden=50)
"""The quickest export."""


class Listener(Reporter):
    """Remembers notices, and presses Ctrl-C when a task tells of `interrupt_at`."""

    def __init__(self, interrupt_at: str = "") -> None:
        self.notices: list[str] = []
        self.details: list[str] = []
        self.interrupt_at = interrupt_at

    def notice(self, message: str) -> None:
        """Remember a notice."""
        self.notices.append(message)

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Remember the steps of a task."""
        del description, total
        listener = self

        class Listening(Task):
            def update(self, completed: float, detail: str = "") -> None:
                del completed
                listener.details.append(detail)
                if detail and detail == listener.interrupt_at:
                    raise KeyboardInterrupt

        yield Listening()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def other_model(save_model: Callable[..., Path]) -> Path:
    from keras import layers

    return save_model(layers.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation="softmax"))


def test_a_model_that_was_named_becomes_the_model_of_the_directory(
    exports: Path, dataset: Dataset, save_model: Callable[..., Path]
) -> None:
    path, before = other_model(save_model), read_manifest(exports)
    export_model(dataclasses.replace(ONE, model=path), dataset, exports)
    after = read_manifest(exports)
    assert (exports / MODEL_FILE).read_bytes() == path.read_bytes()
    assert after.model is not None
    assert before.model is not None
    assert after.model.sha256 != before.model.sha256
    # The new artifact and the golden pack belong to the new model, and the records of the others say that they do not.
    assert after.artifact("tflite-float32").model_sha256 == after.model.sha256
    assert read_golden(exports, after).model_sha256 == after.model.sha256
    others = [artifact for artifact in after.artifacts if artifact.name != "tflite-float32"]
    assert others == [artifact for artifact in before.artifacts if artifact.name != "tflite-float32"]
    for artifact in after.artifacts:
        read_recorded(exports, artifact)


def test_an_h5_model_is_recorded_as_a_keras_one(dataset: Dataset, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.save(tmp_path / "old.h5")
    hashes = []
    for directory in (tmp_path / "one", tmp_path / "two"):
        export_model(dataclasses.replace(ONE, model=tmp_path / "old.h5"), dataset, directory)
        manifest = read_manifest(directory)
        assert manifest.model is not None
        assert keras.saving.load_model(directory / MODEL_FILE).count_params() == 7850
        hashes.append(manifest.model.sha256)
    assert hashes[0] == hashes[1]


def test_without_a_model_there_is_nothing_to_export(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no model\.keras") as caught:
        export_model(ONE, dataset, tmp_path / "exports")
    assert "edgemnist train" in caught.value.hint
    assert "--model FILE" in caught.value.hint
    assert not (tmp_path / "exports").exists()


def test_a_model_that_is_not_the_recorded_one_is_taken_only_by_name(
    exports: Path, dataset: Dataset, save_model: Callable[..., Path]
) -> None:
    shutil.copy(other_model(save_model), exports / MODEL_FILE)
    with pytest.raises(ModelError, match="manifest") as caught:
        export_model(ONE, dataset, exports)
    assert f"--model {exports / MODEL_FILE}" in caught.value.hint
    export_model(dataclasses.replace(ONE, model=exports / MODEL_FILE), dataset, exports)
    manifest = read_manifest(exports)
    assert manifest.model is not None
    read_recorded(exports, manifest.model)


def test_a_model_without_a_manifest_is_taken_as_it_is(made_exports: Path, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copy(made_exports / MODEL_FILE, tmp_path / MODEL_FILE)
    export_model(ONE, dataset, tmp_path)
    assert [artifact.name for artifact in read_manifest(tmp_path).artifacts] == ["tflite-float32"]


def test_a_broken_manifest_is_written_anew_and_told_of(exports: Path, dataset: Dataset) -> None:
    (exports / MANIFEST_FILE).write_text("{")
    listener = Listener()
    export_model(ONE, dataset, exports, listener)
    assert "is not a manifest" in listener.notices[0]
    assert [artifact.name for artifact in read_manifest(exports).artifacts] == ["tflite-float32"]


def test_a_manifest_of_a_newer_edgemnist_is_left_alone(exports: Path, dataset: Dataset) -> None:
    document = json.loads((exports / MANIFEST_FILE).read_bytes())
    (exports / MANIFEST_FILE).write_text(json.dumps({**document, "schema_version": 99}))
    before = contents(exports)
    with pytest.raises(ManifestError, match="schema version 99"):
        export_model(ONE, dataset, exports)
    assert contents(exports) == before


def test_a_model_of_other_classes_is_refused(exports: Path, dataset: Dataset) -> None:
    before = contents(exports)
    fewer = dataclasses.replace(dataset, labels=dataset.labels[:9])
    with pytest.raises(ModelError, match="has 10 classes, but the data set has 9"):
        export_model(ONE, fewer, exports)
    letters = dataclasses.replace(dataset, labels=tuple("abcdefghij"))
    with pytest.raises(ModelError, match="class 0 is '0' there and 'a' here"):
        export_model(ONE, letters, exports)
    assert contents(exports) == before


def test_images_of_another_set_than_it_was_trained_on_are_told_of(exports: Path, dataset: Dataset) -> None:
    identity = msgspec.structs.replace(dataset.identity, source="letters", sha256="0" * 64)
    listener = Listener()
    export_model(ONE, dataclasses.replace(dataset, identity=identity), exports, listener)
    assert any("letters" in notice for notice in listener.notices)
    assert read_manifest(exports).data == dataset.identity
    assert read_golden(exports, read_manifest(exports)).data == identity


@pytest.mark.parametrize("moment", ["tflite-int8", "onnx-float32", "golden pack"])
def test_ctrl_c_leaves_the_old_files(moment: str, exports: Path, dataset: Dataset) -> None:
    before = contents(exports)
    config = ExportConfig.of(quantizations=["int8", "float32"], calibration=10, golden=50)
    with pytest.raises(KeyboardInterrupt):
        export_model(config, dataset, exports, Listener(interrupt_at=moment))
    assert contents(exports) == before


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    listener = Listener()
    with pytest.raises(StorageError, match="cannot be written"):
        export_model(dataclasses.replace(ONE, model=other_model(save_model)), dataset, tmp_path / "file", listener)
    assert listener.details == []


def test_every_artifact_is_told_of_before_it_is_made(exports: Path, dataset: Dataset) -> None:
    listener = Listener()
    config = ExportConfig.of(formats=["tflite"], quantizations=["float32", "float16"], golden=50)
    export_model(config, dataset, exports, listener)
    assert [detail for detail in listener.details if detail] == ["tflite-float16", "tflite-float32", "golden pack"]


def test_the_record_of_a_calibration_tells_which_images_it_was(exports: Path, dataset: Dataset) -> None:
    def calibration(count: int) -> Any:
        config = ExportConfig.of(formats=["onnx"], quantizations=["int8"], calibration=count, golden=50)
        export_model(config, dataset, exports)
        return read_manifest(exports).artifact("onnx-int8").calibration

    few, more, again = calibration(20), calibration(30), calibration(20)
    assert few == again
    assert (few.images, more.images) == (20, 30)
    assert few.indices_sha256 != more.indices_sha256
    assert few.data_sha256 == dataset.identity.sha256
