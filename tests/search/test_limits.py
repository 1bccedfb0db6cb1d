"""Limits are read as users write them, and refused in a sentence where they cannot be met."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from edgemnist.errors import UsageError
from edgemnist.ground.results.verdict import COMMAND_LINE, judge
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.export.c import CExporter
from edgemnist.pipeline.export.model import read_source
from edgemnist.pipeline.search.limits import Costs, Limits, Space, Tried, best_so_far, choose
from edgemnist.pipeline.search.networks import c_ram_bytes
from edgemnist.pipeline.train.network import Network
from tests.messages import Told

COSTS = Costs(bytes=16_000, ram_bytes=2_000, multiplications=1)


def test_units_are_those_that_people_write() -> None:
    limits = Limits.of(accuracy="99.5", max_bytes="16k", max_ram="2 KiB")
    assert limits == Limits(accuracy=0.995, bytes=16_000, ram_bytes=2048)
    assert Limits.of(accuracy="99%").accuracy == 0.99
    assert Limits.of(accuracy="1.5").accuracy == 0.015
    assert Limits.of() == Limits()
    assert Limits().allow(COSTS)
    assert Limits().excesses(COSTS) == {}
    assert Limits().measurements(COSTS, 0.0) == []


def test_no_network_takes_less_than_what_is_said_to_be_the_least() -> None:
    space, study = Space(), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = [Costs.of(network, 10) for network in (space.propose(study.ask()) for _ in range(500)) if network]
    for cost in ("bytes", "ram_bytes"):
        least = min(getattr(Costs.of(one, 10), cost) for one in space.smallest())
        assert least <= min(getattr(one, cost) for one in found)
        # Nor is it far below them.
        assert least >= 0.8 * min(getattr(one, cost) for one in found)
        space.check(Limits(**{cost: least}), 10)
        option = {"bytes": "--max-bytes", "ram_bytes": "--max-ram"}[cost]
        with pytest.raises(UsageError, match=f"{option} {least - 1} is less than any network takes") as failure:
            space.check(Limits(**{cost: least - 1}), 10)
        assert f"{least:,}" in failure.value.hint


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("7b", 7),
        ("7 B", 7),
        ("2k", 2_000),
        ("2kb", 2_000),
        ("2KiB", 2_048),
        ("2m", 2_000_000),
        ("2MB", 2_000_000),
        ("2 MiB", 2_097_152),
        (" .5k ", 500),
        ("1.k", 1_000),
        ("1.9", 1),
    ],
)
def test_each_unit_of_a_size(text: str, size: int) -> None:
    limits = Limits.of(max_bytes=text, max_ram=text)
    assert (limits.bytes, limits.ram_bytes) == (size, size)
    assert isinstance(limits.bytes, int)
    assert isinstance(limits.ram_bytes, int)


def test_a_refusal_says_what_would_be_taken(told: Told) -> None:
    texts = {
        "accuracy": ("101", "x", "99k", "1", "0.995%"),
        "max_bytes": ("1k2", "1us", "0.9"),
        "max_ram": ("?", "2s", "0"),
    }
    for name, text in ((name, text) for name, several in texts.items() for text in several):
        with told():
            Limits.of(**{name: text})
    several: list[dict[str, Any]] = [{"accuracy": 0.01}, {"accuracy": 1.01}, {"bytes": 0}, {"ram_bytes": 0}]
    for options in several:
        with told():
            Limits(**options)
    assert Limits(accuracy=1.0, bytes=1, ram_bytes=1).accuracy == 1.0
    assert Limits(accuracy=0.0101).accuracy == 0.0101


def test_an_excess_is_a_share_of_the_limit() -> None:
    limits = Limits(bytes=8_000, ram_bytes=4_000)
    assert limits.excesses(COSTS) == {"bytes": 1.0, "RAM": -0.5}
    assert limits.allow(Costs(bytes=8_000, ram_bytes=2_000, multiplications=1))
    for limit in (Limits(bytes=15_999), Limits(ram_bytes=1_999)):
        assert not limit.allow(COSTS)


def test_a_miss_says_both_figures_and_a_limit_that_is_just_met_is_none() -> None:
    missed = judge(Limits(accuracy=0.99, bytes=15_999, ram_bytes=1_999).measurements(COSTS, 0.98))
    assert {one.origin for one in missed.limits} == {COMMAND_LINE}
    assert missed.reasons == [
        "98.00 % accurate, but 99.00 % was asked for",
        "16,000 bytes, but only 15,999 are allowed",
        "2,000 bytes of RAM, but only 1,999 are allowed",
    ]
    exact = Limits(accuracy=0.98, bytes=16_000, ram_bytes=2_000)
    assert judge(exact.measurements(COSTS, 0.98)).passed


def tried(name: str, size: int, accuracy: float, *, stopped: bool = False) -> Tried:
    costs = Costs(bytes=size, ram_bytes=10_000 - size, multiplications=size)
    return Tried(network=name, costs=costs, accuracies=(accuracy,), stopped=stopped, seconds=1.0)


TRIED = [tried("a", 100, 0.90), tried("b", 200, 0.95), tried("c", 900, 0.99), tried("d", 901, 0.999, stopped=True)]


def test_chosen_are_the_most_accurate_the_smallest_and_the_leanest_of_those_that_fit() -> None:
    assert choose(TRIED, Limits(accuracy=0.93)) == {"c": ["accuracy", "RAM"], "b": ["bytes"]}
    assert choose(TRIED, Limits(accuracy=0.995)) == {"c": ["accuracy"]}
    assert choose(TRIED, Limits(bytes=500)) == {"b": ["accuracy"], "a": ["1/2 of the bytes"]}
    assert choose([TRIED[3]], Limits(accuracy=0.9)) == {}


def test_the_best_so_far_is_the_smallest_that_is_accurate_enough() -> None:
    found = [best_so_far(TRIED, limits) for limits in (Limits(), Limits(accuracy=0.94), Limits(accuracy=0.999))]
    assert [one.network for one in found if one is not None] == ["c", "b", "c"]


def test_an_accuracy_that_is_just_reached_is_enough_and_a_limit_that_is_just_met_is_kept() -> None:
    assert choose(TRIED, Limits(accuracy=0.95)) == {"c": ["accuracy", "RAM"], "b": ["bytes"]}
    assert choose(TRIED, Limits(bytes=200)) == {"b": ["accuracy"], "a": ["1/2 of the bytes"]}
    assert choose(TRIED, Limits(bytes=199)) == {"a": ["accuracy"]}
    best = best_so_far(TRIED, Limits(accuracy=0.95))
    assert best is not None
    assert best.network == "b"


def test_of_equally_accurate_networks_the_smaller_is_taken_and_of_equally_small_the_more_accurate() -> None:
    alike = [tried("large", 300, 0.95), tried("small", 200, 0.95), tried("worse", 200, 0.94)]
    assert choose(alike, Limits()) == {"small": ["accuracy"]}
    for limits in (Limits(), Limits(accuracy=0.9)):
        best = best_so_far([*alike[::-1], *alike], limits)
        assert best is not None
        assert best.network == "small"
    assert choose([tried("worse", 200, 0.94), *alike], Limits(accuracy=0.9)) == {
        "small": ["accuracy", "bytes"],
        "large": ["RAM"],
    }
    halves = [tried("best", 800, 0.99), tried("a", 400, 0.9), tried("b", 300, 0.9), tried("c", 200, 0.8)]
    assert choose(halves, Limits()) == {"best": ["accuracy"], "b": ["1/2 of the bytes"], "c": ["1/4 of the bytes"]}
    assert choose([*halves, tried("d", 199, 0.8)], Limits())["d"] == ["1/4 of the bytes"]


def test_what_was_stopped_or_never_trained_is_no_candidate() -> None:
    assert best_so_far([], Limits()) is None
    assert best_so_far([TRIED[3]], Limits(accuracy=0.1)) is None
    assert choose([], Limits()) == {}
    # No network that is beyond a limit is chosen, however accurate.
    assert choose(TRIED, Limits(bytes=99)) == {}


@pytest.mark.parametrize(
    "spec",
    [
        "mlp:7:12-8:8bit",
        "mlp:24:12:4bit",
        "mlp:12:16-8:4bit",
        # Every kind of layer, and rows and columns that no later layer looks at.
        "cnn:28:c4s2-ds2-p6-max:2bit",
        "cnn:14:c6-max-c10-mean:4bit",
    ],
)
def test_the_ram_of_a_network_is_that_of_its_c_file(spec: str, dataset: Dataset, tmp_path: Path) -> None:
    from edgemnist.pipeline.train.families import student_of

    network = Network.parse(spec)
    student = student_of(network, len(dataset.labels), seed=3)
    student.model.set_weights(student.finished(student.weights, dataset.train.images[:500]))
    student.model.save(tmp_path / "network.keras")
    exporter = CExporter(read_source(tmp_path / "network.keras"), dataset.labels, dataset.train.images[:50])
    footprint = exporter.export(f"int{network.bits}").footprint
    assert footprint is not None
    assert c_ram_bytes(network, len(dataset.labels)) == footprint.ram_bytes
