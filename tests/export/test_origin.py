"""An export starts from the model that is recorded, or from one that was named, and from nothing else."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ManifestError, MissingDependencyError, ModelError, StorageError
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import MANIFEST_FILE, MODEL_FILE, read_manifest, read_recorded
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.export.run import export_model
from tests.exports.test_directory import without_runtimes
from tests.notices import Listener

ONE = ExportConfig.of(formats=["tflite"], quantizations=["float32"], golden=50)
"""The quickest export."""


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def other_model(save_model: Callable[..., Path]) -> Path:
    from keras import layers

    return save_model(layers.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation="softmax"))


def test_a_named_model_becomes_the_directorys(exports: Path, dataset: Dataset, save_model: Callable[..., Path]) -> None:
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
    export_model(dataclasses.replace(ONE, model=tmp_path / "old.h5"), dataset, tmp_path / "exports")
    recorded = read_manifest(tmp_path / "exports").model
    assert recorded is not None
    assert keras.saving.load_model(tmp_path / "exports" / MODEL_FILE).count_params() == 7850
    assert read_source(tmp_path / "old.h5").sha256 == recorded.sha256


def test_a_model_that_is_named_needs_keras(made_exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_runtimes(monkeypatch, "keras")
    with pytest.raises(MissingDependencyError, match="needs a-package"):
        read_source(made_exports / MODEL_FILE)


def test_without_a_model_there_is_nothing_to_export(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no model\.keras") as caught:
        export_model(ONE, dataset, tmp_path / "exports")
    assert "edgemnist train" in caught.value.hint
    assert "--model FILE" in caught.value.hint
    assert not (tmp_path / "exports").exists()


def test_another_model_is_taken_only_by_name(exports: Path, dataset: Dataset, save_model: Callable[..., Path]) -> None:
    shutil.copy(other_model(save_model), exports / MODEL_FILE)
    with pytest.raises(ModelError, match="manifest") as caught:
        export_model(ONE, dataset, exports)
    assert f"--model {exports / MODEL_FILE}" in caught.value.hint
    export_model(dataclasses.replace(ONE, model=exports / MODEL_FILE), dataset, exports)
    manifest = read_manifest(exports)
    assert manifest.model is not None
    read_recorded(exports, manifest.model)


def test_a_model_beside_no_whole_manifest_is_taken_as_it_is(
    made_exports: Path, dataset: Dataset, tmp_path: Path
) -> None:
    shutil.copy(made_exports / MODEL_FILE, tmp_path / MODEL_FILE)
    for broken in (False, True):
        if broken:
            (tmp_path / MANIFEST_FILE).write_text("{")
        listener = Listener()
        export_model(ONE, dataset, tmp_path, listener)
        assert any("is not a manifest" in notice for notice in listener.messages) == broken
        assert [artifact.name for artifact in read_manifest(tmp_path).artifacts] == ["tflite-float32"]


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
    assert any("letters" in notice for notice in listener.messages)
    assert read_manifest(exports).data == dataset.identity
    assert read_golden(exports, read_manifest(exports)).data == identity


@pytest.mark.parametrize("done", [0, 2, 4])
def test_ctrl_c_leaves_the_old_files(done: int, exports: Path, dataset: Dataset) -> None:
    before = contents(exports)
    config = ExportConfig.of(quantizations=["int8", "float32"], calibration=10, golden=50)
    with pytest.raises(KeyboardInterrupt):
        export_model(config, dataset, exports, Listener(interrupt_after=done))
    assert contents(exports) == before


def test_no_work_begins_at_an_unwritable_place(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    listener = Listener()
    with pytest.raises(StorageError, match="cannot be written"):
        export_model(dataclasses.replace(ONE, model=other_model(save_model)), dataset, tmp_path / "file", listener)
    assert listener.updates == []


def test_the_record_of_a_calibration_tells_which_images_it_was(exports: Path, dataset: Dataset) -> None:
    few, more, again = (_calibration(exports, dataset, count) for count in (20, 30, 20))
    assert few == again
    assert (few.images, more.images) == (20, 30)
    assert few.indices_sha256 != more.indices_sha256
    assert few.data_sha256 == dataset.identity.sha256
    # By default there are 500, or all.
    assert _calibration(exports, dataset, None).images == 500
    assert (
        _calibration(exports, dataclasses.replace(dataset, train=dataset.train.take(np.arange(100))), None).images
        == 100
    )


def _calibration(exports: Path, dataset: Dataset, count: int | None) -> Any:
    config = ExportConfig.of(formats=["onnx"], quantizations=["int8"], calibration=count, golden=50)
    export_model(config, dataset, exports)
    return read_manifest(exports).artifact("onnx-int8").calibration
