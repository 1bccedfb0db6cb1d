"""Of a network that was trained for few levels, those levels are in the files, and nothing is lost on the way."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest

from edgemnist.errors import ModelError
from edgemnist.field.learn.present import read_present
from edgemnist.ground.inputs import UNIT
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import MANIFEST_FILE
from edgemnist.model.formats import FORMATS
from edgemnist.model.native.webassembly import About, describe_page
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.tflite import read_graph
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.interface import ArtifactSpec, ExportConfig
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.export.tflite import (
    TFLiteExporter,
    few_levels,
    largest_weight,
    with_trained_levels,
)
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.verify.run import verify
from tests.conftest import run_edgemnist
from tests.export.test_kinds import export, trained
from tests.needs import RUNTIMES as NEEDED
from tests.needs import is_met


def saved(spec: str, dataset: Dataset, directory: Path) -> Path:
    """Return the file of a network with random weights of as few levels as it says, normalized for digits."""
    from edgemnist.pipeline.train.families import student_of

    student = student_of(Network.parse(spec), len(dataset.labels), seed=3)
    student.model.set_weights(student.finished(student.weights, dataset.train.images[:500]))
    student.model.save(directory / "few.keras")
    return directory / "few.keras"


@pytest.mark.parametrize(
    ("spec", "most"), [("mlp:14:12-8:4bit", 7), ("cnn:28:c4s2-ds2-p6-max:2bit", 1), ("mlp:28:12:2bit", 1)]
)
def test_an_int8_file_has_the_integers_that_were_trained_and_the_weights_of_the_model(
    spec: str, most: int, dataset: Dataset, tmp_path: Path
) -> None:
    source = read_source(saved(spec, dataset, tmp_path))
    data = TFLiteExporter(source, dataset.labels, dataset.train.images[:50]).convert(source.model, "int8")
    assert largest_weight(data) == most
    graph = read_graph(data)
    kernels = [tensor.real() for tensor in graph.tensors if tensor.constant and tensor.dtype == "int8"]
    trained = [weight for weight in source.model.get_weights() if weight.ndim > 1]
    assert len(kernels) == len(trained)
    # TFLite has the outputs first, and Keras last: sorted, they are the same numbers.
    for kernel in kernels:
        assert any(
            kernel.size == one.size and np.allclose(np.sort(kernel.ravel()), np.sort(one.ravel()), rtol=1e-5)
            for one in trained
        )
    # Biases have the scale of the sums, which are as coarse as the weights: half a step is what rounding costs.
    biases = [tensor for tensor in graph.tensors if tensor.constant and tensor.dtype == "int32" and tensor.scales.size]
    for bias in biases:
        assert any(
            bias.shape == one.shape and np.abs(np.sort(bias.real()) - np.sort(one)).max() <= 0.51 * bias.scales.max()
            for one in source.model.get_weights()
        )
    # The converter leaves out a bias of zeros.
    assert biases
    # Nothing to change is left.
    assert with_trained_levels(data) == data


def test_weights_of_many_levels_stay_as_made(dataset: Dataset, save_model: Callable[..., Path], tmp_path: Path) -> None:
    from keras import layers

    path = save_model(layers.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation="softmax"))
    source = read_source(path)
    exporter = TFLiteExporter(source, dataset.labels, dataset.train.images[:50])
    data = exporter.convert(source.model, "int8")
    assert largest_weight(data) == 127
    assert with_trained_levels(data) == data
    for quantization, bits in (("int4", 4), ("int2", 2)):
        config = ExportConfig.of(formats=["c"], quantizations=[quantization], model=path, calibration=50, golden=50)
        with pytest.raises(
            ModelError, match=f"c-{quantization}: its weights were not trained for {bits} bits"
        ) as failure:
            export_model(config, dataset, tmp_path / "exports")
        network = failure.value.hint.split()[-1]
        assert [Network.parse(network, shape).bits for shape in ((13,), (17, 23, 3))] == [bits, bits]
    assert not list((tmp_path / "exports").glob("*.c"))


@pytest.mark.needs("cc")
def test_a_c_file_of_few_bits_is_recorded_verified_and_answers_as_int8_does(dataset: Dataset, tmp_path: Path) -> None:
    path = saved("mlp:28:12:2bit", dataset, tmp_path)
    exports = tmp_path / "exports"
    for config in (
        ExportConfig.of(formats=["tflite"], model=path, calibration=50, golden=200),
        ExportConfig.of(formats=["c"], quantizations=["int4"], calibration=50, golden=200),
        # The format alone stands for what the network was trained for.
        ExportConfig.of(formats=["c"], calibration=50, golden=200),
    ):
        export_model(config, dataset, exports)
    opened = Exports.open(exports)
    assert [one.name for one in opened.manifest.artifacts] == ["tflite-int8", "c-int4", "c-int2"]
    assert all(one.calibration is not None for one in opened.manifest.artifacts)
    images = dataset.test.images[:200]
    wanted = opened.load("tflite-int8@integer").predict_proba(images)
    for name in ("c-int4", "c-int2"):
        np.testing.assert_array_equal(opened.load(name).predict_proba(images), wanted)
    result = verify(opened, ["c-int2"])
    (parity,) = result.artifacts
    assert parity.integer is not None
    assert (parity.integer.differing, parity.quantization) == (0, "int2")
    assert parity.gate["max_sum_error"].limit > 1e-3
    with pytest.raises(ModelError, match="its weights were trained for 4 bits or fewer"):
        read_present(opened)


def test_few_levels_are_found_whatever_their_step_and_no_others() -> None:
    random = np.random.default_rng(0)
    levels = random.integers(-7, 8, (5, 200)).astype(np.float64)
    levels[3] = 0
    levels[4] = 3 * np.sign(levels[4])
    steps = np.array([1.0, 0.3, 18.14, 1.0, 2.0])
    found = few_levels(levels * steps[:, None], 1e-6)
    assert found is not None
    np.testing.assert_allclose(found[0] * found[1][:, None], levels * steps[:, None])
    assert np.abs(found[0]).max(axis=1).tolist() == [7, 7, 7, 0, 1]
    assert few_levels(random.normal(size=(2, 200)), 1e-3) is None
    assert few_levels(np.arange(-8.0, 9.0)[None], 1e-3) is None


@pytest.mark.parametrize("format_", ["tflite", "onnx"])
def test_a_layer_of_a_thousand_biases_becomes_every_file(format_: str, dataset: Dataset, tmp_path: Path) -> None:
    """Its biases are no weights that were left as they were, and the weights of a large file lie behind its tables."""
    layers = [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(1100, activation="relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(len(dataset.labels), activation="softmax")])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.05, weight.shape) for weight in model.get_weights()])
    model.save(tmp_path / "wide.keras")
    specs = tuple(ArtifactSpec(format_, one) for one in FORMATS[format_].quantizations)
    export_model(
        ExportConfig(specs=specs, model=tmp_path / "wide.keras", input_range=UNIT), dataset, tmp_path / "exports"
    )
    exports = Exports.open(tmp_path / "exports")
    assert {one.name for one in exports.artifacts} == {one.name for one in specs}
    assert all(exports.load(one.name).predict_proba(dataset.test.images[:5]).shape == (5, 10) for one in specs)


LIMITS = ("--max-drop", "1", "--max-flips", "3")
MODELS = {
    "tflite-int8@litert": "litert",
    "tflite-int8@integer": "integer",
    "tflite-int8@native": "native",
    "c-int8": "compiled",
    "web-int8": "browser",
}
"""Every model that answers with logits, and its runtime."""


class Place(NamedTuple):
    """An export directory, and how to run a command on it."""

    exports: Path
    cache: Path

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command that has to end with `code`, and return what it printed."""
        environment = {"EDGEMNIST_CACHE": str(self.cache), "EDGEMNIST_OFFLINE": "1"}
        done = run_edgemnist(*arguments, "--exports", self.exports, cwd=self.exports.parent, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


def unsure(dataset: Dataset, factor: float, place: Path, *formats: str, logits: bool = True) -> Path:
    """Export a model whose last layer is `factor` times a trained one, so that its classes are all close to 10 %."""
    model = trained(dataset, [])
    last = model.layers[-1]
    last.set_weights([factor * one for one in last.get_weights()])
    options = {"formats": [*formats], "quantizations": ["int8"], "input_range": "0..1", "logits": logits}
    export(model, dataset, place, **options)
    return place / "exports"


@pytest.fixture(scope="module")
def place(dataset: Dataset, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Every format that answers with logits. Read only."""
    return Place(unsure(dataset, 0.01, tmp_path_factory.mktemp("unsure"), "tflite", "c", "web"), cache)


@pytest.fixture(scope="module")
def models() -> list[str]:
    """Of `MODELS`, those that run here."""
    return [name for name, runtime in MODELS.items() if runtime not in NEEDED or is_met(NEEDED[runtime])]


def test_the_grid_of_probabilities_costs_accuracy_and_the_gate_names_ties_grid_and_cure(
    dataset: Dataset, cache: Path, tmp_path: Path
) -> None:
    coarse = Place(unsure(dataset, 0.01, tmp_path, "tflite", "c", logits=False), cache)
    document = json.loads(coarse.run("verify", *LIMITS, "--json", code=1))
    for one in document["artifacts"]:
        assert one["accuracy_drop_points"] > 1, one["name"]
        assert one["ties"] > one["flips"] / 2
        reasons = "; ".join(one["reasons"])
        for words in ("accuracy fell by", "labels changed", "ties", "only 256 steps", "logits have more"):
            assert words in reasons, one["name"]
        assert one["cure"] == f"export --format {one['format']} --quantize int8 --logits"
    page = " ".join(coarse.run("verify", *LIMITS, code=1).split())
    assert f"Next: edgemnist export --format tflite --quantize int8 --logits --exports {coarse.exports}" in page


def test_logits_give_the_accuracy_back_in_every_format_and_runtime(place: Place, models: list[str]) -> None:
    document = json.loads(place.run("verify", *models, *LIMITS, "--json"))
    assert {one["runtime"] for one in document["artifacts"]} == {MODELS[name] for name in models}
    for one in document["artifacts"]:
        # The same bits in all that compute in integers.
        assert one["integer"] is None or one["runtime"] == "litert" or one["integer"]["differing"] == 0, one["name"]
    exports = Exports.open(place.exports)
    assert {one.name for one in exports.manifest.artifacts if one.logits} == {"tflite-int8", "c-int8", "web-int8"}
    golden = exports.read_golden()
    for name in models:
        answers = exports.load(name).predict_proba(golden.images)
        # Closer than the steps of a softmax are to one another: no logits were taken for something else.
        assert np.abs(answers - golden.probabilities).max() < 1 / 256, name
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6, err_msg=name)


def test_a_directory_with_logits_works_in_every_command_and_an_earlier_manifest_opens(
    place: Place, tmp_path: Path, models: list[str]
) -> None:
    here = Place(Path(shutil.copytree(place.exports, tmp_path / "exports")), place.cache)
    quick = ("--seconds", "0", "--no-keras")
    assert json.loads(here.run("bench", "tflite-int8", *quick, "--json"))["results"][0]["p50_us"] > 0
    for name in models:
        told = json.loads(here.run("predict", "--index", "0", "--artifact", name, "--json"))
        probabilities = told["predictions"][0]["probabilities"]
        assert sum(probabilities) == pytest.approx(1, abs=1e-6), name
        assert max(probabilities) < 0.15, name
    assert json.loads(here.run("bundle", "tflite-int8", "--json"))["artifacts"] == ["tflite-int8"]
    manifest = here.exports / MANIFEST_FILE
    record = json.loads(manifest.read_bytes())
    for one in record["artifacts"]:
        del one["logits"]
    manifest.write_text(json.dumps(record))
    here.run("verify", *models, *LIMITS)


@pytest.mark.parametrize("runtime", ["litert", "integer", pytest.param("native", marks=pytest.mark.needs("engine"))])
def test_logits_however_small_are_no_sigmoids(
    runtime: str, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.getbasetemp() / "tiny"
    if not directory.exists():
        directory.mkdir()
        unsure(dataset, 1e-4, directory, "tflite")
    exports, images = directory / "exports", dataset.test.images[:200]
    found = load(exports / "tflite-int8.tflite", runtime=runtime).predict_proba(images)
    wanted = Exports.open(exports).read_golden()
    assert np.abs(found - 0.1).max() <= 0.01
    assert np.mean(found.argmax(axis=1) == dataset.test.labels[:200]) >= wanted.accuracy() - 0.05


@pytest.mark.parametrize(
    ("end", "meaning"), [("softmax", (False, False)), ("linear", (True, False)), ("hard_sigmoid", (False, True))]
)
def test_a_page_says_what_its_classifier_does_with_the_scores(
    end: str, meaning: tuple[bool, bool], dataset: Dataset, tmp_path: Path
) -> None:
    import keras

    model = trained(dataset, [], end="softmax" if end == "softmax" else "sigmoid")
    model.layers[-1].activation = keras.activations.get(end)
    exports, *_ = export(model, dataset, tmp_path, formats=["tflite", "web"], input_range="0..1")
    about = describe_page((tmp_path / "exports" / "digit.html").read_bytes())
    assert isinstance(about, About)
    assert (about.logits, about.sigmoids) == meaning
    golden = exports.read_golden()
    answers = exports.load("tflite-int8@integer").predict_proba(golden.images)
    assert np.mean(answers.argmax(axis=1) == golden.probabilities.argmax(axis=1)) >= 0.9
