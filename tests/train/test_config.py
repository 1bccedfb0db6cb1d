"""Options out of range are refused by name; recipes fit the size of data and network."""

from typing import Any

import pytest

from edgemnist.digits.training import FAR, RECIPES
from edgemnist.errors import UnknownNameError
from edgemnist.pipeline.train.augment import Distortion
from edgemnist.pipeline.train.model import RMSprop
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import MAX_COPIES, MAX_EPOCHS, Recipe, TrainConfig, plan_for
from tests.messages import Told


def test_a_number_that_makes_no_sense_is_refused_by_the_name_of_its_option(told: Told) -> None:
    several: list[dict[str, Any]] = [
        *({"hidden": units} for units in ((0,), (64, -3), (10**10,))),
        *({name: value} for name in ("epochs", "batch_size") for value in (0, -128)),
        *({"seed": seed} for seed in (-1, 2**32)),
        {"teacher_seed": -1, "recipe": "best"},
        {"teacher_seed": 3},
    ]
    for options in several:
        with told():
            TrainConfig(**options)


def test_an_unknown_recipe_names_the_nearest_and_all() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'standard'") as failure:
        TrainConfig(recipe="standart")
    assert failure.value.hint == "Known: baseline, standard, best."


def test_the_baseline_is_the_classic() -> None:
    config = TrainConfig(recipe="baseline")
    recipe = config.resolved_recipe
    plan = plan_for(config, images=60_000, parameters=407_050)
    assert (plan.epochs, plan.batch_size, config.resolved_network.hidden) == (5, 128, (512,))
    assert recipe.optimizer == RMSprop(rho=0.9, epsilon=1e-7)
    assert recipe.learning_rate == 1e-3
    assert (recipe.cosine, recipe.averaging, recipe.distortion_for(407_050)) == (False, None, None)


def test_a_smaller_network_is_shown_weaker_distortions_down_to_half() -> None:
    recipe = Recipe(summary="", batch_size=1, optimizer=RMSprop(), learning_rate=1, distortion=Distortion(shift=2))
    shifts = []
    # 784-64-10, 784-128-10, 784-256-10, 784-512-10 and 784-1024-10.
    for parameters in (50_890, 101_770, 203_530, 407_050, 814_090):
        distortion = recipe.distortion_for(parameters)
        assert distortion is not None
        shifts.append(distortion.shift)
    assert shifts == pytest.approx([1, 1, 1.5, 2, 2], abs=0.01)


@pytest.mark.parametrize(
    ("hidden", "parameters", "batch_size", "strength"),
    [
        ((512,), 407_050, 500, 1.0),
        ((256,), 203_530, 250, 0.55),
        ((128, 64), 109_386, 250, 0.55),
        ((64,), 50_890, 250, 0.55),
    ],
)
def test_best_takes_smaller_batches_and_weaker_distortions_for_smaller_networks(
    hidden: tuple[int, ...], parameters: int, batch_size: int, strength: float
) -> None:
    assert Network.mlp(*hidden).parameters(10) == parameters
    plan = plan_for(TrainConfig(recipe="best", hidden=hidden), images=60_000, parameters=parameters)
    assert plan.batch_size == batch_size
    assert plan.recipe.distillation is not None
    assert plan.recipe.distillation.distortion == FAR.scaled(strength)


def test_noise_and_rounding_set_in_late_and_last_until_the_end() -> None:
    plan = plan_for(TrainConfig(recipe="best", epochs=100), images=60_000, parameters=407_050)
    assert [epoch for epoch in range(1, 101) if plan.begun(plan.recipe.noise, epoch)] == list(range(76, 101))
    assert [epoch for epoch in range(1, 101) if plan.begun(plan.recipe.rounding, epoch)] == list(range(91, 101))
    single = plan_for(TrainConfig(recipe="best", epochs=1), images=60_000, parameters=407_050)
    assert single.begun(single.recipe.rounding, 1) is not None


def test_a_smaller_set_is_looked_at_more_often_and_has_more_copies_up_to_a_limit() -> None:
    standard, distillation = RECIPES["standard"], RECIPES["best"].distillation
    assert standard.epochs_for(4_000) == pytest.approx(15 * standard.epochs_for(60_000), rel=0.01)
    assert standard.epochs_for(10) == MAX_EPOCHS
    assert RECIPES["baseline"].epochs_for(10) == 5
    assert distillation is not None
    assert [distillation.copies_for(images) for images in (60_000, 6_000, 10)] == [32, 320, MAX_COPIES]


SPECS = (
    "mlp:28:512:8bit",
    "mlp:14:40-20:4bit",
    "mlp:7::2bit",
    "mlp:12:40:4bit",
    "cnn:24:c8s2-c8:4bit",
    "cnn:28:c8s2-d-p16:2bit",
    "cnn:14:c8-max-40:8bit",
    "cnn:28:c4-max-c8s2-ds2-p12-mean-20:4bit",
)


@pytest.mark.parametrize("spec", SPECS)
def test_a_network_is_its_line_of_text(spec: str) -> None:
    network = Network.parse(spec)
    assert str(network) == spec
    assert Network.parse(str(network)) == network


def test_the_side_and_the_bits_may_be_left_out() -> None:
    assert Network.parse("mlp:512") == Network.mlp(512) == Network.parse(" MLP:28:512:8bits ")
    assert str(Network.parse("cnn:c8-c8:2bit")) == "cnn:28:c8-c8:2bit"
    assert str(Network.parse("mlp:14:32")) == "mlp:14:32:8bit"


def test_what_is_no_network_is_refused_with_the_reason(told: Told) -> None:
    mlps, cnns = ("", ":16:40", ":40:3bit", ":0", ":14:40-:4bit", ":c8"), (":d-c8", ":c8-40-c8", ":c8-mean-c8")
    for text in (*(f"mlp{one}" for one in mlps), *(f"cnn{one}" for one in cnns), "cnn:7:c8-c8-c8-c8"):
        with told():
            Network.parse(text)


@pytest.mark.all
@pytest.mark.parametrize("spec", SPECS)
def test_parameters_and_shapes_are_those_of_the_keras_model(spec: str) -> None:
    from edgemnist.pipeline.train.families import build_network

    network = Network.parse(spec)
    model = build_network(network, 7)
    assert network.parameters(7) == model.count_params()
    stages = list(network.stages(7))
    built = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    for number, stage in enumerate(stages[:-1], start=1):
        found = built[f"{stage.layer.kind}_{number}"]
        assert (1, 1, *found)[-3:] == tuple(stage.target)
    assert [stage.kernel for stage in stages if stage.kernel] == [
        tuple(weight.shape) for weight in model.get_weights()[::2]
    ]


def test_bytes_and_multiplications_are_counted_by_hand() -> None:
    mlp = Network.parse("mlp:14:40-20:4bit")
    assert mlp.weight_bytes(10) == (196 * 40 + 40 * 20 + 20 * 10) // 2 + 4 * (40 + 20 + 10)
    assert mlp.multiplications(10) == 196 * 40 + 40 * 20 + 20 * 10
    cnn = Network.parse("cnn:28:c3s2-d-p5-mean:2bit")
    # 27 weights of 2 bits are 7 bytes.
    assert cnn.weight_bytes(10) == 7 + 7 + 4 + 13 + 4 * (3 + 3 + 5 + 10)
    assert cnn.multiplications(10) == 13 * 13 * 27 + 11 * 11 * 27 + 11 * 11 * 15 + 50


def test_units_are_the_short_way_to_name_an_mlp_and_plan_the_same_training() -> None:
    short = TrainConfig(recipe="best", hidden=(64,))
    long = TrainConfig(recipe="best", network=Network.parse("mlp:64"))
    assert short.resolved_network == long.resolved_network
    plans = [plan_for(config, images=60_000, parameters=50_890) for config in (short, long)]
    assert plans[0] == plans[1]
