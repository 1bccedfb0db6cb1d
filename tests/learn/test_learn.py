"""The whole walk: a model that meets digits it misreads, learns from some, and reads the others."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from edgemnist.field.learn import run, tune
from edgemnist.field.learn.present import Present, read_present
from edgemnist.field.samples import CORRECTION, OBJECTOR, Label, Sample, now
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.progress import SILENT
from edgemnist.ground.results.samples import LeftOut
from edgemnist.ground.storage import commit_files
from edgemnist.model.exports import REFERENCE, Exports, reference_directory
from edgemnist.model.exports.manifest import MANIFEST_FILE, FileRecord
from edgemnist.model.exports.questions import IMAGES_FILE, encode_training_images, has_learnt
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.data.sources import embedded_dataset
from edgemnist.pipeline.train.model import Weights
from tests.command import Done
from tests.conftest import run_edgemnist

pytest.importorskip("tensorflow")


pytestmark = pytest.mark.all

HASTILY = """
from edgemnist.field.learn import tune
tune.REPLAY = 1000
from edgemnist.__main__ import main
main()
"""
"""The command line, with little to replay: enough where nothing is to be learnt."""
COUNT = 160
WRONG = 4


def faint(images: Images) -> Images:
    """Return images of a pen that has hardly any ink left, uint8 [N, 28, 28]."""
    return (images * 0.15).astype(np.uint8)


def field() -> tuple[Images, Labels]:
    """Return digits that the model has not been trained on, in random order of their classes."""
    test = embedded_dataset().test
    order = np.random.default_rng(0).permutation(len(test))
    return faint(test.images[order]), test.labels[order]


def fill(directory: Path, images: Images, labels: Labels, writers: list[str]) -> None:
    with SampleStore.open(directory, create=True) as store:
        for image, label, writer in zip(images, labels, writers, strict=True):
            given = Label(str(label), writer, now(), settles=False)
            store.add(
                Sample(
                    pixels=image.tobytes(),
                    at=now(),
                    source="camera",
                    artifact="tflite-int8",
                    answer=None,
                    confidence=0.0,
                    reason=CORRECTION,
                    rows=(given,),
                )
            )


def learn(*words: str | Path, cwd: Path, cache: Path) -> Done:
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    return run_edgemnist("learn", *words, "--json", cwd=cwd, env=environment, timeout=900)


class Learnt(NamedTuple):
    """What two calls of the command left, with a look at what the first one doubted in between."""

    directory: Path
    doubted: dict[str, Any]
    """Result of the first."""
    result: dict[str, Any]
    before: dict[str, bytes]


@pytest.fixture(scope="module")
def learnt(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """What the package's model has learnt from 160 digits, four with a wrong label, without those of one who left."""
    directory = tmp_path_factory.mktemp("learn")
    # Where nothing has been exported, the package's model learns.
    images, labels = field()
    given = labels[:COUNT].copy()
    # Wrong labels of digits that anybody can read.
    clear = Exports.open("reference").read_golden()
    images[:WRONG], labels[:WRONG] = clear.images[:WRONG], clear.labels[:WRONG]
    given[:WRONG] = (labels[:WRONG] + 5) % 10
    fill(directory / "samples", images[:COUNT], given, ["mallory"] * WRONG + ["ann"] * (COUNT - WRONG))
    fill(directory / "samples", images[COUNT : COUNT + 30], labels[COUNT : COUNT + 30] * 0, ["eve"] * 30)
    before = {path.name: path.read_bytes() for path in reference_directory().iterdir()}
    words = ("--samples", "samples", "--out", "new")
    first = learn(*words, "--forget", "eve", cwd=directory, cache=cache)
    assert first.returncode == 1, first.stdout + first.stderr
    # What is looked at teaches it to doubt others, but never the same again.
    for _ in range(3):
        with SampleStore.open(directory / "samples") as store:
            for one in store.samples():
                if one.disputed:
                    store.label(one.id, str(labels[one.id - 1]), "ann", settles=True)
        done = learn(*words, cwd=directory, cache=cache)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    return Learnt(directory, json.loads(first.stdout), json.loads(done.stdout), before)


def test_the_new_model_reads_what_the_old_one_misread_and_forgets_nothing(learnt: Learnt) -> None:
    images, labels = field()
    unseen, truth = images[COUNT + 30 :], labels[COUNT + 30 :]
    old, new = (Exports.open(place).load("tflite-int8") for place in (REFERENCE, learnt.directory / "new"))
    wrong = [int((one.predict_proba(unseen).argmax(axis=1) != truth).sum()) for one in (old, new)]
    assert wrong[1] < 0.75 * wrong[0]
    golden = Exports.open(REFERENCE).read_golden()
    right = [float(np.mean(one.predict_proba(golden.images).argmax(axis=1) == golden.labels)) for one in (old, new)]
    assert right[1] >= right[0] - 0.002


def test_the_result_says_what_was_compared(learnt: Learnt) -> None:
    result = learnt.result
    held_out, golden = result["held_out"], result["golden"]
    assert result["passed"]
    assert result["reasons"] == []
    assert held_out["images"] == COUNT
    assert held_out["after"] - held_out["before"] == held_out["fixed"] - held_out["broken"] > 0
    assert held_out["p_value"] < 0.05
    assert held_out["after_interval"]["low"] < held_out["after"] / COUNT < held_out["after_interval"]["high"]
    assert golden["images"] == 1000
    assert sum(result["per_class"].values()) == COUNT
    assert result["per_writer"] == {"mallory": WRONG, "ann": COUNT - WRONG}
    assert (result["doubted"], result["contradictions"]) == (0, [])
    assert abs(result["int8_loss"]) <= 0.002


def test_wrong_labels_are_named_and_block_until_somebody_has_looked_and_right_ones_are_not(learnt: Learnt) -> None:
    named = learnt.doubted["contradictions"]
    assert {one["sample"] for one in named if one["writers"] == ["mallory"]} == set(range(1, WRONG + 1))
    assert len([one for one in named if one["writers"] != ["mallory"]]) <= 0.1 * COUNT
    assert learnt.doubted["out"] is None
    assert f"{len(named)} labels may be wrong, and nobody has looked again." in learnt.doubted["reasons"]
    assert 0.5 <= learnt.doubted["found"] <= 1


def test_the_new_model_records_what_it_has_learnt_from(learnt: Learnt) -> None:
    made = Exports.open(learnt.directory / "new")
    with SampleStore.open(learnt.directory / "samples") as store:
        images = np.stack([one.image for one in store.samples()])
    assert has_learnt(made.manifest, made.artifact("tflite-int8").record.model_sha256, images).all()


def test_what_was_there_stays_and_the_new_directory_is_whole(learnt: Learnt) -> None:
    exports = reference_directory()
    assert {path.name: path.read_bytes() for path in exports.iterdir()} == learnt.before
    made, old = Exports.open(learnt.directory / "new"), Exports.open(exports)
    # The next lesson loses no more than since the first, whatever this one has replayed.
    assert made.manifest.learnt is not None
    assert made.manifest.learnt.golden == made.read_golden().data.sha256
    assert {one.name for one in made.artifacts if one.status == "current"} == {one.name for one in old.artifacts}
    assert np.array_equal(made.read_golden().images, old.read_golden().images)
    assert not [path for path in learnt.directory.iterdir() if path.name.startswith(".tmp")]
    recorded = json.loads((learnt.directory / "new" / "learn.json").read_bytes())
    assert recorded["held_out"] == learnt.result["held_out"]
    done = run_edgemnist("verify", "tflite-int8", "--exports", "new", cwd=learnt.directory)
    assert done.returncode == 0, done.stdout


def test_nobody_evaluates_the_new_model_on_what_it_has_learnt(learnt: Learnt, cache: Path, tmp_path: Path) -> None:
    run_edgemnist("review", learnt.directory / "samples", "--export", "data", cwd=tmp_path)
    environment = {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"}
    words = ("export", "--format", "tflite", "--data", tmp_path / "data", "--exports", learnt.directory / "new")
    done = run_edgemnist(*words, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert "The model was trained on" in done.stderr


def test_what_was_forgotten_is_gone(learnt: Learnt) -> None:
    assert learnt.doubted["forgotten"] == 30
    with SampleStore.open(learnt.directory / "samples") as store:
        assert {label.writer for one in store.samples() for label in one.labels} == {"ann", "mallory", OBJECTOR}


def test_the_weights_of_an_int8_artifact_answer_as_it_does() -> None:
    reference = Exports.open("reference")
    present, golden = read_present(reference), reference.read_golden()
    answers = reference.load("tflite-int8").predict_proba(golden.images).argmax(axis=1)
    assert present.network.hidden == (512,)
    assert float(np.mean(present.logits(golden.images).argmax(axis=1) == answers)) >= 0.999


def test_a_model_that_gets_no_better_stays(cache: Path, tmp_path: Path) -> None:
    golden = Exports.open("reference").read_golden()
    right = np.flatnonzero(golden.probabilities.argmax(axis=1) == golden.labels)[:24]
    fill(tmp_path / "samples", golden.images[right], golden.labels[right], ["ann"] * 24)
    words = ["learn", "--exports", "reference", "--out", "new", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", HASTILY, *words],
        cwd=tmp_path,
        env={**os.environ, "EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert not result["passed"]
    assert result["out"] is None
    assert "not better on labels that it has not learnt from" in result["reasons"][0]
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_what_the_model_was_trained_on_does_not_judge(cache: Path, tmp_path: Path) -> None:
    place = tmp_path / "exports"
    shutil.copytree(reference_directory(), place)
    exports = Exports.open(place)
    golden, seen = exports.read_golden(), exports.read_golden().images[:24]
    data = encode_training_images(seen)
    manifest = msgspec.structs.replace(exports.manifest, training_images=FileRecord.of(IMAGES_FILE, data))
    commit_files(place, {IMAGES_FILE: data, MANIFEST_FILE: manifest.encode()})
    fill(tmp_path / "samples", seen, golden.labels[:24], ["ann"] * 24)
    done = learn("--samples", "samples", "--exports", "exports", "--out", "new", cwd=tmp_path, cache=cache)
    assert done.returncode == 2, done.stderr
    assert "has already learnt from all 24 samples, so none can judge a new one" in done.stderr


def test_samples_of_another_shape_are_refused_before_anything_is_learnt(tmp_path: Path, cache: Path) -> None:
    with SampleStore.open(tmp_path / "samples", create=True, spec=InputSpec(shape=(96, 96))):
        pass
    done = learn("--samples", "samples", cwd=tmp_path, cache=cache)
    assert done.returncode == 2, done.stderr
    assert "has samples of 96×96 images, and the model takes 28×28 images" in done.stderr


STEP = np.float32(1e-6)


@pytest.fixture
def present() -> Present:
    return read_present(Exports.open(REFERENCE))


@pytest.fixture
def train() -> Split:
    return embedded_dataset().train


def moved(present: Present, steps: int) -> Weights:
    return [np.asarray(one + steps * STEP, np.float32) for one in present.weights]


def test_weights_are_averaged_with_those_of_the_cross_validation_and_epochs_come_in_turn(
    present: Present, train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    def fitted(_network: Any, _weights: Any, _split: Any, plan: Any, *, schedule: Any) -> Iterator[Any]:
        for number in (1, plan.epochs):
            shown.append(schedule(number).images.numpy()[:100])
            state = SimpleNamespace(trained=lambda: moved(present, 1), averages=present.weights)
            yield SimpleNamespace(state=state)

    monkeypatch.setattr(tune, "fit", fitted)
    replay = tune.Replay(present, train, seed=0)
    samples = Split(train.images[:20], train.labels[:20])

    tuned = tune.tune(replay, samples, turn=2, others=[moved(present, 3), moved(present, 8)])

    for found, wanted in zip(tuned.weights, moved(present, 4), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=float(STEP) / 4)
    for found, wanted in zip(tuned.fitted, moved(present, 1), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(shown[0], replay.epoch(3)[0][:100])
    np.testing.assert_array_equal(shown[1], replay.epoch(2)[0][:100])


def test_what_is_forgotten_is_shown_again_with_the_answers_of_the_present_model(
    present: Present, train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that answers "1" to everything has forgotten all other digits."""
    ones = [np.zeros_like(one) for one in present.weights]
    ones[-1][1] = 9
    shown: list[Any] = []

    def fitted(_network: Any, _weights: Any, split: Split, _plan: Any, *, schedule: Any) -> Iterator[Any]:
        for number in (1, 2):
            data = schedule(number)
            shown.append((data.images.numpy(), data.targets.numpy()))
            assert len(data.images) == len(data.targets) == len(split)
            yield SimpleNamespace(state=SimpleNamespace(trained=lambda: present.weights, averages=ones))

    monkeypatch.setattr(tune, "fit", fitted)
    replay = tune.Replay(present, train, seed=0)
    tune.tune(replay, Split(train.images[:20], train.labels[:20]))

    (first, _), (second, answers) = shown
    np.testing.assert_array_equal(first[: tune.REPLAY], replay.epoch(1)[0])
    forgotten = replay.forgotten(2, ones)
    assert len(forgotten) > 0
    assert not (present.logits(forgotten).argmax(axis=1) == 1).any()
    again = min(len(forgotten), tune.AGAIN)
    np.testing.assert_array_equal(second[:again], forgotten[:again])
    np.testing.assert_allclose(answers[:again], present.logits(forgotten[:again]), rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(second[tune.AGAIN : tune.REPLAY], replay.epoch(2)[0][tune.AGAIN :])
    assert len(replay.forgotten(2, present.weights)) == 0


def test_each_fold_is_answered_by_what_has_not_learnt_it_and_all_folds_are_handed_on(
    present: Present, train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Split(train.images[:40], train.labels[:40])
    lesson = run.Lesson([], samples, ["ann"] * 40, LeftOut())
    turns, learnt, fitted = [], [], list[Any]()

    def tuned(_replay: Any, some: Split, turn: int = 0, others: Any = ()) -> tune.Tuned:
        fitted.extend(others)
        turns.append(turn)
        learnt.append({image.tobytes() for image in some.images})
        # Each answers one class only, so that its answers are known by it.
        weights = [np.zeros_like(one) for one in present.weights]
        weights[-1][turn] = 9
        return tune.Tuned(weights, moved(present, turn))

    monkeypatch.setattr(tune, "tune", tuned)

    monkeypatch.setattr("edgemnist.pipeline.train.calibration.calibrated", lambda weights, *_, **__: (weights, 1.0))

    _, answers = run._taught(present, lesson, train, 0, SILENT)

    assert turns == [1, 2, 3, 4, 0]
    assert answers.sum(axis=1) == pytest.approx(np.ones(40))
    for number, (weights, known) in enumerate(zip(fitted, learnt[:4], strict=True)):
        np.testing.assert_array_equal(weights[0], moved(present, number + 1)[0])
        answered = samples.images[answers.argmax(axis=1) == number + 1]
        assert len(answered) == 10
        assert known == {image.tobytes() for image in samples.images} - {image.tobytes() for image in answered}
