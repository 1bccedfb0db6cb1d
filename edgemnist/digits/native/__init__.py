"""Digits are found and framed in C: in C files, on web pages, and in the engine's library, which has this in it."""

from pathlib import Path
from typing import Final

from edgemnist.model.task import PictureCode

CODE: Final = PictureCode(
    folder=Path(__file__).parent,
    declarations="fit.h",
    sources=("reduce.h", "box.h", "scale.h", "mnist.h", "find.h", "fit.c"),
    program="pgm.h",
    name="digit",
    example="picture.pgm",
    takes="a PGM",
    pixels="white (255) on black (0)",
    scripts=("../page/pad.js", "../page/draw.js", "../page/digit.js"),
)
