"""From counts, and samples with labels, to a judgement of the model: of directories and files here, or of boards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from edgemnist import __version__
from edgemnist.errors import DeployError
from edgemnist.field.drift import Record, Window, count_packs, decode_record, merge, read_place
from edgemnist.field.drift.evidence import DOUBTFUL, DOUBTFUL_GOLDEN, HIGHER, LOWER, REFUSED, alarmed, means, total
from edgemnist.field.drift.ink import BINS, FEATURES, ink_of
from edgemnist.field.health.learnt import learnt_by
from edgemnist.field.samples import UNIFORM, one_of_each, samples_on
from edgemnist.field.samples.store import samples_in
from edgemnist.ground.arrays import image_hashes
from edgemnist.ground.formatting import count, percent
from edgemnist.ground.results.boards import Fault
from edgemnist.ground.results.samples import (
    HARM,
    HARMLESS,
    STATES,
    UNCHANGED,
    BoardHealth,
    ChangedSample,
    ClassShares,
    EstimatedAccuracy,
    HealthReport,
    LabelledAccuracy,
    Quantity,
)
from edgemnist.ground.results.verdict import MISSED, UNKNOWN, Basis, Measurement, Verdict, fault, joint, judge
from edgemnist.ground.results.verify import SIGNIFICANT
from edgemnist.pipeline.verify.statistics import binomial_tail, wilson_interval

if TYPE_CHECKING:
    from edgemnist.field.samples import Sample
    from edgemnist.ground.boards import Board

LEAST: Final = 100
"""Images below which counts say nothing."""
LOSS: Final = 0.01
"""Fall of the promised accuracy that is harm, once something has changed. Of 24 kinds of changed images 21 lower it by
more, and cost 0.7 points at least; three cost up to 0.3 points and lower it by 0.3 (benchmarks/learn/promise.py)."""
TOLERATED: Final = 0.05
"""Distance of labels in the field from the golden pack: nobody's pictures are quite those of the data set."""
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
        said = f"{recent.refused:,} of the {recent.images:,} latest inputs were refused."
        found.append(Measurement("refused share", recent.refused / recent.images, said, most=MOST_REFUSED))
    seen = recent.images + missed
    said = f"{missed:,} of the {seen:,} latest inputs came too fast to be counted."
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
    few = f"Only {count(recent.images, 'input')} lately" if recent.images else "Nothing has been answered yet"
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


_RANK: Final = STATES.index
_Value = TypeVar("_Value")
SHOWN: Final = 12
"""Samples of what has changed."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The counts of a board or a file, and the samples beside them."""

    name: str
    host: str = ""
    record: Record
    samples: Sequence[Sample] = ()
    learnt: frozenset[str] = frozenset()
    """Hashes of samples that the model has learnt from, as in `LearntRecord`."""


def report_on(places: Sequence[Place], faults: Sequence[BoardHealth] = ()) -> HealthReport:
    """Return the joint result of the counts of one or more places, whatever their order.

    The verdict is that on the worst of them; `faults` are boards that had no counts, so that nothing is known of them.
    Raises UsageError if they are of different models.
    """
    places = sorted(places, key=lambda one: (one.name, one.record.encode()))
    record = merge([(one.name, one.record) for one in places])
    labels = [labelled(one) for one in places]
    late = [[one for one in some if _is_late(place, one)] for place, some in zip(places, labels, strict=True)]
    judged = [
        judge_counts(one.record, _right(some), _right(of_late))
        for one, some, of_late in zip(places, labels, late, strict=True)
    ]
    all_labelled, all_late = (one_of_each(chain.from_iterable(some)) for some in (labels, late))
    whole = judge_counts(record, _right(all_labelled), _right(all_late))
    names = [*(one.name for one in places), *(one.host for one in faults)]
    # A host may have two.
    names = [one if names.count(one) == 1 else f"{one}, {number}" for number, one in enumerate(names, 1)]
    away = [Judgement(Verdict(reasons=[one.fault.message] if one.fault else []), [], []) for one in faults]
    parts = dict(zip(names, [*judged, *away], strict=True))
    if all(_RANK(whole.state) < _RANK(one.state) for one in judged):
        # What no board has seen alone.
        parts["all boards"] = whole
    if count_packs([one.record for one in places]) > 1:
        differ = "the boards have different ones, so how good the model is on its own is unknown."
        parts["golden packs"] = Judgement(judge([fault("golden packs", differ, otherwise=UNKNOWN)]), [], [differ])
    verdict, reasons = judged[0].verdict, judged[0].reasons
    if len(parts) > 1:
        verdict = joint({name: one.verdict for name, one in parts.items()}, whole.verdict.rests_on)
        ranked = sorted(parts.items(), key=lambda one: _RANK(one[1].state))
        reasons = [f"{name}: {reason}" for name, one in ranked for reason in one.reasons]
    boards = [
        BoardHealth(
            host=one.name,
            state=found.state,
            verdict=found.verdict,
            images=one.record.recent.images,
            accuracy=None if (now := estimated(one.record, one.record.recent)) is None else now.accuracy,
            evidence=_power(total(one.record.evidence)),
        )
        for one, found in zip(places, judged, strict=True)
    ]
    lately, first, golden = record.recent, record.first if record.first_complete else None, record.golden
    return HealthReport(
        passed=verdict.passed,
        state=min((one.state for one in parts.values()), key=_RANK),
        verdict=verdict,
        reasons=reasons,
        changed=whole.changed,
        artifact=record.artifact,
        sha256=record.sha256,
        release=record.release,
        since=record.first.since,
        until=record.lately.until,
        golden=None if golden is None else measured(golden.images - record.golden_errors, golden.images),
        first=None if first is None else estimated(record, first),
        lately=estimated(record, lately),
        uncounted=sum(record.missed),
        labelled=measured(sum(_right(all_labelled)), len(all_labelled)) if all_labelled else None,
        evidence=_power(total(record.evidence)),
        quantities=_quantities(record),
        classes=ClassShares(
            labels=record.labels,
            evidence=None if first is None else mixture_evidence(first.classes, lately.classes),
            **_over_time(record, _shares),
        ),
        samples=_samples_of(whole.changed[0], places) if whole.changed else [],
        boards=[*boards, *sorted(faults, key=lambda one: one.host)],
    )


def labelled(place: Place) -> list[Sample]:
    """Return the samples whose labels judge the model of a place: of the even draw, and answered by this very model.

    All others were kept because something was wrong with them. One that was not answered, or shows no class, is neither
    right nor wrong. A picture that the model has learnt from does not judge it, nor does one that had a label before
    the model answered, since it may have learnt from that; and each counts once.
    """
    record, since = place.record, place.record.first.since
    if record.resumed is not msgspec.UNSET:
        # Nothing but the time tells its answers from those of a model of the same name that answered in between.
        since = max(since, record.resumed)

    def is_own(one: Sample) -> bool:
        return (one.artifact, one.release) == (record.artifact, record.release) and one.at >= since

    known = {one.image.tobytes() for one in place.samples if one.labels and not is_own(one)}
    drew = one_of_each(one for one in place.samples if is_own(one) and one.reason == UNIFORM and one.answer is not None)
    unseen = [one for one in drew if one.image.tobytes() not in known]
    hashes = image_hashes(np.stack([one.image for one in unseen])) if place.learnt and unseen else [0] * len(unseen)
    return [one for one, value in zip(unseen, hashes, strict=True) if f"{value:016x}" not in place.learnt]


def _right(samples: Sequence[Sample]) -> list[bool]:
    return [one.answer == one.label for one in samples]


def _is_late(place: Place, sample: Sample) -> bool:
    return bool(place.record.recent.images) and sample.at >= place.record.recent.since


def mixture_evidence(first: Sequence[int], lately: Sequence[int]) -> float | None:
    """Return the power of ten of the evidence that answers come from another mixture of classes.

    It is the Bayes factor of two mixtures over one, with even priors, which may be checked at any time (M. Lindon and
    A. Malek, "Anytime-valid inference for multinomial count data", 2022).
    """

    def beta(counts: Sequence[int]) -> float:
        return math.fsum(math.lgamma(one + 1) for one in counts) - math.lgamma(sum(counts) + len(counts))

    both = [one + two for one, two in zip(first, lately, strict=True)]
    return _power(beta(first) + beta(lately) - beta([0] * len(first)) - beta(both))


def _power(log: float) -> float | None:
    return log / math.log(10) if math.isfinite(log) else None


def _over_time(record: Record, value: Callable[[Window], _Value]) -> dict[str, _Value | None]:
    """Return a value of the golden pack, of the first week once it is complete, and of late, by their names."""
    first = record.first if record.first_complete else None
    windows = {"golden": record.golden, "first": first, "lately": record.recent}
    return {name: None if window is None else value(window) for name, window in windows.items()}


def _quantities(record: Record) -> list[Quantity]:
    evidence = means(record.evidence)

    def quantity(name: str, unit: str, watched: Sequence[str], value: Callable[[Window], float | None]) -> Quantity:
        logs = [evidence[one] for one in watched if one in evidence]
        power = _power(max(logs)) if logs else None
        return Quantity(name=name, unit=unit, evidence=power, **_over_time(record, value))

    found = [
        quantity(DOUBTFUL, "", [DOUBTFUL, DOUBTFUL_GOLDEN], lambda one: _share(one.doubtful, one.answered)),
        quantity(REFUSED, "", [REFUSED], lambda one: _share(one.refused, one.images)),
    ]
    for number, feature in enumerate(FEATURES if record.with_ink else ()):
        watched = [f"{feature.name}, {way}" for way in (LOWER, HIGHER)]
        found.append(quantity(feature.name, feature.unit, watched, partial(mean_of, number)))
    return found


def _share(some: int, of: int) -> float | None:
    return some / of if of else None


def mean_of(number: int, window: Window) -> float | None:
    """Return the mean of a feature, by its number, from the bins of a window; None without images."""
    if not window.images:
        return None
    feature = FEATURES[number]
    middles = feature.low + (np.arange(BINS) + 0.5) * (feature.high - feature.low) / BINS
    return float(middles @ np.array(window.ink[number], np.float64)) / window.images


def _shares(window: Window) -> list[float] | None:
    return [one / window.answered for one in window.classes] if window.answered else None


def _samples_of(changed: str, places: Sequence[Place]) -> list[ChangedSample]:
    """Return the late samples that show a change best."""
    late = [(one, sample) for one in places for sample in one.samples if _is_late(one, sample)]
    if not late:
        return []
    name, _, way = changed.rpartition(", ")
    names = [feature.name for feature in FEATURES]
    if name in names:
        values = ink_of(np.stack([sample.image for _, sample in late]))[:, names.index(name)]
        keys = values if way == LOWER else -values
    else:
        keys = np.array([one.answer is not None if changed == REFUSED else one.confidence for _, one in late])
    order = np.argsort(keys, kind="stable")
    chosen = [late[index] for index in order[:SHOWN].tolist()]
    return [
        ChangedSample(
            host=one.host,
            sample=sample.id,
            at=sample.at,
            answer=sample.answer,
            image=sample.pixels,
            shape=msgspec.UNSET if sample.shape is msgspec.UNSET else list(sample.shape),
        )
        for one, sample in chosen
    ]


PARALLEL = 20
"""Boards at the same time."""


def places_here(paths: Sequence[Path]) -> list[Place]:
    """Return the counts of directories of samples, or of files. Raises what `read_place` raises.

    What the model has learnt from is in its export directory, `exports/`.
    """
    return [
        Place(name=str(path), record=record, samples=samples_in(path), learnt=learnt_by(None, record.sha256))
        for path, record in [(path, read_place(path)) for path in paths]
    ]


def places_on(boards: Sequence[Board], place: str) -> tuple[list[Place], list[BoardHealth]]:
    """Return the counts of boards, and why others have none.

    Raises the first error if every board fails.
    """
    from edgemnist.ground.boards import EXPORTS, in_parallel

    def ask(board: Board) -> Place | Exception:
        name = board.name
        try:
            counts = decode_record(board.ask_module(["edgemnist.field.drift", place]).encode(), name)
            record = board.read(msgspec.json.encode(counts).decode(), Record)
            samples, learnt = [], frozenset[str]()
            try:
                samples = samples_on(board, place)
                if any(one.labels for one in samples):
                    hashes = board.ask_module(["edgemnist.field.health.learnt", EXPORTS, record.sha256])
                    learnt = frozenset(board.read(hashes, list[str]))
            except DeployError as error:
                # A file of counts has none beside it, and an earlier version cannot say what was learnt from: after
                # anything else, labels that did not arrive may be those that show harm.
                if not any(words in error.message for words in ("has no samples", "cannot do this yet")):
                    raise
        except Exception as error:  # noqa: BLE001 - one board must not cost the report of the others
            return error
        return Place(name=name, host=name, record=record, samples=samples, learnt=learnt)

    answers = in_parallel(min(PARALLEL, len(boards)), ask, boards)
    places = [one for one in answers if isinstance(one, Place)]
    errors = [(board.name, one) for board, one in zip(boards, answers, strict=True) if isinstance(one, Exception)]
    if not places:
        raise errors[0][1]
    return places, [BoardHealth(host=name, fault=Fault.of(error)) for name, error in errors]
