"""Which rule a runtime rounds by: the integer reference under each rule, compared with the runtime's own answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgemnist.arrays import Probabilities
from edgemnist.errors import ArtifactError
from edgemnist.exports.golden import Golden
from edgemnist.exports.models import Model
from edgemnist.progress import SILENT, Reporter
from edgemnist.results.verify import ModelRounding, RoundingRule
from edgemnist.runtimes import RUNTIMES
from edgemnist.runtimes.integer import RESCALINGS, SOFTMAXES, IntegerClassifier, Rounding
from edgemnist.verify.parity import BATCH_SIZE
from edgemnist.verify.vote import INTEGER, tflite_of

RULES = tuple(Rounding(rescaling, softmax) for rescaling in RESCALINGS for softmax in SOFTMAXES)
"""The reference's own first."""
STEP = 1 / 256
"""Of the int8 softmax, which kernels compute in float32, too."""


def find_rounding(
    model: Model, answers: Probabilities, golden: Golden, reporter: Reporter = SILENT
) -> ModelRounding | None:
    """Return how `answers`, float32 [N, C], of a model to every image differ from the reference under each rule.

    The rule that fits best comes first; of equals the one nearest to the reference. None, with a notice, for a file
    that the integer reference cannot compute.
    """
    twin = tflite_of(model)
    if twin is None or twin.suffix not in RUNTIMES[INTEGER].suffixes:
        reporter.notice(f"{model.path} is not a TFLite file, so --rounding says nothing about it.")
        return None
    try:
        rules = [_check(_load(twin, model, rule), rule, answers, golden) for rule in RULES]
    except ArtifactError as error:
        reporter.notice(f"{error.message}, so --rounding says nothing about it.")
        return None
    return ModelRounding(name=model.name, rules=sorted(rules, key=lambda rule: rule.differing))


def explaining_rescaling(
    model: Model, answers: Probabilities, golden: Golden, reporter: Reporter = SILENT
) -> str | None:
    """Return how a runtime rounds, see `RoundingRule`, if the reference gives its answers, float32 [N, C], like that.

    They may be a step of the softmax apart. None if no rule explains them.
    """
    found = find_rounding(model, answers, golden, reporter)
    best = None if found is None else min(found.rules, key=lambda rule: rule.max_abs_diff)
    return best.rescaling if best is not None and best.max_abs_diff <= STEP else None


def _load(path: Path, model: Model, rule: Rounding) -> IntegerClassifier:
    return IntegerClassifier.load(path, input_range=model.recorded_range, rounding=rule)


def _check(classifier: IntegerClassifier, rule: Rounding, answers: Probabilities, golden: Golden) -> RoundingRule:
    found = np.concatenate([classifier.predict_proba(batch) for batch in golden.batches(BATCH_SIZE)])
    differing = found != answers
    return RoundingRule(
        rescaling=rule.rescaling,
        softmax=rule.softmax,
        differing=int(np.count_nonzero(differing)),
        images=int(np.count_nonzero(differing.any(axis=1))),
        flips=int(np.count_nonzero(found.argmax(axis=1) != answers.argmax(axis=1))),
        max_abs_diff=float(np.abs(found - answers).max(initial=0)),
    )
