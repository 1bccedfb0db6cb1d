"""The engine finds a digit and brings it to MNIST's conditions: the bytes of `edgemnist.images`, sooner."""

from __future__ import annotations

import ctypes
import functools
import threading
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.native import find_library

FITTED: Final = 0
BLANK: Final = 1
UNEVEN: Final = 2
"""What the engine answers, as in `fit.h`."""
MAX_SIDE: Final = 1023
"""Of the pictures that it is given here."""

MAX_PAPER_SIDE: Final = 4096
"""`EDGEMNIST_MOST_COLUMNS` of `paper.c`."""

_SCRATCH: Final = 2_500_000
"""Bytes, at least `EDGEMNIST_FIT_BYTES(1023, 1023)`, and what `paper.c` needs."""

Moments: TypeAlias = tuple[int, int, int]
"""How many pixels, and the sums of the squares and of the cubes of their deviations."""


class Light(NamedTuple):
    """What tells whether the ink of a picture is darker than its ground."""

    fine: Moments
    coarse: Moments
    """Of the deviations from the local mean, on both scales."""
    brightness: float
    """The median grey level."""


class _Found(ctypes.Structure):
    """`edgemnist_found`."""

    _fields_: ClassVar = [
        (name, ctypes.c_uint32) for name in ("left", "top", "width", "height", "side", "inverted", "several")
    ]


@dataclass(frozen=True)
class Fitted:
    """One digit as the models take it, and where it was."""

    image: npt.NDArray[np.uint8]
    """uint8 [28, 28], white digit on black."""
    box: tuple[int, int, int, int]
    """x, y, width, height of the digit, in pixels of the picture."""
    inverted: bool
    """Whether the picture was dark on light."""
    several: bool
    """Whether another piece of ink, as tall as a digit, stands beside it."""
    grey: npt.NDArray[np.uint8] | None = None
    """Grey levels of the picture that it was found in, uint8 [h, w]; left out by the engine."""


class Fitter:
    """The engine, ready to be called from any thread."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - what ctypes loads
        pointer, side = ctypes.c_void_p, ctypes.c_uint32

        def function(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - of ctypes
            found = getattr(library, f"edgemnist_{name}")
            found.argtypes = [pointer, side, side, *arguments]
            return found

        self._picture = function("fit_picture", pointer, pointer, pointer)
        self._ink = function("fit_inked", pointer, pointer, pointer)
        self._digit = function("fit_one", pointer, pointer)
        self._reduce = function("reduce_picture", side, side, pointer)
        self._light = function("paper_light", pointer, pointer)
        self._extract_ink = function("paper_ink", side, pointer, pointer)
        self._of_thread = threading.local()

    def picture(self, grey: npt.NDArray[np.uint8]) -> Fitted | int:
        """Return the digit on a picture of grey levels, uint8 [h, w], or BLANK or UNEVEN; see `plain_ground`."""
        return self._call(self._picture, grey)

    def ink(self, ink: npt.NDArray[np.uint8]) -> Fitted | int:
        """Return the digit in a picture's ink, uint8 [h, w], or BLANK; see `find_digit`."""
        return self._call(self._ink, ink)

    def digit(self, ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the ink of one digit, uint8 [h, w], as MNIST would have it; see `fit_digit`."""
        ink = np.ascontiguousarray(ink)
        image = np.empty((28, 28), dtype=np.uint8)
        height, width = ink.shape
        self._digit(ink.ctypes.data, width, height, image.ctypes.data, self._scratch().ctypes.data)
        return image

    def reduce(self, pixels: int, size: tuple[int, int], step: int, factor: int, to: npt.NDArray[np.uint8]) -> None:
        """Write means of squares of `factor` pixels, up to 128, to `to`, uint8 [ceil(h / factor), ceil(w / factor)].

        `pixels` is the address of a picture of this width and height, in rows without gaps: grey levels with a `step`
        of 1 byte, and red, green, blue and one more with 4. The bytes are those of Pillow's `convert` and `reduce`.
        """
        self._reduce(pixels, *size, step, factor, to.ctypes.data)

    def light(self, grey: npt.NDArray[np.uint8]) -> Light:
        """Return what tells ink from ground on a picture of grey levels, uint8 [h, w], sides up to MAX_PAPER_SIDE."""
        grey, found = np.ascontiguousarray(grey), (ctypes.c_int64 * 7)()
        height, width = grey.shape
        self._light(grey.ctypes.data, width, height, ctypes.addressof(found), self._scratch().ctypes.data)
        return Light((found[0], found[1], found[2]), (found[3], found[4], found[5]), found[6] / 2)

    def extract_ink(self, grey: npt.NDArray[np.uint8], *, dark: bool) -> npt.NDArray[np.uint8]:
        """Return the ink of a picture of grey levels, both uint8 [h, w], sides up to MAX_PAPER_SIDE."""
        grey = np.ascontiguousarray(grey)
        ink = np.empty_like(grey)
        height, width = grey.shape
        self._extract_ink(grey.ctypes.data, width, height, dark, ink.ctypes.data, self._scratch().ctypes.data)
        return ink

    def _call(self, function: Any, pixels: npt.NDArray[np.uint8]) -> Fitted | int:  # noqa: ANN401
        pixels = np.ascontiguousarray(pixels)
        image, found = np.empty((28, 28), dtype=np.uint8), _Found()
        height, width = pixels.shape
        scratch = self._scratch().ctypes.data
        answer: int = function(pixels.ctypes.data, width, height, image.ctypes.data, ctypes.addressof(found), scratch)
        if answer != FITTED:
            return answer
        box = (found.left, found.top, found.width, found.height)
        return Fitted(image, box, inverted=bool(found.inverted), several=bool(found.several))

    def _scratch(self) -> npt.NDArray[np.uint8]:
        # Kept, since fresh memory costs more than what is done in it.
        if not hasattr(self._of_thread, "memory"):
            self._of_thread.memory = np.empty(_SCRATCH, dtype=np.uint8)
        memory: npt.NDArray[np.uint8] = self._of_thread.memory
        return memory


@functools.cache
def fitter() -> Fitter | None:
    """Return the engine, or None where it is not compiled, or is of another version."""
    if not find_library().is_file():
        return None
    from edgemnist.native.library import open_library

    try:
        library = open_library().kept[0]
    except ArtifactError:
        return None
    return Fitter(library)
