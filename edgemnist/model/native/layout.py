"""A network's tables as the structures of `engine.h` have them, and where its layers' outputs lie in memory."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.model.native.layers import Kind, Layer, window_in
from edgemnist.model.native.network import Network
from edgemnist.model.native.schedule import Schedule, Scheduling
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW
from edgemnist.model.runtimes.fixedpoint import multiply_by_quantized_multiplier, multiply_rounding_twice
from edgemnist.model.runtimes.integer import SUM_BITS

MAX_SCRATCH: Final = 1 << 26
"""Bytes of memory for one image, of any kernel but for its list: a microcontroller has far less, and sums of sizes stay
within the 32 bits of small processors."""
LEAST_ORDERED: Final = 1 << 14
"""Weights of a dense layer, below which skipping saves less than it takes to order inputs when a model is loaded."""


_HIGHEST: Final = 255
_LEAST_SMALL_SHIFT: Final = 33  # of EDGEMNIST_SMALL in engine.h
_NARROW: Final = 15
_MOST_AT_ONCE: Final = 1 << 15
"""Columns of an image, and bytes of it, whose rows are not worth while one by one: two are in the first cache."""
_OF_CHANNELS: Final = {Kind.DEPTHWISE, Kind.AVERAGE}
_TERMS: Final = 6  # of a sum of two tensors
_GROUP: Final = 4  # inputs that a C file takes at a time on some processors
_TOGETHER: Final = 16
"""Outputs of several columns, as `KERNEL(convolve_each)` has it."""


class WeightForm(enum.IntEnum):
    """How a kernel wants the weights of a block of outputs and a group of inputs, see `engine.h`."""

    SIGNED = 0
    """[output in the block][input in the group]"""
    UNSIGNED = 1
    """The same as uint8, w + 128."""
    PAIRED = 2
    """[pair of outputs][input in the group][output in the pair], of each pair the first as w + 128."""
    NIBBLES = 3
    """`SIGNED`, but of dense layers in 4 bits where they fit."""


class Rows(enum.IntFlag):
    """How a kernel takes the inputs of a convolution, see `engine.h`."""

    PATCHES = 0
    """What the window covers at one place."""
    WHOLE = 1
    """The rows that it covers, for a whole row of places."""
    LESS_128 = 2
    """With 128 less than each input."""
    LINES = 4
    """And sums are rescaled by lines."""


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
        terms = self.tables["terms"]
        # A sum in one step is written as it is.
        if self.tables["multiplier"] is None or (terms is not None and len(terms) == _TERMS and terms[0] != 0):
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
    rows: Rows = Rows.PATCHES,
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
    if rows or small:
        settled = (_settled(layer if small else _in_one_row(layer)) for layer in network.layers)
        network = replace(network, layers=tuple(settled))
    matrices = [layer.matrix for layer in network.layers[1:]]
    if group > 1 and any(matrix is not None and matrix.size >= LEAST_ORDERED for matrix in matrices):
        from edgemnist.model.native.silence import silent_together  # late: many networks have no such layer

        network = replace(network, layers=silent_together(network.layers, group, LEAST_ORDERED))
    first, *others = network.layers
    row = network.row if squares else 0
    layers = [
        _layer(
            layer,
            group=group,
            block=small_block if (small_one := layer.outputs <= small_block or layer.kind in _OF_CHANNELS) else block,
            form=WeightForm.SIGNED if small_one and form is WeightForm.NIBBLES else form,
            rows=rows,
        )
        for layer in (_of_squares(first, row) if row else first, *others)
    ]
    pixel_map = network.pixel_map
    if pixel_map is None and first.kind is Kind.DENSE and network.inputs % (_GROUP if small else group):
        # A kernel reads whole groups, so the input is copied to where it may.
        pixel_map = np.arange(256, dtype=np.uint8)
    scheduling = Scheduling(
        layers=network.layers,
        rooms=[layer.room for layer in layers],
        input_bytes=0 if pixel_map is None else network.inputs,
        alignment=alignment,
        edged=bool(rows),
    )
    schedule = scheduling.least() if small else scheduling.schedule([0] * scheduling.count)
    if small:
        layers = [
            narrow(laid_out, 1 if layer.kind is Kind.DEPTHWISE else block) if layer.constant is None else laid_out
            for laid_out, layer in zip(layers, network.layers, strict=True)
        ]
    summed = [layer.numbers["inputs"] for layer in layers]
    patches = summed[: scheduling.count]
    if small:
        # Some processors list addresses of what a depthwise convolution covers, and of its weights.
        weighted = [layer.sums.weights for layer in network.layers if layer.kind is Kind.DEPTHWISE and layer.sums]
        patches += [8 * len(weights) for weights in weighted if weights is not None]
    if rows:
        patches = [
            _row_bytes(layer, columns, group=group, block=small_block, alignment=alignment)
            for layer, (_, columns) in zip(network.layers, schedule.sizes, strict=False)
        ]
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
            "patch_bytes": max(patches, default=0),
            "layer_count": len(layers),
            "window_count": scheduling.count,
            "classes": network.classes,
            "pixel_maps": 0 if pixel_map is None else pixel_map.size // 256,
            "row": row,
        },
    )
    laid_out.check([layer.name for layer in network.layers], alignment)
    return laid_out


def _by_rows(layer: Layer, group: int) -> npt.NDArray[np.int8] | None:
    """Return the weights of a convolution for whole rows, [outputs, inputs in whole groups]; None for other layers.

    What is side by side in a row is filled up with weights of 0. Of a depthwise one, a group is what one column has in
    several rows.
    """
    if layer.sums is None or layer.sums.weights is None or layer.window is None:
        return None
    window, weights = layer.window, layer.sums.weights
    height, width, outputs = window.kernel_height, window.kernel_width, layer.outputs
    if layer.kind is Kind.DEPTHWISE:
        # [places, channels] -> [channels, groups of rows, columns, rows of a group].
        rows = np.zeros((-(-height // group) * group, width, outputs), np.int8)
        rows[:height] = weights.reshape(height, width, outputs)
        ordered = rows.reshape(-1, group, width, outputs).transpose(3, 0, 2, 1).reshape(outputs, -1)
        return np.tile(ordered, (_times(layer), 1))
    runs = weights.reshape(outputs, height * (1 if window.dilation_width == 1 else width), -1)
    filled = np.zeros((*runs.shape[:2], -(-runs.shape[2] // group) * group), np.int8)
    filled[:, :, : runs.shape[2]] = runs
    return filled.reshape(outputs, -1)


def _times(layer: Layer) -> int:
    """Return how many columns of a depthwise convolution are computed at once, as if they were one of more channels."""
    whole = layer.outputs < _TOGETHER and _TOGETHER % layer.outputs == 0
    return _TOGETHER // layer.outputs if whole and window_in(layer).stride_width == 1 else 1


def _row_bytes(layer: Layer, columns: int, *, group: int, block: int, alignment: int) -> int:
    """Return the bytes of the rows that a window covers for a row of this many outputs, and of their addresses."""
    window = window_in(layer)
    if layer.joined is not None or layer.kind not in {Kind.CONVOLUTION, Kind.DEPTHWISE, Kind.MAXIMUM, Kind.AVERAGE}:
        return 0
    columns = (columns - 1) * window.stride_width + (window.kernel_width - 1) * window.dilation_width + 1
    row_bytes = columns * window.channels
    # A kernel reads whole groups of inputs, or those of a block of outputs.
    height = window.kernel_height
    if layer.kind is Kind.CONVOLUTION:
        return -(-8 * height // alignment) * alignment + height * row_bytes + group
    if layer.kind is Kind.MAXIMUM:
        return row_bytes
    if layer.sums is None or layer.sums.weights is None:
        return 4 * window.width * window.channels
    rows = -(-height // group)
    before = sum(-(-part // alignment) * alignment for part in (8 * rows, window.width * window.channels))
    return before + 4 * (rows * row_bytes + block)


def _of_squares(layer: Layer, row: int) -> Layer:
    """Return a dense layer with the weights of pixels in another order: square by square, each row by row."""
    if layer.sums is None or layer.matrix is None:
        return layer
    outputs, inputs = layer.matrix.shape
    squares = layer.matrix.reshape(outputs, inputs // (2 * row), 2, row // 2, 2).swapaxes(2, 3)
    return replace(layer, sums=replace(layer.sums, weights=squares.reshape(layer.matrix.shape)))


def _terms(layer: Layer) -> npt.NDArray[np.int32] | None:
    """Return what makes the terms of two tensors that are joined of their numbers."""
    joined = layer.joined
    if joined is None or not joined.factors:
        return None
    if joined.terms is None:
        return np.array(joined.factors, dtype=np.int32).reshape(-1)
    exact = [0, *itertools.chain(*joined.factors), 0]
    return np.array(_in_one_step(layer, joined.factors, joined.terms) or exact, dtype=np.int32)


def _in_one_step(
    layer: Layer, factors: Sequence[tuple[int, int]], terms: npt.NDArray[np.int32]
) -> tuple[int, int, int, int, int, int] | None:
    """Return the constants of `KERNEL(add_row)` that make the same of every pair of numbers, or None if there are none.

    LiteRT rounds three times, to far less than a step of the outputs; a single sum comes to the same unless a pair lies
    as near to the middle of two steps as that.
    """
    if layer.sums is None or layer.joined is None:
        return None
    sign, zeros = (-1 if layer.kind is Kind.DIFFERENCE else 1), (layer.zero, layer.joined.zero)
    multiplier, shift = int(layer.sums.multiplier[0]), int(layer.sums.shift[0])
    sums = terms[0].astype(np.int64)[:, None] + sign * terms[1].astype(np.int64)
    wanted = np.clip(multiply_rounding_twice(sums, multiplier, 31 - shift) + layer.zero_point, layer.low, layer.high)
    x, y = np.arange(256)[:, None], np.arange(256)

    def factors_in(down: int) -> tuple[int, int]:
        """Return both factors in units of 2^-15 / 2^down: a term is number * factor * 2^SUM_BITS / 2^shift."""
        first, second = (
            times * int(factor) * multiplier * 2 ** (SUM_BITS + down + 15) >> (less + shift)
            for times, (factor, less) in zip((1, sign), factors, strict=True)
        )
        return first, second

    # Those whose whole numbers have 16 bits come first: kernels multiply pairs of them.
    for down in sorted(range(24, 11, -1), key=lambda down: max(map(abs, factors_in(down))) >> 30 > 0):
        first, second = factors_in(down)
        plus = (layer.zero_point * 2 + 1 << down + 14) - zeros[0] * first - zeros[1] * second + 2**14 >> 15
        constants = down, first >> 15, first & 0x7FFF, second >> 15, second & 0x7FFF
        value = x * constants[1] + y * constants[3] + (x * constants[2] + y * constants[4] >> 15) + plus
        if max(np.abs(value).max(), abs(plus), *(512 * abs(one) for one in constants[1:5])) < 2**31 - 2**down:
            # How far the sum may be moved, and must be, for every pair to come to what is wanted.
            least = int(np.max((wanted << down) - value, where=wanted > layer.low, initial=-(2**down)))
            most = int(np.min((wanted + 1 << down) - 1 - value, where=wanted < layer.high, initial=2**down))
            if least <= most:
                return (*constants, plus + max(least, min(0, most)))
    return None


def _places(layer: Layer, schedule: Schedule, index: int) -> npt.NDArray[np.uint16] | None:
    """Return the rows, columns and channels of a selection that are computed."""
    if layer.places is None:
        return None
    rows, columns, channels = layer.places
    height, width = schedule.sizes[index]
    # -1 becomes the highest number.
    return np.concatenate([rows[:height], columns[:width], channels]).astype(np.uint16)


def _layer(layer: Layer, *, group: int, block: int, form: WeightForm, rows: Rows) -> Layout:
    outputs, matrix, joined = layer.outputs, layer.matrix, layer.joined
    blocks = -(-outputs // block) if joined is None else 1

    def padded(values: npt.NDArray[Any], fill: int = 0) -> npt.NDArray[Any]:
        """Return values in whole blocks; of two tensors that are joined there is one for all."""
        whole = np.full(blocks * block, fill if joined is None else values[0], dtype=values.dtype)
        whole[: len(values)] = values
        return whole

    lines, bits = None, 8
    tables: dict[str, npt.NDArray[Any] | None] = dict.fromkeys(("weights", "bias", "wide_bias", "multiplier", "shift"))
    if layer.constant is not None:
        tables["weights"] = layer.constant.reshape(-1).view(np.int8)
    if (sums := layer.sums) is not None:
        weights, bits = _packed(layer, group=group, block=block, form=form)
        bias = np.zeros_like(sums.bias) if layer.wide else sums.bias
        times = 1
        if rows and (ordered := _by_rows(layer, group)) is not None:
            weights = pack(ordered, group=group, block=block)
            # Of a depthwise layer, whose bias is for distances from the zero point, the zero point is part of it here.
            less = (layer.zero if layer.kind is Kind.DEPTHWISE else 0) - (128 if Rows.LESS_128 in rows else 0)
            times = len(ordered) // len(sums.bias)
            if Rows.LINES in rows:
                from edgemnist.model.native.lines import filled, lines_of  # late: dense networks have none

                lines = filled(np.tile(lines_of(layer), (1, times)), blocks * block)
            bias = np.tile(bias, times) - less * ordered.sum(axis=1, dtype=np.int64)
            sums = replace(sums, multiplier=np.tile(sums.multiplier, times), shift=np.tile(sums.shift, times))
        tables = {
            "weights": None if weights is None else weights.reshape(-1),
            "bias": padded(bias.astype(np.int32)) if joined is None else None,
            "wide_bias": padded(np.tile(sums.bias, times)) if layer.wide else None,
            "multiplier": padded(sums.multiplier),
            "shift": padded(sums.shift, fill=33),
        }
    return Layout(
        tables={
            **tables,
            "map": layer.map,
            "exponentials": layer.exponentials,
            "softmax_map": layer.softmax_map,
            "terms": _terms(layer),
            "line": lines,
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
            "rounding": 0 if sums is None else int(sums.rounds_twice) + 2 * _is_small(layer),
            "weight_bits": bits,
        },
    )


def _packed(layer: Layer, *, group: int, block: int, form: WeightForm) -> tuple[npt.NDArray[np.int8] | None, int]:
    """Return the weights of a layer in a kernel's order, and in how many bits each is."""
    matrix = layer.matrix
    if matrix is None:
        return (None if layer.sums is None else layer.sums.weights), 8
    if form is not WeightForm.NIBBLES or layer.kind is not Kind.DENSE:
        return pack(matrix, group=group, block=block, form=form), 8
    groups = -(-matrix.shape[1] // group) | 1  # odd
    weights = pack(np.pad(matrix, ((0, 0), (0, groups * group - matrix.shape[1]))), group=group, block=block, form=form)
    # 16 times a sum has to fit in 32 bits as well.
    if weights.min() < -8 or weights.max() > 7 or matrix.shape[1] >= 2**16:  # noqa: PLR2004 - the ends of 4 bits
        return weights, 8
    halves = weights.reshape(-1, 2, block // 2 * group)
    return halves[:, 0] + np.int8(8) | halves[:, 1] << 4, 4


def _is_small(layer: Layer) -> bool:
    """Return whether sums are as `EDGEMNIST_SMALL` has it."""
    sums = layer.sums
    if sums is None or layer.wide or int(sums.shift.min()) < _LEAST_SMALL_SHIFT:
        return False
    largest = np.maximum(*(np.abs(sums.bias + end) for end in layer.products))
    if layer.joined is not None:
        terms = layer.joined.terms
        largest = np.array([_HIGHEST**2 if terms is None else 2 * int(np.abs(terms).max())])
    step = 31 if sums.rounds_twice else 32
    if int(largest.max()) >= 2**30:
        return False
    halves = np.int64(2 * layer.zero_point + 1) << (sums.shift.astype(np.int64) - step - 1)
    return bool(((largest * sums.multiplier >> step) + 1 + halves < 2**31).all())


def _in_one_row(layer: Layer) -> Layer:
    """Return a convolution of single places of a narrow image with all of them in one row, to compute more at once."""
    window = layer.window
    if layer.kind is not Kind.CONVOLUTION or window is None or (window.kernel_height, window.kernel_width) != (1, 1):
        return layer
    size = window.height * window.width
    moved = (window.stride_height, window.stride_width, window.top, window.left) != (1, 1, 0, 0)
    if moved or window.width > _NARROW or size * max(window.channels, layer.outputs) > _MOST_AT_ONCE:
        return layer
    return replace(layer, window=replace(window, height=1, width=size, out_height=1, out_width=size))


def _settled(layer: Layer) -> Layer:
    """Return a layer whose outputs that are the same whatever it takes come from weights of 0 and a small bias.

    Those of dead channels have scales that nothing else has.
    """
    sums = layer.sums
    if sums is None or sums.weights is None or layer.wide or layer.joined is not None:
        return layer
    rescale = multiply_rounding_twice if sums.rounds_twice else multiply_by_quantized_multiplier
    ends = [
        rescale(sums.bias + end, sums.multiplier.astype(np.int64), 31 - sums.shift.astype(np.int64))
        for end in layer.products
    ]
    least, most = (np.clip(end + layer.zero_point, layer.low, layer.high) for end in ends)
    same = least == most
    axis = 1 if layer.kind is Kind.DEPTHWISE else 0
    weights = np.where(np.expand_dims(same, 1 - axis), 0, sums.weights).astype(np.int8)
    return replace(
        layer,
        sums=replace(
            sums,
            weights=weights,
            bias=np.where(same, (least - layer.zero_point) * 8, sums.bias),
            multiplier=np.where(same, 1 << 30, sums.multiplier).astype(np.int32),
            shift=np.where(same, 33, sums.shift).astype(np.uint8),
        ),
    )


def narrow(layer: Layout, block: int) -> Layout:
    """Return a layer with its weights in the fewest bits of 8, 4 and 2 that hold all of them.

    Those of 8 bits become [groups of four inputs, numbers of a group for a block of outputs], see EDGEMNIST_FOUR.

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
        if block == 1:
            return layer
        pad = -layer.numbers["inputs"] % _GROUP
        whole = np.pad(weights.reshape(-1, layer.numbers["inputs"], block), ((0, 0), (0, pad), (0, 0)))
        return Layout({**layer.tables, "weights": whole.reshape(-1, _GROUP * block)}, layer.numbers)
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
        "edge": schedule.edges[index],
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
