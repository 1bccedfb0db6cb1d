"""The gate, the folds and the neighbours, on numbers that a person can check."""

from __future__ import annotations

import os
import shutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ModelError, UsageError
from edgemnist.exports.directory import Exports
from edgemnist.learn import run
from edgemnist.learn.evidence import Known, contradictions, folds_of, paired
from edgemnist.learn.present import read_present
from edgemnist.learn.run import gate, select
from edgemnist.progress import SILENT
from edgemnist.results.samples import Paired
from edgemnist.samples.sample import NOT_A_DIGIT, Label, Sample, now
from tests.conftest import OLD_EXPORTS, run_edgemnist
from tests.samples.making import image_of, sample_of

DIGITS = tuple("0123456789")


def compared(images: int, fixed: int, broken: int) -> Paired:
    truth = np.zeros(images, np.int64)
    before, after = truth.copy(), truth.copy()
    before[:fixed] = 1
    after[fixed : fixed + broken] = 1
    return paired(before, after, truth)


def test_two_models_are_compared_image_by_image() -> None:
    found = compared(100, fixed=12, broken=2)
    assert (found.before, found.after, found.fixed, found.broken) == (88, 98, 12, 2)
    # Twice the tail of 14 tosses of a coin with 2 heads or fewer: 2 · (1 + 14 + 91) / 2^14.
    assert found.p_value == pytest.approx(2 * 106 / 2**14)


@pytest.mark.parametrize(
    ("held_out", "golden", "reasons"),
    [
        ((100, 12, 2), (1000, 0, 0), []),
        ((100, 12, 2), (1000, 0, 1), []),
        ((100, 12, 2), (1000, 0, 2), ["It is worse on the golden pack: 2 of 1,000 images lost, 1 allowed."]),
        ((100, 12, 2), (10_000, 3, 8), []),
        ((100, 12, 2), (10_000, 3, 9), ["It is worse on the golden pack: 6 of 10,000 images lost, 5 allowed."]),
        ((100, 3, 3), (1000, 0, 0), ["It is not better on labels that it has not learnt from: 3 fixed, 3 broken."]),
        (
            (100, 4, 0),
            (1000, 0, 0),
            [
                (
                    "The labels are too few to tell whether it is better: 4 fixed and 0 broken of 100 may be chance "
                    "(p = 0.12). Label more samples."
                )
            ],
        ),
        ((100, 6, 0), (1000, 0, 0), []),
    ],
)
def test_the_gate_is_missed_for_each_reason(
    held_out: tuple[int, int, int], golden: tuple[int, int, int], reasons: list[str]
) -> None:
    assert gate(compared(*held_out), compared(*golden)) == reasons


def test_folds_keep_together_what_came_together() -> None:
    folds = folds_of(22)
    assert np.array_equal(np.concatenate(folds), np.arange(22))
    assert {len(fold) for fold in folds} == {5, 6}


def test_a_label_is_doubted_only_where_neighbours_and_model_agree_on_another() -> None:
    rng = np.random.default_rng(0)
    corners = np.eye(3, 8, dtype=np.float32)

    def near(corner: int, count: int) -> npt.NDArray[np.float32]:
        points = corners[corner] + rng.normal(0, 0.01, (count, 8))
        return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)

    training = Known(np.concatenate([near(one, 10) for one in range(3)]), np.repeat(np.arange(3), 10))
    own = Known(np.concatenate([near(0, 2), near(1, 2)]), np.array([0, 2, 0, 1]))
    sure = np.full((4, 3), 0.02, np.float32)
    sure[[0, 1, 2, 3], [0, 0, 1, 1]] = 0.96
    writers = [(Label(str(one), "ann", now(), settles=False),) for one in (0, 2, 0, 1)]
    samples = [sample_of(one, id=one + 1, labels=labels) for one, labels in enumerate(writers)]
    found = contradictions(samples, own, sure, training, ("0", "1", "2"))
    assert [(one.sample, one.label, one.neighbours, one.writers) for one in found] == [
        (2, "2", "0", ["ann"]),
        (3, "0", "1", ["ann"]),
    ]
    unsure = np.full((4, 3), 1 / 3, np.float32)
    assert contradictions(samples, own, unsure, training, ("0", "1", "2")) == []


def test_nobody_is_their_own_neighbour() -> None:
    angles = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # The nearest agrees with the label, the four behind it do not: with itself, it would be two against three.
    training = Known(around, np.array([0, 1, 1, 1, 1]))
    own = Known(np.array([[1, 0]], np.float32), np.array([0]))
    (found,) = contradictions([sample_of(0, id=9)], own, np.array([[0.05, 0.95]], np.float32), training, ("0", "1"))
    assert (found.sample, found.neighbours) == (9, "1")


def labelled(digit: int, label: str, at: str = "2026-11-26T01:00:00.000Z", *more: str) -> Sample:
    labels = tuple(Label(one, f"writer {number}", at, settles=False) for number, one in enumerate((label, *more)))
    return sample_of(digit, at=at, labels=labels)


def test_what_is_learnt_from_has_one_label_and_is_a_digit() -> None:
    samples = [labelled(number % 10, str(number % 10), f"2026-11-{30 - number:02}") for number in range(20)]
    samples += [labelled(1, NOT_A_DIGIT), labelled(1, "1", "2026-11-26", "7"), sample_of(3)]
    lesson = select(samples, DIGITS)
    # In the order of time, which is that of the writers.
    assert lesson.split.labels.tolist() == [number % 10 for number in range(19, -1, -1)]
    assert np.array_equal(lesson.split.images[0], image_of(9))
    assert (lesson.not_a_digit, lesson.disputed) == (1, 1)


def test_too_few_labels_and_other_classes_are_told() -> None:
    samples = [labelled(number % 10, str(number % 10)) for number in range(19)]
    with pytest.raises(UsageError, match="There are 19 labelled samples, too few to learn from: at least 20"):
        select(samples, DIGITS)
    with pytest.raises(UsageError, match="labels that are no classes of the model: eleven, x"):
        select([*samples, labelled(1, "x"), labelled(1, "eleven")], DIGITS)


def test_a_keras_model_is_read_as_it_computes() -> None:
    exports = Exports.open(OLD_EXPORTS)
    golden = exports.read_golden()
    scores = read_present(exports).logits(golden.images)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.abs(odds / odds.sum(axis=1, keepdims=True) - golden.probabilities).max() < 1e-5


def test_a_model_of_other_layers_cannot_learn(tmp_path: Path) -> None:
    import keras
    import msgspec

    from edgemnist.exports.manifest import MANIFEST_FILE, ModelRecord, read_manifest
    from edgemnist.runtimes.keras import model_bytes
    from edgemnist.storage import sha256

    layers = [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(8, activation="tanh"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    data = model_bytes(keras.Sequential(layers))
    exports = Path(shutil.copytree(OLD_EXPORTS, tmp_path / "exports"))
    (exports / "model.keras").write_bytes(data)
    record = ModelRecord(file="model.keras", bytes=len(data), sha256=sha256(data), parameters=1)

    manifest = msgspec.structs.replace(read_manifest(exports), model=record)
    (exports / MANIFEST_FILE).write_bytes(manifest.encode())
    with pytest.raises(ModelError, match="computes something else than dense layers with ReLU and a softmax"):
        read_present(Exports.open(exports))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--samples", "nowhere"], "nowhere has no samples"),
        (["--seed", "-1"], "--seed must be between 0 and 4,294,967,295"),
        (["--exports", "nowhere"], "The export directory nowhere does not exist"),
    ],
)
def test_wrong_usage_is_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    done = run_edgemnist("learn", *words, cwd=tmp_path, env={"EDGEMNIST_OFFLINE": "1"})
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())


def test_the_new_directory_appears_whole_with_its_result_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, left = tmp_path / "new", tmp_path / ".tmp-learn-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    monkeypatch.setattr(run, "_write_model", lambda place, _: (place / "model.keras").write_text("model"))
    monkeypatch.setattr(run, "_export", lambda *_: 0.25)
    wanted: Any = "not looked at"
    result: Any = LearntNothing()

    def fails(*_: object) -> None:
        assert not out.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fails)
        with pytest.raises(KeyboardInterrupt):
            run._write(wanted, out, nothing_learnt(), lambda _: result, SILENT)
    assert list(tmp_path.iterdir()) == []

    def finished(loss: float | None) -> Any:
        assert loss == 0.25
        assert not out.exists()
        return result

    run._write(wanted, out, nothing_learnt(), finished, SILENT)
    assert {path.name for path in out.iterdir()} == {"model.keras", "learn.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


class LearntNothing:
    """A result that can be written."""

    def to_json(self) -> str:
        """Return a document."""
        return "{}"


def nothing_learnt() -> Any:
    """Return what is to be written, whose data set nobody looks at."""
    return types.SimpleNamespace(dataset=None)
