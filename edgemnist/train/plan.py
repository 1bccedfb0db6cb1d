"""What is fitted and for how long: the options and the recipe, worked out for one data set and one network."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.train.augment import Distortion
from edgemnist.train.config import TrainConfig
from edgemnist.train.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the loop needs to know."""

    recipe: Recipe
    distortion: Distortion | None
    epochs: int
    batch_size: int
    seed: int


def plan_for(config: TrainConfig, *, images: int, parameters: int) -> Plan:
    """Return the plan for so many training images and a network of so many parameters."""
    recipe = config.resolved_recipe
    return Plan(
        recipe=recipe,
        distortion=recipe.distortion_for(parameters),
        epochs=config.epochs or recipe.epochs_for(images),
        batch_size=config.images_per_step,
        seed=config.seed,
    )
