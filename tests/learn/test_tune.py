"""What fine-tuning is given, and what becomes of the weights that it finds."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from edgemnist.field.learn import run, tune
from edgemnist.field.learn.present import Present, read_present
from edgemnist.ground.progress import SILENT
from edgemnist.ground.results.samples import LeftOut
from edgemnist.model.exports import REFERENCE, Exports
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.data.sources import embedded_dataset
from edgemnist.pipeline.train.model import Weights

pytestmark = pytest.mark.all

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
