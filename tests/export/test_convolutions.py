"""A convolutional network is held against the integer reference, and what its runtime rounds otherwise is no fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from edgemnist.data.dataset import Dataset
from edgemnist.doctor.artifacts import examine_artifact
from edgemnist.export.interface import ExportConfig
from edgemnist.export.run import export_model
from edgemnist.exports import Exports
from edgemnist.exports.golden import ANSWERS_FILE, encode_answers
from edgemnist.exports.manifest import MANIFEST_FILE, record_of
from edgemnist.results.boards import Level
from edgemnist.verify.run import verify


def sure_network(save_model: Callable[..., Path]) -> Path:
    """Save a network whose logits lie far apart, so that one step of a hidden value moves its answers by several."""
    import keras
    from keras import layers

    path = save_model(
        layers.Input((28, 28, 1)),
        layers.Conv2D(8, 3, strides=2, activation="relu"),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    )
    model = keras.models.load_model(path)
    *rest, kernel, bias = model.get_weights()
    model.set_weights([*rest, 400 * kernel, bias])
    model.save(path)
    return path


def test_rounding_that_adds_up_from_layer_to_layer_misses_no_gate(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    config = ExportConfig.of(formats=["tflite"], model=sure_network(save_model), calibration=50, golden=300)
    export_model(config, dataset, exports)
    opened = Exports.open(exports)
    result = verify(opened, ["tflite-int8", "tflite-int8@native", "tflite-int8@integer"])
    by_runtime = {parity.runtime: parity for parity in result.artifacts}
    litert, native = by_runtime["litert"].integer, by_runtime["native"].integer
    assert litert is not None
    assert native is not None
    images = opened.read_golden().images
    exact, rounded = (opened.load(f"tflite-int8@{one}").predict_proba(images) for one in ("integer", "litert"))
    assert native.differing == 0
    assert litert.max_abs_diff == float(np.abs(exact - rounded).max())
    # Of which the kernels for other processors may have none.
    assert (litert.rescaling is not None) == (litert.max_abs_diff > 1 / 256)
    said = [reason for parity in result.artifacts for reason in parity.reasons]
    assert not [reason for reason in said if "integer reference" in reason or "exporting machine" in reason]


def test_a_board_whose_kernels_round_otherwise_is_fit(
    dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    exports = tmp_path / "exports"
    config = ExportConfig.of(formats=["tflite"], model=sure_network(save_model), calibration=50, golden=300)
    export_model(config, dataset, exports)
    opened = Exports.open(exports)
    artifact = opened.manifest.artifact("tflite-int8")
    exact = opened.load("tflite-int8@integer").predict_proba(opened.read_golden().images)
    for answers, is_right in ((exact, True), (np.roll(exact, 1, axis=1), False)):
        # As if exported where kernels round as the reference does.
        data = encode_answers({artifact.sha256: answers})
        (exports / ANSWERS_FILE).write_bytes(data)
        manifest = msgspec.structs.replace(opened.manifest, answers=record_of(ANSWERS_FILE, data))
        (exports / MANIFEST_FILE).write_bytes(manifest.encode())
        (parity,) = verify(Exports.open(exports), ["tflite-int8"]).artifacts
        assert ("exporting machine" in "".join(parity.reasons)) is not is_right
        check = examine_artifact(exports, "tflite-int8")
        assert (check.level is Level.OK) is is_right, check.value
