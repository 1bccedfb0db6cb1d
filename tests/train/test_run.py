"""What a training leaves in the export directory, and what it leaves alone."""

import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import msgspec
import numpy as np
import pytest

from edgemnist.digits.training import RECIPES
from edgemnist.errors import ManifestError, StorageError, TrainingError
from edgemnist.ground.formatting import percent
from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.storage import commit_files, sha256
from edgemnist.model.exports.manifest import Artifact, TensorSpec, read_manifest, read_recorded
from edgemnist.pipeline.data.dataset import Dataset, Split
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.train.network import short_name_of
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import train
from tests.conftest import REPOSITORY
from tests.messages import Told
from tests.notices import Listener
from tests.train.conftest import of

SMALL = TrainConfig(recipe="baseline", hidden=(32,), epochs=2, seed=7)
FILES = {"model.keras", "training.json", "manifest.json", "training-images.npy", "data-source.json"}

Trained = tuple[Path, TrainResult, Listener]


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a directory that was trained into, the result, and what was told. Read only."""
    exports, listener = tmp_path_factory.mktemp("trained") / "exports", Listener()
    return exports, train(dataset, SMALL, exports, listener), listener


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_training_writes_its_files_and_nothing_else(trained: Trained) -> None:
    exports, result, _ = trained
    assert set(contents(exports)) == FILES
    assert read_result(TrainResult, (exports / "training.json").read_bytes()) == result


def test_the_manifest_records_the_model(trained: Trained, dataset: Dataset) -> None:
    exports, result, _ = trained
    manifest = read_manifest(exports)
    assert manifest.model is not None
    assert sha256(read_recorded(exports, manifest.model)) == manifest.model.sha256 == result.sha256
    assert manifest.model.parameters == result.parameters == 784 * 32 + 32 + 32 * 10 + 10
    assert manifest.labels == result.labels == list(dataset.labels)
    assert manifest.data == result.data == dataset.identity


def test_the_model_is_plain_keras_and_has_the_accuracy_that_is_told(trained: Trained, dataset: Dataset) -> None:
    exports, result, _ = trained
    model = keras.saving.load_model(exports / "model.keras")
    assert [type(layer).__module__.split(".")[0] for layer in model.layers] == ["keras"] * 3
    assert not model.compiled
    with zipfile.ZipFile(exports / "model.keras") as file:
        assert sorted(file.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        assert b"optimizer" not in file.read("model.weights.h5")
    for split, told in ((dataset.train, result.train_accuracy), (dataset.test, result.test_accuracy)):
        answers = np.asarray(model(split.images.astype(np.float32) / 255)).argmax(axis=1)
        assert np.mean(answers == split.labels) == pytest.approx(told, abs=1e-9)
    assert result.test_accuracy > 0.7
    assert (result.network, short_name_of(result)) == ("mlp:28:32:8bit", "784-32-10")


def test_the_history_and_the_progress_tell_every_epoch(trained: Trained) -> None:
    _, result, listener = trained
    assert [epoch.epoch for epoch in result.history] == [1, 2]
    assert result.epochs == 2
    assert result.history[1].loss < result.history[0].loss
    assert 0 < sum(epoch.seconds for epoch in result.history) <= result.fit_seconds
    assert listener.totals == [2]
    assert [completed for completed, _ in listener.updates] == [0, 1, 2]
    assert listener.messages == []


TRAIN_AGAIN = """
import sys
from pathlib import Path
from edgemnist.pipeline.train.run import train
from tests.conftest import REPOSITORY
from tests.train.conftest import small_dataset
from tests.train.test_run import SMALL
print("sha256", train(small_dataset(), SMALL, Path(sys.argv[1])).sha256)
"""


def test_the_same_seed_gives_the_same_model_file_in_any_process_and_another_seed_another(
    trained: Trained, dataset: Dataset, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_AGAIN, str(tmp_path)], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["sha256", trained[1].sha256]
    assert train(dataset, replace(SMALL, seed=8), tmp_path / "other").weights_sha256 != trained[1].weights_sha256


def test_the_model_that_a_training_replaces_is_kept_and_the_way_back_is_told(
    trained: Trained, dataset: Dataset, tmp_path: Path
) -> None:
    exports, listener = shutil.copytree(trained[0], tmp_path / "exports"), Listener()
    earlier = (exports / "model.keras").read_bytes()
    assert not [one for one in trained[2].messages if "previous" in one]
    train(dataset, replace(SMALL, seed=8), exports, listener)
    (told,) = [one for one in listener.messages if "previous.keras" in one]
    right, previous = percent(trained[1].test_accuracy), exports / "previous.keras"
    way = f"edgemnist export --model {previous} --input-range 0..1 --exports {exports}"
    assert told == f"The earlier model ({right} of the test images right) is kept as {previous}. To get it back: {way}"
    config = ExportConfig(specs=(ArtifactSpec("tflite", "int8"),), model=previous, input_range="0..1")
    export_model(config, dataset, exports)
    assert (exports / "model.keras").read_bytes() == earlier


def test_artifacts_of_an_earlier_model_stay_on_record_as_long_as_their_files_exist(
    trained: Trained, dataset: Dataset, tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    commit_files(exports, contents(trained[0]))
    before = read_manifest(exports)
    artifacts = [
        Artifact(
            name=name,
            file=f"{name}.tflite",
            bytes=3,
            sha256=sha256(b"old"),
            format="tflite",
            quantization="int8",
            input=TensorSpec(name="in", dtype="int8", shape=[1, 28, 28]),
            output=TensorSpec(name="out", dtype="int8", shape=[1, 10]),
            model_sha256=trained[1].sha256,
            versions={},
        )
        for name in ("tflite-int8", "tflite-dynamic")
    ]
    commit_files(
        exports,
        {"manifest.json": msgspec.structs.replace(before, artifacts=artifacts).encode(), "tflite-int8.tflite": b"old"},
    )
    result = train(dataset, replace(SMALL, seed=9), exports)
    manifest = read_manifest(exports)
    assert [artifact.name for artifact in manifest.artifacts] == ["tflite-int8"]
    assert manifest.model is not None
    assert manifest.model.sha256 == result.sha256 != manifest.artifacts[0].model_sha256


def test_one_that_is_interrupted_or_goes_astray_keeps_the_old_model(
    trained: Trained, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_files(tmp_path, contents(trained[0]))
    for epochs in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            train(dataset, replace(SMALL, epochs=3), tmp_path, Listener(interrupt_after=epochs))
    monkeypatch.setitem(RECIPES, "astray", replace(RECIPES["baseline"], learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"loss is .* in epoch 1, and the weights are no longer numbers"):
        train(dataset, replace(SMALL, recipe="astray"), tmp_path)
    assert contents(tmp_path) == contents(trained[0])


def cut(dataset: Dataset, *, train: slice | list[int] | None = None, test: slice | list[int] | None = None) -> Dataset:
    """Return a data set of the images at some places, or of some classes."""

    def part(split: Split, wanted: slice | list[int] | None) -> Split:
        places = np.isin(split.labels, wanted) if isinstance(wanted, list) else wanted or slice(None)
        return Split(split.images[places], split.labels[places])

    return of(part(dataset.train, train), part(dataset.test, test))


def test_what_cannot_be_learned_is_refused_and_the_old_model_stays(
    dataset: Dataset, tmp_path: Path, told: Told
) -> None:
    commit_files(tmp_path, {"model.keras": b"the old one"})
    some = [0, 1, 2, 3, 5, 6, 8, 9]
    for broken in (cut(dataset, train=some), cut(dataset, test=some)):
        with told():
            train(broken, SMALL, tmp_path)
        assert contents(tmp_path) == {"model.keras": b"the old one"}


def test_a_hundred_images_train_in_batches_of_a_dozen_and_no_larger_ones(dataset: Dataset, tmp_path: Path) -> None:
    few = cut(dataset, train=slice(None, None, 20))
    with pytest.raises(TrainingError, match="do not fill one batch: 100 of 128") as failure:
        train(few, replace(SMALL, batch_size=128), tmp_path)
    assert "edgemnist train --batch-size 12" in failure.value.hint
    result = train(few, replace(SMALL, epochs=20), tmp_path)
    assert result.batch_size == 12
    assert result.test_accuracy > 0.5


@pytest.mark.parametrize("manifest", [b"{half of", b'{"schema_version": 99, "labels": []}', None])
def test_an_unfit_place_stops_a_training_early(manifest: bytes | None, dataset: Dataset, tmp_path: Path) -> None:
    listener, exports = Listener(), tmp_path / "exports"
    if manifest is None:
        exports.write_text("a file")
    else:
        commit_files(exports, {"manifest.json": manifest})
    with pytest.raises(StorageError if manifest is None else ManifestError):
        train(dataset, SMALL, exports, listener)
    assert listener.totals == []
    assert manifest is None or contents(exports) == {"manifest.json": manifest}
