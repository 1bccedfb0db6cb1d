"""Pictures as users have them, turned into what the models take: 28×28 pixels, white digit on black.

`grey` and `paper` leave only the ink, `find` picks the digit, `mnist` frames it as MNIST did; here, all of that happens
in a row. Pillow and NumPy are enough for it.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgemnist.digits.images.find import MIN_CONTRAST, find_digit
from edgemnist.digits.images.fitting import UNEVEN, Fitter, fitter
from edgemnist.digits.images.grey import Grey, border, to_grey
from edgemnist.digits.images.mnist import IMAGE_SIDE, fit_by_numpy
from edgemnist.digits.images.paper import Ink, extract_ink, is_dark_on_light, plain_ground
from edgemnist.errors import ImageError, UsageError
from edgemnist.ground.arrays import WHITE, as_pixels
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.pictures import decode_image, open_image, picture_file, picture_name
from edgemnist.model.task import Fitted, default_task, task_of

if TYPE_CHECKING:
    from edgemnist.model.runtimes.interface import Classifier

__all__ = ["normalize_digit", "open_image", "prepare", "read_digit"]

WORKING_SIDE: Final = 512
"""Longer side, at least, to which larger pictures are scaled first: a digit of a tenth of that has twice MNIST's
resolution."""
RIM_SHARE: Final = 48
"""The rim around a picture takes this part of its longer side."""
INK_AT_EDGE: Final = 0.4
"""What differs from a usual pixel along the edge by more than this share of it, or of what it lacks to white, is ink;
less is shade."""
COVERED: Final = 0.75
"""Share of an edge that shadows and the edges of sheets cover, and the strokes of a digit do not."""
BLACK: Final = 0
SHAPES: Final = ((2,), (3, 3), (3, 4))
"""How many dimensions the pixels of a picture have, and how many channels."""


def normalize_digit(image: Image.Image) -> Fitted:
    """Find the digit in a picture and bring it to MNIST's conditions.

    A picture that is already 28×28 on pure black passes unchanged, and one on pure white is inverted, nothing else.

    Raises ImageError where the picture has no pixels, colours that cannot be read as grey, or nothing on it.
    """
    grey = to_grey(image, WORKING_SIDE, whole=True)
    engine = fitter()
    fitted = _fit_by_numpy(grey) if engine is None else _fit(engine, grey)
    if fitted is None:
        raise ImageError("there is nothing on it but its background", hint="Write larger or darker, or come closer.")
    scale = max(image.size) / max(grey.shape)
    left, top, width, height = (round(value * scale) for value in fitted.box)
    return replace(fitted, box=(left, top, width, height), grey=grey)


def prepare_digit(picture: Image.Image, spec: InputSpec) -> Fitted:
    """Return what `normalize_digit` does, for a task. Raises UsageError for another shape than MNIST's."""
    if spec.shape != (IMAGE_SIDE, IMAGE_SIDE):
        raise UsageError(f"Digits are brought to 28×28 pixels, and the model takes {spec.words()}")
    return normalize_digit(picture)


def _fit(engine: Fitter, grey: Grey) -> Fitted | None:
    """Return the digit in grey levels, or None for a blank picture."""
    fitted = engine.picture(grey)
    if fitted == UNEVEN:
        ink, dark = _uneven_ink(grey)
        fitted = engine.ink(ink)
        return replace(fitted, inverted=dark) if isinstance(fitted, Fitted) else None
    return fitted if isinstance(fitted, Fitted) else None


def _fit_by_numpy(grey: Grey) -> Fitted | None:
    """Return what `_fit` does without an engine: the same bytes."""
    if grey.shape == (IMAGE_SIDE, IMAGE_SIDE) and (edge := float(np.median(border(grey)))) in {BLACK, WHITE}:
        # As faint as `find_digit` takes for paper: the model would make a digit of it all the same.
        if int(np.ptp(grey)) <= MIN_CONTRAST:
            return None
        inverted = edge == WHITE
        return Fitted(255 - grey if inverted else grey, (0, 0, *grey.shape), inverted=inverted, several=False)
    ground = plain_ground(grey)
    ink, dark = _uneven_ink(grey) if ground is None else (255 - grey if ground == WHITE else grey, ground == WHITE)
    found = find_digit(ink)
    if found is None:
        return None
    return Fitted(fit_by_numpy(found.ink), found.box, inverted=dark, several=found.several)


def _uneven_ink(grey: Grey) -> tuple[Ink, bool]:
    """Return the ink of a picture whose ground is not plain, and whether it is darker than its ground.

    A digit that was cropped tightly leaves no ground beyond its strokes. It runs into the upper and the lower edge, and
    covers none of the four as shadows and the edges of sheets do. Such a picture gets a rim first: ground where there
    is ink, and the edge again elsewhere, since the light may fall off there.
    """
    usual = float(np.median(border(grey)))
    least = INK_AT_EDGE * max(usual, WHITE - usual)
    shares = [(np.abs(edge - usual) > least).mean() for edge in (grey[0], grey[-1], grey[:, 0], grey[:, -1])]
    if min(shares[:2]) == 0 or max(shares) >= COVERED:
        dark = is_dark_on_light(grey)
        return extract_ink(grey, dark=dark), dark
    rim = -(-max(grey.shape) // RIM_SHARE)
    ground = np.where(np.abs(grey - usual) > least, round(usual), grey).astype(np.uint8)
    rimmed = np.pad(ground, rim, mode="edge")
    rimmed[rim:-rim, rim:-rim] = grey
    dark = is_dark_on_light(rimmed)
    return extract_ink(rimmed, dark=dark)[rim:-rim, rim:-rim], dark


def read_digit(path: Path) -> Fitted:
    """Read a picture file and bring its digit to MNIST's conditions.

    Raises ImageError, naming the file, as `open_image` and `normalize_digit` do.
    """
    return default_task().fit(open_image(path), picture_name(path))


def prepare(
    picture: str | Path | bytes | Image.Image | npt.ArrayLike, classifier: Classifier | None = None
) -> npt.NDArray[np.uint8]:
    """Return the digit of a picture as classifiers take it, uint8 [28, 28], white on black.

    For a `classifier` of something else, it is the picture in the size and the colours that this takes.

    `picture` is a file's path or contents, a Pillow image, or the pixels of one, [H, W], [H, W, 3] in RGB or
    [H, W, 4] with transparency, in numbers as `as_pixels` takes them. Raises ImageError if it cannot be read as one
    digit, UsageError for a classifier that takes no pictures, and ValueError for anything that is not a picture.
    """
    task = default_task() if classifier is None else task_of(classifier)
    colours = not task.is_usual
    if isinstance(picture, str | Path):
        name = picture_name(Path(picture))
        with picture_file(Path(picture)) as file:
            return task.fit(decode_image(file, name, colours=colours), name).image
    if isinstance(picture, bytes):
        picture = decode_image(io.BytesIO(picture), "the picture", colours=colours)
    return task.prepare(picture if isinstance(picture, Image.Image) else _picture_of(picture)).image


def _picture_of(values: npt.ArrayLike) -> Image.Image:
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"the rows of a picture must all have the same length: {error}") from None
    if not found.size or (found.ndim, *found.shape[2:]) not in SHAPES:
        given = list(found.shape) if found.ndim else type(values).__name__
        raise ValueError(
            f"a picture must be a path, bytes, a Pillow image, or pixels [H, W], [H, W, 3] or [H, W, 4], not {given}"
        )
    return Image.fromarray(np.ascontiguousarray(as_pixels(found)))
