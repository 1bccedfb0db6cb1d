"""Pictures as users have them: read as they were meant, or refused in a sentence."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgemnist.errors import ImageError
from edgemnist.images import MAX_PIXELS, open_image, to_mnist
from tests.data.conftest import load_embedded

Pixels = npt.NDArray[np.uint8]


def digit(side: int = 28) -> Pixels:
    """Return a white 7 on black, drawn in thick strokes."""
    pixels = np.zeros((28, 28), dtype=np.uint8)
    pixels[6:9, 8:20] = 255
    pixels[9:22, 15:18] = 255
    return pixels.repeat(side // 28, axis=0).repeat(side // 28, axis=1)


def read(image: Image.Image, tmp_path: Path, **options: Any) -> tuple[Pixels, bool]:
    """Save a picture (as PNG, unless `format` says otherwise), open it and turn it into MNIST's form."""
    path = tmp_path / "picture"
    image.save(path, **{"format": "PNG", **options})
    return to_mnist(open_image(path))


def same(image: Pixels, expected: Pixels, tolerance: int = 0) -> bool:
    return image.dtype == np.uint8 and bool((np.abs(image.astype(int) - expected.astype(int)) <= tolerance).all())


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header has these dimensions, and that holds one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.fixture(scope="module")
def embedded_images(cache: Path) -> Pixels:
    return load_embedded(cache).test.images[:300]


# ---------------------------------------------------------------------------------------- what passes


def test_white_on_black_of_the_right_size_passes_unchanged(embedded_images: Pixels, tmp_path: Path) -> None:
    for image in embedded_images:
        result, inverted = read(Image.fromarray(image), tmp_path)
        assert not inverted
        np.testing.assert_array_equal(result, image)


def test_dark_on_light_is_inverted_and_said(embedded_images: Pixels, tmp_path: Path) -> None:
    for image in embedded_images:
        result, inverted = read(Image.fromarray(255 - image), tmp_path)
        assert inverted
        np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize("paper", [90, 128, 255])
def test_paper_in_the_shade_is_still_paper(paper: int) -> None:
    pixels = np.where(digit() > 0, paper // 3, paper).astype(np.uint8)
    result, inverted = to_mnist(Image.fromarray(pixels))
    assert inverted
    assert result[14, 16] > result[0, 0]


@pytest.mark.parametrize("side", [28 * 2, 28 * 10])
def test_larger_pictures_are_averaged_down(side: int, tmp_path: Path) -> None:
    result, _ = read(Image.fromarray(digit(side)), tmp_path)
    assert (result[7, 9:19] == 255).all()
    assert (result[:5] == 0).all()
    assert same(result, digit(), tolerance=64)


def test_strokes_thinner_than_a_pixel_leave_a_trace() -> None:
    # The whole stroke lies between the points that picking every twentieth pixel would see.
    pixels = np.zeros((560, 560), dtype=np.uint8)
    pixels[:, 280:286] = 255
    result, _ = to_mnist(Image.fromarray(pixels))
    assert (result[:, 13:16].sum(axis=1) > 50).all()


def test_smaller_pictures_are_scaled_up() -> None:
    result, _ = to_mnist(Image.fromarray(digit()[::4, ::4]))
    assert result.shape == (28, 28)
    assert result.max() > 200


@pytest.mark.parametrize(("width", "height"), [(20, 28), (28, 20), (100, 300), (300, 100)])
@pytest.mark.parametrize("ground", [0, 230])
def test_a_picture_that_is_not_square_is_padded_with_its_ground(width: int, height: int, ground: int) -> None:
    pixels = np.full((height, width), ground, dtype=np.uint8)
    middle = slice(height // 2 - 5, height // 2 + 5), slice(width // 2 - 5, width // 2 + 5)
    pixels[middle] = 255 - ground
    result, inverted = to_mnist(Image.fromarray(pixels))
    assert inverted == (ground > 128)
    corners = result[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == (255 - ground if inverted else ground)).all()
    # The ten pixels square stay square.
    ink = result > 100
    assert abs(int(ink.any(axis=0).sum()) - int(ink.any(axis=1).sum())) <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (28, 1)])
def test_the_thinnest_pictures_pass(size: tuple[int, int]) -> None:
    assert to_mnist(Image.new("L", size, 255))[0].shape == (28, 28)


@pytest.mark.parametrize(("level", "inverted"), [(0, False), (255, True)])
def test_a_blank_page_is_black(level: int, inverted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    result, was_inverted = to_mnist(Image.new("L", (50, 50), level))
    assert was_inverted == inverted
    assert (result == 0).all()


# ---------------------------------------------------------------------------------------- colour modes


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_every_colour_mode_of_png_gives_the_same_digit(mode: str, tmp_path: Path) -> None:
    result, inverted = read(Image.fromarray(255 - digit()).convert(mode), tmp_path)
    assert inverted
    np.testing.assert_array_equal(result, digit())


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_every_colour_mode_of_jpeg_gives_the_same_digit(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(255 - digit(280)).convert("RGB").convert(mode)
    result, inverted = read(picture, tmp_path, format="JPEG", quality=95)
    assert inverted
    assert same(result, digit(), tolerance=70)
    assert result[7, 12] > 250


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str, tmp_path: Path) -> None:
    levels = np.array([0, 256 * 40, 256 * 128, 65535], dtype=np.uint16)
    pixels = np.zeros((28, 28), dtype=np.uint16)
    pixels[14, 10:14] = levels
    result, inverted = read(Image.fromarray(pixels), tmp_path, format=kind)
    assert not inverted
    assert result[14, 10:14].tolist() == [0, 40, 128, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pictures_that_do_not_say_what_white_is_are_stretched(dtype: type[np.generic], tmp_path: Path) -> None:
    result, _ = read(Image.fromarray(digit().astype(dtype) * 1000), tmp_path, format="TIFF")
    np.testing.assert_array_equal(result, digit())


def test_numbers_that_are_none_do_no_harm(tmp_path: Path) -> None:
    pixels = digit().astype(np.float32)
    pixels[0, :3] = np.nan, np.inf, -np.inf
    result, _ = read(Image.fromarray(pixels), tmp_path, format="TIFF")
    np.testing.assert_array_equal(result, digit())


def test_lab_is_read_by_its_lightness(tmp_path: Path) -> None:
    grey = Image.fromarray(digit())
    neutral = Image.new("L", grey.size, 128)
    result, _ = read(Image.merge("LAB", (grey, neutral, neutral)), tmp_path, format="TIFF")
    np.testing.assert_array_equal(result, digit())


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


def test_nothing_at_all_is_black(tmp_path: Path) -> None:
    result, _ = read(Image.new("RGBA", (28, 28), (255, 255, 255, 0)), tmp_path)
    assert (result == 0).all()


# ---------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_says_which_side_is_up(orientation: int, tmp_path: Path) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = Image.fromarray(digit())
    stored = upright.transpose(turn[orientation]) if orientation in turn else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    result, _ = read(stored, tmp_path, exif=exif)
    np.testing.assert_array_equal(result, digit())


def test_a_phone_picture_with_a_preview_behind_it_is_one_picture(tmp_path: Path) -> None:
    picture = Image.fromarray(digit(280)).convert("RGB")
    path = tmp_path / "phone.jpg"
    picture.save(path, format="MPO", save_all=True, append_images=[picture.resize((28, 28))])
    assert same(to_mnist(open_image(path))[0], digit(), tolerance=70)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused_with_their_number(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "many"
    frames = [Image.new("L", (28, 28), level) for level in (0, 100, 200)]
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"many is animated or has several pages: 3 frames"):
        open_image(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no picture", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (png(0, 5), "is not a picture: it is damaged, has no pixels"),
        (png(5, 5), "is a damaged picture"),
        (png(20_000, 20_000), f"has more than {MAX_PIXELS:,} pixels, which is the limit"),
        (png(10_000, 10_000), f"has more than {MAX_PIXELS:,} pixels, which is the limit"),
        (png(MAX_PIXELS + 1, 1), f"has more than {MAX_PIXELS:,} pixels, which is the limit"),
    ],
    ids=["empty", "text", "postscript", "no pixels", "too short", "20,000 square", "10,000 square", "just too many"],
)
def test_what_is_wrong_with_a_picture_is_said_with_its_path_and_a_way_out(
    data: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "my picture.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        open_image(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_missing_or_a_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.png does not exist"):
        open_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match=f"{tmp_path.name} is a directory"):
        open_image(tmp_path)


def test_a_picture_object_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="has no pixels"):
        to_mnist(Image.new("L", (0, 5)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_picture_cut_anywhere_is_read_or_refused_and_nothing_else(kind: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(digit(56)).convert("RGB").save(stream, format=kind)
    data = stream.getvalue()
    path = tmp_path / "cut"
    refused = 0
    for length in range(1, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:length])
        try:
            to_mnist(open_image(path))
        except ImageError:
            refused += 1
    assert refused > 0


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    streams = []
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(digit()).save(stream, format=kind)
        streams.append(stream.getvalue())
    return streams


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    pictures: list[bytes], tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(data.draw(st.sampled_from(pictures)))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(bytes(damaged))
    try:
        outcome = str(to_mnist(open_image(path))[0].shape)
    except ImageError as error:
        outcome = error.message
    assert outcome == "(28, 28)" or str(path) in outcome
