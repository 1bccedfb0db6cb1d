"""Options out of range are wrong usage, and the message names the option."""

from __future__ import annotations

import math
from typing import Any

import pytest

from edgemnist.bench.config import BenchConfig
from edgemnist.errors import UsageError
from edgemnist.machine import usable_cpus


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"threads": 0}, "--threads must be at least 1"),
        ({"threads": len(usable_cpus()) + 1}, "--threads"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"samples": 0}, "--samples must be at least 1"),
        ({"samples": -5}, "--samples must be at least 1"),
        ({"rounds": 0}, "--rounds must be at least 1"),
        ({"seconds": -0.1}, "--seconds"),
        ({"seconds": math.nan}, "--seconds"),
        ({"seconds": math.inf}, "--seconds"),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        BenchConfig(**options)


def test_too_many_threads_says_how_many_there_may_be() -> None:
    with pytest.raises(UsageError) as caught:
        BenchConfig(threads=10_000)
    assert str(len(usable_cpus())) in caught.value.hint


def test_by_default_the_rounds_add_up_to_1000_samples_and_a_second() -> None:
    config = BenchConfig()
    assert config.samples_a_round * config.rounds >= 1_000
    assert config.nanoseconds_a_round * config.rounds >= 1_000_000_000
