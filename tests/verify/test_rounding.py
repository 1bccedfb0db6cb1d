"""The rule by which a runtime rounds is found from its answers alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgemnist.arrays import Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.exports import Exports
from edgemnist.exports.golden import GoldenPack
from edgemnist.exports.models import Model
from edgemnist.runtimes.integer import RESCALINGS, SOFTMAXES, IntegerClassifier, Rounding
from edgemnist.verify import vote as module
from edgemnist.verify.vote import RULES, STEP, explaining_rescaling, find_rounding
from tests.conftest import OLD_EXPORTS
from tests.notices import Notices

ZEROS = np.zeros((200, 10), np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    return Exports.open(OLD_EXPORTS).model("tflite-int8@integer")


@pytest.fixture(scope="module")
def golden() -> GoldenPack:
    return Exports.open(OLD_EXPORTS).read_golden()


def answers_of(model: Model, golden: GoldenPack, rule: Rounding) -> Probabilities:
    return IntegerClassifier.load(model.path, rounding=rule).predict_proba(golden.images)


def test_the_rule_that_gives_the_answers_comes_first(model: Model, golden: GoldenPack) -> None:
    assert Rounding() == RULES[0]
    assert len(set(RULES)) == len(RESCALINGS) * len(SOFTMAXES)
    for rule in RULES:
        answers = answers_of(model, golden, rule)
        found = find_rounding(model, answers, golden)
        assert found is not None
        assert found.name == "tflite-int8@integer"
        assert len(found.rules) == len(RULES)
        best = found.rules[0]
        assert (best.differing, best.images, best.flips, best.max_abs_diff) == (0, 0, 0, 0.0)
        assert [one.differing for one in found.rules] == sorted(one.differing for one in found.rules)
        # Of equals the one nearest to the reference.
        alike = [one for one in RULES if np.array_equal(answers_of(model, golden, one), answers)]
        assert (best.rescaling, best.softmax) == (alike[0].rescaling, alike[0].softmax)


def test_what_differs_is_counted_in_values_images_and_labels(model: Model, golden: GoldenPack) -> None:
    answers = answers_of(model, golden, Rounding())
    answers[3, :2] += np.float32(4 * STEP)
    answers[5] = np.roll(answers[5], 1)
    found = find_rounding(model, answers, golden)
    assert found is not None
    (own,) = [one for one in found.rules if (one.rescaling, one.softmax) == ("single", "integer")]
    exact = answers_of(model, golden, Rounding())
    assert own.differing == np.count_nonzero(exact != answers)
    assert own.images == 2
    assert own.flips == 1
    assert own.max_abs_diff == pytest.approx(float(np.abs(exact - answers).max()))


@pytest.mark.parametrize(("off", "explained"), [(0.0, True), (STEP, True), (1.01 * STEP, False), (8 * STEP, False)])
def test_answers_are_explained_up_to_a_step_of_the_softmax(
    off: float, *, explained: bool, model: Model, golden: GoldenPack
) -> None:
    answers = answers_of(model, golden, Rounding("single", "integer"))
    answers[0, 0] = np.float32(answers[0, 0] + np.float32(off))
    rescaling = explaining_rescaling(model, answers, golden)
    assert rescaling == ("single" if explained else None)


def test_a_rule_may_explain_what_differs_in_more_values_under_it_than_under_another(
    model: Model, golden: GoldenPack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest difference decides: a rule that is far off in one value explains nothing."""
    answers = answers_of(model, golden, Rounding())
    one_far, all_near = answers.copy(), answers + np.float32(STEP / 4)
    one_far[0, 0] += np.float32(0.5)

    class Fixed:
        def __init__(self, rule: Rounding) -> None:
            self.answers = {"double": all_near, "single": one_far}.get(rule.rescaling, 1 - answers)
            self.done = 0

        def predict_proba(self, images: np.ndarray) -> Probabilities:
            self.done += len(images)
            return self.answers[self.done - len(images) : self.done]

    monkeypatch.setattr(module, "_load", lambda _path, _model, rule: Fixed(rule))
    found = find_rounding(model, answers, golden)
    assert found is not None
    assert found.rules[0].rescaling == "single"
    assert explaining_rescaling(model, answers, golden) == "double"


def test_the_range_of_the_model_is_kept(model: Model, golden: GoldenPack, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(path: Path, **options: object) -> IntegerClassifier:
        asked.append((path, options))
        raise ArtifactError("seen")

    monkeypatch.setattr(IntegerClassifier, "load", load)
    assert find_rounding(replace(model, record=None, input_range="0..255"), ZEROS, golden) is None
    assert asked == [(model.path, {"input_range": "0..255", "rounding": RULES[0]})]


def test_what_is_no_tflite_file_is_left_out_with_a_notice(golden: GoldenPack) -> None:
    notices = Notices()
    onnx = Exports.open(OLD_EXPORTS).model("onnx-float32")
    assert find_rounding(onnx, ZEROS, golden, notices) is None
    assert notices.messages == [f"{onnx.path} is not a TFLite file, so --rounding says nothing about it."]
    assert explaining_rescaling(onnx, ZEROS, golden, notices) is None
    assert len(notices.messages) == 2


def test_a_file_that_the_reference_cannot_compute_is_left_out_with_a_notice(golden: GoldenPack) -> None:
    notices = Notices()
    model = Exports.open(OLD_EXPORTS).model("tflite-float32")
    assert find_rounding(model, ZEROS, golden, notices) is None
    (notice,) = notices.messages
    assert str(model.path) in notice
    assert notice.endswith(", so --rounding says nothing about it.")


def test_a_c_file_without_the_tflite_file_that_it_was_made_of_is_left_out(
    golden: GoldenPack, model: Model, tmp_path: Path
) -> None:
    notices = Notices()
    (tmp_path / "other.c").write_text("int x;\n")
    assert find_rounding(replace(model, path=tmp_path / "other.c"), ZEROS, golden, notices) is None
    assert notices.messages == [f"{tmp_path / 'other.c'} is not a TFLite file, so --rounding says nothing about it."]
