"""What can learn, what cannot, and how what has learnt is written."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edgemnist.errors import ModelError, StorageError
from edgemnist.field.learn import run
from edgemnist.field.learn.present import read_present
from edgemnist.field.samples.store import SampleStore
from edgemnist.model.exports import Exports
from tests.conftest import OLD_EXPORTS, run_edgemnist
from tests.samples.making import sample_of


@pytest.mark.all
def test_a_keras_model_is_read_as_it_computes() -> None:
    exports = Exports.open(OLD_EXPORTS)
    golden = exports.read_golden()
    scores = read_present(exports).logits(golden.images)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.abs(odds / odds.sum(axis=1, keepdims=True) - golden.probabilities).max() < 1e-5


def test_a_model_of_other_layers_cannot_learn(tmp_path: Path) -> None:
    import keras
    import msgspec

    from edgemnist.ground.storage import sha256
    from edgemnist.model.exports.manifest import MANIFEST_FILE, ModelRecord, read_manifest
    from edgemnist.model.runtimes.keras import model_bytes

    layers = [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    data = model_bytes(keras.Sequential(layers))
    exports = Path(shutil.copytree(OLD_EXPORTS, tmp_path / "exports"))
    (exports / "model.keras").write_bytes(data)
    record = ModelRecord(file="model.keras", bytes=len(data), sha256=sha256(data), parameters=1)

    manifest = msgspec.structs.replace(read_manifest(exports), model=record)
    (exports / MANIFEST_FILE).write_bytes(manifest.encode())
    with pytest.raises(ModelError, match="computes something other than a network that edgemnist trains"):
        read_present(Exports.open(exports))


def test_the_new_directory_appears_whole_with_its_result_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, left = tmp_path / "new", tmp_path / ".tmp-learn-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    result: Any = LearntNothing()

    def fill(place: Path) -> Any:
        (place / "model.keras").write_text("model")
        assert not out.exists()
        return result

    def fails(*_: object) -> None:
        assert not out.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises(KeyboardInterrupt):
            run._write(out, result, fill)
    assert list(tmp_path.iterdir()) == []
    run._write(out, result, fill)
    assert {path.name for path in out.iterdir()} == {"model.keras", "learn.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_nothing_is_written_of_a_model_whose_artifacts_miss_their_gates(tmp_path: Path) -> None:
    missed: Any = LearntNothing(passed=False)
    assert run._write(tmp_path / "new", missed, lambda _: missed) is missed
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_before_anything_is_forgotten_or_learnt(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        store.label(store.add(sample_of(1)) or 0, "1", "eve")
    words = ("--exports", "reference", "--forget", "eve", "--out", "file/new")
    done = run_edgemnist("learn", *words, cwd=tmp_path, env={"EDGEMNIST_OFFLINE": "1"})
    assert done.returncode == 2
    assert "error: file/new cannot be written: " in done.stderr
    assert "Name another directory with --out DIR." in done.stderr
    with SampleStore.open(tmp_path / "samples") as store:
        assert [one.label for one in store.samples()] == ["1"]
    assert {path.name for path in tmp_path.iterdir()} == {"file", "samples"}


def test_a_disk_that_gets_full_is_told_by_the_name_that_the_user_knows(tmp_path: Path) -> None:
    def fails(place: Path) -> Any:
        raise StorageError(f"{place} cannot be written", hint="--exports") from OSError(28, "No space left on device")

    with pytest.raises(StorageError) as caught:
        run._write(tmp_path / "new", cast("Any", LearntNothing()), fails)
    assert caught.value.message == f"{tmp_path / 'new'} cannot be written: No space left on device"
    assert caught.value.hint == "Name another directory with --out DIR."
    assert list(tmp_path.iterdir()) == []


@dataclass
class LearntNothing:
    """A result that can be written."""

    passed: bool = True

    def to_json(self) -> str:
        """Return a document."""
        return "{}"
