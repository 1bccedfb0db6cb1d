"""What is fitted and for how long: the options and the recipe, worked out for one data set and one network."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.train.augment import Distortion
from edgemnist.train.checkpoint import digest
from edgemnist.train.recipes import Noise, Recipe, Rounding, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the loop needs to know."""

    recipe: Recipe
    distortion: Distortion | None
    epochs: int
    batch_size: int
    seed: int

    @property
    def recipe_version(self) -> str:
        """A short hash of the recipe: it changes with it, and its name does not."""
        return digest(self.recipe)

    def noise_in(self, epoch: int) -> Noise | None:
        """Return the noise of an epoch, counted from 1."""
        noise = self.recipe.noise
        return noise if noise is not None and self._is_in(epoch, noise.begins) else None

    def rounding_in(self, epoch: int) -> Rounding | None:
        """Return the rounding of an epoch, counted from 1."""
        rounding = self.recipe.rounding
        return rounding if rounding is not None and self._is_in(epoch, rounding.begins) else None

    def _is_in(self, epoch: int, begins: float) -> bool:
        # The last epoch is in it, however few there are.
        return epoch > min(begins * self.epochs, self.epochs - 1)


def plan_for(config: TrainConfig, *, images: int, parameters: int) -> Plan:
    """Return the plan for so many training images and a network of so many parameters."""
    recipe = config.resolved_recipe.for_network(parameters)
    return Plan(
        recipe=recipe,
        distortion=recipe.distortion_for(parameters),
        epochs=config.epochs or recipe.epochs_for(images),
        batch_size=config.batch_size or recipe.batch_size,
        seed=config.seed,
    )


def plan_of(recipe: Recipe, *, images: int, seed: int) -> Plan:
    """Return the plan of a recipe as it stands, for so many training images."""
    return Plan(
        recipe=recipe,
        distortion=recipe.distortion,
        epochs=recipe.epochs_for(images),
        batch_size=min(recipe.batch_size, images),
        seed=seed,
    )
