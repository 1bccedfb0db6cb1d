"""From counts, and samples with labels, to a judgement of the model: of directories and files here, or of boards.

Its tables are made cell by cell, for the terminal and for the report of an export directory.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.drift import BINS, FEATURES, Record, Window, ink_of, merge, read_place
from edgemnist.drift.evidence import DOUBTFUL, DOUBTFUL_GOLDEN, HIGHER, LOWER, REFUSED, alarmed, means, total
from edgemnist.errors import DeployError
from edgemnist.formatting import percent
from edgemnist.results.samples import (
    BoardHealth,
    ChangedSample,
    ClassShares,
    EstimatedAccuracy,
    HealthReport,
    LabelledAccuracy,
    Quantity,
)
from edgemnist.samples import NOT_A_DIGIT, UNIFORM
from edgemnist.samples.store import samples_in
from edgemnist.verify.statistics import has_scipy, wilson_interval

if TYPE_CHECKING:
    from edgemnist.deploy.target import BoardAddress
    from edgemnist.samples import Sample

Value = Callable[[Window], float | None]
"""Computes one quantity of a window."""
SHOWN: Final = 12
"""Samples of what has changed."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The counts of a board or a file, and the samples beside them."""

    name: str
    host: str = ""
    record: Record
    samples: Sequence[Sample] = ()


def assess(places: Sequence[Place], faults: Sequence[BoardHealth] = ()) -> HealthReport:
    """Return the joint result of the counts of one or more places; `faults` are boards that had none.

    Raises UsageError if they are of different models.
    """
    record = merge([(one.name, one.record) for one in places])
    changed = alarmed(record.evidence)
    lately, first = record.recent, record.first if record.first_complete else None
    golden = record.golden
    return HealthReport(
        passed=not changed,
        changed=changed,
        artifact=record.artifact,
        sha256=record.sha256,
        release=record.release,
        since=record.first.since,
        until=record.lately.until,
        golden=None if golden is None else measured(golden.images - record.golden_errors, golden.images),
        first=None if first is None else estimated(record, first),
        lately=estimated(record, lately),
        labelled=labelled([sample for one in places for sample in one.samples], record),
        evidence=_power(total(record.evidence)),
        quantities=_quantities(record, first),
        classes=ClassShares(
            labels=record.labels,
            golden=None if golden is None else _shares(golden),
            first=None if first is None else _shares(first),
            lately=_shares(lately),
            evidence=None if first is None else mixture_evidence(first.classes, lately.classes),
        ),
        samples=_samples_of(changed[0], places) if changed else [],
        boards=[*(_board(one) for one in places), *faults],
    )


def estimated(record: Record, window: Window) -> EstimatedAccuracy | None:
    """Return the accuracy that a window's confidences promise; None without answers.

    It is their mean, as in confidence-based performance estimation (NannyML's CBPE), and holds as far as the
    confidences are calibrated: temperature scaling does that when a model is trained. If the golden pack shows that
    they promise too much, the doubt in them is multiplied by what they missed there.
    """
    if not window.answered:
        return None
    doubt = window.answered - window.confidence
    if record.golden is not None:
        expected = record.golden.answered - record.golden.confidence
        # One of each, so that a pack with a few errors proves nothing.
        doubt *= max(1.0, (record.golden_errors + 1) / (expected + 1))
    right = max(0.0, window.answered - doubt)
    return EstimatedAccuracy(
        images=window.answered,
        accuracy=right / window.answered,
        interval=wilson_interval(round(right), window.answered),
    )


def measured(right: int, images: int) -> LabelledAccuracy:
    """Return an accuracy with its interval."""
    return LabelledAccuracy(
        images=images, right=right, accuracy=right / images, interval=wilson_interval(right, images)
    )


def labelled(samples: Sequence[Sample], record: Record) -> LabelledAccuracy | None:
    """Return the accuracy on samples with a label; None without any.

    Only the even draw counts: all others were kept because something was wrong with them. A sample that was not
    answered, or is not a digit, is neither right nor wrong.
    """
    drawn = [
        one
        for one in samples
        if one.reason == UNIFORM
        and one.artifact == record.artifact
        and one.answer is not None
        and one.label not in {None, NOT_A_DIGIT}
    ]
    return measured(sum(one.answer == one.label for one in drawn), len(drawn)) if drawn else None


def mixture_evidence(first: Sequence[int], lately: Sequence[int]) -> float | None:
    """Return the power of ten of the evidence that answers come from another mixture of classes; None without SciPy.

    It is the Bayes factor of two mixtures over one, with even priors, which may be checked at any time (M. Lindon and
    A. Malek, "Anytime-valid inference for multinomial count data", 2022).
    """
    if not has_scipy():
        return None
    from scipy.special import gammaln

    def beta(counts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return float(gammaln(counts + 1).sum() - gammaln((counts + 1).sum()))

    one, two = np.array(first, np.float64), np.array(lately, np.float64)
    return _power(beta(one) + beta(two) - beta(np.zeros_like(one)) - beta(one + two))


def _power(log: float) -> float | None:
    return log / math.log(10) if math.isfinite(log) else None


def _quantities(record: Record, first: Window | None) -> list[Quantity]:
    evidence = means(record.evidence)

    def quantity(name: str, unit: str, watched: Sequence[str], value: Value) -> Quantity:
        logs = [evidence[one] for one in watched if one in evidence]
        return Quantity(
            name=name,
            unit=unit,
            golden=None if record.golden is None else value(record.golden),
            first=None if first is None else value(first),
            lately=value(record.recent),
            evidence=_power(max(logs)) if logs else None,
        )

    found = [
        quantity(DOUBTFUL, "", [DOUBTFUL, DOUBTFUL_GOLDEN], lambda one: _share(one.doubtful, one.answered)),
        quantity(REFUSED, "", [REFUSED], lambda one: _share(one.refused, one.images)),
    ]
    for number, feature in enumerate(FEATURES):
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
    late = [(one, sample) for one in places for sample in one.samples if sample.at >= one.record.recent.since]
    if not late:
        return []
    name, _, way = changed.rpartition(", ")
    names = [feature.name for feature in FEATURES]
    if name in names:
        values = ink_of(np.stack([sample.image for _, sample in late]))[:, names.index(name)]
        order = np.argsort(values if way == LOWER else -values, kind="stable")
    elif changed == REFUSED:
        order = np.argsort([sample.answer is not None for _, sample in late], kind="stable")
    else:
        order = np.argsort([sample.confidence for _, sample in late], kind="stable")
    chosen = [late[index] for index in order[:SHOWN].tolist()]
    return [
        ChangedSample(host=one.host, sample=sample.id, at=sample.at, answer=sample.answer, image=sample.image.tobytes())
        for one, sample in chosen
    ]


def _board(one: Place) -> BoardHealth:
    found = estimated(one.record, one.record.recent)
    return BoardHealth(
        host=one.name,
        images=one.record.recent.images,
        accuracy=None if found is None else found.accuracy,
        evidence=_power(total(one.record.evidence)),
    )


PARALLEL = 20
"""Boards at the same time."""


def places_here(paths: Sequence[Path]) -> list[Place]:
    """Return the counts of directories of samples, or of files. Raises what `read_place` raises."""
    return [Place(name=str(path), record=read_place(path), samples=samples_in(path)) for path in paths]


def places_on(targets: Sequence[BoardAddress], place: str) -> tuple[list[Place], list[BoardHealth]]:
    """Return the counts of boards, and why others have none.

    Raises the first error if every board fails, and UsageError if one is named twice.
    """
    from edgemnist.deploy import in_parallel
    from edgemnist.deploy.remote import health_on, samples_on
    from edgemnist.deploy.run import as_fault
    from edgemnist.deploy.target import require_distinct

    require_distinct(targets)

    def ask(target: BoardAddress) -> Place | Exception:
        name = target.host.name
        try:
            record, samples = health_on(target, place), []
            # A file of counts has no samples beside it.
            with contextlib.suppress(DeployError):
                samples = [one.sample() for one in samples_on(target, place)]
        except Exception as error:  # noqa: BLE001 - one board must not cost the report of the others
            return error
        return Place(name=name, host=name, record=record, samples=samples)

    answers = in_parallel(min(PARALLEL, len(targets)), ask, targets)
    places = [one for one in answers if isinstance(one, Place)]
    errors = [
        (target.host.name, one) for target, one in zip(targets, answers, strict=True) if isinstance(one, Exception)
    ]
    if not places:
        raise errors[0][1]
    return places, [BoardHealth(host=name, fault=as_fault(error)) for name, error in errors]


ACCURACY: Final = ("accuracy", "images", "share", "95 %")
QUANTITIES: Final = ("quantity", "golden pack", "first week", "lately", "evidence")


def accuracies(found: HealthReport) -> list[tuple[str, ...]]:
    """Return the cells below `ACCURACY`."""
    rows: list[tuple[str, EstimatedAccuracy | LabelledAccuracy | None]] = [
        ("golden pack, with labels", found.golden),
        ("first week, estimated", found.first),
        ("lately, estimated", found.lately),
        ("even draw, with labels", found.labelled),
    ]
    return [
        (
            name,
            f"{one.images:,}",
            percent(one.accuracy),
            "" if one.interval is None else f"{one.interval.low * 100:.1f}–{one.interval.high * 100:.1f}",
        )
        for name, one in rows
        if one is not None
    ]


def quantities(found: HealthReport) -> list[tuple[str, ...]]:
    """Return the cells below `QUANTITIES`."""
    return [
        (
            one.name,
            *(value_of(one, value) for value in (one.golden, one.first, one.lately)),
            evidence_of(one.evidence),
        )
        for one in found.quantities
    ]


def evidence_of(log10: float | None) -> str:
    """Return evidence as a power of ten; empty for none."""
    # What has hardly any is 10^0, not 10^-0.
    return "" if log10 is None else f"10^{log10:z.0f}"


def value_of(one: Quantity, value: float | None) -> str:
    """Return a share in percent, or a mean with its unit."""
    if value is None:
        return ""
    return f"{value:.2f} {one.unit}" if one.unit else percent(value, 1)
