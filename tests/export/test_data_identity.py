"""A model is never evaluated on the images that it was trained on, whatever data set they come from."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError, DataError
from edgemnist.fleet.bundle.pack import narrow
from edgemnist.ground.arrays import image_hashes, image_marks, recognized
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import MODEL_FILE, FileRecord, Manifest, read_manifest
from edgemnist.model.exports.questions import (
    IMAGES_FILE,
    count_seen,
    encode_training_images,
    has_learnt,
    learnt_record,
    questions,
    source_of_training,
)
from edgemnist.pipeline.data.dataset import Dataset, Split, identified
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.verify.files import Evaluation, verify_files
from tests.conftest import Run
from tests.data.conftest import encode_idx
from tests.data.test_folders import write_pictures
from tests.notices import Notices

ONE = ExportConfig.of(formats=["tflite"], quantizations=["float32"], golden=50)


def test_evaluation_images_that_a_model_has_seen_are_refused_across_sources(exports: Path, dataset: Dataset) -> None:
    before = (exports / "manifest.json").read_bytes()
    # Another data set by its identity, in which the training images of the model are there to evaluate on.
    swapped = identified(
        dataset.test, Split(dataset.train.images[::7], dataset.train.labels[::7]), dataset.labels, source="x"
    )
    with pytest.raises(DataError, match=r"was trained on 572 of 572 evaluation images") as caught:
        export_model(ONE, swapped, exports)
    assert "--data DIR" in caught.value.hint
    assert (exports / "manifest.json").read_bytes() == before


def test_the_hashes_of_the_training_images_are_recorded_and_checked(exports: Path, dataset: Dataset) -> None:
    opened = Exports.open(exports)
    assert count_seen(exports, opened.manifest, dataset.train.images) == len(dataset.train)
    assert count_seen(exports, opened.manifest, dataset.test.images) == 0
    # A corner pixel does not hide one.
    stamped, marks = dataset.train.images.copy(), encode_training_images(dataset.train.images)
    stamped[:, 0, 0] = 255
    (exports / IMAGES_FILE).write_bytes(marks)
    record = msgspec.structs.replace(opened.manifest, training_images=FileRecord.of(IMAGES_FILE, marks))
    assert count_seen(exports, record, stamped) == len(stamped)
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
    assert last.endswith("It was trained on 500 of 500 evaluation images: they say nothing about its accuracy.")


def test_an_image_is_recognized_with_any_pixel_changed(dataset: Dataset) -> None:
    seen, others = dataset.train.images[:200], dataset.test.images[:200]
    marks = image_marks(seen)
    changed = seen.copy()
    places = np.arange(200) * 784 // 200
    changed.reshape(200, -1)[np.arange(200), places] ^= 255
    assert recognized(changed, marks).all()
    assert not recognized(others, marks).any()
    # Of an earlier edgemnist there are the hashes of all pixels.
    assert recognized(seen, marks[:, 0]).all()
    assert not recognized(changed, marks[:, 0]).any()
    assert (image_hashes(seen) != image_hashes(changed)).all()


def test_a_single_image_that_the_model_has_seen_is_told_with_every_figure(exports: Path, dataset: Dataset) -> None:
    images, labels = dataset.test.images.copy(), dataset.test.labels.copy()
    images[7], labels[7] = dataset.train.images[0], dataset.train.labels[0]
    mixed = identified(dataset.train, Split(images, labels), dataset.labels, source="x")
    told = Notices()
    export_model(dataclasses.replace(ONE, golden=None), mixed, exports, told)
    sentence = "The model was trained on 1 of 1,000 evaluation images."
    opened = Exports.open(exports)
    assert sentence in told.messages
    assert sentence in questions(opened)
    model = exports / opened.manifest.artifact("tflite-float32").file
    evaluation = Evaluation(images=images, labels=labels, class_labels=dataset.labels, identity=mixed.identity)
    warnings = verify_files(str(model), [str(model)], evaluation).warnings
    assert f"{model} was trained on 1 of 1,000 evaluation images." in warnings


def test_what_a_named_model_was_trained_on_goes_along(exports: Path, dataset: Dataset, tmp_path: Path) -> None:
    named = dataclasses.replace(ONE, model=exports / MODEL_FILE)
    swapped = identified(dataset.test, dataset.train.take(np.arange(500)), dataset.labels, source="x")
    with pytest.raises(DataError, match=r"was trained on 500 of 500 evaluation images"):
        export_model(named, swapped, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    export_model(named, dataset, tmp_path / "other")
    before, after = read_manifest(exports), read_manifest(tmp_path / "other")
    assert (after.data, after.training_images) == (before.data, before.training_images)
    assert after.golden is not None
    assert after.golden.seen == 0
    # From there on, too.
    with pytest.raises(DataError, match=r"was trained on 500 of 500 evaluation images"):
        export_model(ONE, swapped, tmp_path / "other")


def test_nobody_says_what_a_model_without_a_record_has_seen(exports: Path, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copy(exports / MODEL_FILE, tmp_path / "stranger.keras")
    told = Notices()
    export_model(dataclasses.replace(ONE, model=tmp_path / "stranger.keras"), dataset, tmp_path / "other", told)
    made = read_manifest(tmp_path / "other")
    assert (made.data, made.training_images) == (None, None)
    (question,) = questions(Exports.open(tmp_path / "other"))
    assert question.startswith("What the model was trained on is not known")
    assert question in told.messages


def test_what_a_model_has_learnt_from_is_known_by_pixels_and_goes_along(made_exports: Path, dataset: Dataset) -> None:
    images = dataset.test.images[:6]
    manifest = Exports.open(made_exports).manifest
    model = manifest.artifacts[0].model_sha256
    assert not has_learnt(manifest, model, images).any()
    first = learnt_record("another", images[:2])
    learnt = msgspec.structs.replace(manifest, learnt=learnt_record(model, images[[2, 2, 3]], first))
    bundled = narrow(msgspec.json.decode(learnt.encode(), type=Manifest), [learnt.artifacts[0].name])
    assert has_learnt(bundled, model, images).tolist() == [True, True, True, True, False, False]
    assert len(learnt.learnt.samples if learnt.learnt else []) == 4
    # Another model, such as the next one that is trained in the same directory, has not.
    assert not has_learnt(bundled, "another", images).any()


@pytest.mark.all
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
