"""A range in which a model is merely as sure as it should be is not clearly better than its own."""

import dataclasses

import numpy as np
import pytest

from edgemnist.model.exports.ranges import ALIKE, CALIBRATED, TOO_SURE, Weighed, logarithms, weigh

IMAGES = 5_000


@pytest.mark.parametrize(
    ("own", "wrong", "noise", "best", "clear"),
    [
        # What the own range and the wrong one make of the logits, and how much worse the wrong one tells classes apart.
        (1.0, 255.0, 0.0, "own", True),
        (0.85, 200.0, 2.0, "own", True),
        (0.1, 255.0, 2.0, "own", True),
        # Twice or half as sure is what many trainings make of a model.
        (1.0, 2.0, 0.0, "own", False),
        (1.0, 0.5, 0.0, "own", False),
        # As sure as it should be in 0..255, it may have been trained there, or not.
        (0.004, 1.02, 0.0, "wrong", False),
        (0.01, 2.55, 0.0, "wrong", False),
        (0.01, 1.0, 1.0, "wrong", False),
        (0.1, 2.0, 0.0, "wrong", False),
        (0.1, 0.5, 1.0, "wrong", False),
        (30.0, 0.5, 1.0, "wrong", False),
        (30.0, 3.0, 0.3, "wrong", False),
        (255.0, 1.0, 1.0, "wrong", False),
    ],
)
def test_a_range_is_taken_for_how_well_it_tells_classes_apart_and_not_for_making_up_for_sureness(
    own: float, wrong: float, noise: float, best: str, *, clear: bool
) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(scale=3, size=(IMAGES, 10))
    # The class with the largest logit plus Gumbel noise is drawn with the softmax's probability.
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    answers = {"own": own * logits, "wrong": wrong * (logits + random.normal(size=logits.shape) * max(noise, 1e-9))}
    weighed = weigh(answers, answers.__getitem__, labels)
    first, second = weighed
    assert first.name == best
    assert first.is_clearly_better(second) == clear
    assert not second.is_clearly_better(first)
    for one in weighed:
        assert one.tempered.mean() <= one.loss + 1e-9
    (trained,) = (one for one in weighed if one.name == "own")
    assert trained.temperature == pytest.approx(own, rel=0.1)


def _weighed(*, loss: float, tempered: float, temperature: float) -> Weighed:
    """Return what has the same figures for every image, so that no chance is in them."""
    same = np.ones(100)
    return Weighed(name="", right=same > 0, losses=loss * same, tempered=tempered * same, temperature=temperature)


@pytest.mark.parametrize(("sign", "clear"), [(1, True), (-1, False)])
def test_each_limit_decides_just_beyond_it_and_not_before(sign: int, *, clear: bool) -> None:
    beyond = 1 + sign * 1e-6
    own = _weighed(loss=0.2, tempered=0.2, temperature=1.0)
    # How much better it tells classes apart.
    assert own.is_clearly_better(_weighed(loss=1.0, tempered=0.2 * ALIKE * beyond, temperature=2.0)) == clear
    # How much worse it may do so where the other range makes the model too sure by far.
    surer = _weighed(loss=1.0, tempered=0.2, temperature=TOO_SURE)
    almost = _weighed(loss=0.2 * ALIKE / beyond, tempered=0.2 * ALIKE / beyond, temperature=1.0)
    assert almost.is_clearly_better(surer) == clear
    assert own.is_clearly_better(dataclasses.replace(surer, temperature=TOO_SURE * beyond)) == clear
    # What its own sureness may cost, of what the other's does.
    excess = CALIBRATED * 0.8 / beyond
    assert _weighed(loss=0.2 + excess, tempered=0.2, temperature=1.0).is_clearly_better(surer) == clear
    # As unsure is never an argument.
    assert not own.is_clearly_better(dataclasses.replace(surer, temperature=1 / TOO_SURE))


def test_answers_that_are_not_finite_are_wrong_and_probabilities_of_0_have_a_logarithm() -> None:
    labels = np.zeros(10, np.int64)
    (one,) = weigh(["0..1"], lambda _: np.full((10, 3), np.nan, np.float32), labels)
    assert one.accuracy == 0
    assert one.loss == pytest.approx(16.118, abs=0.001)
    assert np.isfinite(one.tempered).all()
    assert logarithms(np.array([[0.0, 0.25, 0.75]], np.float32)) == pytest.approx(np.log([[0.25, 0.25, 0.75]]))
