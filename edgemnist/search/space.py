"""Which networks a search may try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from edgemnist.errors import UsageError
from edgemnist.search.limits import Costs, Limits
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
