"""The likeness network, what it and a classifier say together, and the threshold that both were measured for."""

import hashlib
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.vision.refuse import FONTS
from edgemnist.digits.images import normalize_digit
from edgemnist.digits.images.mnist import fit_digit
from edgemnist.digits.read.likeness import (
    CALIBRATION_FILE,
    CLASSES,
    DEFAULT_MIN_CONFIDENCE,
    EXACT,
    RECORD_FILE,
    SHARPNESS,
    WEIGHTS_FILE,
    LikenessNetwork,
    ReadConfig,
    Verdicts,
    read_record,
    shipped_network,
    verdicts_of,
)
from edgemnist.digits.task import DIGITS
from edgemnist.errors import ArtifactError
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes import RUNTIMES, load
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.model.task import Task, default_task, unnamed_task
from tools.likeness.page import Digits
from tools.likeness.records import LikenessRecord
from tools.likeness.strokes import draw_letter, scribble

THREE_BARS = np.zeros((1, 28, 28), dtype=np.uint8)
for left in (4, 12, 20):
    THREE_BARS[:, 4:24, left : left + 4] = 255


@pytest.mark.parametrize("runtime", [*EXACT, "litert"])
def test_all_runtimes_say_the_same_of_digits_and_of_everything_else(runtime: str, digits: Digits) -> None:
    """LiteRT, which is not ours, may be a step of a score off here and there: no probability moves by more than 0.1."""
    if RUNTIMES[runtime].missing():
        pytest.skip(f"{runtime} is not installed")
    rng = np.random.default_rng(0)
    ink = np.where(rng.random((50, 28, 28)) < rng.uniform(0.02, 0.5, (50, 1, 1)), 255, 0).astype(np.uint8)
    images = np.concatenate([digits.images[:300], ink, THREE_BARS])
    expected = load(WEIGHTS_FILE, runtime="integer", labels=CLASSES).predict_proba(images)
    found = load(WEIGHTS_FILE, runtime=runtime, labels=CLASSES).predict_proba(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.1 if runtime == "litert" else 0)


@pytest.mark.all
def test_int8_says_what_the_keras_model_with_its_weights_says(digits: Digits) -> None:
    """Parity: what rounding the activations changes. No probability moves by more than 0.1."""
    pytest.importorskip("tensorflow")
    import keras

    from tools.likeness.network import with_weights

    graph = read_graph_file(WEIGHTS_FILE)
    weights: list[npt.NDArray[np.floating]] = []
    for operator in graph.operators:
        if operator.kind in {"CONV_2D", "FULLY_CONNECTED"}:
            for tensor in (graph.tensors[index] for index in operator.inputs[1:]):
                levels = tensor.values().astype(np.float32)
                # Outputs come last in Keras, and first here.
                weights.append(np.moveaxis(levels, 0, -1) * tensor.scales)
    rng = np.random.default_rng(0)
    letters = [fit_digit(255 - draw_letter(letter, "DejaVuSans", rng)) for letter in string.ascii_letters]
    scribbles = [fit_digit(255 - scribble("loops", rng)) for _ in range(50)]
    images = np.concatenate([digits.images[:1000], letters, scribbles, THREE_BARS])
    expected = np.asarray(keras.ops.softmax(with_weights(weights)(images[..., None] / np.float32(255))))[:, :10]
    np.testing.assert_allclose(shipped_network().digit_likeness(images), expected, rtol=0, atol=0.1)


def test_without_the_engine_numpy_answers(monkeypatch: pytest.MonkeyPatch, digits: Digits) -> None:
    expected = shipped_network().digit_likeness(digits.images[:20])
    monkeypatch.setattr(type(RUNTIMES["native"]), "missing", lambda self: ("it",) if self is RUNTIMES["native"] else ())
    np.testing.assert_array_equal(LikenessNetwork(WEIGHTS_FILE).digit_likeness(digits.images[:20]), expected)


def test_the_record_is_of_the_file_that_ships() -> None:
    record = read_record(RECORD_FILE, LikenessRecord)
    data = WEIGHTS_FILE.read_bytes()
    assert (record.file, record.bytes) == (WEIGHTS_FILE.name, len(data))
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert record.font_packages
    assert {"tensorflow", "keras", "numpy", "opencv", "edgemnist"} <= set(record.versions)
    assert record.parity.images - record.parity.same_class <= 0.002 * record.parity.images


@pytest.mark.parametrize(
    ("blamed", "damaged"),
    [
        ("likeness.tflite", lambda data: bytes([data[0] ^ 1]) + data[1:]),
        ("likeness.tflite", lambda data: data[:-1]),
        ("likeness.tflite", lambda _: None),
        ("likeness.json", lambda _: b"{"),
        ("likeness.json", lambda _: None),
    ],
)
def test_a_damaged_network_is_an_error_of_one_sentence(
    blamed: str, damaged: Callable[[bytes], bytes | None], tmp_path: Path
) -> None:
    for file in (WEIGHTS_FILE, RECORD_FILE):
        data = damaged(file.read_bytes()) if file.name == blamed else file.read_bytes()
        if data is not None:
            (tmp_path / file.name).write_bytes(data)
    with pytest.raises(ArtifactError, match=str(tmp_path / blamed)) as caught:
        shipped_network(tmp_path / WEIGHTS_FILE.name, tmp_path / RECORD_FILE.name)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_digits_are_alike_however_many_there_are_and_three_bars_are_not(digits: Digits) -> None:
    network, images = shipped_network(), digits.images[:100]
    assert network.digit_likeness(THREE_BARS).sum() < 0.1
    together = network.digit_likeness(images)
    assert np.median(together[np.arange(100), digits.labels[:100]]) > 0.9
    assert network.digit_likeness(images[:0]).shape == (0, 10)
    for image, likeness in zip(images[:20], together[:20], strict=True):
        np.testing.assert_array_equal(network.digit_likeness(image[None])[0], likeness)


def test_the_threshold_was_calibrated_with_the_present_reference_and_likeness_network() -> None:
    record = json.loads(CALIBRATION_FILE.read_text())
    reference = reference_directory() / record["artifact"]
    for file, recorded in ((reference, "artifact_sha256"), (WEIGHTS_FILE, "likeness_sha256")):
        assert record[recorded] == hashlib.sha256(file.read_bytes()).hexdigest(), (
            f"{file.name} changed: python -m tools.likeness --only-calibrate --out edgemnist/digits/read"
        )
    assert record["min_confidence"] == DEFAULT_MIN_CONFIDENCE == ReadConfig().min_confidence


def test_clean_digits_are_answered_and_answered_right(digits: Digits, classifier: Classifier) -> None:
    said = verdicts_of(classifier, digits.images)
    answered = said.confidences >= DEFAULT_MIN_CONFIDENCE
    assert answered.mean() >= 0.95
    assert (said.classes == digits.labels)[answered].mean() >= 0.995


def test_letters_and_scribbles_are_refused(classifier: Classifier) -> None:
    """All 52 letters; in fonts, and of a kind, that the likeness network was not trained on."""
    rng = np.random.default_rng(1)
    letters = [draw_letter(letter, font, rng) for font in FONTS for letter in string.ascii_letters]
    for drawings in (letters, [scribble("loops", rng) for _ in range(100)]):
        images = np.stack([normalize_digit(Image.fromarray(drawing)).image for drawing in drawings])
        assert (verdicts_of(classifier, images).confidences < DEFAULT_MIN_CONFIDENCE).mean() >= 0.9


@pytest.mark.parametrize("width", [4, 12, 30])
@pytest.mark.parametrize("lean", [-20, 0, 40])
def test_a_straight_stroke_is_a_one(width: int, lean: int, classifier: Classifier) -> None:
    """Though it is a small l or a capital I as well."""
    drawing = np.full((280, 280), 255, dtype=np.uint8)
    cv2.line(drawing, (140 + lean, 40), (140 - lean, 240), 0, width, cv2.LINE_AA)
    said = verdicts_of(classifier, normalize_digit(Image.fromarray(drawing)).image[None])
    assert said.classes[0] == 1
    assert said.confidences[0] >= DEFAULT_MIN_CONFIDENCE


class Says:
    """A classifier, or a likeness network, with an answer of its own to each image."""

    def __init__(self, rows: npt.ArrayLike, task: Task | None = None) -> None:
        """`rows` are [N, 10]."""
        self.labels, self.task, self._rows = DIGITS, task or default_task(), np.asarray(rows, dtype=np.float32)

    def predict_proba(self, _: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return what was given."""
        return self._rows

    digit_likeness = predict_proba


def verdicts(classifier: Says, likeness: Says) -> Verdicts:
    images = np.zeros((len(classifier.predict_proba(THREE_BARS)), 28, 28), dtype=np.uint8)
    return verdicts_of(cast("Classifier", classifier), images, cast("LikenessNetwork", likeness))


def share(**probabilities: float) -> list[list[float]]:
    """Return the probabilities of `d0` to `d9`, 0 where none is given, [1, 10]."""
    return [[probabilities.get(f"d{digit}", 0.0) for digit in range(10)]]


@pytest.mark.parametrize(
    ("classifier", "likeness", "digit", "confidence", "probability"),
    [
        # A one with a flag is no seven, though the classifier is sure of it.
        (share(d1=0.03, d7=0.97), share(d1=0.8, d7=0.18), 1, None, 0.03),
        (share(d1=0.03, d7=0.97), share(d1=0.5, d7=0.48), 7, None, 0.97),
        # What an int8 softmax rounds to nothing is not impossible.
        (share(d7=1.0), share(d1=0.98, d7=0.01), 1, None, 0),
        # What lies between two digits is less sure than what looks odd, and what is no digit has no confidence.
        (share(d4=0.5, d9=0.5), share(d4=0.5, d9=0.5), 4, 0.5**SHARPNESS, 0.5),
        (share(d4=1.0), share(d4=0.3), 4, 0.3, 1),
        (share(d3=1.0), share(), 0, 0, 0),
    ],
)
def test_a_classifier_and_the_network_decide_together(
    classifier: list[list[float]], likeness: list[list[float]], digit: int, confidence: float | None, probability: float
) -> None:
    said = verdicts(Says(classifier), Says(likeness))
    assert said.classes.tolist() == [digit]
    assert said.probabilities[0] == pytest.approx(probability)
    assert confidence is None or said.confidences[0] == pytest.approx(confidence)


def test_a_classifier_of_other_things_is_taken_at_its_word() -> None:
    said = verdicts(Says(share(d2=0.7, d3=0.3), unnamed_task()), Says(share(d3=1.0)))
    assert (said.classes[0], said.confidences[0], said.probabilities[0]) == pytest.approx((2, 0.7, 0.7))


def test_every_image_is_judged_by_itself() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(10), (2, 5)).astype(np.float32)
    together = verdicts(Says(rows[0]), Says(rows[1] / 2))
    for index in range(5):
        alone = verdicts(Says(rows[0][[index]]), Says(rows[1][[index]] / 2))
        for of_all, of_one in zip(vars(together).values(), vars(alone).values(), strict=True):
            assert of_all[index] == pytest.approx(of_one[0])
