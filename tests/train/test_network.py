"""A line of text names a network, and says what it costs before it is trained."""

import pytest

from edgemnist.errors import UsageError
from edgemnist.pipeline.train.network import Network
from edgemnist.pipeline.train.recipes import TrainConfig, plan_for

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


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("mlp", "is not FAMILY:SIDE:LAYERS:BITS"),
        ("mlp:16:40", "its side must be one of 28, 24, 14, 12, 7, 6"),
        ("mlp:40:3bit", "its weights must have 8, 4 or 2 bits"),
        ("mlp:0", "between 1 and 16,384 units"),
        ("mlp:14:40-:4bit", "an unknown layer: an empty one"),
        ("mlp:c8", "convolutions belong to a cnn"),
        ("cnn:d-c8", "a cnn must begin with a convolution"),
        ("cnn:c8-40-c8", "no convolution or pooling may follow a dense layer"),
        ("cnn:c8-mean-c8", "mean must come after the last convolution"),
        ("cnn:7:c8-c8-c8-c8", "its layer c8 leaves nothing of 1×1 places"),
    ],
)
def test_what_is_no_network_is_refused_with_the_reason(spec: str, reason: str) -> None:
    with pytest.raises(UsageError, match="--network") as failure:
        Network.parse(spec)
    assert reason in failure.value.message
    assert failure.value.hint is not None


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
