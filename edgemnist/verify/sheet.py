"""Looking at the flips: a PNG with the image of each changed label, both answers and how sure they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgemnist.arrays import Images
from edgemnist.images.sheet import DETAIL, MOST, TEXT, Color, Section, Tile, sheet_png, short
from edgemnist.results.verify import ArtifactParity, Flip, VerifyResult
from edgemnist.verify.parity import BROKEN, CHANGED, FIXED, KINDS, count_kind

_LEGEND: Final = (
    "reference » artifact,  is: the true label,  margin of the first choice over the second » the artifact's"
)
_COLORS: Final[dict[str, Color]] = {BROKEN: (240, 98, 88), FIXED: (92, 200, 132), CHANGED: (236, 184, 76)}


def flips_png(result: VerifyResult, images: Images) -> bytes:
    """Return a PNG of every flip in a result; `images` are its evaluation images, uint8 [N, 28, 28].

    Of each artifact at most `MOST` are drawn, and its heading says how many there are. The same result gives the same
    bytes.
    """
    return sheet_png([_section(parity, images) for parity in result.artifacts], _LEGEND)


def _section(parity: ArtifactParity, images: Images) -> Section:
    # Pillow's own font has no arrow, and > would compare the margins.
    tiles = [
        Tile(
            image=images[flip.index],
            answer=f"{short(flip.reference)} » {short(flip.artifact)}",
            details=(
                f"is {short(flip.label)}   #{flip.index}",
                f"{flip.reference_margin:.2f} » {flip.artifact_margin:.2f}",
            ),
            color=_COLORS[flip.kind],
        )
        for flip in parity.flipped[:MOST]
    ]
    return Section(((parity.name, TEXT), *_summary(parity.flipped)), tiles)


def _summary(flips: Sequence[Flip]) -> list[tuple[str, Color]]:
    if not flips:
        return [("no label changed", DETAIL)]
    parts = [(f"{count} {kind}", _COLORS[kind]) for kind in KINDS if (count := count_kind(flips, kind))]
    if len(flips) > MOST:
        parts.append((f"the first {MOST} of {len(flips):,} are shown", DETAIL))
    return parts
