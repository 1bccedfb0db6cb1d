"""Picture files: read as they were meant, or refused in a sentence that names them."""

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.serve.attacks import tile_bomb
from edgemnist.digits.images import grey, normalize_digit, open_image, read_digit
from edgemnist.digits.images.grey import to_grey
from edgemnist.digits.images.mnist import fit_digit
from edgemnist.errors import ImageError
from edgemnist.ground.pictures import MAX_PIXELS, decode_image, webp_pixels
from tests.images.drawing import digit, read, same
from tests.messages import Told


def png(width: int, height: int) -> bytes:
    """Return a PNG whose header has these dimensions, and that holds one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_picture_comes_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(png(1, 1)))
    writer.start()
    assert open_image(pipe).size == (1, 1)
    writer.join()


@pytest.mark.parametrize("kind", ["as usual", "in RGB", "CMYK", "grey"])
def test_grey_levels_of_a_jpeg_are_those_of_its_colours(kind: str) -> None:
    rows, columns = np.mgrid[0:200, 0:300]
    colours = np.stack([columns * 255 // 299, rows * 255 // 199, 255 - columns * 255 // 299], axis=2).astype(np.uint8)
    picture = Image.fromarray(colours).convert({"CMYK": "CMYK", "grey": "L"}.get(kind, "RGB"))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95, keep_rgb=kind == "in RGB")
    grey, coloured = (decode_image(file, "the picture", colours=colours) for colours in (False, True))
    assert coloured.mode == picture.mode
    assert grey.mode == (picture.mode if kind == "CMYK" else "L")
    difference = np.abs(to_grey(grey, 300).astype(int) - to_grey(coloured, 300))
    assert difference.max() <= 2
    assert difference.mean() < 0.5


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
    assert same(read_digit(path).image, fit_digit(digit()), tolerance=70)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "many"
    frames = [Image.new("L", (28, 28), level) for level in (0, 100, 200)]
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"many is animated or has several pages"):
        open_image(path)


class Counting(io.BytesIO):
    """Knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        data = super().read(size)
        self.taken += len(data)
        return data


def test_the_frames_of_an_animation_are_not_counted() -> None:
    """A million of them fit into a request."""
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"
    file = Counting(b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + frame * 20_000 + b";")
    with pytest.raises(ImageError, match="animated"):
        decode_image(file, "many")
    assert file.taken < 10_000


def test_what_is_wrong_with_a_picture_is_said_with_its_path_and_a_way_out(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "my picture.png"
    for data in (
        *(b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        *(png(*sides) for sides in ((0, 5), (5, 5), (20_000, 20_000), (MAX_PIXELS + 1, 1))),
        tile_bomb(),
    ):
        path.write_bytes(data)
        with told():
            open_image(path)
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name in ("missing.png", "folder", "loop.png", "n" * 300, "file/picture.png"):
        with told():
            open_image(tmp_path / name)


def test_a_picture_object_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="has no pixels"):
        normalize_digit(Image.new("L", (0, 5)))


@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {"lossless": True}), ("RGB", {"exif": b"Exif\0\0"})],
)
@pytest.mark.parametrize("size", [(1, 1), (17, 900), (16_383, 2)])
def test_a_webp_has_a_known_size_before_it_is_open(
    mode: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    stream = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(stream, "WEBP", **options)
    stream.seek(0)
    assert webp_pixels(stream) == size[0] * size[1]
    with Image.open(stream) as opened:
        assert opened.size == size

    assert webp_pixels(io.BytesIO(png(28, 28))) == webp_pixels(io.BytesIO(b"RIFF")) == 0


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
