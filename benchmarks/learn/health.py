"""How soon `edgemnist health` notices a change, and how rarely it is wrong. `promise.py` has what it says of one.

    python -m benchmarks.learn.health MNIST

The model of the package answers MNIST's test images once with each change; everything else is drawn from these answers.
To reach: a loss of 2 points alarms within 300 images in 95 of 100 runs; at most 1 false alarm in 100,000 images.

A loss is made in nine ways, each as strong as it takes. In seven every image is drifted; in "other writers" a third of
the images come from scikit-learn's `load_digits`; in "harder digits" as many more of the images that the model doubts,
without any change of the ink. Each run has a first week of 2,000 or 5,000 images, from one half of the test images;
what comes then is drawn from the other half.

Beside it stands how soon the best sequential test would notice the same loss if it were told of every image whether its
answer was right: E. S. Page's cumulative sum of 1954, which is optimal for a known change (G. V. Moustakides, 1986).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from benchmarks.learn.digits import pictures
from edgemnist.board.machine import host_facts
from edgemnist.field.drift import Window, count
from edgemnist.field.drift.evidence import ALARM, Detector, total
from edgemnist.field.drift.ink import BINS, bins_of, ink_of
from edgemnist.field.samples import DOUBT_BELOW, now
from edgemnist.ground.arrays import Images, Labels
from edgemnist.model.exports import REFERENCE, Exports
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.pipeline.data.sources import find_dataset

RESULTS = Path(__file__).with_suffix(".json")
LOSS, RUNS, SOON = 0.02, 100, 300
FIRST: Final = (2_000, 5_000)
"""Images of a first week: one every five minutes, or every two."""
BETWEEN: Final = 100_000
"""Images without a change for one false alarm."""
WEEKS, QUIET = 25, 40_000
"""First weeks, and images without a change after each of them."""
HALVINGS = 9


@dataclass(frozen=True, eq=False)
class Answered:
    """Images as their counts are made of them."""

    bins: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    answers: Labels
    right: npt.NDArray[np.bool_]

    @classmethod
    def by(cls, model: Classifier, images: Images, labels: Labels) -> Answered:
        """Ask a model."""
        probabilities = model.predict_proba(images)
        answers = probabilities.argmax(axis=1).astype(np.int64)
        confidences = probabilities.max(axis=1).astype(np.float64)
        return cls(bins_of(ink_of(images)), confidences, answers, answers == labels)

    def window(self, chosen: npt.NDArray[np.int64]) -> Window:
        """Return the counts of some of them."""
        ink = [np.bincount(one, minlength=BINS).tolist() for one in self.bins[chosen].T]
        sure = self.confidences[chosen]
        return Window(
            images=len(chosen),
            doubtful=int((sure < DOUBT_BELOW).sum()),
            confidence=float(sure.sum()),
            classes=np.bincount(self.answers[chosen], minlength=10).tolist(),
            ink=ink,
        )


def main() -> None:
    """Measure, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    options = parser.parse_args()
    test = find_dataset(options.data).test
    exports = Exports.open(REFERENCE)
    model = exports.load("tflite-int8")
    pack = exports.read_golden()
    probabilities = model.predict_proba(pack.images)
    answers = probabilities.argmax(axis=1).astype(np.int64)
    golden = count(pack.images, probabilities.max(axis=1).astype(np.float64), answers, 10)
    rng = np.random.default_rng(0)

    clean = Answered.by(model, test.images, test.labels)
    halves = np.array_split(rng.permutation(len(test)), 2)
    losses = []
    for name, drifted, share in drifts(model, test.images, test.labels, clean):
        for first in FIRST:
            weeks = [clean.window(rng.choice(halves[0], first, replace=False)) for _ in range(RUNS)]
            found = loss(clean, drifted, share, [Detector(golden, week) for week in weeks], later=halves[1], rng=rng)
            losses.append({"drift": name, "first_week": first, **found})
            print(losses[-1], flush=True)

    weeks = [clean.window(rng.choice(halves[0], FIRST[0], replace=False)) for _ in range(WEEKS)]
    alarms = sum(false_alarms(clean, Detector(golden, week), halves[1], rng) for week in weeks)
    accuracy = float(clean.right.mean())
    document = {
        "command": "python -m benchmarks.learn.health MNIST",
        "at": now(),
        "versions": host_facts()["versions"],
        "losses": losses,
        "within_300_if_every_label_were_known": with_labels(1 - accuracy, 1 - accuracy + LOSS, rng),
        "false_alarms": alarms,
        "images_without_a_change": WEEKS * QUIET,
    }
    print(json.dumps({"false_alarms": alarms}))
    RESULTS.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def drifts(model: Classifier, images: Images, labels: Labels, clean: Answered) -> Iterator[tuple[str, Answered, float]]:
    """Give ways to lose 2 points, and the share of images that are drifted."""
    values = images.astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 255, images.shape)
    thick = ndimage.maximum_filter(values, (1, 3, 3), mode="constant")
    thin = ndimage.minimum_filter(values, (1, 2, 2), mode="constant")
    wanted = float(clean.right.mean()) - LOSS

    def rotated(angle: float) -> npt.NDArray[np.float64]:
        return np.stack([np.asarray(Image.fromarray(one).rotate(angle, Image.Resampling.BILINEAR)) for one in images])

    ways: list[tuple[str, Callable[[float], npt.NDArray[np.float64]], float, float]] = [
        ("rotated", rotated, 0, 45),
        ("shifted", lambda by: ndimage.shift(values, (0, by, by), order=1), 0, 5),
        ("blurred", lambda by: ndimage.gaussian_filter(values, (0, by, by)), 0, 4),
        ("thinner strokes", lambda by: (1 - by) * values + by * thin, 0, 1.2),
        ("thicker strokes", lambda by: (1 - by) * values + by * thick, 0, 1.5),
        ("noise", lambda by: values + by * noise, 0, 1),
        ("faint", lambda by: values * (1 - by), 0, 0.95),
    ]
    for name, way, least, most in ways:
        low, high = least, most
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            drifted = np.rint(np.clip(way(middle), 0, 255)).astype(np.uint8)
            answered = Answered.by(model, drifted, labels)
            low, high = (middle, high) if answered.right.mean() > wanted else (low, middle)
        yield name, answered, 1.0
    writers = Answered.by(model, *pictures())
    yield "other writers", writers, LOSS / float(clean.right.mean() - writers.right.mean())
    hard = np.flatnonzero(clean.confidences < DOUBT_BELOW)
    harder = Answered(clean.bins[hard], clean.confidences[hard], clean.answers[hard], clean.right[hard])
    yield "harder digits", harder, LOSS / float(clean.right.mean() - harder.right.mean())


def loss(
    clean: Answered,
    drifted: Answered,
    share: float,
    detectors: list[Detector],
    *,
    later: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return after how many images a drift alarms, after each of some first weeks."""
    after = []
    for detector in detectors:
        seen = 0
        while total(detector.evidence()) < np.log(ALARM) and seen < 10 * SOON:
            source = drifted if rng.random() < share else clean
            index = int(rng.integers(len(drifted.right))) if source is drifted else int(rng.choice(later))
            detector.see(source.bins[index], doubtful=bool(source.confidences[index] < DOUBT_BELOW), refused=False)
            seen += 1
        after.append(seen)
    return {
        "share": round(share, 3),
        "within_300": sum(one <= SOON for one in after),
        "median": float(np.median(after)),
        "of_95": float(np.quantile(after, 0.95)),
    }


def with_labels(before: float, after: float, rng: np.random.Generator) -> float:
    """Return in which share of runs the best test alarms in time that knows each error, of shares before and after.

    Its threshold is the lowest of which a false alarm comes once in `BETWEEN` images.
    """
    right, wrong = np.log((1 - after) / (1 - before)), np.log(after / before)

    def alarmed(share: float, threshold: float, images: int, runs: int) -> float:
        evidence, loud = np.zeros(runs), np.zeros(runs, np.bool_)
        for _ in range(images):
            evidence = np.maximum(0, evidence + np.where(rng.random(runs) < share, wrong, right))
            loud |= evidence >= threshold
        return float(loud.mean())

    # Times between false alarms are exponential: of many stretches of a fifth of it, so many are without one.
    stretch = BETWEEN // 5
    allowed = 1 - np.exp(-stretch / BETWEEN)
    thresholds = np.arange(3, 12, 0.25)
    threshold = next(one for one in thresholds if alarmed(before, one, stretch, 4_000) <= allowed)
    return round(alarmed(after, threshold, SOON, 100 * RUNS), 3)


def false_alarms(clean: Answered, detector: Detector, later: npt.NDArray[np.int64], rng: np.random.Generator) -> int:
    """Return how often there is an alarm without a change."""
    alarms, loud = 0, False
    for number, index in enumerate(rng.choice(later, QUIET)):
        detector.see(clean.bins[index], doubtful=bool(clean.confidences[index] < DOUBT_BELOW), refused=False)
        # Evidence does not come and go within ten images.
        if number % 10 == 0:
            was, loud = loud, bool(total(detector.evidence()) >= np.log(ALARM))
            alarms += loud and not was
    return alarms


if __name__ == "__main__":
    main()
