"""A convolutional network is held against the integer reference, and what its runtime rounds otherwise is no fault."""

import msgspec
import numpy as np
import pytest

from edgemnist.fleet.doctor.artifacts import examine_artifact
from edgemnist.ground.results.boards import Level
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, encode_answers
from edgemnist.model.exports.manifest import MANIFEST_FILE, FileRecord
from edgemnist.model.runtimes import load
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.verify.run import verify
from tests.needs import require


@pytest.fixture(scope="module")
def convolutions(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """A network whose logits lie far apart, so that one step of a hidden value moves its answers by several."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    *rest, kernel, bias = (random.normal(0, 0.1, weights.shape) for weights in model.get_weights())
    model.set_weights([*rest, 400 * kernel, bias])
    place = tmp_path_factory.mktemp("convolutions")
    model.save(place / "sure.keras")
    config = ExportConfig.of(formats=["tflite", "c"], model=place / "sure.keras", calibration=50, golden=300)
    export_model(config, dataset, place / "exports")
    return Exports.open(place / "exports")


def test_rounding_that_adds_up_from_layer_to_layer_misses_no_gate(convolutions: Exports) -> None:
    require("engine")
    result = verify(convolutions, ["tflite-int8", "tflite-int8@native", "tflite-int8@integer"])
    by_runtime = {parity.runtime: parity for parity in result.artifacts}
    litert, native = by_runtime["litert"].integer, by_runtime["native"].integer
    assert litert is not None
    assert native is not None
    images = convolutions.read_golden().images
    exact, rounded = (convolutions.load(f"tflite-int8@{one}").predict_proba(images) for one in ("integer", "litert"))
    assert len(np.unique(exact)) > 5
    assert native.differing == 0
    assert litert.max_abs_diff == float(np.abs(exact - rounded).max())
    # Of which the kernels for other processors may have none.
    assert (litert.rescaling is not None) == (litert.max_abs_diff > 1 / 256)
    said = [reason for parity in result.artifacts for reason in parity.reasons]
    assert not [reason for reason in said if "integer reference" in reason or "exporting machine" in reason]


def test_as_c_it_answers_every_bit_of_its_twin(convolutions: Exports) -> None:
    require("cc")
    images = convolutions.read_golden().images
    answers = load(convolutions.directory / "c-int8.c", trusted=True).predict_proba(images)
    np.testing.assert_array_equal(answers, convolutions.load("tflite-int8@integer").predict_proba(images))


def test_a_board_whose_kernels_round_otherwise_is_fit(convolutions: Exports) -> None:
    exports, manifest = convolutions.directory, convolutions.manifest
    artifact = manifest.artifact("tflite-int8")
    exact = convolutions.load("tflite-int8@integer").predict_proba(convolutions.read_golden().images)
    for answers, is_right in ((np.roll(exact, 1, axis=1), False), (exact, True)):
        # As if exported where kernels round as the reference does.
        data = encode_answers({artifact.sha256: answers})
        (exports / ANSWERS_FILE).write_bytes(data)
        changed = msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, data))
        (exports / MANIFEST_FILE).write_bytes(changed.encode())
        (parity,) = verify(Exports.open(exports), ["tflite-int8"]).artifacts
        assert ("exporting machine" in "".join(parity.reasons)) is not is_right
        check = examine_artifact(exports, "tflite-int8")
        assert (check.level is Level.OK) is is_right, check.value
