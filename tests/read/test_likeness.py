"""The likeness network is an int8 file of the family: every runtime that is exact gives the same bits."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.images.mnist import fit_digit
from edgemnist.read.likeness import CLASSES, EXACT, LikenessNetwork, shipped_network
from edgemnist.read.provenance import RECORD_FILE, WEIGHTS_FILE, LikenessRecord, read_record
from edgemnist.runtimes import RUNTIMES, load
from edgemnist.runtimes.tflite import read_graph_file
from edgemnist.train_likeness.synthetic.page import Digits
from edgemnist.train_likeness.synthetic.strokes import draw_letter, scribble

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


@pytest.mark.slow
def test_int8_says_what_the_keras_model_with_its_weights_says(digits: Digits) -> None:
    """Parity: what rounding the activations changes. No probability moves by more than 0.1."""
    pytest.importorskip("tensorflow")
    import keras

    from edgemnist.train_likeness.network import with_weights

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


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "missing", "no record", "broken record"])
def test_a_damaged_network_is_an_error_of_one_sentence(damage: str, tmp_path: Path) -> None:
    weights, record = tmp_path / "likeness.tflite", tmp_path / "likeness.json"
    data = bytearray(WEIGHTS_FILE.read_bytes())
    if damage == "flipped bit":
        data[len(data) // 2] ^= 1
    weights.write_bytes(data[:-1] if damage == "cut short" else data)
    record.write_bytes(RECORD_FILE.read_bytes())
    if damage == "missing":
        weights.unlink()
    if damage == "no record":
        record.unlink()
    if damage == "broken record":
        record.write_text("{")
    blamed = record if "record" in damage else weights
    with pytest.raises(ArtifactError, match=str(blamed)) as caught:
        shipped_network(weights, record)
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("count", [0, 1, 2, 65])
def test_an_image_has_the_same_likeness_among_however_many(count: int, digits: Digits) -> None:
    together = shipped_network().digit_likeness(digits.images[:count])
    assert together.shape == (count, 10)
    for image, likeness in zip(digits.images[:count], together, strict=True):
        np.testing.assert_array_equal(shipped_network().digit_likeness(image[None])[0], likeness)


def test_digits_are_alike_and_three_bars_are_not(digits: Digits) -> None:
    assert shipped_network().digit_likeness(THREE_BARS).sum() < 0.1
    own = shipped_network().digit_likeness(digits.images[:100])[np.arange(100), digits.labels[:100]]
    assert np.median(own) > 0.9
