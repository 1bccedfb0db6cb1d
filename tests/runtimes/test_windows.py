"""Windows of the integer reference: their geometry, and what is refused. `test_integer.py` has their bits."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.runtimes import windows
from edgemnist.model.runtimes.fixedpoint import multiply_by_quantized_multiplier
from edgemnist.model.runtimes.integer import Rounding, step
from edgemnist.model.runtimes.tflite import ACTIVATION_FIELDS, Graph, Operator, Tensor
from edgemnist.model.runtimes.windows import mean_multiplier, window_of, windowed
from tests.messages import Told
from tests.native.networks import Options
from tests.runtimes.test_integer_steps import tensor

SAME, VALID = 0, 1
ZERO_POINT, SCALE = -7, 0.5


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
    source = tensor(scale=SCALE, zero_point=ZERO_POINT, shape=(1, *size, channels))
    kept = (SCALE, ZERO_POINT) if same_scale else (0.75, 11)
    out = tensor(name="y", scale=kept[0], zero_point=kept[1], shape=(1, *target))
    operator = Operator(kind=kind, inputs=(0, *range(2, 2 + len(constants))), outputs=(1,), options=options)
    return Graph(tensors=(source, out, *constants), operators=(operator,), inputs=(0,), outputs=(1,))


def run(graph: Graph, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return windowed(graph, graph.operators[0], multiply_by_quantized_multiplier)(values)


def images(size: tuple[int, int], channels: int, count: int = 3) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).integers(-128, 128, (count, *size, channels))


def test_a_mean_covers_the_image_that_it_is_of_or_all_of_each_place() -> None:
    for axes, target, sides, places in (([1, 2], (1, 1), (4, 4), 1), ([2], (1, 4, 1), (1, 4), 4)):
        graph = mean(axes)
        graph = replace(graph, tensors=(graph.tensors[0], tensor(shape=target), *graph.tensors[2:]))
        window = window_of(graph, graph.operators[0])
        assert (window.height, window.width, window.channels) == (4, 4, 1)
        assert (window.kernel_height, window.kernel_width) == sides
        assert (window.out_height, window.out_width) == (places, 1)


def test_the_division_of_a_mean_keeps_as_many_bits_as_there_are() -> None:
    """`mean.h`: the mantissa is shifted by the bits of the count, 32 at most, and as far as 31 places are left."""

    def multiplier(exponent: int, count: int) -> tuple[int, int]:
        return mean_multiplier(tensor(scale=2.0**exponent), tensor(scale=1.0), count)

    assert multiplier(0, 49) == (2**35 // 49, 1 - 5)
    assert multiplier(0, 1) == (2**30, 1)
    assert multiplier(0, 64) == (2**30, 1 - 6)
    assert multiplier(-28, 49) == (2**34 // 49, -27 - 4)
    assert multiplier(4, 2**40) == (2**62 // 2**40, 5 - 32)


@pytest.mark.parametrize("most", [1, 3, 4, 16, 50, 160])
def test_patches_take_no_more_memory_at_once_than_is_said(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tensor(scale=0.01, values=np.arange(18, dtype=np.int8).reshape(2, 3, 3, 1))
    kind = "CONV_2D"
    graph = graph_of(kind, (6, 6), 1, (4, 4, 2), fields(kind, (3, 3), (1, 1), VALID), (weights,))
    values = images((6, 6), 1, 10).reshape(10, -1)
    whole = run(graph, values)
    # Of 9 pixels each, and not one more.
    monkeypatch.setattr(windows, "_PATCH_VALUES", most * 9 + 8)
    assert np.array_equal(run(graph, values), whole)
    times = np.zeros((10, 4, 4), int)
    for part in windows._parts(times.shape, most):
        assert times[part].size <= most
        times[part] += 1
    assert (times == 1).all()


def test_the_widest_window_and_step_are_taken_and_no_wider_one() -> None:
    def graph(kernel: tuple[int, int], stride: tuple[int, int]) -> Graph:
        target = (math.ceil(40 / stride[0]), math.ceil(40 / stride[1]), 1)
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


def test_what_the_reference_does_not_compute_is_refused(told: Told) -> None:
    several = [
        *(conv(options) for options in (Options(VALID, 1, 1, 0, 2, 1), Options(VALID, 1, 1, 0, 1, 2), None)),
        conv(Options(VALID, 1, 1, 0, 0, 1)),
        depthwise(Options(VALID, 1, 1, 2, 0, 1, 33)),
        *(conv(Options(VALID, 1, 1), shape=shape) for shape in ((2, 9, 1), (2, 5, 3, 1), (2, 3, 5, 1), (2, 3, 3, 2))),
        conv(Options(VALID, 1, 1), channels=3),
        *(depthwise(Options(VALID, 1, 1), shape=shape) for shape in ((1, 3, 3, 3), (2, 3, 3, 4))),
        *(with_source(pool(), *shape) for shape in ((1, 16), (1, 4, 0, 1))),
        pool(target=(2, 3, 1)),
        pool(scales=np.array([1.0])),
        pool("AVERAGE_POOL_2D", zero_points=np.array([0])),
        # Axes that are added, or steps of 0.
        crop([0, 1, 0, 0], [1, 5, 4, 1], (1, 0, 1, 1)),
        *(crop([0, 1, 0, 0], [1, 5, 4, 1], (1, 1, 1, 1), 0, 0, *masks) for masks in ((2,), (0, 2), (0, 0, 0, 1))),
        *(crop([*begins], [1, 5, 4, 1]) for begins in ((0, 5, 0, 0), (0, 1, 0, 1), (1, 1, 0, 0), (0, 1.0, 0, 0))),
        crop([0, 1], [1, 5]),
        crop([0, 1, 0, 0], [1, 5, 4, 1], target=(4, 5, 1)),
        crop([0, 1, 0, 0], [1, 5, 4, 1], scales=np.array([1.0])),
        *(mean(axes) for axes in ([], [1, 3], [0, 1], [0], [4], [-5], [2, 4])),
    ]
    for graph in several:
        with told():
            step(graph, graph.operators[0], Rounding())


def test_weights_of_another_kind_are_refused(told: Told) -> None:
    for make in (conv, depthwise):
        for changes in ({"zero_points": np.array([1])}, {"scales": np.ones(3, np.float32)}):
            graph = make(Options(VALID, 1, 1))
            odd = replace(graph, tensors=(*graph.tensors[:2], replace(graph.tensors[2], **changes)))
            with told():
                run(odd, images((4, 4), 2))
