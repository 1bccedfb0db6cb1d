"""What `edgemnist train` was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from edgemnist.errors import UsageError
from edgemnist.train.recipes import DEFAULT_RECIPE, Recipe, find_recipe

MAX_UNITS = 16_384
"""Of a hidden layer: 13 million weights on the pixels, far beyond what a small board holds."""
MAX_SEED = 2**32 - 1
"""32 bits, as wherever seeds are taken."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options of a training, validated.

    Raises UnknownNameError for an unknown recipe, and UsageError, naming the option, for a number that makes no sense.
    """

    recipe: str = DEFAULT_RECIPE
    hidden: tuple[int, ...] = (512,)
    """Units of each hidden layer, from the image to the answer."""
    epochs: int | None = None
    """Passes over the training images; None for as many as the recipe takes."""
    batch_size: int | None = None
    """Images a step; None for the recipe's."""
    seed: int = 0
    """Of the first weights, the order of the images and their distortions."""
    teacher_seed: int | None = None
    """Of the teacher that a recipe distils from, so that several seeds can share one; None for `seed`."""

    def __post_init__(self) -> None:
        find_recipe(self.recipe)
        for units in self.hidden:
            _require("--hidden", units, at_least=1, at_most=MAX_UNITS)
        _require("--epochs", self.epochs, at_least=1)
        _require("--batch-size", self.batch_size, at_least=1)
        _require("--seed", self.seed, at_least=0, at_most=MAX_SEED)
        _require("--teacher-seed", self.teacher_seed, at_least=0, at_most=MAX_SEED)
        if self.teacher_seed is not None and self.resolved_recipe.distillation is None:
            raise UsageError(
                f"--teacher-seed makes no sense with the recipe {self.recipe}, which has no teacher",
                hint="Leave it out, or choose --recipe best.",
            )

    @property
    def resolved_recipe(self) -> Recipe:
        """The recipe that the name stands for."""
        return find_recipe(self.recipe)

    @property
    def resolved_teacher_seed(self) -> int:
        """The seed of the teacher, where the recipe has one."""
        return self.seed if self.teacher_seed is None else self.teacher_seed


def _require(option: str, value: int | None, *, at_least: int, at_most: int | None = None) -> None:
    if value is not None and value < at_least:
        raise UsageError(f"{option} is {value}, and has to be at least {at_least}")
    if value is not None and at_most is not None and value > at_most:
        raise UsageError(f"{option} is {value}, and has to be at most {at_most:,}")
