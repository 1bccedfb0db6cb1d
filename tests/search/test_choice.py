"""Which of the networks that were tried are trained to the end."""

from edgemnist.pipeline.search.limits import Costs, Limits, Tried, best_so_far, choose


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
