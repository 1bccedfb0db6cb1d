"""Keras model files of any origin are answered with, or refused by name; their code is never run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.task import default_input

pytestmark = pytest.mark.all


def classifier(*layers: Any, shape: tuple[int, ...] = (28, 28), batch: int | None = None) -> Any:
    import keras

    return keras.Sequential([keras.Input(batch_shape=(batch, *shape)), *layers])


def usual_layers() -> list[Any]:
    import keras

    return [keras.layers.Flatten(name="flatten"), keras.layers.Dense(10, name="scores")]


def two_outputs() -> Any:
    import keras

    source = keras.Input((28, 28))
    flat = keras.layers.Flatten()(source)
    return keras.Model(source, [keras.layers.Dense(10)(flat), keras.layers.Dense(10)(flat)])


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_logits_come_out_as_probabilities(ending: str, tmp_path: Path) -> None:
    model = classifier(*usual_layers(), shape=(28, 28, 1))
    model.save(tmp_path / f"foreign{ending}")
    pictures = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    expected = softmax(np.asarray(model(pictures[..., None] / np.float32(255))))
    answers = load(tmp_path / f"foreign{ending}").predict_proba(pictures)
    np.testing.assert_allclose(answers, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: classifier(*usual_layers(), shape=(32, 32, 3)), r"takes \[N, 32, 32, 3\]"),
        (lambda: classifier(*usual_layers()[1:]), r"'scores' answers with \[N, 28, 10\]"),
        (lambda: classifier(*usual_layers(), batch=4), "takes exactly 4 inputs at a time"),
        (lambda: classifier(*usual_layers(), batch=1), "takes exactly 1 input at a time"),
        (two_outputs, "1 input and 2 outputs"),
    ],
    ids=["width", "no scores", "fixed batch", "one image", "two outputs"],
)
def test_a_model_of_something_else_is_refused_by_layer(build: Callable[[], Any], reason: str, tmp_path: Path) -> None:
    build().save(tmp_path / "other.keras")
    with pytest.raises(ArtifactError, match=reason):
        load(tmp_path / "other.keras", spec=default_input(), numbers=False)


@pytest.mark.parametrize("structure", [lambda answer: {"digit": answer}, lambda answer: [answer]], ids=["dict", "list"])
def test_the_only_answer_of_a_structure_is_the_answer(structure: Callable[[Any], Any], tmp_path: Path) -> None:
    import keras

    source = keras.Input((28, 28), name="image")
    answer = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(source))
    keras.Model({"image": source}, structure(answer)).save(tmp_path / "structured.keras")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    expected = keras.Model(source, answer)(pictures / np.float32(255))
    answers = load(tmp_path / "structured.keras").predict_proba(pictures)
    np.testing.assert_allclose(answers, expected, atol=1e-6)


def test_a_layer_of_its_own_is_named(tmp_path: Path) -> None:
    import keras

    class Mirror(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            return keras.ops.flip(inputs, axis=2)

    classifier(Mirror(), *usual_layers()).save(tmp_path / "own.keras")
    with pytest.raises(ArtifactError, match=r"own\.keras has a layer or function of its own, 'Mirror'"):
        load(tmp_path / "own.keras")


def test_the_code_of_a_lambda_layer_is_not_run(tmp_path: Path) -> None:
    import keras

    marker = str(tmp_path / "was run")
    flatten, scores = usual_layers()

    # Keras saves the code of a lambda, and what it holds on to.
    spy = keras.layers.Lambda(lambda values: (os.open(marker, os.O_CREAT), values)[1])
    classifier(spy, flatten, scores).save(tmp_path / "lambda.keras")
    Path(marker).unlink()
    with pytest.raises(ArtifactError, match="Lambda layer, whose code is not run"):
        load(tmp_path / "lambda.keras")
    assert not Path(marker).exists()


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_a_damaged_file_is_refused_by_name(ending: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    classifier(*usual_layers()).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArtifactError, match=rf"model\{ending} "):
        load(path)
