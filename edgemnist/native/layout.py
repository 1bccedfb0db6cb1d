"""A layer's tables as `edgemnist_layer` has them: padded to whole blocks, its weights in a kernel's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgemnist.native.network import Dense, Network, pack


@dataclass(frozen=True, eq=False)
class Layout:
    """One layer. The names, and their order, are those of `engine.h`."""

    tables: Mapping[str, npt.NDArray[Any] | None]
    """What it points to, each flat; None for a null pointer."""
    numbers: Mapping[str, int]

    @property
    def room(self) -> int:
        """Its outputs in whole blocks."""
        return self.numbers["block"] * self.numbers["blocks"]


def lay_out(layer: Dense, *, group: int, block: int, unsigned: bool = False) -> Layout:
    """Return the tables of a layer for a kernel that takes `group` inputs and `block` outputs at a time; see `pack`."""
    outputs, inputs = layer.weights.shape
    blocks = -(-outputs // block)

    def padded(values: npt.NDArray[Any], fill: int = 0) -> npt.NDArray[Any]:
        whole = np.full(blocks * block, fill, dtype=values.dtype)
        whole[:outputs] = values
        return whole

    bias = np.zeros_like(layer.bias) if layer.wide else layer.bias
    return Layout(
        tables={
            "weights": pack(layer, group=group, block=block, unsigned=unsigned),
            "bias": padded(bias.astype(np.int32)),
            "wide_bias": padded(layer.bias) if layer.wide else None,
            "multiplier": padded(layer.multiplier),
            "shift": padded(layer.shift, fill=1),
            "map": layer.map,
            "exponentials": layer.exponentials,
            "softmax_map": layer.softmax_map,
        },
        numbers={
            "exponential_count": 0 if layer.exponentials is None else len(layer.exponentials),
            "inputs": inputs,
            "outputs": outputs,
            "block": block,
            "blocks": blocks,
            "zero_point": layer.zero_point,
            "low": layer.low,
            "high": layer.high,
        },
    )


def lay_out_all(
    network: Network, *, group: int, block: int, small_block: int, unsigned: bool = False
) -> tuple[Layout, ...]:
    """Return the tables of all layers; `small_block` is that of layers of no more outputs than itself."""
    return tuple(
        lay_out(
            layer, group=group, block=small_block if len(layer.weights) <= small_block else block, unsigned=unsigned
        )
        for layer in network.layers
    )
