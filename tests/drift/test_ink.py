"""What the ink of a digit is said to be like."""

import numpy as np
import pytest

from edgemnist.digits.ink import BINS, FEATURES, bins_of, ink_of
from edgemnist.ground.arrays import Images

NAMES = [one.name for one in FEATURES]


def bar(width: int, lean: float = 0.0, right: int = 0, down: int = 0, level: int = 255) -> Images:
    """Return an upright stroke of 18 pixels that leans to the right, uint8 [28, 28]."""
    image = np.zeros((28, 28), np.uint8)
    for row in range(5, 23):
        left = round(14 - width / 2 + right + lean * (14 - row))
        image[row + down, left : left + width] = level
    return image


def feature(name: str, image: Images) -> float:
    return float(ink_of(image[None])[0, NAMES.index(name)])


def test_each_feature_tells_what_its_name_says_and_in_its_unit() -> None:
    assert feature("stroke width", bar(2)) == pytest.approx(2.0)
    assert feature("stroke width", bar(4)) > feature("stroke width", bar(3)) > 2
    assert feature("slant", bar(3)) == pytest.approx(0, abs=0.01)
    assert feature("slant", bar(3, lean=0.3)) == pytest.approx(0.3, abs=0.02)
    assert feature("slant", bar(3, lean=-0.3)) == pytest.approx(-0.3, abs=0.02)
    for name, moved in (("position, x", {"right": 2}), ("position, y", {"down": 2})):
        assert feature(name, bar(3, **moved)) - feature(name, bar(3)) == pytest.approx(2.0)
    assert feature("size", bar(3)[::2].repeat(2, axis=0)) == pytest.approx(feature("size", bar(3)), rel=0.1)
    assert feature("size", bar(3)) > feature("size", bar(3) * (np.arange(28) < 14)[:, None])
    assert feature("contrast", bar(3)) == pytest.approx(255)
    assert feature("contrast", np.maximum(bar(3, level=200), 40)) == pytest.approx(160)


def test_no_picture_is_too_odd_to_be_counted() -> None:
    odd = np.stack([np.zeros((28, 28)), np.full((28, 28), 255), np.eye(28) * 255, np.full((28, 28), 90)])
    found = ink_of(odd.astype(np.uint8))
    assert np.isfinite(found).all()
    bins = bins_of(found)
    assert bins.shape == (4, len(FEATURES))
    assert bins.min() >= 0
    assert bins.max() <= BINS - 1
    assert (bins[[0, 3]] == 0).all()
