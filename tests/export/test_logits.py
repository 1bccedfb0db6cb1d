"""A model whose probabilities the 256 steps of an int8 softmax cannot tell apart, and its cure: `export --logits`."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import MANIFEST_FILE
from edgemnist.model.native.webassembly import About, describe_page
from edgemnist.model.runtimes import load
from edgemnist.pipeline.data.dataset import Dataset
from tests.conftest import run_edgemnist
from tests.export.test_kinds import export, trained
from tests.needs import RUNTIMES as NEEDED
from tests.needs import is_met

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
    quick = ("--samples", "20", "--seconds", "0", "--rounds", "1", "--repeats", "0", "--no-keras")
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
