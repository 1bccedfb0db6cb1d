"""What `learn` makes of samples, beside twenty lines of Keras.

    python -m benchmarks.learn.keras MNIST

Both start from the model of the package and learn the same samples; the rest of the field and MNIST's 10,000 test
images are looked at here only. The twenty lines train for five epochs at a learning rate of 1e-3 on the samples and
5,000 training images. The samples are digits of `load_digits`, as in `digits.py`, and 500 Kannada and 500 Devanagari
digits: drawn with the fonts of Debian's `fonts-noto-core`, `fonts-lohit-knda`, `fonts-lohit-deva` and `fonts-navilu` in
sixty hands, of which ten are learnt from. A hand is a distortion of a font, and every digit is distorted once more.

To reach: no more errors in the field than Keras, and fewer on MNIST.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.learn.digits import EARLIER, doubtful, errors, pictures
from edgemnist.board.machine import host_facts
from edgemnist.digits.images import normalize_digit
from edgemnist.field.learn.present import Present, read_present
from edgemnist.field.samples import now
from edgemnist.ground.arrays import Images, image_hashes
from edgemnist.model.exports import REFERENCE, Exports
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.data.sources import find_dataset
from edgemnist.pipeline.train.augment import Distortion, distorted
from edgemnist.pipeline.train.model import Weights

RESULTS = Path(__file__).with_suffix(".json")
FONTS = Path("/usr/share/fonts/truetype")
SCRIPTS = {
    "Kannada": (
        0x0CE6,
        *("noto/NotoSansKannada-Regular.ttf", "noto/NotoSansKannada-Bold.ttf", "noto/NotoSerifKannada-Regular.ttf"),
        *("Navilu/Navilu.ttf", "lohit-kannada/Lohit-Kannada.ttf"),
    ),
    "Devanagari": (
        0x0966,
        *("noto/NotoSansDevanagari-Regular.ttf", "noto/NotoSansDevanagari-Bold.ttf"),
        *("noto/NotoSerifDevanagari-Regular.ttf", "lohit-devanagari/Lohit-Devanagari.ttf"),
    ),
}
"""Code point of the zero, and fonts."""
HANDS, OF_EACH = 60, 50
"""Hands, and digits of each."""
LEARNT = 500
HAND = Distortion(rotation=12, scale=0.25, shear=0.25, elastic=1, sharp=True)
DIGIT = Distortion(rotation=10, scale=0.15, shear=0.15, shift=1.5, elastic=1.3, grid=8, stroke=0.7, sharp=True)


def main() -> None:
    """Learn both ways, count, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with MNIST")
    dataset = find_dataset(parser.parse_args().data)
    reference = Exports.open(REFERENCE)
    present, golden = read_present(reference), reference.read_golden()
    unseen = ~np.isin(image_hashes(dataset.train.images), image_hashes(golden.images))
    train = Split(dataset.train.images[unseen], dataset.train.labels[unseen])
    runs = []
    for name, samples, field in cases(present):
        for way in (before, learnt, twenty_lines):
            started = time.perf_counter()
            weights = way(present, train, samples)
            run = {"samples": name, "way": way.__name__, "seconds": time.perf_counter() - started}
            shown = {"field": field, "mnist": dataset.test, "golden": Split(golden.images, golden.labels)}
            for what, split in shown.items():
                run[what] = {
                    "images": len(split),
                    "errors": errors(present.logits(split.images, weights), split.labels),
                }
            print(json.dumps(run), flush=True)
            runs.append(run)
    facts = host_facts()
    document = {"at": now(), "host": facts["cpu"], "versions": facts["versions"], "runs": runs}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


def before(present: Present, train: Split, samples: Split) -> Weights:
    """Return the weights as they are."""
    del train, samples
    return present.weights


def learnt(present: Present, train: Split, samples: Split) -> Weights:
    """Return the weights after a single fine-tuning of `learn`, without the cross-validation."""
    from edgemnist.field.learn.tune import Replay, tune

    return tune(Replay(present, train, seed=0), samples).weights


def twenty_lines(present: Present, train: Split, samples: Split) -> Weights:
    """Return the weights after what anybody would write."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((28, 28)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        *(keras.layers.Dense(units, "relu") for units in present.network.hidden),
        keras.layers.Dense(len(present.labels)),
    ])  # fmt: skip
    model.set_weights(list(present.weights))
    chosen = np.random.default_rng(0).permutation(len(train))[:5_000]
    images = np.concatenate([samples.images, train.images[chosen]])
    labels = np.concatenate([samples.labels, train.labels[chosen]])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.fit(images, labels, epochs=5, batch_size=32, verbose=0)
    weights: Weights = model.get_weights()
    return weights


def cases(present: Present) -> Iterator[tuple[str, Split, Split]]:
    """Give names, samples to learn from, and the rest of each field."""
    images, labels = pictures()
    yield "200 first", Split(images[:200], labels[:200]), Split(images[200:], labels[200:])
    kept = doubtful(present.logits(images[:EARLIER]), 200)
    yield "200 doubtful", Split(images[kept], labels[kept]), Split(images[EARLIER:], labels[EARLIER:])
    for script in SCRIPTS:
        field = drawn(script)
        yield f"500 {script}", field.take(np.arange(LEARNT)), field.take(np.arange(LEARNT, len(field)))


def drawn(script: str) -> Split:
    """Return digits of a script, uint8 [3000, 28, 28], one hand after the other."""
    zero, *fonts = SCRIPTS[script]
    printed = np.stack([printed_digits(int(zero), FONTS / str(font)) for font in fonts])
    rng = np.random.default_rng(0)
    images, labels = [], []
    for _ in range(HANDS):
        own = distorted(printed[rng.integers(len(printed))], HAND, rng)
        chosen = rng.permutation(np.arange(OF_EACH) % 10)
        images.append(distorted(own[chosen], DIGIT, rng))
        labels.append(chosen)
    return Split(np.concatenate(images), np.concatenate(labels).astype(np.int64))


def printed_digits(zero: int, path: Path) -> Images:
    """Return the ten digits of a font as the model is given them, uint8 [10, 28, 28]."""
    font = ImageFont.truetype(str(path), 120)
    found = []
    for digit in range(10):
        paper = Image.new("L", (300, 300), 255)
        ImageDraw.Draw(paper).text((90, 70), chr(zero + digit), font=font, fill=0)
        found.append(normalize_digit(paper).image)
    return np.stack(found)


if __name__ == "__main__":
    main()
