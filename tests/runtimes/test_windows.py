"""Windows of the integer reference against their definition: a loop over places, rows and columns, in real numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.runtimes import windows
from edgemnist.runtimes.fixedpoint import multiply_by_quantized_multiplier
from edgemnist.runtimes.tflite import ACTIVATION_FIELDS, Graph, Operator, Tensor
from edgemnist.runtimes.windows import mean_multiplier, outputs_of, window_of, windowed
from tests.native.networks import Options
from tests.runtimes.test_integer_steps import tensor

SAME, VALID = 0, 1
ZERO_POINT, SCALE, TARGET_ZERO_POINT, TARGET_SCALE = -7, 0.5, 11, 0.75
SHAPES = [
    # (height, width), (kernel height, width), (stride down, across)
    ((5, 7), (3, 2), (1, 1)),
    ((6, 5), (2, 3), (2, 1)),
    ((7, 8), (3, 3), (2, 3)),
    ((4, 9), (1, 4), (3, 2)),
    ((9, 4), (4, 1), (4, 4)),
    ((8, 8), (2, 2), (3, 3)),
    ((3, 3), (5, 4), (1, 2)),
]
CASES = [
    *((SAME, *shape) for shape in SHAPES),
    # The last one has no place on its image.
    *((VALID, *shape) for shape in SHAPES[:-1]),
]


def places(size: int, kernel: int, stride: int, padding: int) -> list[int]:
    """Return where a window begins: TensorFlow's definition of SAME and VALID."""
    if padding == VALID:
        return list(range(0, size - kernel + 1, stride))
    count = math.ceil(size / stride)
    return [number * stride - max((count - 1) * stride + kernel - size, 0) // 2 for number in range(count)]


def covered(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int
) -> Iterator[tuple[int, int, list[tuple[int, int, int, int]]]]:
    """Yield each place, and which row and column of the window lies on which row and column of the image."""
    tops, lefts = (places(*sizes, padding) for sizes in zip(size, kernel, stride, strict=True))
    for (row, top), (column, left) in itertools.product(enumerate(tops), enumerate(lefts)):
        window = itertools.product(range(kernel[0]), range(kernel[1]))
        found = [(down, across, top + down, left + across) for down, across in window]
        yield row, column, [one for one in found if 0 <= one[2] < size[0] and 0 <= one[3] < size[1]]


def shape_of(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int) -> tuple[int, int]:
    tall, wide = (len(places(*sizes, padding)) for sizes in zip(size, kernel, stride, strict=True))
    return tall, wide


def fields(kind: str, kernel: tuple[int, int], stride: tuple[int, int], padding: int, activation: int = 0) -> Options:
    """Return the options of an operator as the schema orders them."""
    values = [padding, stride[1], stride[0], 0, 0, 0]
    if kind.endswith("POOL_2D"):
        values[3:5] = kernel[1], kernel[0]
    elif kind == "DEPTHWISE_CONV_2D":
        values[3] = 1
    # A dilation of 1 is the default, which no file holds.
    values = values[: 6 if kind.endswith("POOL_2D") else ACTIVATION_FIELDS[kind] + 1]
    values[ACTIVATION_FIELDS[kind]] = activation
    return Options(*values)


def graph_of(
    kind: str,
    size: tuple[int, int],
    channels: int,
    target: tuple[int, int, int],
    options: Any,
    constants: tuple[Tensor, ...] = (),
    *,
    same_scale: bool = False,
) -> Graph:
    """Return a graph of one operator."""
    source = tensor(scale=SCALE, zero_point=ZERO_POINT, shape=(1, *size, channels))
    kept = (SCALE, ZERO_POINT) if same_scale else (TARGET_SCALE, TARGET_ZERO_POINT)
    out = tensor(name="y", scale=kept[0], zero_point=kept[1], shape=(1, *target))
    operator = Operator(kind=kind, inputs=(0, *range(2, 2 + len(constants))), outputs=(1,), options=options)
    return Graph(tensors=(source, out, *constants), operators=(operator,), inputs=(0,), outputs=(1,))


def run(graph: Graph, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return windowed(graph, graph.operators[0], multiply_by_quantized_multiplier)(values)


def images(size: tuple[int, int], channels: int, count: int = 3) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).integers(-128, 128, (count, *size, channels))


def weights_of(*shape: int, axis: int) -> tuple[Tensor, npt.NDArray[np.float64]]:
    """Return weights with a scale for each output, and what they stand for."""
    values = np.random.default_rng(1).integers(-127, 128, shape, dtype=np.int8)
    scales = [0.001 * (1 + number) for number in range(shape[axis])]
    return tensor(scale=scales, values=values), values * np.array(scales).reshape(
        [-1 if a == axis else 1 for a in range(4)]
    )


def quantized(real: npt.NDArray[np.float64], low: float = -128) -> npt.NDArray[np.float64]:
    return np.clip(real / TARGET_SCALE + TARGET_ZERO_POINT, low, 127)


@pytest.mark.parametrize(("padding", "size", "kernel", "stride"), CASES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions_are_sums_of_what_the_window_covers(
    padding: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    *,
    relu: bool,
    depthwise: bool,
) -> None:
    # So few patches at once that three images take three rounds.
    monkeypatch.setattr(windows, "_PATCH_VALUES", 1)
    kind, channels, outputs = ("DEPTHWISE_CONV_2D", 2, 6) if depthwise else ("CONV_2D", 3, 4)
    shape = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels)
    weights, real = weights_of(*shape, axis=3 if depthwise else 0)
    biases = np.arange(outputs, dtype=np.int32) * 900 - 1000
    bias = tensor(name="bias", values=biases)
    target = (*shape_of(size, kernel, stride, padding), outputs)
    graph = graph_of(kind, size, channels, target, fields(kind, kernel, stride, padding, int(relu)), (weights, bias))
    values = images(size, channels)
    pixels = (values - ZERO_POINT) * SCALE
    steps = np.asarray(weights.scales, np.float64) * SCALE
    wanted = np.empty((3, *target))
    for row, column, window in covered(size, kernel, stride, padding):
        total = np.zeros((3, outputs)) + biases * steps
        for down, across, y, x in window:
            if depthwise:
                total += np.repeat(pixels[:, y, x], outputs // channels, axis=1) * real[0, down, across]
            else:
                total += pixels[:, y, x] @ real[:, down, across].T
        wanted[:, row, column] = total
    found = run(graph, values.reshape(3, -1))
    assert found.shape == wanted.shape
    assert np.abs(found - quantized(wanted, TARGET_ZERO_POINT if relu else -128)).max() <= 0.501


@pytest.mark.parametrize(("padding", "size", "kernel", "stride"), CASES)
@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize(
    ("activation", "ends"), [(0, (-128, 127)), (1, (ZERO_POINT, 127)), (3, (ZERO_POINT, ZERO_POINT + 12))]
)
def test_pooling_takes_what_lies_on_the_image(
    padding: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    kind: str,
    activation: int,
    ends: tuple[int, int],
) -> None:
    target = (*shape_of(size, kernel, stride, padding), 2)
    graph = graph_of(kind, size, 2, target, fields(kind, kernel, stride, padding, activation), same_scale=True)
    values = images(size, 2)
    wanted = np.full((3, *target), -128)
    for row, column, window in covered(size, kernel, stride, padding):
        # A step that is wider than the window can end beyond the image, where a maximum is the lowest value.
        seen = np.array([values[:, y, x] for _, _, y, x in window]).reshape(-1, 3, 2)
        if kind == "MAX_POOL_2D":
            wanted[:, row, column] = seen.max(axis=0, initial=-128)
        else:
            means = seen.mean(axis=0)
            wanted[:, row, column] = np.sign(means) * np.floor(np.abs(means) + 0.5)
    assert np.array_equal(run(graph, values.reshape(3, -1)), np.clip(wanted, *ends))


@pytest.mark.parametrize("axes", [[1, 2], [2, 1], [-3, -2]])
def test_a_mean_is_that_of_rows_and_columns(axes: list[int]) -> None:
    size, channels = (7, 5), 3
    constant = tensor(name="axes", values=np.array(axes, np.int32))
    graph = graph_of("MEAN", size, channels, (1, 1, channels), None, (constant,))
    values = images(size, channels)
    # So high that the upper end of int8 is reached, too.
    values[2] = 127
    wanted = quantized(((values - ZERO_POINT) * SCALE).mean(axis=(1, 2)))
    found = run(graph, values.reshape(3, -1))
    assert found.shape == (3, channels)
    assert np.abs(found - wanted).max() <= 0.501


@pytest.mark.parametrize(
    ("begins", "ends", "masks"),
    [
        ([0, 2, 1, 0], [3, 5, 4, 2], (0, 0)),
        ([7, 2, 1, 7], [7, -2, -1, 7], (9, 9)),
        ([7, 2, 1, 7], [7, 5, 7, 7], (9, 13)),
        ([7, -5, -4, 7], [7, 7, 7, 7], (9, 15)),
        ([7, 7, 7, 7], [7, 7, 7, 7], (15, 15)),
    ],
)
def test_a_crop_takes_the_rows_and_columns_between_two_places(
    begins: list[int], ends: list[int], masks: tuple[int, int]
) -> None:
    values = images((7, 5), 2)
    slices = (
        slice(None if masks[0] >> axis & 1 else begin, None if masks[1] >> axis & 1 else end)
        for axis, (begin, end) in enumerate(zip(begins, ends, strict=True))
    )
    wanted = values[tuple(slices)]
    constants = tuple(tensor(values=np.array(one, "<i4")) for one in (begins, ends, [1] * 4))
    height, width, channels = wanted.shape[1:]
    graph = graph_of("STRIDED_SLICE", (7, 5), 2, (height, width, channels), Options(*masks), constants, same_scale=True)
    assert np.array_equal(run(with_source(graph, 3, 7, 5, 2), values.reshape(3, -1)), wanted)


def test_a_mean_beyond_the_output_is_its_end() -> None:
    constant = tensor(values=np.array([1, 2], np.int32))
    graph = graph_of("MEAN", (4, 4), 1, (1, 1, 1), None, (constant,))
    narrow = replace(graph, tensors=(graph.tensors[0], tensor(scale=0.25, shape=(1, 1)), *graph.tensors[2:]))
    values = np.stack([np.full(16, -128), np.full(16, 127)])
    assert run(narrow, values).tolist() == [[-128], [127]]


def test_the_division_of_a_mean_keeps_as_many_bits_as_there_are() -> None:
    """`mean.h`: the mantissa is shifted by the bits of the count, 32 at most, and as far as 31 places are left."""

    def multiplier(exponent: int, count: int) -> tuple[int, int]:
        return mean_multiplier(tensor(scale=2.0**exponent), tensor(scale=1.0), count)

    assert multiplier(0, 49) == (2**35 // 49, 1 - 5)
    assert multiplier(0, 1) == (2**30, 1)
    assert multiplier(0, 64) == (2**30, 1 - 6)
    assert multiplier(-28, 49) == (2**34 // 49, -27 - 4)
    assert multiplier(4, 2**40) == (2**62 // 2**40, 5 - 32)


def test_patches_take_no_more_memory_at_once_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    size, kernel, sizes = (6, 6), (3, 3), []
    weights, _ = weights_of(2, *kernel, 1, axis=0)
    kind = "CONV_2D"
    graph = graph_of(kind, size, 1, (4, 4, 2), fields(kind, kernel, (1, 1), VALID), (weights,))
    values = images(size, 1, 10).reshape(10, -1)
    whole = run(graph, values)
    # 16 places of 9 pixels: three images, and a little more.
    monkeypatch.setattr(windows, "_PATCH_VALUES", 3 * 16 * 9 + 100)
    patches = windows.Window.patches

    def recorded(self: windows.Window, padded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        found = patches(self, padded)
        sizes.append(found.size)
        return found

    monkeypatch.setattr(windows.Window, "patches", recorded)
    assert np.array_equal(run(graph, values), whole)
    assert sizes == [3 * 16 * 9] * 3 + [16 * 9]


def test_without_a_bias_nothing_is_added() -> None:
    weights, real = weights_of(2, 1, 1, 1, axis=0)
    graph = graph_of("CONV_2D", (2, 2), 1, (2, 2, 2), fields("CONV_2D", (1, 1), (1, 1), VALID), (weights,))
    values = images((2, 2), 1)
    wanted = quantized((values - ZERO_POINT) * SCALE * real.reshape(1, 1, 1, 2))
    assert np.abs(run(graph, values) - wanted).max() <= 0.501


def test_the_widest_window_and_step_are_taken_and_no_wider_one() -> None:
    def graph(kernel: tuple[int, int], stride: tuple[int, int]) -> Graph:
        target = (*shape_of((40, 40), kernel, stride, SAME), 1)
        kind = "MAX_POOL_2D"
        return graph_of(kind, (40, 40), 1, target, fields(kind, kernel, stride, SAME), same_scale=True)

    widest = graph((32, 32), (32, 32))
    found = window_of(widest, widest.operators[0])
    assert (found.kernel_height, found.stride_width, found.out_height) == (32, 32, 2)
    for kernel, stride in [((33, 1), (1, 1)), ((1, 33), (1, 1)), ((1, 1), (33, 1)), ((1, 1), (1, 33))]:
        refused = graph(kernel, stride)
        with pytest.raises(
            ValueError, match=r"^the window of its MAX_POOL_2D or its steps are not 1 to 32 rows and columns$"
        ):
            window_of(refused, refused.operators[0])
    for kernel, stride in [((0, 1), (1, 1)), ((1, 0), (1, 1)), ((1, 1), (0, 1)), ((1, 1), (1, 0))]:
        options = fields("MAX_POOL_2D", kernel, stride, SAME)
        refused = graph_of("MAX_POOL_2D", (4, 4), 1, (4, 4, 1), options, same_scale=True)
        with pytest.raises(ValueError, match="are not 1 to 32 rows"):
            window_of(refused, refused.operators[0])


def conv(
    options: Any, *, size: tuple[int, int] = (4, 4), channels: int = 1, shape: tuple[int, ...] = (2, 3, 3, 1)
) -> Graph:
    constant = tensor(scale=0.1, values=np.ones(shape, np.int8))
    return graph_of("CONV_2D", size, channels, (2, 2, 2), options, (constant,))


def depthwise(options: Any, *, channels: int = 2, shape: tuple[int, ...] = (1, 3, 3, 4)) -> Graph:
    constant = tensor(scale=0.1, values=np.ones(shape, np.int8))
    return graph_of("DEPTHWISE_CONV_2D", (4, 4), channels, (2, 2, shape[-1]), options, (constant,))


def pool(kind: str = "MAX_POOL_2D", target: tuple[int, int, int] = (2, 2, 1), **changes: Any) -> Graph:
    graph = graph_of(kind, (4, 4), 1, target, fields(kind, (2, 2), (2, 2), VALID), same_scale=True)
    return replace(graph, tensors=(graph.tensors[0], replace(graph.tensors[1], **changes)))


def mean(axes: list[int]) -> Graph:
    return graph_of("MEAN", (4, 4), 1, (1, 1, 1), None, (tensor(values=np.array(axes, np.int32)),))


def crop(
    begins: list[float],
    ends: list[int],
    steps: tuple[int, ...] = (1, 1, 1, 1),
    *masks: int,
    target: tuple[int, int, int] = (4, 4, 1),
    **changes: Any,
) -> Graph:
    kinds = {int: "<i4", float: "<f4"}
    constants = tuple(tensor(values=np.array(one, kinds[type(one[1])])) for one in (begins, ends, steps))
    graph = graph_of("STRIDED_SLICE", (6, 5), 1, target, Options(*masks), constants, same_scale=True)
    return replace(graph, tensors=(graph.tensors[0], replace(graph.tensors[1], **changes), *graph.tensors[2:]))


def with_source(graph: Graph, *shape: int) -> Graph:
    return replace(graph, tensors=(replace(graph.tensors[0], shape=shape), *graph.tensors[1:]))


UNEQUAL = r"the output of its {} has another scale than the input"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (conv(Options(VALID, 1, 1, 0, 2, 1)), r"its CONV_2D is dilated"),
        (conv(Options(VALID, 1, 1, 0, 1, 2)), r"its CONV_2D is dilated"),
        (depthwise(Options(VALID, 1, 1, 2, 0, 2, 1)), r"its DEPTHWISE_CONV_2D is dilated"),
        (depthwise(Options(VALID, 1, 1, 2, 0, 1, 2)), r"its DEPTHWISE_CONV_2D is dilated"),
        (conv(None), r"its CONV_2D has no options"),
        (conv(Options(VALID, 1, 1), shape=(2, 9, 1)), r"the weights of its CONV_2D are an array of \[2, 9, 1\]"),
        (conv(Options(VALID, 1, 1), shape=(2, 5, 3, 1)), r"the window of its CONV_2D is larger than its image"),
        (conv(Options(VALID, 1, 1), shape=(2, 3, 5, 1)), r"the window of its CONV_2D is larger than its image"),
        (conv(Options(VALID, 1, 1), shape=(2, 3, 3, 2)), r"its CONV_2D has weights for 2 channels, and there are 1"),
        (depthwise(Options(VALID, 1, 1), shape=(1, 3, 3, 3)), r"its DEPTHWISE_CONV_2D has 3 outputs of 2 channels"),
        (depthwise(Options(VALID, 1, 1), shape=(2, 3, 3, 4)), r"its DEPTHWISE_CONV_2D has 4 outputs of 2 channels"),
        (with_source(pool(), 1, 16), r"its MAX_POOL_2D is of an array of \[1, 16\]"),
        (with_source(pool(), 1, 4, 0, 1), r"its MAX_POOL_2D is of an array of \[1, 4, 0, 1\]"),
        (pool(target=(2, 3, 1)), r"its MAX_POOL_2D leads to an array of \[1, 2, 3, 1\]"),
        (pool(scales=np.array([1.0])), UNEQUAL.format("MAX_POOL_2D")),
        (pool("AVERAGE_POOL_2D", zero_points=np.array([0])), UNEQUAL.format("AVERAGE_POOL_2D")),
        (crop([0, 1, 0, 0], [1, 5, 4, 1], (1, 2, 1, 1)), r"its STRIDED_SLICE is more than a crop"),
        (crop([0, 1, 0, 0], [1, 5, 4, 1], (1, 1, 1, 1), 0, 0, 0, 0, 2), r"its STRIDED_SLICE is more than a crop"),
        (crop([0, 1, 0, 0], [1, 4, 4, 1], (1, 1, 1, 1), 0, 0, 0, 0, 0, 1), r"its STRIDED_SLICE is more than a crop"),
        (crop([0, 4, 0, 0], [1, 4, 4, 1]), r"its STRIDED_SLICE crops more than rows and columns"),
        (crop([0, 1, 0, 1], [1, 5, 4, 1]), r"its STRIDED_SLICE crops more than rows and columns"),
        (crop([1, 1, 0, 0], [1, 5, 4, 1]), r"its STRIDED_SLICE crops more than rows and columns"),
        (crop([0, 1.0, 0, 0], [1, 5, 4, 1]), r"its STRIDED_SLICE has no constant places"),
        (crop([0, 1], [1, 5]), r"its STRIDED_SLICE has no constant places"),
        (crop([0, 1, 0, 0], [1, 5, 4, 1], target=(4, 5, 1)), r"its STRIDED_SLICE leads to an array of \[1, 4, 5, 1\]"),
        (crop([0, 1, 0, 0], [1, 5, 4, 1], scales=np.array([1.0])), UNEQUAL.format("STRIDED_SLICE")),
        (
            with_source(crop([0, 32, 0, 0], [1, 36, 4, 1]), 1, 40, 5, 1),
            r"its STRIDED_SLICE crops 32 rows or columns, or more",
        ),
        (mean([1]), r"its MEAN is over the axes \[1\], and only rows and columns are known"),
        (mean([1, 3]), r"its MEAN is over the axes \[1, 3\], and only rows and columns are known"),
    ],
)
def test_what_the_reference_does_not_compute_is_refused(graph: Graph, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}$"):
        windowed(graph, graph.operators[0], multiply_by_quantized_multiplier)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (conv(Options(VALID, 1, 1)), r"the weights of a CONV_2D are not a constant array of symmetric int8"),
        (
            depthwise(Options(VALID, 1, 1)),
            r"the weights of a DEPTHWISE_CONV_2D are not a constant array of symmetric int8",
        ),
    ],
)
def test_weights_of_another_kind_are_refused(graph: Graph, message: str) -> None:
    odd = replace(graph.tensors[2], zero_points=np.array([1]))
    with pytest.raises(ValueError, match=rf"^{message}$"):
        windowed(
            replace(graph, tensors=(*graph.tensors[:2], odd)), graph.operators[0], multiply_by_quantized_multiplier
        )


def test_a_depthwise_convolution_has_a_scale_for_each_output() -> None:
    graph = depthwise(Options(VALID, 1, 1))
    three = replace(graph.tensors[2], scales=np.ones(3, np.float32))
    with pytest.raises(ValueError, match="do not have one finite scale, or one for each output"):
        windowed(
            replace(graph, tensors=(*graph.tensors[:2], three)), graph.operators[0], multiply_by_quantized_multiplier
        )


def test_how_many_channels_an_operator_writes_is_said_by_its_weights_or_its_input() -> None:
    for graph, wanted in [(conv(None, shape=(5, 3, 3, 2)), 5), (depthwise(None), 4), (pool(), 1), (mean([1, 2]), 1)]:
        assert outputs_of(graph, graph.operators[0]) == wanted
