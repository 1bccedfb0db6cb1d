"""The engine finds a digit and brings it to MNIST's conditions: the bytes of `edgemnist.digits.images`, sooner."""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.model.native import find_library
from edgemnist.model.task import Fitted

FITTED: Final = 0
BLANK: Final = 1
UNEVEN: Final = 2
"""What the engine answers, as in `fit.h`."""
MAX_SIDE: Final = 1023
"""Of the pictures that it is given here."""

_DIGIT: Final = (28, 28)
MAX_PAPER_SIDE: Final = 4096
"""`EDGEMNIST_MOST_COLUMNS` of `paper_library.c`."""
_SCRATCH: Final = 2_500_000
"""Bytes, at least `EDGEMNIST_FIT_BYTES(1023, 1023)`, and what `paper_library.c` needs."""

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
        image = np.empty(_DIGIT, dtype=np.uint8)
        height, width = ink.shape
        self._digit(ink.ctypes.data, width, height, image.ctypes.data, self._scratch().ctypes.data)
        return image

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

    def _call(self, function: Any, pixels: npt.NDArray[np.uint8]) -> Fitted | int:  # noqa: ANN401 - of ctypes
        pixels = np.ascontiguousarray(pixels)
        image, found = np.empty(_DIGIT, dtype=np.uint8), _Found()
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
    from edgemnist.model.native.library import open_library

    try:
        library = open_library().kept[0]
    except ArtifactError:
        return None
    return Fitter(library)
