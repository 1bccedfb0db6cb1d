"""A network's tables as the structures of `engine.h` have them, and where its layers' outputs lie in memory."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.native.layers import Joined, Kind, Layer, window_in
from edgemnist.model.native.network import Network
from edgemnist.model.native.schedule import Schedule, Scheduling
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW

MAX_SCRATCH: Final = 1 << 26
"""Bytes of memory for one image, of any kernel but for its list: a microcontroller has far less, and sums of sizes stay
within the 32 bits of small processors."""


class WeightForm(enum.IntEnum):
    """How a kernel wants the weights of a block of outputs and a group of inputs, see `engine.h`."""

    SIGNED = 0
    """[output in the block][input in the group]"""
    UNSIGNED = 1
    """The same as uint8, w + 128."""
    PAIRED = 2
    """[pair of outputs][input in the group][output in the pair], of each pair the first as w + 128."""


def pack(
    matrix: npt.NDArray[np.int8], *, group: int, block: int, form: WeightForm = WeightForm.SIGNED
) -> npt.NDArray[np.int8]:
    """Return weights, int8 [outputs, inputs], in a kernel's order, flat.

    That is [block of outputs][group of inputs], and `form` within. Both sides are padded to whole blocks and groups
    with weights of 0. Numbers of uint8 are viewed as int8.
    """
    outputs, inputs = matrix.shape
    blocks, groups = -(-outputs // block), -(-inputs // group)
    padded = np.zeros((blocks * block, groups * group), dtype=np.int8)
    padded[:outputs, :inputs] = matrix
    if form is WeightForm.UNSIGNED:
        padded ^= np.int8(-128)
    if form is WeightForm.PAIRED:
        padded[::2] ^= np.int8(-128)
        pairs = padded.reshape(blocks, block // 2, 2, groups, group).transpose(0, 3, 1, 4, 2)
        return np.ascontiguousarray(pairs).reshape(-1)
    return np.ascontiguousarray(padded.reshape(blocks, block, groups, group).transpose(0, 2, 1, 3)).reshape(-1)


@dataclass(frozen=True, eq=False)
class Layout:
    """One layer. The names, and their order, are those of `engine.h`."""

    tables: Mapping[str, npt.NDArray[Any] | None]
    """What it points to, each flat; None for a null pointer."""
    numbers: Mapping[str, int]

    @property
    def room(self) -> int:
        """Its outputs at one place, in whole blocks if they are rescaled, which begin anywhere where two are joined."""
        if self.tables["multiplier"] is None:
            return self.numbers["outputs"]
        beyond = 0 if self.tables["bias"] is not None else self.numbers["outputs"] - 1
        return self.numbers["block"] * self.numbers["blocks"] + beyond


@dataclass(frozen=True, eq=False)
class ModelLayout:
    """A whole network. The names, and their order, are those of `engine.h`."""

    pixel_map: npt.NDArray[np.uint8] | None
    """Flat."""
    layers: Sequence[Layout]
    windows: Sequence[Mapping[str, int]]
    """Of the first layers."""
    numbers: Mapping[str, int]

    def scratch_bytes(self, alignment: int) -> int:
        """Return what a C file needs for one image: a list of bytes, a patch, two numbers a window, and the arena."""
        numbers = self.numbers
        parts = (numbers["most_inputs"], numbers["patch_bytes"], 4 * numbers["window_count"], numbers["arena_bytes"])
        return sum(-(-part // alignment) * alignment for part in parts)

    def check(self, names: Sequence[str], alignment: int) -> None:
        """Raise ValueError unless every number fits its field, and all of it the memory; `names` are the layers'."""
        for name, layer in zip(names, self.layers, strict=True):
            LAYER.check(layer.numbers, f"its layer {name!r}")
        for name, window in zip(names, self.windows, strict=False):
            WINDOW.check(window, f"its layer {name!r}")
        MODEL.check(self.numbers, "it")
        if (needed := self.scratch_bytes(alignment)) > MAX_SCRATCH:
            raise ValueError(f"its layers hand over {needed:,} bytes at a time, and up to {MAX_SCRATCH:,} are possible")


def lay_out(
    network: Network,
    *,
    group: int,
    block: int,
    small_block: int | None = None,
    form: WeightForm = WeightForm.SIGNED,
    squares: bool = False,
    small: bool = False,
    alignment: int,
) -> ModelLayout:
    """Return the tables of a network for a kernel that takes `group` inputs and `block` outputs at a time; see `pack`.

    `small_block` is that of layers of no more outputs than itself. Outputs begin at multiples of `alignment` bytes.
    With `squares`, a first layer that is dense takes squares of 2 × 2 pixels as its groups, where `network.row` is not
    0. `small` takes the least memory that is found, and stores the weights of a layer in as few bits as hold them all,
    see `narrow`.

    Raises ValueError for a network that does not fit the engine's structures or `MAX_SCRATCH`.
    """
    small_block = small_block or block
    first, *others = network.layers
    row = network.row if squares else 0
    layers = [
        _layer(layer, group=group, block=small_block if layer.outputs <= small_block else block, form=form, small=small)
        for layer in (_of_squares(first, row) if row else first, *others)
    ]
    pixel_map = network.pixel_map
    if pixel_map is None and first.kind is Kind.DENSE and network.inputs % group:
        # A kernel reads whole groups, so the input is copied to where it may.
        pixel_map = np.arange(256, dtype=np.uint8)
    scheduling = Scheduling(
        layers=network.layers,
        rooms=[layer.room for layer in layers],
        input_bytes=0 if pixel_map is None else network.inputs,
        alignment=alignment,
    )
    schedule = scheduling.least() if small else scheduling.schedule([0] * scheduling.count)
    if small:
        layers = [
            narrow(laid_out, 1 if layer.kind is Kind.DEPTHWISE else block) if layer.constant is None else laid_out
            for laid_out, layer in zip(layers, network.layers, strict=True)
        ]
    summed = [layer.numbers["inputs"] for layer in layers]
    laid_out = ModelLayout(
        pixel_map=None if pixel_map is None else pixel_map.reshape(-1),
        layers=[
            Layout(
                {**layer.tables, "places": _places(network.layers[index], schedule, index)},
                {**layer.numbers, "place": place},
            )
            for index, (layer, place) in enumerate(zip(layers, schedule.places, strict=True))
        ],
        windows=[_window(scheduling, schedule, index) for index in range(scheduling.count)],
        numbers={
            "arena_bytes": schedule.arena_bytes,
            "image_place": schedule.input_place,
            "inputs": network.inputs,
            "most_inputs": max(summed),
            "patch_bytes": max(summed[: scheduling.count], default=0),
            "layer_count": len(layers),
            "window_count": scheduling.count,
            "classes": network.classes,
            "pixel_maps": 0 if pixel_map is None else pixel_map.size // 256,
            "row": row,
        },
    )
    laid_out.check([layer.name for layer in network.layers], alignment)
    return laid_out


def _of_squares(layer: Layer, row: int) -> Layer:
    """Return a dense layer with the weights of pixels in another order: square by square, each row by row."""
    if layer.sums is None or layer.matrix is None:
        return layer
    outputs, inputs = layer.matrix.shape
    squares = layer.matrix.reshape(outputs, inputs // (2 * row), 2, row // 2, 2).swapaxes(2, 3)
    return replace(layer, sums=replace(layer.sums, weights=squares.reshape(layer.matrix.shape)))


def _terms(joined: Joined | None, *, small: bool) -> npt.NDArray[np.int32] | None:
    """Return the terms of two tensors that are joined: those of each number, or in a C file what makes them of one."""
    if joined is None or not joined.factors:
        return None
    terms = np.asarray(joined.factors, dtype=np.int32) if small or joined.terms is None else joined.terms
    return terms.reshape(-1)


def _places(layer: Layer, schedule: Schedule, index: int) -> npt.NDArray[np.uint16] | None:
    """Return the rows, columns and channels of a selection that are computed."""
    if layer.places is None:
        return None
    rows, columns, channels = layer.places
    height, width = schedule.sizes[index]
    # -1 becomes the highest number.
    return np.concatenate([rows[:height], columns[:width], channels]).astype(np.uint16)


def _layer(layer: Layer, *, group: int, block: int, form: WeightForm, small: bool) -> Layout:
    outputs, matrix, joined = layer.outputs, layer.matrix, layer.joined
    blocks = -(-outputs // block) if joined is None else 1

    def padded(values: npt.NDArray[Any], fill: int = 0) -> npt.NDArray[Any]:
        """Return values in whole blocks; of two tensors that are joined there is one for all."""
        whole = np.full(blocks * block, fill if joined is None else values[0], dtype=values.dtype)
        whole[: len(values)] = values
        return whole

    tables: dict[str, npt.NDArray[Any] | None] = dict.fromkeys(("weights", "bias", "wide_bias", "multiplier", "shift"))
    if layer.constant is not None:
        tables["weights"] = layer.constant.reshape(-1).view(np.int8)
    if (sums := layer.sums) is not None:
        weights = sums.weights if matrix is None else pack(matrix, group=group, block=block, form=form)
        bias = np.zeros_like(sums.bias) if layer.wide else sums.bias
        tables = {
            "weights": None if weights is None else weights.reshape(-1),
            "bias": padded(bias.astype(np.int32)) if joined is None else None,
            "wide_bias": padded(sums.bias) if layer.wide else None,
            "multiplier": padded(sums.multiplier),
            "shift": padded(sums.shift, fill=33),
        }
    return Layout(
        tables={
            **tables,
            "map": layer.map,
            "exponentials": layer.exponentials,
            "softmax_map": layer.softmax_map,
            "terms": _terms(joined, small=small),
        },
        numbers={
            "inputs": 0 if matrix is None else matrix.shape[1],
            "outputs": outputs,
            "blocks": blocks,
            "place": 0,
            "block": block,
            "exponential_count": 0 if layer.exponentials is None else len(layer.exponentials),
            "zero_point": layer.zero_point,
            "low": layer.low,
            "high": layer.high,
            "rounds_twice": 0 if sums is None else int(sums.rounds_twice),
            "weight_bits": 8,
        },
    )


def narrow(layer: Layout, block: int) -> Layout:
    """Return a layer with its weights in the fewest bits of 8, 4 and 2 that hold all of them.

    The weights of an input for a block of 8 outputs become one number, a uint32 of w + 8 or a uint16 of w + 2, the
    first output in the lowest bits. With a `block` of 1, as depthwise convolutions have it, weights are packed into
    bytes in the order in which they are.
    """
    weights = layer.tables["weights"]
    if weights is None or not weights.size:
        return layer
    low, high = int(weights.min()), int(weights.max())
    bits = next((bits for bits in (2, 4) if -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)), 8)
    if bits == 8:  # noqa: PLR2004 - as they are
        return layer
    together = block if block > 1 else 8 // bits
    padded = np.zeros(-(-weights.size // together) * together, dtype=np.uint32)
    padded[: weights.size] = weights.astype(np.int32) + 2 ** (bits - 1)
    places = np.arange(together, dtype=np.uint32) * np.uint32(bits)
    words = np.bitwise_or.reduce(padded.reshape(-1, together) << places, axis=1)
    dtype = {8: np.uint8, 16: np.uint16, 32: np.uint32}[bits * together]
    return Layout({**layer.tables, "weights": words.astype(dtype)}, {**layer.numbers, "weight_bits": bits})


def _window(scheduling: Scheduling, schedule: Schedule, index: int) -> dict[str, int]:
    """Return the numbers of a layer's window."""
    layer, (out_height, out_width) = scheduling.layers[index], schedule.sizes[index]
    window, joined = window_in(layer), layer.joined
    rows, columns, channels = (0, 0, 0) if joined is None else joined.shape
    return {
        "row_bytes": schedule.row_bytes[index],
        "channels": window.channels,
        "other_step": channels if columns > 1 or window.width == 1 else 0,
        "kept": schedule.kept[index],
        "height": window.height,
        "width": window.width,
        "out_height": out_height,
        "out_width": out_width,
        "kernel_height": window.kernel_height,
        "kernel_width": window.kernel_width,
        "source": scheduling.source(index),
        "other": 0 if joined is None else joined.number,
        "stride_height": window.stride_height,
        "stride_width": window.stride_width,
        "dilation_height": window.dilation_height,
        "dilation_width": window.dilation_width,
        "top": window.top,
        "left": window.left,
        "kind": int(layer.kind),
        "zero": layer.zero,
        "other_zero": 0 if joined is None else joined.zero,
        "whole": schedule.whole[index],
        "other_row": int(rows > 1),
        "other_channel": int(channels == window.channels),
    }
