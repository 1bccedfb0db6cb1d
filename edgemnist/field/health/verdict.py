"""What the counts of a model, and labels, allow to be said: unchanged, changed without harm, harm, or unknown.

Accuracy without labels is not identifiable once the images change: of MNIST's digits mirrored the model of the package
gets 45 % right and promises 89 %. So confidence can show harm, and only labels that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from edgemnist import __version__
from edgemnist.field.drift.evidence import DOUBTFUL_GOLDEN, REFUSED, alarmed
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.samples import HARM, HARMLESS, UNCHANGED, EstimatedAccuracy, LabelledAccuracy
from edgemnist.ground.results.verdict import MISSED, UNKNOWN, Basis, Measurement, Verdict, fault, judge
from edgemnist.ground.results.verify import SIGNIFICANT
from edgemnist.pipeline.verify.statistics import binomial_tail, wilson_interval

if TYPE_CHECKING:
    from edgemnist.field.drift import Record, Window

LEAST: Final = 100
"""Images below which counts say nothing."""
LOSS: Final = 0.01
"""Fall of the promised accuracy that is harm, once something has changed. Of 24 kinds of changed images 21 lower it by
more, and cost 0.7 points at least; three cost up to 0.3 points and lower it by 0.3 (benchmarks/learn/promise.py)."""
TOLERATED: Final = 0.05
"""Distance of labels in the field from the golden pack: nobody's digits are quite those of the data set."""
CLOSE: Final = 0.02
"""The same where confidence has fallen, so that labels have to outweigh it."""
WITHOUT_GOLDEN: Final = 0.5
"""Share of right answers that is harm where no golden pack says how good a model is."""
MOST_REFUSED: Final = 0.5
"""Share of refused images beyond which nobody is served."""
MOST_UNCOUNTED: Final = 0.5
"""Share of images that came too fast to be counted, beyond which counts say nothing."""
MOST_OF_ONE: Final = 0.9
"""Share of the answers that one class has where a model, or what it sees, is stuck."""
FEWEST_ANSWERS: Final = 20
"""Answers below which that share says nothing."""


class Judgement(NamedTuple):
    """What is said about the counts of a board, or of a fleet."""

    verdict: Verdict
    changed: list[str]
    """The surest first."""
    reasons: list[str]
    """Why, in sentences; also where labels show that a change is harmless."""

    @property
    def state(self) -> str:
        """`unchanged`, `harmless`, `harm` or `unknown`."""
        if self.verdict.passed:
            return HARMLESS if self.changed else UNCHANGED
        return HARM if self.verdict.outcome == MISSED else UNKNOWN


def estimated(record: Record, window: Window) -> EstimatedAccuracy | None:
    """Return the accuracy that a window's confidences promise; None without answers.

    It is their mean, as in confidence-based performance estimation (NannyML's CBPE), and holds as far as the
    confidences are calibrated. If the golden pack shows that they promise too much, the doubt in them is multiplied by
    what they missed there.
    """
    if not window.answered:
        return None
    doubt = window.answered - window.confidence
    if record.golden is not None:
        expected = record.golden.answered - record.golden.confidence
        # One of each, so that a pack with a few errors proves nothing.
        doubt *= max(1.0, (record.golden_errors + 1) / (expected + 1))
    right = max(0.0, window.answered - doubt)
    return EstimatedAccuracy(images=window.answered, accuracy=right / window.answered, interval=None)


def measured(right: int, images: int) -> LabelledAccuracy:
    """Return an accuracy with its interval."""
    return LabelledAccuracy(
        images=images, right=right, accuracy=right / images, interval=wilson_interval(right, images)
    )


def judge_counts(record: Record, right: Sequence[bool], right_lately: Sequence[bool]) -> Judgement:
    """Return what the counts of a board, or of a fleet, and labels say.

    `right` says which answers to samples with a label are right, `right_lately` the same of those met in the latest
    window, which since an alarm has nothing older.
    """
    changed, recent, missed = alarmed(record.evidence), record.recent, sum(record.missed)
    found = [_labels(record, some) for some in dict.fromkeys(map(tuple, (right, right_lately))) if some]
    if recent.images >= LEAST:
        said = f"{recent.refused:,} of the {recent.images:,} latest images were refused."
        found.append(Measurement("refused share", recent.refused / recent.images, said, most=MOST_REFUSED))
    seen = recent.images + missed
    said = f"{missed:,} of the {seen:,} latest images came too fast to be counted."
    share = missed / seen if seen else 0.0
    found.append(Measurement("uncounted share", share, said, most=MOST_UNCOUNTED, otherwise=UNKNOWN))
    more, harmless = _change(record, changed, right_lately) if changed else (_quiet(record, right), "")
    verdict = judge([*found, *more], Basis(artifact=record.sha256, edgemnist=__version__, images=recent.images))
    return Judgement(verdict, changed, [harmless] if verdict.passed and harmless else verdict.reasons)


def _labels(record: Record, right: Sequence[bool]) -> Measurement:
    """Return how likely this few right answers are if the model is as good as on the golden pack, but for TOLERATED."""
    golden = _golden_accuracy(record)
    beside = "" if golden is None else f", and {percent(golden, 1)} on the golden pack"
    reason = f"Only {sum(right):,} of {count(len(right), 'answer')} with a label are right{beside}."
    value = binomial_tail(sum(right), len(right), WITHOUT_GOLDEN if golden is None else golden - TOLERATED)
    return Measurement("chance of so few right labels", value, reason, least=SIGNIFICANT)


def _quiet(record: Record, right: Sequence[bool]) -> list[Measurement]:
    """Return what has to be known of a model without an alarm."""
    recent, golden = record.recent, record.golden
    few = f"Only {count(recent.images, 'image')} lately" if recent.images else "Nothing has been answered yet"
    found = [Measurement("images", recent.images, f"{few}: {LEAST} are needed.", least=LEAST, otherwise=UNKNOWN)]
    if golden is None and not record.first_complete:
        alone = "Its first week is not complete, and without a golden pack there is nothing to compare with."
        found.append(fault("changes", alone, otherwise=UNKNOWN))
    # Nearly all answers of one class, where they are not on the golden pack.
    one_sided = golden is not None and max(golden.classes) > golden.answered / 2
    if recent.answered >= FEWEST_ANSWERS and not one_sided and not _fine(record, right, TOLERATED):
        most = max(recent.classes)
        said = f"{most:,} of {count(recent.answered, 'answer')} are {record.labels[recent.classes.index(most)]}"
        said += ": is it, or what it sees, stuck?"
        share = most / recent.answered
        found.append(Measurement("share of one class", share, said, most=MOST_OF_ONE, otherwise=UNKNOWN))
    return found


def _change(record: Record, changed: list[str], right: Sequence[bool]) -> tuple[list[Measurement], str]:
    """Return what has to be known of a model after an alarm, and what to say if labels show that it is harmless."""
    before = {"first week": record.first} if record.first_complete else {}
    if record.golden is not None and (not before or DOUBTFUL_GOLDEN in changed):
        before["golden pack"] = record.golden
    now = estimated(record, record.recent)
    promised = [(one.accuracy, name) for name, window in before.items() if (one := estimated(record, window))]
    best, name = max(promised, default=(0.0, ""))
    fall = best - now.accuracy if now is not None and now.images >= LEAST else None
    stands = fall is not None and fall <= LOSS
    named, is_now = f"Changed: {'; '.join(changed)}.", "" if now is None else percent(now.accuracy, 1)
    # Labels are of what was answered.
    if REFUSED not in changed and _fine(record, right, TOLERATED if stands else CLOSE):
        said = f"{sum(right):,} of {count(len(right), 'answer')} with a label since then are right."
        return [], f"{named} {said}"
    if stands:
        named += f" Its confidence has not fallen ({is_now}), but it does not see every error: "
        named += "label samples of the even draw."
    said = f"Its confidence promises {is_now} right instead of {percent(best, 1)} ({name}), and the true loss may be "
    little = "Too little has been answered since then to say whether that harms."
    return [
        Measurement("changes that labels do not excuse", len(changed), named, most=0, otherwise=UNKNOWN),
        Measurement("fall of the promised accuracy", fall, f"{said}larger.", most=LOSS, unknown=little),
    ], ""


def _fine(record: Record, right: Sequence[bool], tolerated: float) -> bool:
    """Return whether labels show that a model is about as good as on the golden pack, and nothing that it is worse."""
    golden = _golden_accuracy(record)
    if golden is None:
        return False
    images, good = len(right), sum(right)
    shown = binomial_tail(images - good, images, 1 - (golden - tolerated)) < SIGNIFICANT
    return shown and not binomial_tail(good, images, golden) < SIGNIFICANT


def _golden_accuracy(record: Record) -> float | None:
    return None if record.golden is None else 1 - record.golden_errors / record.golden.images
