"""Exports that an earlier version made are opened without a word, and asked for again is only what nobody can know."""

from pathlib import Path

import numpy as np

from edgemnist.model.exports import Exports
from tests.conftest import OLD_EXPORTS, Run
from tests.notices import Notices

NAMES = ["tflite-int8", "tflite-float32", "onnx-float32"]


def test_everything_in_them_counts_but_verdicts_that_do_not_say_what_they_rest_on() -> None:
    notices = Notices()
    exports = Exports.open(OLD_EXPORTS, notices)
    assert [(one.name, one.status) for one in exports.artifacts] == [(name, "current") for name in NAMES]
    assert not any(exports.findings.is_verified(name) for name in NAMES)
    assert [one.scenario for one in exports.findings.scenarios] == ["single-stream"]
    training = exports.findings.training
    assert training is not None
    assert training.current
    verified = exports.findings.verify
    assert verified is not None
    again = f"run edgemnist verify --exports {OLD_EXPORTS}"
    assert verified.reason == f"{OLD_EXPORTS}: an earlier edgemnist judged it, or none: {again}"
    assert [one.name for one in verified.result.layers] == ["tflite-int8"]
    assert not exports.best().verified
    assert notices.messages == []


def test_their_artifacts_answer_as_they_did() -> None:
    exports = Exports.open(OLD_EXPORTS)
    images = exports.read_golden().images
    for name in NAMES:
        there = exports.reference_answers(exports.model(name))
        assert there is not None
        assert np.abs(exports.load(name).predict_proba(images) - there).max() <= 1 / 256


def test_commands_say_nothing_about_their_age(old_exports: Path, edgemnist: Run) -> None:
    for words in (["predict", "--index", "0"], ["recommend"], ["report", "--markdown", "--output", "r.md"], ["verify"]):
        done = edgemnist(*words, "--exports", old_exports)
        assert (done.returncode, done.stderr) == (0, ""), words
