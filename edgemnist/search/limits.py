"""Which networks a search may try, limits on costs and accuracy in the words of users, and what is best within them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from edgemnist.errors import UsageError, check_range
from edgemnist.formatting import microseconds, percent
from edgemnist.train.network import (
    CNN,
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    FAMILIES,
    MAXIMUM,
    MEAN,
    MLP,
    POINTWISE,
    SIDES,
    WIDTHS,
    Layer,
    Network,
)

if TYPE_CHECKING:
    from optuna import Trial

    from edgemnist.search.study import Tried

MOST_HIDDEN: Final = 3
"""Hidden layers of an MLP."""
MOST_BLOCKS: Final = 4
"""Blocks of a CNN after its first convolution."""
BLOCKS: Final = ("separable", "convolution", "maximum")
"""A depthwise and a pointwise convolution, a plain one, or the largest of 2×2."""
ENDS: Final = ("flat", "mean", "dense")
"""What comes between the convolutions and the answer: nothing, the mean of all places, or a dense layer."""
KNOWN: Final = (
    "cnn:28:c12s2-c20-c28-max-c40:4bit",
    "cnn:28:c12s2-c16-c24-max-c32:4bit",
    "cnn:28:c10s2-c16-max-c22-c24:4bit",
    "cnn:28:c8s2-c12-max-c16-c20:4bit",
    "cnn:28:c4s2-c8-max-c10:4bit",
    "mlp:12:134-26:4bit",
)
"""Networks that are good for their size (`benchmarks/training/small.json`): those within the limits are tried first."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The networks to choose from."""

    families: tuple[str, ...] = FAMILIES
    bits: tuple[int, ...] = WIDTHS
    sides: tuple[int, ...] = SIDES
    most_units: int = 1024
    """Most units of the first hidden layer of an MLP."""

    def propose(self, trial: Trial) -> Network | None:
        """Return the network that a trial's parameters make; None if there is no such network."""
        family = trial.suggest_categorical("family", self.families)
        bits = trial.suggest_categorical("bits", self.bits)
        side = trial.suggest_categorical(f"{family}_input", self.sides)
        layers = self._hidden(trial) if family == MLP else _convolutions(trial)
        try:
            return Network(family=family, side=side, layers=tuple(layers), bits=bits)
        except UsageError:
            return None

    def known(self, limits: Limits, classes: int) -> list[Network]:
        """Return the networks to begin with."""
        return [
            network
            for network in map(Network.parse, KNOWN)
            if network.family in self.families
            and network.side in self.sides
            and network.bits in self.bits
            and max(network.hidden, default=0) <= self.most_units
            and limits.allow(Costs.of(network, classes))
        ]

    def _hidden(self, trial: Trial) -> Iterator[Layer]:
        most = self.most_units
        for number in range(1, trial.suggest_int("mlp_layers", 1, MOST_HIDDEN) + 1):
            yield Layer(DENSE, trial.suggest_int(f"mlp_units_{number}", 4, most, log=True))
            most = max(8, most // 4)

    def smallest(self, classes: int) -> Iterator[Costs]:
        """Yield the costs of the smallest networks of each kind: limits that none of these fits, no network fits."""
        for side, bits in product(self.sides, self.bits):
            if MLP in self.families:
                yield Costs.of(Network.mlp(4, side=side, bits=bits), classes)
            if CNN in self.families:
                first, half = Layer(CONVOLUTION, 2, 2), Layer(MAXIMUM, 0, 2)
                for rest in ((Layer(MEAN),), (half,), (half, Layer(MEAN))):
                    try:
                        network = Network(family=CNN, side=side, layers=(first, *rest), bits=bits)
                    except UsageError:
                        continue
                    yield Costs.of(network, classes)

    def check(self, limits: Limits, classes: int) -> None:
        """Raise UsageError if no network is within limits of what is known before training."""
        smallest = list(self.smallest(classes))
        for option, name, limit, least in (
            ("--max-bytes", "bytes", limits.bytes, min(one.bytes for one in smallest)),
            ("--max-ram", "bytes of RAM", limits.ram_bytes, min(one.ram_bytes for one in smallest)),
        ):
            if limit is not None and limit < least:
                raise UsageError(
                    f"{option} {limit:,} is less than any network takes", hint=f"The smallest takes {least:,} {name}."
                )


def _convolutions(trial: Trial) -> Iterator[Layer]:
    yield Layer(CONVOLUTION, trial.suggest_int("cnn_channels", 2, 16, log=True), trial.suggest_int("cnn_stride", 1, 2))
    for number in range(1, trial.suggest_int("cnn_blocks", 0, MOST_BLOCKS) + 1):
        kind = trial.suggest_categorical(f"cnn_block_{number}", BLOCKS)
        if kind == "maximum":
            yield Layer(MAXIMUM, 0, 2)
            continue
        stride = trial.suggest_int(f"cnn_stride_{number}", 1, 2)
        channels = trial.suggest_int(f"cnn_channels_{number}", 4, 48, log=True)
        if kind == "separable":
            yield Layer(DEPTHWISE, 0, stride)
            yield Layer(POINTWISE, channels)
        else:
            yield Layer(CONVOLUTION, channels, stride)
    end = trial.suggest_categorical("cnn_end", ENDS)
    if end == "mean":
        yield Layer(MEAN)
    elif end == "dense":
        yield Layer(DENSE, trial.suggest_int("cnn_units", 8, 64, log=True))


def parameters_of(network: Network) -> dict[str, Any]:
    """Return the parameters of a trial that `Space.propose` makes a network of; it has no depthwise convolutions."""
    found = {"family": network.family, "bits": network.bits, f"{network.family}_input": network.side}
    if network.family == MLP:
        units = {f"mlp_units_{number}": layer.units for number, layer in enumerate(network.layers, start=1)}
        return {**found, "mlp_layers": len(units), **units}
    first, *blocks = network.layers
    found |= {"cnn_channels": first.units, "cnn_stride": first.stride, "cnn_blocks": len(blocks), "cnn_end": "flat"}
    for number, layer in enumerate(blocks, start=1):
        found[f"cnn_block_{number}"] = layer.kind
        if layer.kind == CONVOLUTION:
            found |= {f"cnn_stride_{number}": layer.stride, f"cnn_channels_{number}": layer.units}
    return found


_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([^\s\d.]*)\s*")
SIZES: Final = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "kib": 2**10, "m": 1e6, "mb": 1e6, "mib": 2**20}
"""Bytes in each unit of a size; as everywhere, 1 KB is 1,000 bytes."""
TIMES: Final = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6}
"""Microseconds in each unit of a time."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a network costs."""

    bytes: int
    """Bytes of the weights and biases."""
    ram_bytes: int
    """Static memory of the C file."""
    multiplications: int
    """Multiplications for one image, if none is skipped."""
    p50_us: float | None = None
    """Median latency of one image; None if it was not measured."""

    @classmethod
    def of(cls, network: Network, classes: int) -> Costs:
        """Return what is known of a network before it is trained."""
        from edgemnist.search.costs import c_ram_bytes

        return cls(
            bytes=network.weight_bytes(classes),
            ram_bytes=c_ram_bytes(network, classes),
            multiplications=network.multiplications(classes),
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How accurate a network must be, and what it may cost; None is no limit. Raises UsageError if out of range."""

    accuracy: float | None = None
    """Least share of the images, 0 to 1, that it gets right."""
    bytes: int | None = None
    ram_bytes: int | None = None
    p50_us: float | None = None

    def __post_init__(self) -> None:
        check_range("--accuracy", None if self.accuracy is None else 100 * self.accuracy, above=1, most=100)
        check_range("--max-bytes", self.bytes, least=1)
        check_range("--max-ram", self.ram_bytes, least=1)
        check_range("--max-p50", self.p50_us, above=0)

    @classmethod
    def of(
        cls,
        *,
        accuracy: str | None = None,
        max_bytes: str | None = None,
        max_ram: str | None = None,
        max_p50: str | None = None,
    ) -> Limits:
        """Return the limits that options write as `99`, `16k`, `2k` and `2us`. Raises UsageError for other units."""
        share = read_quantity("--accuracy", accuracy, {"": 1.0, "%": 1.0}, "99", "per cent")
        if share is not None and share <= 1:
            raise UsageError(
                f"--accuracy is in per cent, and {accuracy} is almost nothing", hint=f"Did you mean {100 * share:g}?"
            )
        size = read_quantity("--max-bytes", max_bytes, SIZES, "16k", "bytes, k, KiB, M or MiB")
        ram = read_quantity("--max-ram", max_ram, SIZES, "2k", "bytes, k, KiB, M or MiB")
        return cls(
            accuracy=None if share is None else share / 100,
            bytes=None if size is None else int(size),
            ram_bytes=None if ram is None else int(ram),
            p50_us=read_quantity("--max-p50", max_p50, TIMES, "2us", "ns, us, ms or s"),
        )

    def excesses(self, costs: Costs) -> dict[str, float]:
        """Return by how much of the limit each cost exceeds it, 0 or less within; without those that are not known."""
        pairs = {
            "bytes": (costs.bytes, self.bytes),
            "RAM": (costs.ram_bytes, self.ram_bytes),
            "p50": (costs.p50_us, self.p50_us),
        }
        return {
            name: cost / limit - 1 for name, (cost, limit) in pairs.items() if cost is not None and limit is not None
        }

    def allow(self, costs: Costs) -> bool:
        """Return whether no known cost exceeds its limit."""
        return all(excess <= 0 for excess in self.excesses(costs).values())

    def misses(self, costs: Costs, accuracy: float) -> list[str]:
        """Return each limit that a trained network misses, in words."""
        found = []
        if self.accuracy is not None and accuracy < self.accuracy:
            found.append(f"{percent(accuracy)} accurate, but {percent(self.accuracy)} was asked for")
        if self.bytes is not None and costs.bytes > self.bytes:
            found.append(f"{costs.bytes:,} bytes, but only {self.bytes:,} are allowed")
        if self.ram_bytes is not None and costs.ram_bytes > self.ram_bytes:
            found.append(f"{costs.ram_bytes:,} bytes of RAM, but only {self.ram_bytes:,} are allowed")
        if self.p50_us is not None and costs.p50_us is not None and costs.p50_us > self.p50_us:
            found.append(f"{microseconds(costs.p50_us)} a call, but only {microseconds(self.p50_us)} is allowed")
        return found


def read_quantity(option: str, text: str | None, units: dict[str, float], example: str, names: str) -> float | None:
    """Return a number in the base unit of `units`. Raises UsageError for text that is no number with one of them."""
    if text is None:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} must be a number with a unit, such as {example} (got {text})")
    unit = units.get(found[2].lower())
    if unit is None:
        what = f"in {found[2]}" if found[2] else "without a unit"
        raise UsageError(f"{option} cannot be given {what} (got {text})", hint=f"Its units are {names}: {example}.")
    return float(found[1]) * unit


def best_so_far(tried: Sequence[Tried], limits: Limits) -> Tried | None:
    """Return the smallest network that is accurate enough, or else the most accurate one; None if none was trained."""
    trained = [one for one in tried if not one.stopped]
    if not trained:
        return None
    enough = [one for one in trained if limits.accuracy is not None and one.accuracy >= limits.accuracy]
    if enough:
        return min(enough, key=lambda one: (one.costs.bytes, -one.accuracy))
    return max(trained, key=lambda one: (one.accuracy, -one.costs.bytes))


def choose(tried: Sequence[Tried], limits: Limits) -> dict[str, list[str]]:
    """Return the networks that are worth a whole training, each with the respects in which it is the best.

    These are the most accurate one and, of those that are accurate enough, the smallest, the fastest and the one with
    the least RAM. Without a limit of the accuracy they are the most accurate of each half of the bytes. If none is
    accurate enough, only the most accurate one is returned.
    """
    trained = [one for one in tried if not one.stopped and limits.allow(one.costs)]
    chosen: dict[str, list[str]] = {}

    def add(one: Tried, reason: str) -> None:
        chosen.setdefault(one.network, []).append(reason)

    if not trained:
        return chosen
    best = max(trained, key=lambda one: (one.accuracy, -one.costs.bytes))
    add(best, "accuracy")
    if limits.accuracy is None:
        for part in (2, 4):
            smaller = [one for one in trained if one.costs.bytes * part <= best.costs.bytes]
            if smaller:
                add(max(smaller, key=lambda one: (one.accuracy, -one.costs.bytes)), f"1/{part} of the bytes")
        return chosen
    enough = [one for one in trained if one.accuracy >= limits.accuracy]
    if enough:
        add(min(enough, key=lambda one: (one.costs.bytes, -one.accuracy)), "bytes")
        if all(one.costs.p50_us is not None for one in enough):
            add(min(enough, key=lambda one: (one.costs.p50_us or 0, -one.accuracy)), "p50")
        else:
            add(min(enough, key=lambda one: (one.costs.ram_bytes, -one.accuracy)), "RAM")
    return chosen
