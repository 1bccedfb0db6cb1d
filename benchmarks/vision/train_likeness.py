"""Train the small network that tells digits from everything else: python -m benchmarks.vision.train_likeness.

Digits are the MNIST training digits, bent, thinned to pen lines and photographed, and digits of fonts. Everything else
is letters of fonts, scribbles, blots and strokes, two digits as one and pieces of one. What the benchmark refuses is
made with other fonts and another kind of scribble. Needs the full data set and takes some minutes.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPClassifier

from benchmarks.vision.synthetic import strokes
from benchmarks.vision.synthetic.camera import Picture
from benchmarks.vision.synthetic.digits import training_digits
from edgemnist.images.mnist import fit_digit
from edgemnist.read.likeness import WEIGHTS_FILE, save_weights

SEED: Final = 20
HIDDEN: Final = 128
EPOCHS: Final = 16
FONTS: Final = (
    *strokes.HERSHEY_TRAINING,
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSansMono",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
)
LETTERS: Final = "".join(sorted(set(string.ascii_letters + "&@#%$?!+=*<>{}~^") - strokes.DIGIT_LIKE))
COPIES: Final = 40
"""How often each letter of each font is drawn."""
PIECES: Final = 6_000
"""How many pairs, halves, scribbles and blots there are, each."""

Images = npt.NDArray[np.uint8]


def main() -> None:
    """Train the network and write its weights into the package."""
    rng = np.random.default_rng(SEED)
    digits = training_digits().images
    positive = np.concatenate([digits, _all(_hard_digits(digits, rng)), _all(_font_glyphs(string.digits, rng))])
    negative = _all(_not_digits(digits, rng))
    print(f"{len(positive):,} digits, {len(negative):,} others", flush=True)
    network = MLPClassifier((HIDDEN,), alpha=1e-5, batch_size=256, max_iter=EPOCHS, random_state=SEED, verbose=True)
    features = np.concatenate([positive, negative]).reshape(-1, 784).astype(np.float32) / 255
    network.fit(features, np.repeat([1, 0], [len(positive), len(negative)]))
    save_weights(WEIGHTS_FILE, network.coefs_, network.intercepts_)


def _all(drawings: Iterator[Picture]) -> Images:
    """Return ink, uint8 [h, w] each, as MNIST would have it."""
    return np.stack([fit_digit(drawing) for drawing in drawings])


def _hard_digits(digits: Images, rng: np.random.Generator) -> Iterator[Picture]:
    for index in rng.integers(len(digits), size=2 * PIECES):
        large = cv2.resize(digits[index], (112, 112), interpolation=cv2.INTER_CUBIC)
        yield 255 - strokes.bend(255 - large, rng)
    for index in rng.integers(len(digits), size=PIECES // 3):
        yield 255 - strokes.bend(strokes.draw_thin(digits[index], rng), rng)


def _font_glyphs(characters: str, rng: np.random.Generator) -> Iterator[Picture]:
    for font in FONTS:
        for character in characters:
            for _ in range(COPIES):
                yield 255 - strokes.draw_letter(character, font, rng)


def _not_digits(digits: Images, rng: np.random.Generator) -> Iterator[Picture]:
    yield from _font_glyphs(LETTERS, rng)
    kinds: tuple[strokes.Scribble, ...] = ("zigzag", "knot")
    for index in range(PIECES):
        yield 255 - strokes.scribble(kinds[index % 2], rng)
        yield _blot(rng)
        yield _pair(digits[rng.integers(len(digits), size=2)], rng)
        yield _piece(digits[rng.integers(len(digits))], rng)


def _pair(two: Images, rng: np.random.Generator) -> Picture:
    """Return two digits that touch, as one."""
    canvas = np.zeros((40, 60), dtype=np.uint8)
    left, right = (_cropped(image) for image in two)
    top = 10 + rng.integers(-3, 4, 2)
    overlap = int(rng.integers(-1, 4))
    for glyph, x, y in ((left, 2, top[0]), (right, 2 + left.shape[1] - overlap, top[1])):
        patch = canvas[y : y + glyph.shape[0], x : x + glyph.shape[1]]
        np.maximum(patch, glyph, out=patch)
    return np.asarray(cv2.resize(canvas, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))


def _piece(image: Images, rng: np.random.Generator) -> Picture:
    """Return what is left of a digit after a cut somewhere in its middle."""
    glyph = _cropped(image)
    if rng.random() < 0.75:
        cut = max(2, int(glyph.shape[1] * rng.uniform(0.35, 0.65)))
        part = glyph[:, :cut] if rng.random() < 0.5 else glyph[:, cut:]
    else:
        cut = max(2, int(glyph.shape[0] * rng.uniform(0.35, 0.65)))
        part = glyph[:cut] if rng.random() < 0.5 else glyph[cut:]
    return np.asarray(cv2.resize(np.pad(part, 1), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC))


def _cropped(image: Images) -> Images:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _blot(rng: np.random.Generator) -> Picture:
    """Return a blot, a bar or an arc."""
    canvas = np.zeros((140, 140), dtype=np.uint8)
    axes = tuple(int(side) for side in rng.integers(8, 60, 2))
    angle = rng.uniform(0, 180)
    match int(rng.integers(4)):
        case 0:
            cv2.ellipse(canvas, (70, 70), axes, angle, 0, 360, 255, -1)
        case 1:
            noise = cv2.GaussianBlur(rng.uniform(0, 1, (140, 140)).astype(np.float32), (0, 0), rng.uniform(4, 14))
            canvas[noise > np.percentile(noise, rng.uniform(70, 92))] = 255
        case 2:
            # Lying down, since an upright bar is a one.
            end = rng.uniform(-0.6, 0.6)
            delta = np.array([np.cos(end), np.sin(end)]) * 60
            start, stop = ((70 - delta).astype(int).tolist(), (70 + delta).astype(int).tolist())
            cv2.line(canvas, start, stop, 255, int(rng.integers(3, 30)))
        case _:
            cv2.rectangle(canvas, (20, 30), (int(rng.integers(40, 130)), int(rng.integers(50, 120))), 255,
                          int(rng.choice([-1, 4, 8, 16])))  # fmt: skip
    return canvas


if __name__ == "__main__":
    main()
