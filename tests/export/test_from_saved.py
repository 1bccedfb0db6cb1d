"""A SavedModel answers by its own serving signature, or is refused before a function of it is called."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.progress import SILENT
from edgemnist.pipeline.export import from_onnx
from edgemnist.pipeline.export.from_onnx import read_onnx
from edgemnist.pipeline.export.from_saved import FILE, _opened, onnx_of
from edgemnist.pipeline.export.model import find_origin

RANDOM = np.random.default_rng(0)


def test_a_keras_export_gives_the_answers_of_its_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    layers = keras.layers
    stack = [layers.Conv2D(4, 3, strides=2), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    model = keras.Sequential([keras.Input((9, 8, 3)), *stack, layers.Dense(3, "softmax")])
    model.export(tmp_path, verbose=False)
    # Its directory is what a user names.
    source = find_origin(tmp_path, tmp_path / "exports", SILENT).source
    inputs = RANDOM.integers(0, 256, (5, 9, 8, 3), np.uint8)
    np.testing.assert_allclose(source.answer(inputs), model(inputs / np.float32(255)), atol=1e-6)
    assert (source.spec.shape, source.classes, source.file) == ((9, 8, 3), 3, "model.onnx")
    _opened.cache_clear()
    assert onnx_of(tmp_path / FILE) == source.data
    _, answers = _opened(tmp_path / FILE)
    monkeypatch.setattr(from_onnx, "answers_of", lambda _: lambda rows: answers(rows * 1.01))
    with pytest.raises(UsageError, match="in ONNX Runtime and in TensorFlow with numbers that differ"):
        read_onnx(tmp_path / FILE)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("reads", "ReadFile .* takes texts or files"),
        ("table", "something beside weights and functions: resource"),
        ("counts", "AssignAddVariableOp .* is not read"),
        ("outputs", "must have one input and one output .* 'answer' has rows, first, second"),
        ("signatures", "no signature 'serving_default' .it has first, second"),
        ("damaged", "cannot be read"),
    ],
)
def test_what_is_more_than_a_function_of_numbers_is_refused(fault: str, message: str, tmp_path: Path) -> None:
    import tensorflow as tf

    made = tf.Module()
    made.weights = tf.Variable(RANDOM.normal(size=(4, 3)).astype(np.float32))
    if fault == "table":
        made.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2.0]), 0.0)

    def answer(rows: Any) -> Any:
        scores = rows @ made.weights
        if fault == "reads":
            scores += tf.cast(tf.strings.length(tf.io.read_file(str(tmp_path / "read"))), tf.float32)
        if fault == "table":
            scores += made.table.lookup(tf.constant(1))
        if fault == "counts":
            scores += made.weights.assign_add(made.weights)[0]
        return {"first": scores, "second": scores} if fault == "outputs" else {"first": scores}

    made.answer = tf.function(answer, input_signature=(tf.TensorSpec((None, 4), tf.float32),))
    names = ["first", "second"] if fault == "signatures" else ["answer"]
    tf.saved_model.save(made, tmp_path, signatures=dict.fromkeys(names, made.answer))
    if fault == "damaged":
        (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:999])
    with pytest.raises(UsageError, match=message):
        read_onnx(tmp_path / FILE)
