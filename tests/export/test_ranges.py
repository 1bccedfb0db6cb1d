"""Activation ranges and clipping limits are chosen by what they do to the answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from edgemnist.data.dataset import Dataset, stratified_indices
from edgemnist.export.interface import ArtifactSpec, ExportConfig
from edgemnist.export.model import KerasSource, decode_source
from edgemnist.export.ranges import _answers, fewest_flips
from edgemnist.export.run import export_model
from edgemnist.export.tflite import CLIPPING, TFLiteExporter, _outputs, _quantized, to_int4
from edgemnist.exports.manifest import read_manifest
from edgemnist.runtimes.keras import model_bytes
from edgemnist.train.calibration import clipped, clipping_limits

INT8 = ArtifactSpec("tflite", "int8")


@pytest.fixture
def source(made_exports: Path) -> KerasSource:
    return decode_source((made_exports / "model.keras").read_bytes(), Path("model.keras"))


def test_ranges_by_flips_never_flip_more_training_images_than_minimum_and_maximum(
    source: KerasSource, dataset: Dataset
) -> None:
    train = dataset.train.images
    drawn = stratified_indices(dataset.train.labels, 100, 0)
    exporter = partial(TFLiteExporter, source, dataset.labels)
    chosen = fewest_flips(INT8, exporter, source, train, drawn)
    assert set(chosen) <= set(drawn)
    wanted = np.asarray(source.original(train.astype(np.float32) / 255)).argmax(axis=1)
    flips = [
        int(
            (
                _answers(exporter(train[indices]).convert(source.model, "int8"), INT8, train, "0..1").argmax(1)
                != wanted
            ).sum()
        )
        for indices in (drawn, chosen)
    ]
    assert flips[1] <= flips[0]


def test_the_record_tells_how_the_ranges_were_chosen(exports: Path, dataset: Dataset) -> None:
    for ranges in ("minmax", "flips"):
        config = ExportConfig.of(formats=["tflite"], quantizations=["int8", "int4"], ranges=ranges, golden=50)
        export_model(config, dataset, exports)
        recorded = read_manifest(exports).artifact("tflite-int8").calibration
        assert recorded is not None
        assert recorded.method == ranges
        assert 0 < recorded.images <= 500
        assert recorded.drawn == 500
        assert read_manifest(exports).artifact("tflite-int4").calibration is None


def test_int4_takes_the_way_to_clip_that_stays_closer_and_keeps_the_limits_of_a_network_that_was_trained_for_them(
    source: KerasSource, dataset: Dataset
) -> None:
    weights = source.original.get_weights()
    limits = clipping_limits(weights, 4)
    trained = clipped(weights, limits)
    # On the grid of the limits, as if it had been trained until every weight is there.
    pairs = zip(trained[::2], limits, strict=True)
    steps = [np.rint(np.asarray(kernel) / (limit / 7)) * (limit / 7) for kernel, limit in pairs]
    model = keras.models.clone_model(source.original)
    model.set_weights([part for layer in zip(steps, trained[1::2], strict=True) for part in layer])
    on_grid = decode_source(model_bytes(model), Path("trained.keras"))
    chosen = {}
    for name, network in (("float", source), ("trained", on_grid)):
        exporter = TFLiteExporter(network, dataset.labels, dataset.train.images[:100])
        data, inputs = exporter._convert(network.model, "float32"), list(exporter._representative())
        made, wanted = to_int4(data, inputs), _outputs(data, inputs)
        errors = {way: float(((_outputs(_quantized(data, way), inputs) - wanted) ** 2).sum()) for way in CLIPPING}
        chosen[name] = min(errors, key=lambda way: errors[way])
        assert made == _quantized(data, chosen[name])
    assert chosen["trained"] == CLIPPING[1]
