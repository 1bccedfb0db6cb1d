"""Colour modes: every way to store a digit gives the same digit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemnist.digits.images import grey
from edgemnist.digits.images.mnist import fit_digit
from tests.images.drawing import digit, read, same


@pytest.mark.parametrize(
    ("kind", "mode"),
    [*(("PNG", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "LA")), *(("JPEG", m) for m in ("L", "CMYK", "YCbCr"))],
)
def test_every_colour_mode_gives_the_same_digit(kind: str, mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(255 - digit(28 if kind == "PNG" else 280)).convert("RGB").convert(mode)
    result, inverted = read(picture, tmp_path, format=kind, quality=95)
    assert inverted
    assert same(result, digit()) if kind == "PNG" else same(result, fit_digit(digit()), tolerance=70)


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str, tmp_path: Path) -> None:
    levels = np.array([0, 256 * 40, 256 * 128, 65535], dtype=np.uint16)
    pixels = np.zeros((28, 28), dtype=np.uint16)
    pixels[14, 10:14] = levels
    result, inverted = read(Image.fromarray(pixels), tmp_path, format=kind)
    assert not inverted
    assert result[14, 10:14].tolist() == [0, 40, 128, 255]


def test_pictures_that_do_not_say_what_white_is_are_stretched_and_lab_is_read_by_its_lightness(tmp_path: Path) -> None:
    broken, light, neutral = digit().astype(np.float32), Image.fromarray(digit()), Image.new("L", (28, 28), 128)
    broken[0, :3] = np.nan, np.inf, -np.inf
    stretched = [Image.fromarray(digit().astype(dtype) * 1000) for dtype in (np.int32, np.float32)]
    for picture in (*stretched, Image.fromarray(broken), Image.merge("LAB", (light, neutral, neutral))):
        np.testing.assert_array_equal(read(picture, tmp_path, format="TIFF")[0], digit())


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("hidden", [0, 255])
def test_ink_on_nothing_is_read_whatever_colour_the_nothing_has(ink: int, hidden: int, tmp_path: Path) -> None:
    alpha = digit()
    light = np.where(alpha > 0, ink, hidden).astype(np.uint8)
    picture = Image.merge("LA", (Image.fromarray(light), Image.fromarray(alpha)))
    result, inverted = read(picture, tmp_path)
    np.testing.assert_array_equal(result, digit())
    assert inverted == (ink == 0)


def test_round_corners_of_a_page_take_the_colour_of_the_page(tmp_path: Path) -> None:
    alpha = np.full((28, 28), 255, dtype=np.uint8)
    alpha[:4, :4] = alpha[-4:, -4:] = 0
    light = np.where(alpha > 0, 255 - digit(), 0).astype(np.uint8)
    result, inverted = read(Image.merge("LA", (Image.fromarray(light), Image.fromarray(alpha))), tmp_path)
    assert inverted
    np.testing.assert_array_equal(result, digit())


def test_a_transparent_palette_colour_is_seen(tmp_path: Path) -> None:
    picture = Image.fromarray((digit() > 0).astype(np.uint8))
    picture.putpalette([0, 0, 0, 0, 0, 0])
    result, inverted = read(picture, tmp_path, format="GIF", transparency=0)
    assert inverted
    np.testing.assert_array_equal(result, digit())


def test_nothing_at_all_is_black() -> None:
    assert (grey.to_grey(Image.new("RGBA", (28, 28), (255, 255, 255, 0)), 512) == 0).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "I;16", "I", "F"])
def test_a_large_picture_is_the_same_in_strips_as_in_one_piece(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(rng.integers(0, 65536, (230, 310)).astype(dtype))
    else:
        colours = Image.fromarray(rng.integers(0, 256, (230, 310, 4), dtype=np.uint8))
        picture = (colours if mode in ("RGBA", "LA") else colours.convert("RGB")).convert(mode)
    if mode == "P":
        picture.info["transparency"] = bytes(range(256))
    monkeypatch.setattr(grey, "STRIP_PIXELS", 10**6)
    expected = grey.to_grey(picture, 200)
    monkeypatch.setattr(grey, "STRIP_PIXELS", 3000)
    np.testing.assert_array_equal(grey.to_grey(picture, 200), expected)
