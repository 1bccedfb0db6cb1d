"""A model is never evaluated on the images that it was trained on, whatever data set they come from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.data.dataset import Dataset, Split, identified
from edgemnist.data.idx import encode_idx
from edgemnist.errors import ArtifactError, DataError
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports import Exports
from edgemnist.exports.questions import IMAGES_FILE, count_seen, image_hashes, source_of_training
from tests.conftest import Run
from tests.data.test_folders import write_pictures

ONE = ExportConfig.of(formats=["tflite"], quantizations=["float32"], golden=50)


def test_evaluation_images_that_the_model_was_trained_on_are_refused_across_sources(
    exports: Path, dataset: Dataset
) -> None:
    before = (exports / "manifest.json").read_bytes()
    # Another data set by its identity, in which the training images of the model are there to evaluate on.
    swapped = identified(
        dataset.test, Split(dataset.train.images[::7], dataset.train.labels[::7]), dataset.labels, source="x"
    )
    with pytest.raises(DataError, match=r"was trained on 572 of the 572 evaluation images") as caught:
        export_model(ONE, swapped, exports)
    assert "--data DIR" in caught.value.hint
    assert (exports / "manifest.json").read_bytes() == before


def test_the_hashes_of_the_training_images_are_recorded_and_checked(exports: Path, dataset: Dataset) -> None:
    opened = Exports.open(exports)
    assert count_seen(exports, opened.manifest, dataset.train.images) == len(dataset.train)
    assert count_seen(exports, opened.manifest, dataset.test.images) == 0
    (exports / IMAGES_FILE).write_bytes(b"damaged")
    with pytest.raises(ArtifactError):
        count_seen(exports, opened.manifest, dataset.test.images)


def test_data_says_how_many_of_the_evaluation_images_the_model_was_trained_on(
    made_exports: Path, dataset: Dataset, edgemnist: Run, tmp_path: Path
) -> None:
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    for name, split in (("train", dataset.test), ("t10k", dataset.train.take(np.arange(0, 4000, 8)))):
        (swapped / f"{name}-images-idx3-ubyte").write_bytes(encode_idx(split.images))
        (swapped / f"{name}-labels-idx1-ubyte").write_bytes(encode_idx(split.labels.astype(np.uint8)))
    done = edgemnist("data", "--data", swapped, "--exports", made_exports)
    assert done.returncode == 0, done.stderr
    last = " ".join(done.stdout.split())
    assert last.endswith("It was trained on 500 of the 500 evaluation images: they say nothing about its accuracy.")


def test_an_image_is_recognized_by_every_pixel() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 27, 27] = 1
    one, other = image_hashes(images)
    assert one != other
    assert image_hashes(images[:1].copy()) == one


def test_export_uses_the_directory_of_the_training_and_data_tells_the_truth(
    edgemnist: Run, edgemnist_json: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    write_pictures(tmp_path / "photos", {"a": 40, "b": 40})
    trained = edgemnist("train", "--data", "photos", "--epochs", "2", "--hidden", "8", "--batch-size", "16")
    assert trained.stdout.endswith("of the test images are right. Next: edgemnist export\n")
    assert trained.returncode == 0, trained.stderr
    assert source_of_training(tmp_path / "exports") == (tmp_path / "photos").resolve()
    document = edgemnist_json("export", "--format", "tflite", "--quantize", "float32", "--offline")
    manifest = json.loads((tmp_path / "exports" / "manifest.json").read_bytes())
    assert manifest["data"]["source"] == "pictures in photos/"
    assert document["golden_images"] == 16
    # Where it lies is nobody's business but this machine's.
    assert str(tmp_path) not in json.dumps(manifest)
    told = edgemnist_json("data", "--data", "photos")
    assert told["seen"] == 0
    assert told["exported"]["sha256"] == told["data"]["sha256"]
    shutil.rmtree(tmp_path / "photos")
    assert source_of_training(tmp_path / "exports") is None
