"""`python -m edgemnist.shadow EXPORTS SHADOW SAMPLES`, for `promote`: what speaks for the release in the shadow.

Prints the counts of its answers, and how both models of the two export directories answer the samples with a label.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from edgemnist.errors import EdgemnistError
from edgemnist.exports import Exports
from edgemnist.samples import DISAGREEMENT, NOT_A_DIGIT
from edgemnist.samples.store import samples_in
from edgemnist.shadow import Evidence, read_tally


def evidence(serving: Path, shadow: Path, directory: Path) -> Evidence:
    """Return what is known about the two releases. Raises what opening them raises."""
    if not shadow.exists():
        return Evidence(release=None, tally=None, unlabelled=0, images=0, before=0, after=0, fixed=0, broken=0)
    samples = samples_in(directory)
    labelled = [one for one in samples if one.label not in {None, NOT_A_DIGIT}]
    answers = []
    for place in (serving, shadow):
        classifier = Exports.open(place).load()
        images = np.stack([one.image for one in labelled]) if labelled else np.empty((0, 28, 28), np.uint8)
        rows = classifier.predict_proba(images).argmax(axis=1) if labelled else ()
        answers.append([classifier.labels[int(row)] for row in rows])
    right = [[one == sample.label for one, sample in zip(row, labelled, strict=True)] for row in answers]
    pairs = list(zip(*right, strict=True))
    tally = read_tally(directory)
    return Evidence(
        release=shadow.resolve().parent.name,
        tally=tally if tally is not None and tally.release == shadow.resolve().parent.name else None,
        unlabelled=sum(one.reason == DISAGREEMENT and one.label is None for one in samples),
        images=len(labelled),
        before=sum(right[0]),
        after=sum(right[1]),
        fixed=sum(is_ and not was for was, is_ in pairs),
        broken=sum(was and not is_ for was, is_ in pairs),
    )


def main(serving: str, shadow: str, directory: str) -> int:
    """Print the evidence."""
    try:
        found = evidence(Path(serving), Path(shadow), Path.home() / Path(directory).expanduser())
    except EdgemnistError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)  # noqa: T201 - for the other side
        return error.exit_code
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
