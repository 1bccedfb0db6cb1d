"""What fine-tuning is given, and what becomes of the weights that it finds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from edgemnist.data.dataset import Split
from edgemnist.data.sources import embedded_dataset
from edgemnist.exports import REFERENCE, Exports
from edgemnist.learn import run, tune
from edgemnist.learn.present import Present, read_present
from edgemnist.progress import SILENT
from edgemnist.train.model import Weights

pytestmark = pytest.mark.slow

STEP = np.float32(1e-6)


@pytest.fixture
def present() -> Present:
    return read_present(Exports.open(REFERENCE))


@pytest.fixture
def train(tmp_path: Path) -> Split:
    return embedded_dataset(tmp_path, SILENT).train


def moved(present: Present, steps: int) -> Weights:
    return [np.asarray(one + steps * STEP, np.float32) for one in present.weights]


def test_weights_are_averaged_with_those_of_the_cross_validation_and_epochs_come_in_turn(
    present: Present, train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    def fitted(_network: Any, _weights: Any, _split: Any, plan: Any, *, schedule: Any) -> list[Any]:
        shown.extend(schedule(number).images.numpy()[:100] for number in (1, plan.epochs))
        return [SimpleNamespace(state=SimpleNamespace(trained=lambda: moved(present, 1)))]

    monkeypatch.setattr(tune, "fit", fitted)
    replay = tune.Replay(present, train, seed=0)
    samples = Split(train.images[:20], train.labels[:20])

    tuned = tune.tune(replay, samples, turn=2, others=[moved(present, 3), moved(present, 8)])

    assert tuned.share == 1
    for found, wanted in zip(tuned.weights, moved(present, 4), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=float(STEP) / 4)
    for found, wanted in zip(tuned.fitted, moved(present, 1), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(shown[0], replay.epoch(3)[0][:100])
    np.testing.assert_array_equal(shown[1], replay.epoch(2)[0][:100])


def test_each_fold_is_answered_by_what_has_not_learnt_it_and_all_folds_are_handed_on(
    present: Present, train: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Split(train.images[:40], train.labels[:40])
    turns, learnt = [], []

    def tuned(_replay: Any, some: Split, turn: int = 0) -> tune.Tuned:
        turns.append(turn)
        learnt.append({image.tobytes() for image in some.images})
        return tune.Tuned(list(present.weights), 1, moved(present, turn))

    monkeypatch.setattr(tune, "tune", tuned)

    held_out, fitted = run._cross_validated(tune.Replay(present, train, seed=0), samples, SILENT)

    assert held_out.images == len(samples)
    assert turns == [1, 2, 3, 4]
    for number, (weights, known) in enumerate(zip(fitted, learnt, strict=True)):
        np.testing.assert_array_equal(weights[0], moved(present, number + 1)[0])
        assert known == {
            image.tobytes() for image in np.delete(samples.images, slice(number * 10, number * 10 + 10), 0)
        }
