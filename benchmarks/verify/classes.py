"""How far good artifacts of classifiers are from their model, and from their limits, on tasks other than MNIST.

    python -m benchmarks.verify.classes

Small networks of varied layers learn, in seconds, to tell random patterns in noise apart: 2 to 100 classes, which are
easy, hard or hardly told apart at all. Each is exported to everything and verified on 2,000 inputs that it has not
seen. What is known is in `classes.json` beside this file: remove it to measure again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.results.verify import ArtifactParity
from edgemnist.model.exports import Exports
from edgemnist.model.task import task_named
from edgemnist.pipeline.data.dataset import Split, identified
from edgemnist.pipeline.export.interface import ExportConfig
from edgemnist.pipeline.export.run import export_model
from edgemnist.pipeline.verify.parity import BROKEN, FIXED, count_kind
from edgemnist.pipeline.verify.run import verify

ROWS = 2000
RESULT = Path(__file__).with_suffix(".json")
VECTOR, SPECTROGRAM, COLOUR = (13,), (49, 10), (24, 24, 3)


Drawing = tuple[tuple[int, ...], int, float, Callable[[], list[Any]]]


def tasks() -> dict[str, Drawing]:
    """Return shape, classes, standard deviation of the noise and layers of each task, by name."""
    from keras import layers as k

    def dense() -> list[Any]:
        return [k.Flatten(), k.Dense(64, activation="relu"), k.Dense(32, activation="relu")]

    def normal() -> list[Any]:
        found = []
        for filters in (16, 24, 32):
            found += [k.Conv2D(filters, 3, 2, padding="same"), k.BatchNormalization(), k.ReLU()]
        return [*found, k.Flatten()]

    def separable() -> list[Any]:
        found = [k.Conv2D(16, 3, 2, padding="same", activation="relu")]
        for _ in range(3):
            found += [
                k.DepthwiseConv2D(3, padding="same"),
                k.BatchNormalization(),
                k.ReLU(6),
                k.Conv2D(16, 1),
                k.BatchNormalization(),
                k.ReLU(6),
            ]
        return [*found, k.Flatten()]

    def temporal() -> list[Any]:
        return [k.Conv1D(16, 5, activation="relu"), k.MaxPooling1D(2), k.Flatten()]

    found: dict[str, Drawing] = {}
    for much, noise in {"easy": 0.5, "hard": 1.2, "hardly": 3.0}.items():
        for classes in (2, 10):
            found[f"13 numbers, {classes} classes, {much}"] = VECTOR, classes, noise, dense
        found[f"spectrogram, 12 classes, {much}"] = SPECTROGRAM, 12, 3 * noise, temporal
        found[f"pictures, 2 classes, {much}"] = COLOUR, 2, 6 * noise, normal
        found[f"pictures, 10 classes, {much}"] = COLOUR, 10, 6 * noise, normal
        found[f"pictures, 10 classes, {much}, depthwise"] = COLOUR, 10, 2 * noise, separable
        found[f"pictures, 100 classes, {much}"] = COLOUR, 100, 3 * noise, normal
    return found


def drawn(shape: tuple[int, ...], classes: int, noise: float, rows: int, seed: int) -> Split:
    """Return patterns of every class in noise, and which they are."""
    patterns = np.random.default_rng(classes).normal(size=(classes, *shape))
    generator = np.random.default_rng(seed)
    labels = np.resize(np.arange(classes), rows)
    inputs = patterns[labels] + generator.normal(0, noise, (rows, *shape))
    return Split(inputs.astype(np.float32), labels)


def measured(shape: tuple[int, ...], classes: int, noise: float, layers: Callable[[], list[Any]]) -> dict[str, Any]:
    """Return how sure a trained network is, and how far every artifact of it is off."""
    from keras import Input, Sequential, utils
    from keras.layers import Dense

    utils.set_random_seed(0)
    learnt, seen = (drawn(shape, classes, noise, rows, seed) for seed, rows in ((1, 6000), (2, ROWS)))
    model = Sequential([Input(shape), *layers(), Dense(classes, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(learnt.images, learnt.labels, epochs=10, batch_size=32, verbose=0)
    answers = model.predict(seen.images, verbose=0).astype(np.float64)
    impurity = float(1 - (answers**2).sum(axis=1).mean())
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        model.save(directory / "m.keras")
        spec = InputSpec(shape=tuple(shape), dtype="float32", scale=(1.0,), offset=(0.0,))
        task = task_named("numbers", spec)
        dataset = identified(learnt, seen, [f"class {one}" for one in range(classes)], source="drawn", task=task)
        config = replace(ExportConfig.of(model=directory / "m.keras"), trusted=True)
        export_model(config, dataset, directory / "exports")
        found = verify(Exports.open(directory / "exports"))
    return {
        "classes": classes,
        "images": found.images,
        "correct": round((found.reference_accuracy or 0.0) * found.images),
        "impurity": impurity,
        "artifacts": {one.name: figures(one) for one in found.artifacts},
    }


def figures(found: ArtifactParity) -> dict[str, float]:
    """Return how far an artifact is off, by the names of `edgemnist.pipeline.verify.parity.Parity`."""
    names = ("flips", "ties", "max_abs_diff", "mean_abs_diff", "batch_flips", "max_batch_diff")
    lost = {kind: count_kind(found.flipped, kind) for kind in (BROKEN, FIXED)}
    return {name: getattr(found, name) for name in names} | lost


def main() -> None:
    """Measure what is not known yet, and print the table."""
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name, task in tasks().items():
        if name not in known:
            known[name] = measured(*task)
            RESULT.write_text(json.dumps(known, indent=1) + "\n")
    print(f"{'task':<38} {'right':>6} {'impurity':>8}  labels that int8 and dynamic change, and points lost at most")
    for name, found in known.items():
        worst = [
            max((one["flips"], one["broken"] - one["fixed"]) for key, one in found["artifacts"].items() if kind in key)
            for kind in ("int8", "dynamic")
        ]
        images = found["images"]
        said = "  ".join(f"{flips / images:>6.2%} {100 * lost / images:>+5.2f}" for flips, lost in worst)
        print(f"{name:<38} {found['correct'] / images:>6.1%} {found['impurity']:>8.4f}  {said}")


if __name__ == "__main__":
    main()
