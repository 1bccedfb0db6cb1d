"""Models of every shape and origin become every format: recorded as what they are, and answering as they did."""

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemnist.errors import ArtifactError, ModelError
from edgemnist.ground.results.pipeline import ExportResult
from edgemnist.model.exports import Exports
from edgemnist.model.native.webassembly import find_browser
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.keras import KerasClassifier
from edgemnist.pipeline.data.dataset import Dataset, Split, identified
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.run import export_model
from tests.native.conftest import STRICT, c_compiler
from tests.notices import Notices
from tests.shapes import SPECS
from tests.shapes.graphs import graph_of, write_tflite
from tests.shapes.made import task_for, weights, write

pytestmark = pytest.mark.all
FURTHEST = {"float32": 1e-5, "dynamic": 0.2, "int8": 0.25}
QUICK = {"quantizations": ["float32", "int8", "dynamic"]}


def data_for(name: str, *, numbers: bool) -> Dataset:
    inputs, labels = SPECS[name].random(240), np.arange(240) % 3
    train, test = (Split(part, None if numbers else labels[: len(part)]) for part in (inputs[:40], inputs[40:]))
    names = () if numbers else ("a", "b", "c")
    return identified(train, test, names, source="random", task=task_for(name, numbers=numbers))


def network(name: str, *, numbers: bool) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    end = layers.Dense(4) if numbers else layers.Dense(3, activation="softmax")
    return keras.Sequential(
        [keras.Input(SPECS[name].shape), layers.Flatten(), layers.Dense(24, activation="relu"), end]
    )


def exported(path: Path, data: Dataset | None, place: Path, **options: Any) -> tuple[ExportResult, Exports]:
    config = dataclasses.replace(ExportConfig.of(model=path, **options), trusted=True)
    return export_model(config, data, place), Exports.open(place)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [*((name, False) for name in SPECS if name not in {"digit", "large"}), ("odd", True), ("row", True)],
)
def test_a_keras_model_of_any_shape_becomes_every_format(name: str, numbers: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    network(name, numbers=numbers).save(tmp_path / "mine.keras")
    more = {"numbers": numbers, **({"input_range": "0..1"} if SPECS[name].is_picture else {})}
    result, exports = exported(
        tmp_path / "mine.keras", data_for(name, numbers=numbers), tmp_path / "e", **QUICK, **more
    )
    assert {one.name for one in result.refused} <= {"tflite-dynamic"}
    golden = exports.read_golden()
    assert (golden.task.input.shape, golden.task.numbers) == (SPECS[name].shape, numbers)
    assert (golden.truth is None) == numbers
    for record in exports.manifest.artifacts:
        assert record.model_sha256 == golden.model_sha256
        path = exports.directory / record.file
        found = load(path, spec=record.spec(exports.task), numbers=numbers, trusted=True).answer(golden.images)
        apart = np.abs(found - golden.probabilities)
        # Of a number beyond the range of the calibration int8 is at the end of it.
        furthest = apart.mean() if numbers and record.quantization != "float32" else apart.max()
        assert furthest <= FURTHEST[record.quantization], record.name


@pytest.mark.parametrize("limited", [False, True])
def test_int8_scales_each_number_as_a_model_does_first(limited: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    from keras import Input, Sequential, layers, utils

    data, widths = data_for("row", numbers=False), 10 ** np.linspace(-1, 3, 13, dtype=np.float32)
    train, test = (Split(np.abs(part.images) * widths, part.labels) for part in (data.train, data.test))
    data = identified(train, test, data.labels, source="random", task=task_for("row", numbers=False))
    scaling = layers.Normalization()
    scaling.adapt(data.train.images)
    utils.set_random_seed(1)
    start = [layers.ReLU(), scaling] if limited else [scaling]  # which changes none of these rows
    end = layers.Dense(3, activation="softmax", kernel_initializer="random_normal")
    Sequential([Input((13,)), *start, end]).save(tmp_path / "mine.keras")
    _, exports = exported(tmp_path / "mine.keras", data, tmp_path / "e", formats=["tflite", "c", "onnx"])
    golden, names = exports.read_golden(), ("tflite-int8", "onnx-float32", "c-int8")
    answers = {name: exports.load(name).answer(golden.images) for name in names}
    apart = {name: np.abs(found - golden.probabilities).max() for name, found in answers.items()}
    assert apart["onnx-float32"] <= FURTHEST["float32"]
    assert (apart["tflite-int8"] <= FURTHEST["int8"] / 2) != limited
    assert np.array_equal(answers["c-int8"], answers["tflite-int8"])


def test_what_litert_dies_of_is_refused_and_the_rest_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def die(path: Path, runtime: str) -> int:
        raise ArtifactError(f"{path} is not opened: it makes the runtime {runtime} crash")

    monkeypatch.setattr("edgemnist.pipeline.export.tflite.try_file", die)
    network("row", numbers=False).save(tmp_path / "mine.keras")
    result, _ = exported(tmp_path / "mine.keras", data_for("row", numbers=False), tmp_path / "e", **QUICK)
    said = {one.name: one.reason for one in result.refused}["tflite-int8"]
    assert said.endswith("mine.keras cannot be exported as tflite-int8: it makes the runtime litert crash")


def test_without_inputs_what_needs_none_is_made_and_the_rest_is_refused_by_name(tmp_path: Path) -> None:
    network("row", numbers=False).save(tmp_path / "mine.keras")
    result, exports = exported(tmp_path / "mine.keras", None, tmp_path / "e", **QUICK)
    assert {"tflite-float32", "onnx-float32", "onnx-dynamic"} <= {one.name for one in result.artifacts}
    said = {one.name: f"{one.reason} {one.hint}" for one in result.refused}
    assert all(
        "int8 needs inputs" in said[name] and "--data FILE" in said[name] for name in ("tflite-int8", "onnx-int8")
    )
    golden = exports.read_golden()
    assert (golden.truth, golden.data.source, exports.manifest.labels) == (None, "random inputs", ["0", "1", "2"])


def test_a_file_that_litert_refuses_becomes_c_where_the_integer_reference_takes_it(tmp_path: Path) -> None:
    graph = graph_of(SPECS["row"], "ADD")
    # As the well-known person_detect.tflite has it: an axis that a bias does not have.
    tensors = [dataclasses.replace(one, channel_axis=3 * (one.dtype == "int32")) for one in graph.tensors]
    path = write_tflite(dataclasses.replace(graph, tensors=tuple(tensors)), tmp_path / "theirs.tflite")
    with pytest.raises(ArtifactError, match="cannot be loaded by LiteRT: quantized_dimension") as refused:
        load(path)
    assert "another runtime may load it: name it as FILE@native" in refused.value.hint
    result = export_model(ExportConfig.of(model=path, formats=["c"]), None, tmp_path / "e")
    assert [one.name for one in result.artifacts] == ["c-int8"]


@pytest.mark.parametrize("name", ["colour", "odd", "row", "spectrogram"])
def test_an_onnx_file_is_its_own_float32_and_what_all_else_is_compared_with(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    tensor = (3, 32, 32) if name == "colour" else spec.shape
    import onnx

    path = write(tmp_path / "mine.onnx", tensor, weights(spec))
    model = onnx.load(path)
    # As scikit-learn's converter writes it: the free size has no name.
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    onnx.save(model, path)
    _, exports = exported(path, None, tmp_path / "e", quantizations=["float32"])
    assert exports.manifest.artifact("onnx-float32").input.shape == ["batch", *tensor]
    assert exports.model_path.name == "model.onnx"
    assert (
        (exports.directory / "onnx-float32.onnx").read_bytes() == path.read_bytes() == exports.model_path.read_bytes()
    )
    golden = exports.read_golden()
    record = exports.manifest.artifact("tflite-float32")
    found = load(exports.directory / record.file, spec=record.spec(exports.task), trusted=True).answer(golden.images)
    assert np.abs(found - golden.probabilities).max() <= 1e-4


def two(keras: Any) -> Any:
    one, other = keras.Input((4,)), keras.Input((4,))
    return keras.Model([one, other], keras.layers.Dense(2)(keras.layers.Concatenate()([one, other])))


def remembering(keras: Any) -> Any:
    return keras.Sequential([keras.Input(batch_shape=(1, 5, 4)), keras.layers.LSTM(4, stateful=True, name="memory")])


def free(keras: Any) -> Any:
    return keras.Sequential([keras.Input((None, 4)), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (two, "does not map one input to one answer: it has 2 inputs and 1 output"),
        (remembering, "keeps a state from one call to the next, in its layer 'memory'"),
        (free, r"takes \[N, N, 4\], but beside the first size, one to 4 fixed ones must follow"),
    ],
)
def test_what_cannot_fit_is_refused_by_name(make: Callable[[Any], Any], said: str, tmp_path: Path) -> None:
    import keras

    make(keras).save(tmp_path / "mine.keras")
    if make is not remembering:
        # A child process that tries a stranger's file uses the same words.
        with pytest.raises(ModelError, match=said):
            KerasClassifier(make(keras), tmp_path / "mine.keras")
    with pytest.raises(ModelError, match=said):
        exported(tmp_path / "mine.keras", None, tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_single_number_for_two_classes_answers_alike_in_c_on_a_page_and_in_tflite(tmp_path: Path) -> None:
    import keras

    scaling = keras.layers.Normalization(mean=0.5, variance=4.0)
    layers = [keras.Input(SPECS["row"].shape), scaling, keras.layers.Dense(1, "sigmoid")]
    keras.Sequential(layers).save(tmp_path / "mine.keras")
    inputs, labels = SPECS["row"].random(240), np.arange(240) % 2
    train, test = (Split(inputs[part], labels[part]) for part in (slice(40), slice(40, None)))
    data = identified(train, test, ("no", "yes"), source="random", task=task_for("row", numbers=False))
    notices = Notices()
    config = ExportConfig.of(model=tmp_path / "mine.keras", formats=["tflite", "c", "web"])
    export_model(dataclasses.replace(config, trusted=True), data, tmp_path / "e", notices)
    exports = Exports.open(tmp_path / "e")
    # A C file and a page scale the numbers by themselves.
    (told,) = [one for one in notices.messages if one.startswith("Without edgemnist")]
    assert told.startswith("Without edgemnist, scale what you give to tflite-int8, as `takes`")
    expected = exports.load("tflite-int8@integer").predict_proba(inputs)
    assert set(expected.argmax(axis=1)) == {0, 1}
    for name in ("c-int8", *(["web-int8"] if find_browser() else [])):
        np.testing.assert_array_equal(exports.load(name).predict_proba(inputs), expected)
    program = tmp_path / "model"
    source = exports.directory / exports.manifest.artifact("c-int8").file
    subprocess.run([c_compiler("cc"), *STRICT, "-DEDGEMNIST_MAIN", source, "-o", program], check=True)
    for given, answer in zip(inputs[:20], expected, strict=False):
        said = subprocess.run([program], input=f"{given.tolist()}", capture_output=True, check=True, text=True).stdout
        shares = [f"  {label}: {share:.4g}" for label, share in zip(data.labels, answer, strict=True)]
        assert said.splitlines() == [data.labels[answer.argmax()], *shares]
