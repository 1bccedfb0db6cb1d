"""What a board knows about the release in its shadow, on its way to the desk."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgemnist.shadow.tally import ShadowTally

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of answers, and of the samples with a label, which both models answer."""

    release: str | None
    """In the shadow; None if there is none."""
    tally: ShadowTally | None
    """None if it has answered nothing yet."""
    unlabelled: Count
    """Samples on which they differed, and nobody has said yet what they are."""
    images: Count
    """Samples with a label."""
    before: Count
    """That the release that serves gets right."""
    after: Count
    """That the one in the shadow gets right."""
    fixed: Count
    """That only the one in the shadow gets right."""
    broken: Count
    """That only the one that serves gets right."""
