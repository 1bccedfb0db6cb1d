"""`python -m edgemnist.field.shadow EXPORTS SHADOW SAMPLES`, for `promote`: what speaks for the release in the shadow.

Prints the counts of its answers, and how both models of the two export directories answer the samples
with a label that neither has learnt from.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.board.agent.store import Release
from edgemnist.field.samples import DISAGREEMENT, Sample, one_of_each
from edgemnist.field.samples.store import samples_in
from edgemnist.field.shadow import Evidence, read_tally
from edgemnist.ground.arrays import Images
from edgemnist.ground.boards import answer_desk
from edgemnist.model.exports import Exports
from edgemnist.model.exports.questions import has_learnt


def evidence(serving: Path, shadow: Path, directory: Path) -> Evidence:
    """Return what is known about the two releases. Raises what opening them raises."""
    if not shadow.exists():
        return Evidence(release=None, tally=None, unlabelled=0, images=0, before=0, after=0, fixed=0, broken=0)
    specs = [Exports.open(place).task.input for place in (serving, shadow)]
    # What one of the two cannot be given says nothing of which is better.
    samples = [one for one in samples_in(directory) if all(spec.takes_the_same(one.spec) for spec in specs)]
    labelled = one_of_each(samples)
    images = np.stack([one.image for one in labelled]) if labelled else np.empty((0, *specs[0].shape), specs[0].dtype)
    unseen = ~(_learnt(serving, images) | _learnt(shadow, images) | _may_have_learnt(shadow, labelled))
    truth = np.array([one.label for one in labelled], np.str_)[unseen]
    here = (shadow.resolve().parent.name, serving.resolve().parent.name)
    tally = read_tally(directory)
    tally = tally if tally is not None and (tally.release, tally.beside) == here else None
    artifact = None if tally is None else tally.artifact
    (beside, was), (sha256, is_) = (_answered(place, artifact, images[unseen], truth) for place in (serving, shadow))
    return Evidence(
        release=here[0],
        sha256=sha256,
        beside=beside,
        tally=tally,
        unlabelled=sum(one.reason == DISAGREEMENT and one.label is None for one in samples),
        images=len(truth),
        left_out=len(labelled) - len(truth),
        before=int(was.sum()),
        after=int(is_.sum()),
        fixed=int((~was & is_).sum()),
        broken=int((was & ~is_).sum()),
    )


def _answered(
    place: Path, artifact: str | None, images: Images, truth: npt.NDArray[np.str_]
) -> tuple[str, npt.NDArray[np.bool_]]:
    """Return the hash of the model file that answers in an export directory, and whether each answer is right.

    `artifact` is its name, None for the best. `images` are what it takes, [N, ...], `truth` their classes, str [N].
    """
    exports = Exports.open(place)
    model = exports.model(artifact)
    classifier = model.load(labels=exports.labels_for(model))
    rows = classifier.predict_proba(images).argmax(axis=1) if len(images) else np.empty(0, np.int64)
    return model.sha256, np.asarray(np.array(classifier.labels, np.str_)[rows] == truth, np.bool_)


def _learnt(place: Path, images: Images) -> npt.NDArray[np.bool_]:
    manifest = Exports.open(place).manifest
    models = {one.model_sha256 for one in manifest.artifacts}
    return np.asarray(np.any([has_learnt(manifest, model, images) for model in models], axis=0), np.bool_)


def _may_have_learnt(place: Path, samples: Sequence[Sample]) -> npt.NDArray[np.bool_]:
    """Return whether a release may have learnt from each sample, as far as it has no record of what it has learnt from.

    It cannot have learnt from what was met after it came to the board.
    """
    manifest = Exports.open(place).manifest
    recorded = manifest.learnt is not None and all(
        one.model_sha256 == manifest.learnt.model_sha256 for one in manifest.artifacts
    )
    since = str(Release(place.resolve().parent, 0).deployed().get("deployed_at", "9"))
    return np.array([not recorded and not one.at > since for one in samples], np.bool_)


if __name__ == "__main__":
    serving, shadow, samples = map(Path, sys.argv[1:])
    directory = Path.home() / samples.expanduser()
    sys.exit(answer_desk(lambda: msgspec.json.encode(evidence(serving, shadow, directory))))
