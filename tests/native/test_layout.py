"""Where weights and outputs lie: as `engine.h` has it, and nowhere twice at a time."""

import contextlib
import itertools

import numpy as np
import pytest

from edgemnist.model.native.layout import Layout, ModelLayout, WeightForm, lay_out, narrow, pack
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW, Structure
from tests.native.networks import GraphBuilder, small_network, spec_of


@pytest.mark.parametrize("form", WeightForm)
def test_weights_lie_in_blocks_and_groups_and_what_is_missing_is_zero(form: WeightForm) -> None:
    matrix = np.random.default_rng(0).integers(-128, 128, (5, 7), np.int8)
    packed = iter(pack(matrix, group=2, block=4, form=form))
    within = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]
    if form is WeightForm.PAIRED:
        within = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (3, 0), (2, 1), (3, 1)]
    for block, group, (row, column) in itertools.product((0, 4), (0, 2, 4, 6), within):
        output, place = block + row, group + column
        weight = int(matrix[output, place]) if output < 5 and place < 7 else 0
        unsigned = form is WeightForm.UNSIGNED or (form is WeightForm.PAIRED and row % 2 == 0)
        assert int(np.uint8(next(packed))) == (weight + 128 * unsigned) % 256
    assert not list(packed)


@pytest.mark.parametrize(
    ("least", "most", "bits"), [(-2, 1, 2), (-3, 1, 4), (-2, 2, 4), (-8, 7, 4), (-9, 7, 8), (-8, 8, 8)]
)
def test_weights_take_the_fewest_bits_that_hold_all(least: int, most: int, bits: int) -> None:
    weights = np.array([least, most, 0, 1, -1, 0, 0, most], np.int8)
    found = narrow(Layout({"weights": weights}, {"weight_bits": 8}), 8)
    assert found.numbers["weight_bits"] == bits
    words = np.asarray(found.tables["weights"])
    assert words.nbytes == len(weights) * bits / 8
    if bits < 8:
        word = int(words[0])
        assert [word >> bits * place & 2**bits - 1 for place in range(8)] == list(weights + 2 ** (bits - 1))


def test_a_first_dense_layer_takes_squares_of_pixels() -> None:
    builder = GraphBuilder(0)
    graph = builder.ending_in(builder.dense(builder.activation(784, scale=1 / 255, plain=True), 784, 16))
    network = read_network(graph)
    (layer,) = lay_out(network, group=4, block=32, small_block=16, squares=True, alignment=64).layers
    matrix, weights = (np.asarray(one) for one in (network.layers[0].matrix, layer.tables["weights"]))
    np.testing.assert_array_equal(weights[:4], matrix[0, [0, 1, 28, 29]])
    np.testing.assert_array_equal(weights[4 * 16 :][:4], matrix[0, [2, 3, 30, 31]])
    assert (layer.numbers["block"], layer.numbers["blocks"]) == (16, 1)


@pytest.fixture(scope="module")
def laid_out() -> list[tuple[Network, ModelLayout]]:
    """Random networks, as a kernel takes them whose outputs begin at multiples of 16 bytes."""
    pairs = []
    for seed in range(240):
        with contextlib.suppress(ValueError):  # for numbers that are beyond fixed point
            graph = GraphBuilder(seed).graph()
            network = read_network(graph, spec_of(graph))
            pairs.append((network, lay_out(network, group=4, block=32, small_block=16, alignment=16)))
    return pairs


def test_tables_are_whole_blocks_and_numbers_are_the_layers(laid_out: list[tuple[Network, ModelLayout]]) -> None:
    pairs = [pair for network, made in laid_out for pair in zip(network.layers, made.layers, strict=True)]
    for layer, found in pairs:
        assert found.numbers["exponential_count"] == (0 if layer.exponentials is None else len(layer.exponentials))
        if layer.sums is None:
            continue
        bias, shift, wide = (
            np.asarray(found.tables["bias"]),
            np.asarray(found.tables["shift"]),
            found.tables["wide_bias"],
        )
        assert len(bias) == len(shift) == found.room == found.numbers["block"] * found.numbers["blocks"]
        np.testing.assert_array_equal((bias + (0 if wide is None else wide))[: layer.outputs], layer.sums.bias)
        assert wide is None or not bias.any()
        # C knows no other shifts.
        assert set(shift.tolist()) <= set(range(1, 63))
        assert found.numbers["rounds_twice"] == layer.sums.rounds_twice


def test_nothing_that_is_needed_at_a_time_overlaps_and_only_what_is_looked_at_is_computed(
    laid_out: list[tuple[Network, ModelLayout]],
) -> None:
    for network, found in laid_out:
        layers, windows, arena = found.layers, found.windows, found.numbers["arena_bytes"]
        image = [(found.numbers["image_place"], 784)] if network.pixel_map is not None else []
        needed = [layer.room for layer in layers]
        for index, (window, after) in enumerate(itertools.zip_longest(windows, windows[1:])):
            layer = network.layers[index]
            # The last place of a row is written in whole blocks, but must not reach into the row after it.
            row = (window["out_width"] - 1) * layer.outputs + layers[index].room
            rows = window["kept"] if after else window["out_height"]
            needed[index] = (rows - 1) * window["row_bytes"] + row
            assert window["zero"] == layer.zero
            if after:
                assert layer.window is not None
                for side, before, whole in (
                    ("height", "top", layer.window.out_height),
                    ("width", "left", layer.window.out_width),
                ):
                    steps = (after[f"out_{side}"] - 1) * after[f"stride_{side}"]
                    last = steps + after[f"kernel_{side}"] - after[before]
                    assert window[f"out_{side}"] == min(last, whole)
                assert window["kept"] == min(after["kernel_height"], window["out_height"])
                assert window["row_bytes"] == row
        places = [(layer.numbers["place"], size) for layer, size in zip(layers, needed, strict=True)]
        first = len(windows)
        together = [[*image, *(places[:first] or places[:1])], *itertools.pairwise(places[max(0, first - 1) :])]
        for regions in map(sorted, together):
            assert all(start + size <= after for (start, size), (after, _) in itertools.pairwise(regions))
        assert all(start % 16 == 0 for start, _ in places + image)
        assert arena == max(-(-(start + size) // 16) * 16 for start, size in places + image)
        inputs = [layer.numbers["inputs"] for layer in layers]
        patch = max(inputs[:first], default=0)
        assert found.scratch_bytes(1) == max(inputs) + patch + 2 * first + arena


@pytest.mark.parametrize(("structure", "field"), [(LAYER, "outputs"), (WINDOW, "out_width"), (MODEL, "classes")])
def test_a_number_that_does_not_fit_its_field_is_refused(
    structure: Structure, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(structure.bits, field, 3)
    with pytest.raises(ValueError, match=f"the {field.replace('_', ' ')} of it.* 0 to 7 is possible"):
        lay_out(read_network(small_network(204)), group=1, block=8, alignment=4)
