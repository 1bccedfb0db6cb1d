"""TFLite files that other people's scripts wrote give the same answers as the Keras model they were made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.tflite import IDENTIFIER, OPERATORS, state_of

Convert = Callable[..., Path]


@pytest.fixture(scope="module")
def images() -> Images:
    """Strokes on black, so that calibration on them means something."""
    random = np.random.default_rng(0)
    pictures = np.zeros((40, 28, 28), dtype=np.uint8)
    for picture in pictures:
        row, column, height, width = random.integers(2, 12, 4)
        picture[row : row + height, column : column + width] = random.integers(1, 256, (height, width))
    return pictures


@pytest.fixture(scope="module")
def keras_model() -> Any:
    """A network of a script that has never heard of edgemnist, with weights of a fixed seed."""
    from keras import Input, Sequential
    from keras.layers import Dense, Flatten

    model = Sequential([Input((28, 28)), Flatten(), Dense(32, activation="relu"), Dense(10)])
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.15, weights.shape) for weights in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def expected(keras_model: Any, images: Images) -> Probabilities:
    return softmax(np.asarray(keras_model(images / np.float32(255))))


def write(model: Any, path: Path, images: Images, *, integer: str | None = None) -> Path:
    """Convert as TensorFlow's own documentation does; `integer` is the dtype of input and output."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if integer:
        shape = (1, *model.inputs[0].shape[1:])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([(image / np.float32(255)).reshape(shape)] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(integer)
    path.write_bytes(converter.convert())
    return path


def with_input(model: Any, *shape: int, softmaxed: bool = False, batch: int | None = None) -> Any:
    """Return the model behind an input of another shape, perhaps with a softmax."""
    from keras import Input, Model
    from keras.layers import Reshape, Softmax

    source = Input(batch_shape=(batch, *shape))
    values = model(Reshape((28, 28))(source))
    return Model(source, Softmax()(values) if softmaxed else values)


@pytest.mark.parametrize(
    ("integer", "softmaxed", "shape"),
    [
        (None, False, (28, 28)),
        ("int8", True, (28, 28)),
        (None, True, (28, 28, 1)),
        ("uint8", False, (1, 28, 28)),
        ("int8", False, (784,)),
        ("uint8", True, (784,)),
    ],
    ids=str,
)
def test_every_input_and_output_gives_the_probabilities(
    integer: str | None,
    *,
    softmaxed: bool,
    shape: tuple[int, ...],
    keras_model: Any,
    images: Images,
    expected: Probabilities,
    tmp_path: Path,
) -> None:
    model = with_input(keras_model, *shape, softmaxed=softmaxed)
    classifier = load(write(model, tmp_path / "foreign.tflite", images, integer=integer))
    # Logits from about -3 to 3 in 256 steps, through two layers of 8 bits.
    tolerance = 0.05 if integer else 1e-5
    assert np.abs(classifier.predict_proba(images) - expected).max() <= tolerance
    singles = np.concatenate([classifier.predict_proba(images[index : index + 1]) for index in range(len(images))])
    assert np.abs(singles - expected).max() <= tolerance


@pytest.mark.parametrize("batch", [1, 16])
def test_a_model_of_a_fixed_batch_answers_any_number_of_images(
    batch: int, keras_model: Any, images: Images, expected: Probabilities, tmp_path: Path
) -> None:
    classifier = load(write(with_input(keras_model, 28, 28, batch=batch), tmp_path / "fixed.tflite", images))
    for count in (0, 1, 15, 16, 17, 40):
        answers = classifier.predict_proba(images[:count])
        assert answers.shape == (count, 10)
        assert np.allclose(answers, expected[:count], atol=1e-5)


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@pytest.mark.parametrize("answering", [True, False])
def test_a_model_whose_answers_depend_on_earlier_inputs_is_refused_by_its_operator(
    *, answering: bool, tmp_path: Path
) -> None:
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    class Sum(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            self.all = tf.Variable(tf.zeros((1, 13)))

        @tf.function(input_signature=[tf.TensorSpec((1, 13))])  # type: ignore[untyped-decorator]  # nor here
        def __call__(self, values: Any) -> Any:
            self.all.assign_add(values)
            return self.all + 0.0 if answering else 2 * values

    keeping = Sum()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([keeping.__call__.get_concrete_function()], keeping)
    converter.experimental_enable_resource_variables = True
    (tmp_path / "foreign.tflite").write_bytes(converter.convert())
    model = schema.ModelT.InitFromPackedBuf((tmp_path / "foreign.tflite").read_bytes())
    model.subgraphs[0].operators.reverse()
    assert state_of(packed(model)) == "VAR_HANDLE" * answering
    # They may keep something themselves, or have a graph that does.
    for kind in ("SVDF", "STABLEHLO_COMPOSITE"):
        model.operatorCodes[-1].builtinCode = OPERATORS.index(kind)
        assert state_of(packed(model))
    if not answering:
        answer = load(tmp_path / "foreign.tflite", numbers=True).answer
        assert np.array_equal(answer(one := np.ones((1, 13), np.float32)), 2 * one)
        return
    with pytest.raises(ArtifactError, match="its operator VAR_HANDLE keeps what earlier inputs left"):
        load(tmp_path / "foreign.tflite")
