"""Does it help to train `standard` on thicker and thinner strokes as well?

    python -m benchmarks.vision.strokes DIRECTORY

Trains 784-512-10 by the recipe `standard`, as it is and with strokes changed by up to 0.3 and 0.6, from three seeds on
the first 50,000 training images, and counts on the last 10,000: as they are, and 2,000 of them photographed or drawn
with a thin pen and brought to MNIST's conditions as `predict` does. Test images are not used.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.vision.predict import DRAWINGS, SEED, normalized
from benchmarks.vision.report import save
from edgemnist.digits.training import RECIPES
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.train.loop import fit
from edgemnist.pipeline.train.model import build_model, logits
from edgemnist.pipeline.train.recipes import Plan
from edgemnist.pipeline.train.run import accuracy
from tools.likeness.page import Digits

VALIDATION: Final = 10_000
STROKES: Final = (0.0, 0.3, 0.6)
SEEDS: Final = 3
PICTURES: Final = 2000


def main() -> None:
    """Train, count, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    whole = find_dataset(parser.parse_args().data).train
    train = Split(whole.images[:-VALIDATION], whole.labels[:-VALIDATION])
    held_out = Digits(whole.images[-VALIDATION:], whole.labels[-VALIDATION:])
    chosen = held_out.sample(PICTURES, np.random.default_rng(SEED))
    seen = {"as they are": held_out}
    seen |= {name: Digits(normalized(chosen, draw), chosen.labels) for name, draw in DRAWINGS.items()}
    figures: dict[str, object] = {"trained on": len(train.labels), "pictures": PICTURES, "seeds": SEEDS}
    for stroke in STROKES:
        shares = [_right(train, stroke, seed, seen) for seed in range(SEEDS)]
        figures[f"strokes changed by {stroke:g}"] = {
            name: {
                "mean": round(statistics.mean(share[name] for share in shares), 4),
                "min": round(min(share[name] for share in shares), 4),
                "max": round(max(share[name] for share in shares), 4),
            }
            for name in seen
        }
    save("strokes", figures)


def _right(train: Split, stroke: float, seed: int, seen: dict[str, Digits]) -> dict[str, float]:
    """Return the share that a network trained with such strokes has right."""
    recipe = RECIPES["standard"]
    if recipe.distortion is None:
        raise ValueError("standard distorts")
    recipe = replace(recipe, distortion=replace(recipe.distortion, stroke=stroke))
    plan = Plan(
        recipe=recipe,
        distortion=recipe.distortion,
        epochs=recipe.epochs_for(len(train.labels)),
        batch_size=recipe.batch_size,
        seed=seed,
    )
    model = build_model((512,), 10, seed)
    *_, last = fit(logits, model.get_weights(), train, plan)
    model.set_weights(last.state.trained())
    return {name: accuracy(model, Split(digits.images, digits.labels)) for name, digits in seen.items()}


if __name__ == "__main__":
    main()
