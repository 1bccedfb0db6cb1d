"""A network's tables as the structures of `engine.h` have them, and where its layers' outputs lie in memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.native.layers import Convolution, Crop, Dense, Depthwise, Layer, Pool, window_of_layer
from edgemnist.native.network import Network, WeightForm, pack

if TYPE_CHECKING:
    from edgemnist.runtimes.windows import Window

CONVOLUTION: Final = 0
DEPTHWISE: Final = 1
MAXIMUM: Final = 2
AVERAGE: Final = 3
CROP: Final = 4
"""Kinds of windows, as in `engine.h`."""


@dataclass(frozen=True, eq=False)
class Layout:
    """One layer. The names, and their order, are those of `engine.h`."""

    tables: Mapping[str, npt.NDArray[Any] | None]
    """What it points to, each flat; None for a null pointer."""
    numbers: Mapping[str, int]

    @property
    def room(self) -> int:
        """Its outputs at one place, in whole blocks if they are rescaled sums."""
        summed = self.tables["bias"] is not None
        return self.numbers["block"] * self.numbers["blocks"] if summed else self.numbers["outputs"]


@dataclass(frozen=True, eq=False)
class ModelLayout:
    """A whole network. The names, and their order, are those of `engine.h`."""

    pixel_map: npt.NDArray[np.uint8] | None
    layers: Sequence[Layout]
    windows: Sequence[Mapping[str, int]]
    """Of the first layers."""
    numbers: Mapping[str, int]


def lay_out(
    network: Network,
    *,
    group: int,
    block: int,
    small_block: int | None = None,
    form: WeightForm = WeightForm.SIGNED,
    squares: bool = False,
    packed: bool = False,
    alignment: int,
) -> ModelLayout:
    """Return the tables of a network for a kernel that takes `group` inputs and `block` outputs at a time; see `pack`.

    `small_block` is that of layers of no more outputs than itself. Outputs begin at multiples of `alignment` bytes.
    With `squares`, a first layer that is dense takes squares of 2 × 2 pixels as its groups. `packed` stores the weights
    of a layer in as few bits as hold them all, see `narrow`.
    """
    small_block = small_block or block
    first, *others = network.layers
    layers = [
        _layer(layer, group=group, block=small_block if layer.outputs <= small_block else block, form=form)
        for layer in (_of_squares(first) if squares else first, *others)
    ]
    if packed:
        layers = [
            narrow(laid_out, 1 if isinstance(layer, Depthwise) else block)
            for laid_out, layer in zip(layers, network.layers, strict=True)
        ]
    windows = _windows(network.layers, layers)
    places = _Places.of(network, layers, windows, alignment)
    summed = [layer.numbers["inputs"] for layer in layers]
    patches = [
        one.numbers["inputs"]
        for one, layer in zip(layers, network.layers, strict=True)
        if isinstance(layer, Convolution)
    ]
    return ModelLayout(
        pixel_map=network.pixel_map,
        layers=[
            Layout(layer.tables, {**layer.numbers, "place": place})
            for layer, place in zip(layers, places.outputs, strict=True)
        ],
        windows=windows,
        numbers={
            "arena_bytes": places.end,
            "image_place": places.image,
            "layer_count": len(layers),
            "window_count": len(windows),
            "most_inputs": max(summed),
            "patch_bytes": max(patches, default=0),
            "classes": network.classes,
        },
    )


def _of_squares(layer: Layer) -> Layer:
    """Return a dense layer with the weights of pixels in another order: square by square, each row by row."""
    if type(layer) is not Dense:
        return layer
    half = IMAGE_SIDE // 2
    squares = layer.weights.reshape(-1, half, 2, half, 2).swapaxes(2, 3)
    return replace(layer, weights=squares.reshape(layer.weights.shape))


def _layer(layer: Layer, *, group: int, block: int, form: WeightForm) -> Layout:
    outputs = layer.outputs
    blocks = -(-outputs // block)

    def padded(values: npt.NDArray[Any], fill: int = 0) -> npt.NDArray[Any]:
        whole = np.full(blocks * block, fill, dtype=values.dtype)
        whole[:outputs] = values
        return whole

    tables: dict[str, npt.NDArray[Any] | None] = dict.fromkeys(("weights", "bias", "wide_bias", "multiplier", "shift"))
    if not isinstance(layer, Pool):
        bias = np.zeros_like(layer.bias) if layer.wide else layer.bias
        tables |= {
            "bias": padded(bias.astype(np.int32)),
            "wide_bias": padded(layer.bias) if layer.wide else None,
            "multiplier": padded(layer.multiplier),
            "shift": padded(layer.shift, fill=33),
        }
    if isinstance(layer, Dense):
        tables["weights"] = pack(layer.weights, group=group, block=block, form=form)
    elif isinstance(layer, Depthwise):
        tables["weights"] = None if layer.weights is None else layer.weights.reshape(-1)
    return Layout(
        tables={
            **tables,
            "map": layer.map,
            "exponentials": layer.exponentials,
            "softmax_map": layer.softmax_map,
        },
        numbers={
            "exponential_count": 0 if layer.exponentials is None else len(layer.exponentials),
            "inputs": layer.weights.shape[1] if isinstance(layer, Dense) else 0,
            "outputs": outputs,
            "block": block,
            "blocks": blocks,
            "zero_point": layer.zero_point,
            "low": layer.low,
            "high": layer.high,
            "rounds_twice": 0 if isinstance(layer, Pool) else int(layer.rounds_twice),
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


def _windows(layers: Sequence[Layer], laid_out: Sequence[Layout]) -> list[dict[str, int]]:
    """Return the windows of the first layers, each with the rows that it keeps for the next.

    What the next one does not look at, such as the last of an odd number of rows before a pooling, is not computed.
    """
    windows = [window for layer in layers if (window := window_of_layer(layer)) is not None]
    sizes = _sizes(windows)
    found: list[dict[str, int]] = []
    for index, (window, (out_height, out_width)) in enumerate(zip(windows, sizes, strict=True)):
        after = windows[index + 1] if index + 1 < len(windows) else None
        height, width = sizes[index - 1] if index else (window.height, window.width)
        outputs = layers[index].outputs
        whole = out_width * outputs
        found.append(
            {
                # The last place of a row is written in whole blocks, and the rows of the last image without a gap.
                "row_bytes": whole if after is None else whole - outputs + laid_out[index].room,
                "kept": out_height if after is None else min(after.kernel_height, out_height),
                "height": height,
                "width": width,
                "channels": window.channels,
                "out_height": out_height,
                "out_width": out_width,
                "kernel_height": window.kernel_height,
                "kernel_width": window.kernel_width,
                "stride_height": window.stride_height,
                "stride_width": window.stride_width,
                "top": window.top,
                "left": window.left,
                "kind": _kind(layers[index]),
                "zero": layers[index].zero,  # type: ignore[union-attr]
            }
        )
    return found


def _sizes(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """Return height and width of each window's outputs, as far as the next one looks at them."""
    found: list[tuple[int, int]] = []
    for index in reversed(range(len(windows))):
        size = windows[index].out_height, windows[index].out_width
        if found:
            after, (height, width) = windows[index + 1], found[-1]
            rows = (height - 1) * after.stride_height + after.kernel_height - after.top
            columns = (width - 1) * after.stride_width + after.kernel_width - after.left
            size = min(size[0], rows), min(size[1], columns)
        found.append(size)
    return found[::-1]


def _kind(layer: Layer) -> int:
    if isinstance(layer, Crop):
        return CROP
    if isinstance(layer, Pool):
        return AVERAGE if layer.average else MAXIMUM
    return CONVOLUTION if isinstance(layer, Convolution) else DEPTHWISE


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Where outputs lie in the arena: what is needed at one time does not overlap, and all else may."""

    outputs: Sequence[int]
    image: int
    """Of pixels that have become other numbers."""
    end: int

    @classmethod
    def of(
        cls, network: Network, layers: Sequence[Layout], windows: Sequence[Mapping[str, int]], alignment: int
    ) -> _Places:
        """Rows of all layers with windows are there at the same time; of dense ones inputs and outputs only."""

        def aligned(size: int) -> int:
            return -(-size // alignment) * alignment

        sizes = [
            aligned(_bytes(layer, laid_out, windows[index] if index < len(windows) else None))
            for index, (layer, laid_out) in enumerate(zip(network.layers, layers, strict=True))
        ]
        first = len(windows)
        # The last image lies at the beginning, where the first dense layer finds it, and before it the others.
        places = {first - 1: 0} if windows else {}
        end = sizes[first - 1] if windows else 0
        for index in range(first - 1):
            places[index] = end
            end += sizes[index]
        image = end
        size = aligned(IMAGE_SIDE**2) if network.pixel_map is not None else 0
        end += size
        # Dense layers write to the end of the arena and to its beginning in turn.
        inputs = [sizes[first - 1] if windows else size, *sizes[first:]]
        end = max(end, *(sum(pair) for pair in itertools.pairwise(inputs)), 0)
        for turn, index in enumerate(range(first, len(layers))):
            places[index] = end - sizes[index] if turn % 2 == 0 else 0
        return cls(outputs=[places[index] for index in range(len(layers))], image=image, end=end)


def _bytes(layer: Layer, laid_out: Layout, window: Mapping[str, int] | None) -> int:
    """Return how much room a layer's outputs need: those that are kept, and the last of them in whole blocks."""
    if window is None:
        return laid_out.room
    if window["kept"] < window["out_height"]:
        return window["kept"] * window["row_bytes"]
    whole = window["out_height"] * window["out_width"] * layer.outputs
    return max(whole - layer.outputs + laid_out.room, window["kept"] * window["row_bytes"])
