"""The recipes: everything about a training but its size, its data and its seed."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

from edgemnist.errors import UnknownNameError
from edgemnist.train.augment import Distortion
from edgemnist.train.optimizers import Adam, Optimizer, RMSprop

DEFAULT_RECIPE = "standard"

MAX_EPOCHS = 1_000
"""Of a recipe that counts images seen: nothing is gained by looking at a handful of images more often."""

FULL_STRENGTH_PARAMETERS = 407_050
"""Of 784-512-10, which the distortions were tuned for."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train."""

    summary: str
    """One line for listings and help texts."""
    epochs: int | None = None
    """Passes over the training images, however many those are; None where `images_seen` says how long."""
    images_seen: int | None = None
    """Images to learn from, each counted every time: a smaller set is looked at more often, in the same time."""
    batch_size: int
    """Images a step."""
    optimizer: Optimizer
    learning_rate: float
    cosine: bool = False
    """Let the learning rate fall to 0 along half a cosine (I. Loshchilov and F. Hutter, 2017)."""
    averaging: float | None = None
    """Decay of the exponential moving average of the weights; None keeps the last weights."""
    distortion: Distortion | None = None

    def epochs_for(self, images: int) -> int:
        """Return how many epochs to train on so many images."""
        if self.epochs is not None:
            return self.epochs
        if self.images_seen is None:
            raise ValueError("a recipe says how long to train by its epochs or by its images seen")
        return min(MAX_EPOCHS, ceil(self.images_seen / images))

    def distortion_for(self, parameters: int) -> Distortion | None:
        """Return the distortion for a network of so many parameters: a small one cannot learn what a strong one makes.

        Full strength from 784-512-10 on, half of it down from 784-128-10, and in between by the logarithm of the size.
        """
        if self.distortion is None:
            return None
        doublings = log2(parameters / FULL_STRENGTH_PARAMETERS)
        return self.distortion.scaled(min(1.0, max(0.5, 1 + doublings / 4)))


RECIPES: dict[str, Recipe] = {
    "baseline": Recipe(
        summary="the classic: five epochs of RMSprop on the images as they are",
        epochs=5,
        batch_size=128,
        optimizer=RMSprop(),
        learning_rate=1e-3,
    ),
    DEFAULT_RECIPE: Recipe(
        summary="affine and elastic distortion, cosine schedule, weight averaging",
        images_seen=3_000_000,
        batch_size=256,
        optimizer=Adam(),
        learning_rate=4e-3,
        cosine=True,
        averaging=0.999,
        distortion=Distortion(rotation=7, scale=0.07, shear=0.1, shift=1, elastic=1),
    ),
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe; an unknown name raises UnknownNameError with the nearest match."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
