"""What distortion costs beside the training step that it feeds, and what XLA does to either.

    python -m benchmarks.training.augmentation_cost MNIST

Three epochs of each variant over 12,000 images; the last two are timed, so that compiling is not. Reported are
microseconds a step of 256 images: the step of 784-512-10 without and with the distortions of `standard`, compiled by
XLA and not; the step of `best`, 500 images, in its three phases; the teacher's step of 125 images; and the two parts of
the pool that `best` learns from, for each image.

From these follow the minutes that `best` takes for 784-512-10 and 60,000 images, with and without a teacher to train:
to reach are 25 and 12 on two cores. They are worked out, not waited for; the seconds of the processor and the load of
the machine stand beside, since others may have been at work on it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np

from edgemnist.board.machine import host_facts
from edgemnist.digits.training import FAR, RECIPES, TEACHER
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.train import families
from edgemnist.pipeline.train.augment import distorted
from edgemnist.pipeline.train.distillation import build_teacher, teacher_answers, teacher_network
from edgemnist.pipeline.train.loop import DataSchedule, EpochData, Forward, fit
from edgemnist.pipeline.train.model import Weights, build_model, logits
from edgemnist.pipeline.train.recipes import Noise, Plan, Recipe, Rounding

RESULTS = Path(__file__).with_suffix(".json")
IMAGES = 12_000
EPOCHS = 3
FULL = 60_000
"""Images of MNIST to learn from."""


def main() -> None:
    """Measure, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    dataset = find_dataset(parser.parse_args().data)
    train = Split(dataset.train.images[:IMAGES], dataset.train.labels[:IMAGES])
    start = build_model((512,), 10, 0).get_weights()
    targets = np.random.default_rng(0).normal(size=(IMAGES, 10)).astype(np.float16)
    taught = EpochData(train.images, targets)
    steps: dict[str, float] = {}
    processor: dict[str, float] = {}
    load_before = os.getloadavg()

    def measure(name: str, recipe: Recipe, weights: Weights, forward: Forward, schedule: DataSchedule | None) -> None:
        plan = Plan(recipe=recipe, distortion=recipe.distortion, epochs=EPOCHS, batch_size=recipe.batch_size, seed=0)
        seconds, used = [], [time.process_time()]
        for fitted in fit(forward, weights, train, plan, schedule=schedule):
            seconds.append(fitted.history[-1].seconds)
            used.append(time.process_time())
        count = ceil(IMAGES / recipe.batch_size)
        steps[name] = round(1e6 * min(seconds[1:]) / count)
        processor[name] = round(1e6 * min(np.diff(used)[1:]) / count)
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
            "with noise and rounding": replace(best, noise=noise, rounding=Rounding(begins=0)),
        }
        for phase, recipe in phases.items():
            measure(f"best, {phase}, {words}", replace(recipe, xla=xla), start, logits, lambda _: taught)
    network = teacher_network(train.images)
    weights, forward = families.first_weights(network, 10, 0), families.Forward(network, 10)
    measure("teacher, graph", TEACHER, weights, forward, None)

    teacher = build_teacher(network, 10)
    pool, pool_processor = _per_image(
        lambda: distorted(train.images, FAR, np.random.default_rng(0)),
        lambda: list(teacher_answers(teacher, train.images)),
    )
    summary = {
        "command": "python -m benchmarks.training.augmentation_cost MNIST",
        "microseconds_a_step": steps,
        "processor_microseconds_a_step": processor,
        "pool_microseconds_an_image": pool,
        "pool_processor_microseconds_an_image": pool_processor,
        "best_minutes": _minutes(best, steps, sum(pool.values())),
        "best_processor_minutes": _minutes(best, processor, sum(pool_processor.values())),
        "load_average": {"before": load_before, "after": os.getloadavg()},
        "host": host_facts(),
    }
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")
    print(summary["best_minutes"], summary["best_processor_minutes"])


def _per_image(distortion: Callable[[], object], answer: Callable[[], object]) -> tuple[dict[str, float], ...]:
    """Return microseconds an image, and the processor's, after a first time that compiles."""
    results: tuple[dict[str, float], ...] = ({}, {})
    for name, work in (("distortion", distortion), ("teacher's answer", answer)):
        work()
        clocks = (time.perf_counter, time.process_time)
        started = [clock() for clock in clocks]
        work()
        for result, clock, start in zip(results, clocks, started, strict=True):
            result[name] = round(1e6 * (clock() - start) / IMAGES, 1)
    return results


def _minutes(best: Recipe, steps: dict[str, float], pool: float) -> dict[str, float]:
    """Return the minutes of each part of `best`, of microseconds a step, and an image of the pool."""
    if best.distillation is None or best.noise is None or best.rounding is None:
        raise ValueError("best has a teacher, noise and rounding")
    teacher, epochs = best.distillation.teacher, best.epochs_for(FULL)
    phases = {
        "first phase": best.noise.begins,
        "with noise": best.rounding.begins - best.noise.begins,
        "with noise and rounding": 1 - best.rounding.begins,
    }
    copies = best.distillation.copies_for(FULL)
    made = {
        (copy, best.distillation.edition_of(copy, turn))
        for turn in range(round(epochs / copies))
        for copy in range(copies)
    }
    student = sum(share * steps[f"best, {phase}, XLA"] for phase, share in phases.items())
    parts = {
        "teacher": teacher.epochs_for(FULL) * ceil(FULL / teacher.batch_size) * steps["teacher, graph"],
        "pool": len(made) * FULL * pool,
        "student": epochs * ceil(FULL / best.batch_size) * student,
    }
    parts["with a teacher that is there"] = parts["pool"] + parts["student"]
    parts["in all"] = sum(parts[part] for part in ("teacher", "pool", "student"))
    return {part: round(microseconds / 60e6, 2) for part, microseconds in parts.items()}


if __name__ == "__main__":
    main()
