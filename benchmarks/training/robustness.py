"""How well the recipes read digits as boards see them.

    python -m benchmarks.training.robustness MNIST MODEL_DIRECTORY...

Every directory holds a `model.keras` of 784-512-10 that `edgemnist train` wrote; a baseline is trained beside them from
the same images. To reach: better than the baseline under each condition, in the mean over the directories.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from edgemnist.digits.images import normalize_digit
from edgemnist.errors import ImageError
from edgemnist.ground.arrays import Images
from edgemnist.model.runtimes.keras import decode_keras_model
from edgemnist.pipeline.data.dataset import Split, stratified_indices
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import accuracy, train

RESULTS = Path(__file__).with_suffix(".json")
ANGLE: Final = 10
"""Degrees, either way."""
SHIFT: Final = 2
"""Pixels, along each axis."""
SIGMA: Final = 0.1
"""Standard deviation of the noise, of pixels in 0..1."""
SEED: Final = 0
INVERTED: Final = 1_000
"""Images, evenly of each class, that are photographed: finding the digit takes a millisecond each."""
PAPER, INK, ENLARGED = 225, 40, 4
"""Of such a photograph: grey of its ground, grey of its strokes, and how many pixels it has for one of MNIST's."""


def conditions(test: Split) -> Iterator[tuple[str, Split]]:
    """Yield the test images under each condition, by name, as images of the same kind, uint8 [N, 28, 28]."""
    images = test.images
    for angle in (-ANGLE, ANGLE):
        turned = [Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR) for image in images]
        yield f"rotated by {angle:+}°", Split(np.stack([np.asarray(image) for image in turned]), test.labels)
    for y, x in ((-SHIFT, 0), (SHIFT, 0), (0, -SHIFT), (0, SHIFT), (SHIFT, SHIFT)):
        yield f"shifted by {x:+}, {y:+} px", Split(ndimage.shift(images, (0, y, x), order=0), test.labels)
    # The brightest, or darkest, of each 2×2 pixels: strokes a pixel thicker or thinner, as far as there are.
    for words, extreme in (("thicker", ndimage.maximum_filter), ("thinner", ndimage.minimum_filter)):
        yield f"{words} strokes", Split(extreme(images, (1, 2, 2), mode="constant"), test.labels)
    noise = np.random.default_rng(SEED).normal(0, 255 * SIGMA, images.shape)
    yield f"noise, σ {SIGMA}", Split(_pixels(images + noise), test.labels)
    chosen = stratified_indices(test.labels, min(INVERTED, len(test)), SEED)
    inverted = np.stack([_read_from_paper(image) for image in images[chosen]])
    yield f"dark on light, normalized ({len(chosen):,} images)", Split(inverted, test.labels[chosen])


def _read_from_paper(image: npt.NDArray[np.uint8]) -> Images:
    """Return what `predict` makes of a photograph of the digit, dark ink on light paper."""
    large = Image.fromarray(image).resize([side * ENLARGED for side in image.shape[::-1]], Image.Resampling.BICUBIC)
    paper = PAPER - np.asarray(large, np.float64) / 255 * (PAPER - INK)
    try:
        return normalize_digit(Image.fromarray(_pixels(paper))).image
    except ImageError:
        # Nothing was found on it, which is a wrong answer for every class but one.
        return np.zeros_like(image)


def _pixels(values: npt.NDArray[np.float64]) -> Images:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def main() -> None:
    """Evaluate, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    parser.add_argument("models", type=Path, nargs="+", help="directories of `edgemnist train --recipe best`")
    options = parser.parse_args()
    dataset = find_dataset(options.data)
    with tempfile.TemporaryDirectory() as exports:
        train(dataset, TrainConfig(recipe="baseline"), Path(exports))
        files = [Path(exports) / "model.keras", *(directory / "model.keras" for directory in options.models)]
        baseline, *models = [decode_keras_model(path.read_bytes(), path) for path in files]
    rows: list[dict[str, Any]] = []
    for name, split in (("clean", dataset.test), *conditions(dataset.test)):
        ours = [accuracy(model, split) for model in models]
        rows.append(
            {
                "condition": name,
                "baseline": round(accuracy(baseline, split), 4),
                "best_mean": round(statistics.mean(ours), 4),
                "best_min": round(min(ours), 4),
            }
        )
        print(rows[-1], flush=True)
    summary = {
        "command": "python -m benchmarks.training.robustness MNIST MODEL_DIRECTORY...",
        "models": len(models),
        "better_everywhere": all(row["best_mean"] > row["baseline"] for row in rows),
        "conditions": rows,
    }
    RESULTS.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
