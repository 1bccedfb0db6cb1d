"""The fonts that letters are drawn in: strokes of OpenCV, the fonts that come with matplotlib, and Debian's packages.

They include handwriting fonts, since a letter on a sheet is rarely printed. Times and Computer Modern are left to the
benchmarks: nothing drawn for training looks like them.
"""

from __future__ import annotations

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

PACKAGES: Final = {
    "Andika-Regular": "fonts-sil-andika",
    "AtkinsonHyperlegible-Regular": "fonts-atkinson-hyperlegible-ttf",
    "AveriaSansGWF-Regular": "fonts-averia-sans-gwf",
    "BecauseWeBuild-Regular": "fonts-bwht",
    "BecauseWeConnect-Regular": "fonts-bwht",
    "BecauseWeCreate-Regular": "fonts-bwht",
    "BecauseWeLearn-Regular": "fonts-bwht",
    "BecauseWeMentor-Regular": "fonts-bwht",
    "BecauseWeOrganize-Regular": "fonts-bwht",
    "C059-Italic": "fonts-urw-base35",
    "C059-Roman": "fonts-urw-base35",
    "Cabin-Regular": "fonts-cabin",
    "Cantarell-VF": "fonts-cantarell",
    "Carlito-Regular": "fonts-crosextra-carlito",
    "CharisSIL-Regular": "fonts-sil-charis",
    "Comfortaa-Regular": "fonts-comfortaa",
    "ComicNeue-Regular": "fonts-comic-neue",
    "Courier Prime": "fonts-courier-prime",
    "DancingScript-Regular": "fonts-dancingscript",
    "Delphine": "fonts-sjfonts",
    "Dosis-Book": "fonts-dosis",
    "EBGaramond12-Regular": "fonts-ebgaramond",
    "Ecolier-court": "fonts-ecolier-court",
    "FantasqueSansMono-Regular": "fonts-fantasque-sans",
    "Havana-Regular": "fonts-havana",
    "Humor-Sans": "fonts-humor-sans",
    "Inconsolata": "fonts-inconsolata",
    "Isabella": "fonts-isabella",
    "Jura-Regular": "fonts-jura",
    "KaushanScript-Regular": "fonts-kaushanscript",
    "KleeOne-Regular": "fonts-klee",
    "Kristi": "fonts-kristi",
    "Lato-Regular": "fonts-lato",
    "LeckerliOne-Regular": "fonts-leckerli-one",
    "LiberationMono-Regular": "fonts-liberation",
    "LiberationSans-Italic": "fonts-liberation",
    "LiberationSans-Regular": "fonts-liberation",
    "LinBiolinum_R": "fonts-linuxlibertine",
    "LinLibertine_R": "fonts-linuxlibertine",
    "LinLibertine_RI": "fonts-linuxlibertine",
    "OpenDyslexic-Regular": "fonts-opendyslexic",
    "OpenSans-Regular": "fonts-open-sans",
    "P052-Italic": "fonts-urw-base35",
    "P052-Roman": "fonts-urw-base35",
    "Play-Regular": "fonts-play",
    "Purisa": "fonts-tlwg-purisa-ttf",
    "Quicksand-Regular": "fonts-quicksand",
    "Roboto-Regular": "fonts-roboto-unhinted",
    "Rufscript010": "fonts-rufscript",
    "SteveHand": "fonts-sjfonts",
    "TomsonTalks": "fonts-tomsontalks",
    "URWBookman-Demi": "fonts-urw-base35",
    "URWGothic-Book": "fonts-urw-base35",
    "YOzBEF": "fonts-yozvox-yozfont-edu",
    "YOzRE_": "fonts-yozvox-yozfont-edu",
    "YanoneKaffeesatz-Regular": "fonts-yanone-kaffeesatz",
    "YuseiMagic-Regular": "fonts-yusei-magic",
    "Z003-MediumItalic": "fonts-urw-base35",
    "breipfont": "fonts-breip",
    "dkgBd": "fonts-dkg-handwriting",
    "kiloji": "fonts-kiloji",
    "lobster": "fonts-lobster",
    "monof55": "fonts-monofur",
    "setofont": "fonts-seto",
}
"""Fonts of Debian, and the package that each is in."""

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
            "The likeness network", ["a set of fonts"], f"sudo apt install {' '.join(missing)}   (on Debian)"
        )


def hashes(names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of the file of each font that has one; OpenCV's are part of OpenCV."""
    return {
        name: hashlib.sha256(font_file(name).read_bytes()).hexdigest() for name in sorted(names) if name not in HERSHEY
    }


@cache
def _debian_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(DEBIAN.rglob("*.[ot]tf"))}
