"""The fonts that letters are drawn in, listed in `fonts.csv`: OpenCV's strokes, matplotlib's files, Debian's packages.

They include handwriting fonts, since a letter on a sheet is rarely printed. Times and Computer Modern are left to the
benchmarks: nothing drawn for training looks like them.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import matplotlib as mpl

from edgemnist.errors import MissingDependencyError

HERSHEY: Final = {
    "simplex": cv2.FONT_HERSHEY_SIMPLEX,
    "duplex": cv2.FONT_HERSHEY_DUPLEX,
    "complex": cv2.FONT_HERSHEY_COMPLEX,
    "plain": cv2.FONT_HERSHEY_PLAIN,
    "triplex": cv2.FONT_HERSHEY_TRIPLEX,
    "script": cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    "script-complex": cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
}
"""OpenCV's fonts, which are strokes."""

with Path(__file__).with_name("fonts.csv").open(encoding="utf-8") as _file:
    _ROWS: Final = list(csv.DictReader(_file))
PACKAGES: Final = {row["font"]: row["package"] for row in _ROWS if row["package"] not in {"opencv", "matplotlib"}}
"""Fonts of Debian, and the package that each is in."""
HELD_OUT_FONTS: Final = tuple(row["font"] for row in _ROWS if row["held_out"])
"""Fonts for the threshold: letters of fonts that the network has learned by heart would set it too low."""
FONTS: Final = tuple(row["font"] for row in _ROWS if not row["held_out"])
SERIFED_I: Final = frozenset(row["font"] for row in _ROWS if "I" in row["letters"])
"""Fonts whose capital I has serifs; that of others is a bar, which is a one."""
CURLED_L: Final = frozenset(row["font"] for row in _ROWS if "l" in row["letters"])
"""Fonts whose small l has a foot or a loop; that of others is a bar, or a printed 1."""
WRITTEN: Final = (
    *("BecauseWeBuild-Regular", "BecauseWeConnect-Regular", "BecauseWeCreate-Regular", "BecauseWeLearn-Regular"),
    *("BecauseWeMentor-Regular", "BecauseWeOrganize-Regular", "ComicNeue-Regular", "DancingScript-Regular"),
    *("Delphine", "Ecolier-court", "Humor-Sans", "Isabella", "KaushanScript-Regular", "KleeOne-Regular", "Kristi"),
    *("Purisa", "Rufscript010", "SteveHand", "YOzRE_", "YuseiMagic-Regular", "breipfont", "dkgBd"),
    *("kiloji", "setofont"),
)
"""Fonts that look written."""

MATPLOTLIB: Final = Path(mpl.get_data_path()) / "fonts" / "ttf"
DEBIAN: Final = Path("/usr/share/fonts")


def font_file(name: str) -> Path:
    """Return the file of a font of matplotlib or of `PACKAGES`, for which `require` has asked."""
    return _debian_files()[name] if name in PACKAGES else MATPLOTLIB / f"{name}.ttf"


def require(names: Sequence[str]) -> None:
    """Raise MissingDependencyError, with the command that installs them, if fonts of Debian's packages are missing."""
    missing = sorted({PACKAGES[name] for name in names if name in PACKAGES and name not in _debian_files()})
    if missing:
        raise MissingDependencyError(
            "Drawing letters", ["a set of fonts"], f"sudo apt install {' '.join(missing)}   (on Debian)"
        )


def hashes(names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of the file of each font that has one; OpenCV's are part of OpenCV."""
    return {
        name: hashlib.sha256(font_file(name).read_bytes()).hexdigest() for name in sorted(names) if name not in HERSHEY
    }


@cache
def _debian_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(DEBIAN.rglob("*.[ot]tf"))}
