"""The likeness network, evaluated with NumPy, is the network that was trained."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.images.mnist import fit_digit
from edgemnist.read.likeness import CHUNK, LikenessNetwork, shipped_network, weights_bytes
from edgemnist.read.provenance import RECORD_FILE, WEIGHTS_FILE, LikenessRecord, read_record
from edgemnist.train_likeness.synthetic.digits import Digits
from edgemnist.train_likeness.synthetic.strokes import draw_letter, scribble

THREE_BARS = np.zeros((1, 28, 28), dtype=np.uint8)
for left in (4, 12, 20):
    THREE_BARS[:, 4:24, left : left + 4] = 255


def stored_weights() -> list[npt.NDArray[np.float32]]:
    with np.load(WEIGHTS_FILE) as stored:
        return [stored[name].astype(np.float32) for name in sorted(stored.files)]


@pytest.mark.slow
def test_numpy_says_what_the_keras_model_says_of_digits_and_of_everything_else(digits: Digits) -> None:
    """Parity: the Keras model that was trained, with the weights that ship."""
    pytest.importorskip("tensorflow")
    import keras

    from edgemnist.train_likeness.network import build

    model = build()
    model.set_weights(stored_weights())
    rng = np.random.default_rng(0)
    ink = np.where(rng.random((200, 28, 28)) < rng.uniform(0.02, 0.5, (200, 1, 1)), 255, 0).astype(np.uint8)
    letters = [fit_digit(255 - draw_letter(letter, "DejaVuSans", rng)) for letter in string.ascii_letters]
    scribbles = [fit_digit(255 - scribble("loops", rng)) for _ in range(50)]
    images = np.concatenate([digits.images[:1000], ink, letters, scribbles, THREE_BARS])
    expected = np.asarray(keras.ops.softmax(model(images[..., None] / np.float32(255))))[:, :10]
    np.testing.assert_allclose(shipped_network().digit_likeness(images), expected, atol=2e-5)


def test_the_record_is_of_the_weights_that_ship() -> None:
    record = read_record(RECORD_FILE, LikenessRecord)
    data = WEIGHTS_FILE.read_bytes()
    assert (record.file, record.bytes) == (WEIGHTS_FILE.name, len(data))
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert record.font_packages
    assert {"tensorflow", "keras", "numpy", "opencv", "edgemnist"} <= set(record.versions)


def test_weights_are_stored_as_they_are_loaded(digits: Digits) -> None:
    data = weights_bytes([weights.astype(np.float64) for weights in stored_weights()])
    assert data == WEIGHTS_FILE.read_bytes()
    again = LikenessNetwork(data).digit_likeness(digits.images[:5])
    np.testing.assert_array_equal(again, shipped_network().digit_likeness(digits.images[:5]))


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "missing", "no record", "broken record"])
def test_a_damaged_network_is_an_error_of_one_sentence(damage: str, tmp_path: Path) -> None:
    weights, record = tmp_path / "likeness.npz", tmp_path / "likeness.json"
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


@pytest.mark.parametrize("count", [0, 1, 2, 3, CHUNK, CHUNK + 1])
def test_an_image_has_the_same_likeness_among_however_many(count: int, digits: Digits) -> None:
    together = shipped_network().digit_likeness(digits.images[:count])
    assert together.shape == (count, 10)
    for image, likeness in zip(digits.images[:count], together, strict=True):
        np.testing.assert_allclose(shipped_network().digit_likeness(image[None])[0], likeness, atol=1e-5)


def test_digits_are_alike_and_three_bars_are_not(digits: Digits) -> None:
    assert shipped_network().digit_likeness(THREE_BARS).sum() < 0.1
    own = shipped_network().digit_likeness(digits.images[:100])[np.arange(100), digits.labels[:100]]
    assert np.median(own) > 0.9
