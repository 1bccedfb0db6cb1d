"""Everything that the likeness network learns from.

Digits are training digits as they are, bent, thinned to pen lines, in few pixels and as they are found on photographed
pages, digits of fonts, and drawn ones in the forms that MNIST lacks. Everything else is letters of fonts, those among
them that look much like a digit, scribbles and blots, and what reading comes across on pages and in printed words: two
digits as one, pieces of one, of letters, rulings and specks. What the benchmarks refuse is made with other fonts and
another kind of scribble.
"""

from __future__ import annotations

import multiprocessing
import os
import string
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edgemnist.digits.images.mnist import fit_digit
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.progress import SILENT, Reporter
from tools.likeness.camera import Picture
from tools.likeness.drawings import (
    COPIES,
    LETTERS,
    font_glyphs,
    hard_digits,
    letters_like_digits,
    not_digits,
)
from tools.likeness.fonts import FONTS, HERSHEY
from tools.likeness.hands import in_few_pixels, styled_digits
from tools.likeness.harvest import harvest, harvest_words
from tools.likeness.page import Digits

OTHER: Final = 10
"""Label of anything that is not a digit."""
PART: Final = 11
"""Label of parts of digits and of what else a page has, some of which is a digit to anybody who sees no more."""
ALIKE: Final = 12
"""Label of letters that look much like a digit."""
BAR: Final = 0.12
"""What spreads across its axis less than this share of how it spreads along it (variances) is a bar; so are 95 % of
MNIST's ones."""
FAR: Final = 0.25
"""Share of drawings that are few pixels high, digits and letters alike: height must not tell one from the other."""


@dataclass(frozen=True, kw_only=True)
class LikenessConfig:
    """The recipe. Its defaults made the files that ship; smaller numbers are for tests."""

    seed: int = 21
    epochs: int = 18
    jobs: int = 18
    """Number of pieces, each with its own seed, that the making of pictures is cut into."""
    pages: int = 100
    """Small pages of each job."""
    drawings: int = 400
    """Scribbles, blots, pairs and pieces of each job, each; and twice as many hard digits."""
    copies: int = COPIES
    """How often each character of each font is drawn."""
    fonts: tuple[str, ...] = FONTS


@dataclass(frozen=True)
class Pictures:
    """Images with the digit of each, OTHER, PART or ALIKE."""

    images: Images
    """uint8 [N, 28, 28], white on black."""
    labels: Labels
    """int64 [N]."""


# What TensorFlow has started does not survive a fork.
_NEW_PROCESSES = multiprocessing.get_context("spawn")


def make_pictures(digits: Digits, config: LikenessConfig, reporter: Reporter = SILENT) -> Pictures:
    """Draw, photograph and take apart; several processes share the jobs, and what they make does not depend on it."""
    parts = [Pictures(digits.images, digits.labels)]
    jobs = [_Job(digits, config, number) for number in range(config.jobs)]
    with (
        reporter.task("Drawing and photographing", config.jobs) as task,
        ProcessPoolExecutor(min(config.jobs, os.cpu_count() or 1), _NEW_PROCESSES) as pool,
    ):
        for done, part in enumerate(pool.map(_Job.run, jobs), 1):
            parts.append(part)
            task.update(done)
    return Pictures(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


@dataclass(frozen=True)
class _Job:
    """One of the pieces, with a seed each, into which the making of pictures is cut."""

    digits: Digits
    config: LikenessConfig
    number: int

    def run(self) -> Pictures:
        cv2.setNumThreads(1)
        config, digits = self.config, self.digits
        rng = np.random.default_rng([config.seed, self.number])
        found = harvest(digits, config.pages, rng)
        bent = digits.sample(2 * config.drawings, rng)
        small = digits.sample(2 * config.drawings, rng)
        styled = np.arange(10).repeat(config.drawings // 3 + 1)
        drawn = _all(not_digits(digits.images, config.drawings, rng))
        fonts: Sequence[str] = config.fonts[self.number :: config.jobs]
        words = harvest_words([font for font in fonts if font not in HERSHEY], config.copies // 2 + 1, rng)
        parts = np.concatenate([found.others, drawn, words])
        parts = parts[~_like_one(parts)]
        printed = _all(_far(font_glyphs(string.digits, rng, config.copies, fonts), rng))
        letters = _all(_far(font_glyphs(LETTERS, rng, config.copies, fonts), rng))
        alike = _all(_far(letters_like_digits(fonts, rng, config.copies), rng))
        images = [
            found.digits,
            _all(hard_digits(bent.images, rng)),
            _all(in_few_pixels(drawing, rng) for drawing in hard_digits(small.images, rng)),
            _all(_far(styled_digits(styled, rng), rng)),
            printed,
            parts,
            letters,
            alike,
        ]
        labels = [
            found.labels,
            bent.labels,
            small.labels,
            styled,
            np.arange(10).repeat(len(fonts) * config.copies),
            *(np.full(len(others), label) for others, label in ((parts, PART), (letters, OTHER), (alike, ALIKE))),
        ]
        return Pictures(np.concatenate(images), np.concatenate(labels).astype(np.int64))


def _all(drawings: Iterator[Picture]) -> Images:
    """Return ink, uint8 [h, w] each, as MNIST would have it."""
    return np.stack([fit_digit(drawing) for drawing in drawings])


def _far(drawings: Iterator[Picture], rng: np.random.Generator) -> Iterator[Picture]:
    """Return ink, some of it as a camera far away sees it."""
    for drawing in drawings:
        yield in_few_pixels(drawing, rng) if rng.random() < FAR else drawing


def _like_one(images: Images) -> npt.NDArray[np.bool_]:
    """Return which images, uint8 [N, 28, 28], are upright bars: the leg of a 4 is a 1 to anybody who sees no more."""
    mass = images.astype(np.float32)
    mass /= mass.sum(axis=(1, 2), keepdims=True) + 1
    at = np.arange(28, dtype=np.float32)
    down, right = mass.sum(axis=2), mass.sum(axis=1)
    y, x = down @ at, right @ at
    yy, xx = down @ at**2 - y**2, right @ at**2 - x**2
    yx = np.einsum("nyx,y,x->n", mass, at, at) - y * x
    root = np.sqrt((yy - xx) ** 2 / 4 + yx**2)
    across, along = (yy + xx) / 2 - root, (yy + xx) / 2 + root
    return np.asarray((across < BAR * along) & (yy > xx))
