"""How far the accuracy that confidences promise is from the truth, and what `edgemnist health` makes of it.

    python -m benchmarks.learn.promise MNIST

The model of the package answers MNIST's test images, as they are and changed in 23 ways, and scikit-learn's
`load_digits`. Of each kind there are 20 draws of 500 images: how often would Wilson's 95 % interval around the promise
hold the truth, and how often does that of 100 labels? Then 5 runs of 1,000 images each follow a first week of 2,000
unchanged ones from the other half of the test images, without labels and with 100 labels of the latest.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from benchmarks.learn.digits import pictures
from edgemnist.board.machine import host_facts
from edgemnist.field.drift import Record, count
from edgemnist.field.drift.monitor import BATCH, Tally, no_counts
from edgemnist.field.health.run import estimated, judge_counts, measured
from edgemnist.field.samples import now
from edgemnist.ground.arrays import Images, Labels
from edgemnist.model.exports import REFERENCE, Exports
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.verify.statistics import wilson_interval

RESULTS = Path(__file__).with_suffix(".json")
DRAWS, IMAGES, LABELS = 20, 500, 100
RUNS, FIRST, LATER = 5, 2_000, 1_000
FIRST_DAY, WEEK_OVER, LAST_DAY = "2026-11-01T08:00:00.000Z", "2026-11-08T09:00:00.000Z", "2026-11-09T09:00:00.000Z"


def main() -> None:
    """Measure, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    test = find_dataset(parser.parse_args().data).test
    exports = Exports.open(REFERENCE)
    model = exports.model("tflite-int8")
    classifier = model.load()
    rng = np.random.default_rng(0)
    week, later = np.split(rng.permutation(len(test)), 2)
    tally = Tally(no_counts(model, classifier, exports, None))
    first = rng.choice(week, FIRST, replace=False)
    images = test.images[first]
    probabilities = classifier.predict_proba(images)
    feed(tally, images, probabilities, FIRST_DAY)
    feed(tally, images[:1], probabilities[:1], WEEK_OVER)
    usual = tally.record
    kinds = []
    for name, drifted, truth in changes(test.images, test.labels):
        # Of MNIST, images that the first week has not had.
        chosen = later if len(drifted) == len(test) else np.arange(len(drifted))
        split = Split(drifted[chosen], truth[chosen])
        found = measure(usual, split, classifier.predict_proba(split.images), rng)
        kinds.append({"kind": name, **found})
        print(kinds[-1], flush=True)
    document = {
        "command": "python -m benchmarks.learn.promise MNIST",
        "at": now(),
        "versions": host_facts()["versions"],
        "draws": DRAWS * len(kinds),
        "interval_of_promise_holds": sum(one["interval_of_promise_holds"] for one in kinds),
        "interval_of_labels_holds": sum(one["interval_of_labels_holds"] for one in kinds),
        "kinds": kinds,
    }
    RESULTS.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def feed(tally: Tally, images: Images, probabilities: npt.NDArray[np.float32], at: str) -> None:
    """Let images be counted with their answers."""
    answers, sure = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    for start in range(0, len(images), BATCH):
        end = start + BATCH
        tally.add(images[start:end], sure[start:end], answers[start:end], at)


def measure(
    usual: Record, split: Split, probabilities: npt.NDArray[np.float32], rng: np.random.Generator
) -> dict[str, Any]:
    """Return what is promised and said about images of a kind."""
    images, labels = split.images, split.labels
    answers, sure = probabilities.argmax(axis=1).astype(np.int64), probabilities.max(axis=1).astype(np.float64)
    right = answers == labels
    truth = float(right.mean())
    promises, held, by_labels = [], 0, 0
    for _ in range(DRAWS):
        some = rng.choice(len(images), IMAGES, replace=False)
        found = estimated(usual, count(images[some], sure[some], answers[some], 10))
        interval = wilson_interval(round((found.accuracy if found else 0) * IMAGES), IMAGES)
        labelled = measured(int(right[some[:LABELS]].sum()), LABELS).interval
        promises.append(found.accuracy if found else 0.0)
        held += interval is not None and interval.low <= truth <= interval.high
        by_labels += labelled is not None and labelled.low <= truth <= labelled.high
    unlabelled, with_labels = Counter[str](), Counter[str]()
    for _ in range(RUNS):
        some = rng.choice(len(images), min(LATER, len(images)), replace=False)
        tally = Tally(usual)
        feed(tally, images[some], probabilities[some], LAST_DAY)
        drawn = right[some[-LABELS:]].tolist()
        unlabelled[judge_counts(tally.record, [], []).state] += 1
        with_labels[judge_counts(tally.record, drawn, drawn).state] += 1
    return {
        "accuracy": round(truth, 4),
        "promised": round(float(np.mean(promises)), 4),
        "interval_of_promise_holds": held,
        "interval_of_labels_holds": by_labels,
        "verdicts": dict(unlabelled),
        "verdicts_with_labels": dict(with_labels),
    }


def changes(images: Images, labels: Labels) -> Iterator[tuple[str, Images, Labels]]:
    """Give images of each kind, uint8 [N, 28, 28], and their labels."""
    values = images.astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 76, images.shape)

    def pixels(found: npt.NDArray[np.floating[Any]]) -> Images:
        return np.asarray(np.rint(np.clip(found, 0, 255)), np.uint8)

    def without(rows: slice, columns: slice = slice(None)) -> Images:
        found = images.copy()
        found[:, rows, columns] = 0
        return found

    def each(way: Callable[[Image.Image], Image.Image]) -> Images:
        return np.stack([np.asarray(way(Image.fromarray(one))) for one in images])

    def compressed(quality: int) -> Images:
        def way(one: Image.Image) -> Image.Image:
            stream = io.BytesIO()
            one.save(stream, "JPEG", quality=quality)
            return Image.open(stream)

        return each(way)

    all_ = slice(None)
    for name, found in (
        ("unchanged", images),
        ("JPEG, quality 50", compressed(50)),
        ("JPEG, quality 10", compressed(10)),
        ("two grey values", pixels((values > 127) * 255.0)),
        ("half the resolution", pixels(ndimage.zoom(ndimage.zoom(values, (1, 0.5, 0.5), order=1), (1, 2, 2), order=1))),
        ("noise, σ 0.3", pixels(values + noise)),
        ("blurred, σ 1.5", pixels(ndimage.gaussian_filter(values, (0, 1.5, 1.5)))),
        ("faint, × 0.3", pixels(values * 0.3)),
        ("thinner by 2", ndimage.minimum_filter(images, (1, 2, 2), mode="constant")),
        ("thinner by 3", ndimage.minimum_filter(images, (1, 3, 3), mode="constant")),
        ("thicker by 3", ndimage.maximum_filter(images, (1, 3, 3), mode="constant")),
        ("blank rows, every third", without(slice(0, 28, 3))),
        ("blank rows, every fourth", without(slice(0, 28, 4))),
        ("blank rows 6 to 9", without(slice(6, 10))),
        ("blank rows 10 to 13", without(slice(10, 14))),
        ("blank rows 13 and 14", without(slice(13, 15))),
        ("blank rows 0 to 9", without(slice(10))),
        ("blank columns 12 to 15", without(all_, slice(12, 16))),
        ("rotated by 30°", each(lambda one: one.rotate(30, Image.Resampling.BILINEAR))),
        ("rotated by 45°", each(lambda one: one.rotate(45, Image.Resampling.BILINEAR))),
        ("shifted by 4, 4", ndimage.shift(images, (0, 4, 4), order=0)),
        ("mirrored", np.ascontiguousarray(images[:, :, ::-1])),
        ("upside down", np.ascontiguousarray(images[:, ::-1, ::-1])),
        ("inverted", 255 - images),
    ):
        yield name, found, labels
    yield ("other writers", *pictures())


if __name__ == "__main__":
    main()
