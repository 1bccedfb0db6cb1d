"""What an epoch leaves to chance, drawn from the seed and the number of the epoch before it begins."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.train.plan import Plan

BANK = 16
"""Drawing fresh normal numbers takes as long as training on them, so each step takes one of so many batches of noise,
which are drawn anew for each epoch."""


class Grains(NamedTuple):
    """Noise; all empty where there is none."""

    bank: npt.NDArray[np.float32]
    """float32 [M, noisy images, 28, 28], standard normal."""
    places: npt.NDArray[np.int32]
    """int32 [steps], which of the bank each step takes."""
    sigmas: npt.NDArray[np.float32]
    """float32 [steps, noisy images]."""


class Draws(NamedTuple):
    """The draws of one epoch."""

    order: npt.NDArray[np.int32]
    """int32 [steps, batch], indices of the images; its end is filled up with image 0, which does not count."""
    coefficients: npt.NDArray[np.float32]
    """float32 [steps, batch, 2, fields], see `augment.Coefficients`; empty where nothing is distorted."""
    strokes: npt.NDArray[np.float32]
    """float32 [steps, batch]; empty where strokes stay as they are."""
    grains: Grains


def draw_epoch(plan: Plan, epoch: int, images: int) -> Draws:
    """Return the draws of an epoch, counted from 1, over so many images."""
    random = np.random.default_rng([plan.seed, epoch])
    order = np.zeros((ceil(images / plan.batch_size), plan.batch_size), np.int32)
    order.flat[:images] = random.permutation(images)
    steps, nothing = len(order), np.empty((len(order), 0), np.float32)
    coefficients = strokes = nothing
    if plan.distortion is not None:
        drawn = plan.distortion.draw(order.size, random)
        coefficients = drawn.reshape(*order.shape, *drawn.shape[1:])
        if plan.distortion.stroke:
            strokes = plan.distortion.draw_strokes(order.size, random).reshape(order.shape)
    return Draws(order, coefficients, strokes, _grains(plan, epoch, steps, random))


def _grains(plan: Plan, epoch: int, steps: int, random: np.random.Generator) -> Grains:
    noise = plan.noise_in(epoch)
    if noise is None:
        return Grains(np.empty(0, np.float32), np.empty(0, np.int32), np.empty((steps, 0), np.float32))
    noisy = ceil(plan.batch_size * noise.share)
    return Grains(
        bank=random.standard_normal((BANK, noisy, IMAGE_SIDE, IMAGE_SIDE), np.float32),
        places=random.integers(0, BANK, steps, np.int32),
        sigmas=random.uniform(0, noise.sigma, (steps, noisy)).astype(np.float32),
    )
