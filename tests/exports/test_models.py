"""A model file of unknown origin is given pixels in the range in which it reads digits."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import Exports, model_for, reference_directory
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.exports.ranges import ALIKE, CALIBRATED, TOO_SURE, Weighed, logarithms, weigh
from edgemnist.model.task import default_input
from tests.notices import Notices
from tests.shapes.made import write


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    """What most digits are known by: the mean of each class without the mean of all, float32 [784, 10]."""
    golden = Exports.open(reference_directory()).read_golden()
    pixels = golden.images.reshape(-1, 784) / 255
    means = np.stack([pixels[golden.labels == digit].mean(axis=0) for digit in range(10)], axis=1)
    means -= pixels.mean(axis=0)[:, None]
    return np.asarray(means / np.linalg.norm(means, axis=0), np.float32)


# Of ten scores up to 5 with pixels in 0..1, one is raised by 100: only with larger pixels do the others count.
LOPSIDED = np.eye(10, dtype=np.float32)[3] * 100


@pytest.mark.parametrize(("bias", "expected"), [(0, None), (LOPSIDED, "0..255")], ids=["0..1", "0..255"])
def test_the_range_of_a_foreign_file_is_found(
    bias: np.ndarray | float, expected: str | None, kernel: np.ndarray, tmp_path: Path
) -> None:
    notices = Notices()
    path = write(tmp_path / "foreign.onnx", (28, 28), kernel, bias=bias)
    model, labels = model_for(None, str(path), notices)
    assert labels is None
    assert (model.spec and model.spec.range) == expected
    if expected is None:
        assert notices.messages == []
    else:
        (notice,) = notices.messages
        assert notice.startswith(f"{path} is given pixels in {expected}: ")
    golden = Exports.open(reference_directory()).read_golden()
    answers = model.load().predict_proba(golden.images[:200]).argmax(axis=1)
    assert np.mean(answers == golden.labels[:200]) > 0.5


def test_a_file_that_is_named_by_its_path_has_the_class_names_of_the_manifest_beside_it(old_exports: Path) -> None:
    manifest, letters = read_manifest(old_exports), list("abcdefghij")
    (old_exports / "manifest.json").write_bytes(msgspec.structs.replace(manifest, labels=letters).encode())
    notices = Notices()
    for name in ("tflite-int8.tflite", "onnx-float32.onnx"):
        model, labels = model_for(None, str(old_exports / name), notices)
        assert model.load(labels=labels).labels == tuple(letters), name
    assert notices.messages == []


def test_a_file_that_reads_no_digits_in_any_range_is_questioned(kernel: np.ndarray, tmp_path: Path) -> None:
    notices = Notices()
    path = write(tmp_path / "foreign.onnx", (28, 28), np.roll(kernel, 1, axis=1))
    model, _ = model_for(None, str(path), notices)
    assert model.spec is None
    assert "hardly better than guessing" in notices.messages[0]


def test_a_file_that_is_no_classifier_of_images_is_refused_and_not_said_to_guess() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")

    notices = Notices()
    other = Path(onnxruntime.__file__).parent / "datasets" / "sigmoid.onnx"
    model, _ = model_for(None, str(other), notices)
    assert notices.messages == []
    assert model.load().answers_numbers
    with pytest.raises(ArtifactError, match=r"its input is an array of \[3, 4, 5\]"):
        replace(model, spec=default_input()).load()


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
