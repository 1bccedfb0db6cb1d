"""What distortion costs beside the training step that it feeds, and what XLA does to either.

    python -m benchmarks.training.augmentation_cost ../shared/mnist

Three epochs of each variant over 12,000 images; the last two are timed, so that compiling is not. Reported are
microseconds a step of 256 images: the step of 784-512-10 without and with the distortions of `standard`, compiled by
XLA and not; the step of `best`, 500 images, in its three phases; the teacher's step of 125 images; and the two parts of
the pool that `best` learns from, for each image.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from edgemnist.bench.host import host_facts
from edgemnist.data.interface import Split
from edgemnist.data.sources import find_dataset
from edgemnist.train.lessons import Lesson, Lessons
from edgemnist.train.loop import fit
from edgemnist.train.model import Weights, build_model, logits
from edgemnist.train.plan import Plan
from edgemnist.train.pool import distorted
from edgemnist.train.recipes import FAR, RECIPES, TEACHER, Noise, Recipe, Rounding
from edgemnist.train.step import Forward
from edgemnist.train.teacher import answers, build_teacher, first_weights, teacher_logits

RESULTS = Path(__file__).with_suffix(".json")
IMAGES = 12_000
EPOCHS = 3


def main() -> None:
    """Measure, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    dataset = find_dataset(parser.parse_args().data)
    train = Split(dataset.train.images[:IMAGES], dataset.train.labels[:IMAGES])
    start = build_model((512,), 10, 0).get_weights()
    targets = np.random.default_rng(0).normal(size=(IMAGES, 10)).astype(np.float16)
    taught = Lesson(train.images, targets)
    steps: dict[str, float] = {}

    def measure(name: str, recipe: Recipe, weights: Weights, forward: Forward, lessons: Lessons | None) -> None:
        plan = Plan(recipe=recipe, distortion=recipe.distortion, epochs=EPOCHS, batch_size=recipe.batch_size, seed=0)
        *_, fitted = fit(forward, weights, train, plan, lessons=lessons)
        seconds = min(epoch.seconds for epoch in fitted.history[1:])
        steps[name] = round(1e6 * seconds / ceil(IMAGES / recipe.batch_size))
        print(name, steps[name], flush=True)

    standard, best, noise = RECIPES["standard"], RECIPES["best"], Noise(sigma=0.15, begins=0)
    for xla in (True, False):
        words = "XLA" if xla else "graph"
        measure(
            f"standard without distortion, {words}", replace(standard, distortion=None, xla=xla), start, logits, None
        )
        measure(f"standard, {words}", replace(standard, xla=xla), start, logits, None)
        phases = {
            "first phase": replace(best, noise=None, rounding=None),
            "with noise": replace(best, noise=noise, rounding=None),
            "with noise and rounding": replace(best, noise=noise, rounding=Rounding(bits=(4, 8), begins=0)),
        }
        for phase, recipe in phases.items():
            measure(f"best, {phase}, {words}", replace(recipe, xla=xla), start, logits, lambda _: taught)
    measure("teacher, graph", TEACHER, first_weights(10, 0), teacher_logits, None)

    teacher = build_teacher(10)
    summary = {
        "command": "python -m benchmarks.training.augmentation_cost ../shared/mnist",
        "microseconds_a_step": steps,
        "pool_microseconds_an_image": {
            "distortion": _per_image(lambda: distorted(train.images, FAR, np.random.default_rng(0))),
            "teacher's answer": _per_image(lambda: list(answers(teacher, train.images))),
        },
        "host": host_facts(),
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")
    print(summary["pool_microseconds_an_image"])


def _per_image(work: Callable[[], object]) -> float:
    """Return microseconds an image, after a first time that compiles."""
    work()
    started = time.perf_counter()
    work()
    return round(1e6 * (time.perf_counter() - started) / IMAGES, 1)


if __name__ == "__main__":
    main()
