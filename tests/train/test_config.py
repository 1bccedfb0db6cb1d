"""Options that make no sense are refused by name; recipes fit the size of data and network."""

from __future__ import annotations

from typing import Any

import pytest

from edgemnist.errors import UnknownNameError, UsageError
from edgemnist.train.augment import Distortion
from edgemnist.train.config import TrainConfig
from edgemnist.train.optimizers import RMSprop
from edgemnist.train.recipes import MAX_EPOCHS, RECIPES, Recipe


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"hidden": (0,)}, "--hidden"),
        ({"hidden": (64, -3)}, "--hidden"),
        ({"hidden": (10**10,)}, "--hidden"),
        ({"epochs": 0}, "--epochs"),
        ({"epochs": -1}, "--epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"batch_size": -128}, "--batch-size"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**32}, "--seed"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_the_name_of_its_option(
    options: dict[str, Any], option: str
) -> None:
    with pytest.raises(UsageError, match=option):
        TrainConfig(**options)


def test_an_unknown_recipe_names_the_nearest_and_all() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'standard'") as failure:
        TrainConfig(recipe="standart")
    assert failure.value.hint == "Known: baseline, standard."


def test_the_baseline_is_the_classic() -> None:
    config = TrainConfig(recipe="baseline")
    recipe = config.resolved_recipe
    assert (recipe.epochs_for(60_000), config.images_per_step, config.hidden) == (5, 128, (512,))
    assert recipe.optimizer == RMSprop(rho=0.9, epsilon=1e-7)
    assert recipe.learning_rate == 1e-3
    assert (recipe.cosine, recipe.averaging, recipe.distortion_for(407_050)) == (False, None, None)


def test_a_smaller_set_is_looked_at_more_often_up_to_a_limit() -> None:
    standard = RECIPES["standard"]
    assert standard.epochs_for(4_000) == pytest.approx(15 * standard.epochs_for(60_000), rel=0.01)
    assert standard.epochs_for(10) == MAX_EPOCHS
    assert RECIPES["baseline"].epochs_for(10) == 5


def test_a_smaller_network_is_shown_weaker_distortions_down_to_half() -> None:
    recipe = Recipe(summary="", batch_size=1, optimizer=RMSprop(), learning_rate=1, distortion=Distortion(shift=2))
    shifts = []
    # 784-64-10, 784-128-10, 784-256-10, 784-512-10 and 784-1024-10.
    for parameters in (50_890, 101_770, 203_530, 407_050, 814_090):
        distortion = recipe.distortion_for(parameters)
        assert distortion is not None
        shifts.append(distortion.shift)
    assert shifts == pytest.approx([1, 1, 1.5, 2, 2], abs=0.01)
