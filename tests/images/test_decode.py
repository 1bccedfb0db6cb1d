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
from edgemnist.digits.images import normalize_digit, open_image, read_digit
from edgemnist.digits.images.grey import to_grey
from edgemnist.digits.images.mnist import fit_digit
from edgemnist.errors import ImageError
from edgemnist.ground.pictures import MAX_PIXELS, decode_image, webp_pixels
from tests.images.drawing import digit, read, same


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


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"no picture", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (png(0, 5), "is not a picture: it is damaged, has no pixels"),
        (png(5, 5), "is a damaged picture"),
        (png(20_000, 20_000), f"has more than {MAX_PIXELS:,} pixels, which is the limit"),
        (png(MAX_PIXELS + 1, 1), f"has more than {MAX_PIXELS:,} pixels, which is the limit"),
        (tile_bomb(), f"has more than {MAX_PIXELS:,} pixels, which is the limit"),
    ],
    ids=["empty", "text", "postscript", "no pixels", "too short", "20,000 square", "just too many", "a TIFF's tile"],
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


def test_a_path_that_leads_nowhere_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("missing.png", "does not exist"),
        ("folder", "is a directory"),
        ("loop.png", "cannot be read: Too many levels of symbolic links"),
        ("n" * 300, "cannot be read: File name too long"),
        ("file/picture.png", "cannot be read: Not a directory"),
    ):
        with pytest.raises(ImageError, match=f"{name} {reason}"):
            open_image(tmp_path / name)


def test_a_picture_object_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="has no pixels"):
        normalize_digit(Image.new("L", (0, 5)))


@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {"lossless": True}), ("RGB", {"exif": b"Exif\0\0"})],
)
@pytest.mark.parametrize("size", [(1, 1), (17, 900), (16_383, 2)])
def test_the_size_of_a_webp_is_known_before_it_is_opened(
    mode: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    stream = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(stream, "WEBP", **options)
    stream.seek(0)
    assert webp_pixels(stream) == size[0] * size[1]
    with Image.open(stream) as opened:
        assert opened.size == size

    assert webp_pixels(io.BytesIO(png(28, 28))) == webp_pixels(io.BytesIO(b"RIFF")) == 0
