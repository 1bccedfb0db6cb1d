"""Where weights and outputs lie: as `engine.h` has it, and nowhere twice at a time."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.native import silence
from edgemnist.model.native.layers import Kind, Layer
from edgemnist.model.native.layout import Layout, ModelLayout, WeightForm, lay_out, narrow
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW, Structure
from tests.native.networks import GraphBuilder, small_network, spec_of


@pytest.mark.parametrize(
    ("least", "most", "bits"), [(-2, 1, 2), (-3, 1, 4), (-2, 2, 4), (-8, 7, 4), (-9, 7, 8), (-8, 8, 8)]
)
def test_weights_take_the_fewest_bits_that_hold_all(least: int, most: int, bits: int) -> None:
    weights = np.array([least, most, 0, 1, -1, 0, 0, most], np.int8)
    found = narrow(Layout({"weights": weights}, {"weight_bits": 8, "inputs": 1}), 8)
    assert found.numbers["weight_bits"] == bits
    words = np.asarray(found.tables["weights"])
    # Of 8 bits, what is missing of four inputs is 0.
    assert words.nbytes == (bits if bits < 8 else 4 * len(weights))
    if bits < 8:
        word = int(words[0])
        assert [word >> bits * place & 2**bits - 1 for place in range(8)] == list(weights + 2 ** (bits - 1))


@pytest.mark.parametrize(
    ("changed", "inputs", "outputs", "bits"),
    [(7, 9, 33, 4), (-8, 9, 33, 4), (8, 9, 33, 8), (-9, 9, 33, 8), (7, 9, 16, 8), (7, 65535, 32, 4), (7, 65536, 32, 8)],
)
def test_dense_weights_that_fit_take_four_bits(changed: int, inputs: int, outputs: int, bits: int) -> None:
    builder = GraphBuilder(0, bits=4)
    graph = builder.ending_in(builder.dense(builder.activation(inputs), inputs, outputs))
    graph.tensors[2].content.view(np.int8)[inputs - 1] = changed
    network = read_network(graph)
    (layer,) = lay_out(network, group=4, block=32, small_block=16, form=WeightForm.NIBBLES, alignment=64).layers
    assert layer.numbers["weight_bits"] == bits


def hidden_layer(units: int) -> list[Layer]:
    """Return a layer of which every other unit is silent whatever it takes, and one that takes it."""
    builder = GraphBuilder(3)
    first = builder.dense(builder.activation(20), 20, units)
    layer, taker = read_network(builder.ending_in(builder.dense(first, units, 10))).layers
    assert layer.sums is not None
    unit = np.arange(units)
    sums = replace(
        layer.sums,
        bias=np.where(unit % 2, 2**20, -(2**20)) + unit,
        multiplier=(2**30 - unit * 2**22).astype(np.int32),
        shift=(43 + unit // 2 % 2).astype(np.uint8),
    )
    return [replace(layer, low=0, high=255, map=None, zero_point=0, sums=sums), taker]


def answers_of(layers: Sequence[Layer]) -> list[npt.NDArray[np.float64]]:
    numbers = [np.random.default_rng(1).integers(0, 256, (50, 20)).astype(np.float64)]
    for layer in layers:
        assert layer.matrix is not None
        numbers.append(silence._answers(layer, layer.matrix, numbers[-1]))
    return numbers[1:]


@pytest.mark.parametrize("units", [40, 41, 43])
def test_units_that_are_silent_together_fill_groups_and_change_no_answer(units: int) -> None:
    layers = hidden_layer(units)
    hidden, answers = answers_of(layers)
    assert (hidden[:, ::2] == 0).all()
    assert (hidden[:, 1::2] > 0).all()
    ordered, answered = answers_of(silence.silent_together(layers, 4, 0))
    assert np.array_equal(answered, answers)
    groups = [ordered[:, at : at + 4].any(axis=1).mean() for at in range(0, units, 4)]
    assert sum(groups) == -(-(units // 2 + (units + 1) // 2 % 4) // 4)


@pytest.mark.parametrize("limit", ["MOST_UNITS", "MOST_WEIGHTS"])
def test_layers_that_are_too_large_keep_their_order(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layers, most = hidden_layer(40), {"MOST_UNITS": 40, "MOST_WEIGHTS": 40 * 20}[limit]
    for given in (most, most - 1):
        monkeypatch.setattr(silence, limit, given)
        assert (silence.silent_together(layers, 4, 0)[0] is layers[0]) == (given < most)


def test_a_group_is_of_units_that_are_silent_with_the_same_inputs() -> None:
    order = silence._order(np.tile(np.eye(2, dtype=bool), (1, 8)), 4)
    assert sorted(order) == list(range(16))
    assert all(len({unit % 2 for unit in order[at : at + 4]}) == 1 for at in range(0, 16, 4))


@pytest.mark.parametrize(("more", "is_ordered"), [(0, True), (1, False)])
def test_units_are_put_in_order_from_a_size_of_the_next_layer_on(more: int, *, is_ordered: bool) -> None:
    layers = hidden_layer(40)
    assert (silence.silent_together(layers, 4, 40 * 10 + more)[0] is not layers[0]) == is_ordered


@pytest.fixture(scope="module")
def laid_out() -> list[tuple[Network, ModelLayout]]:
    """Random networks, as a kernel takes them whose outputs begin at multiples of 16 bytes."""
    pairs = []
    for seed in range(240):
        with contextlib.suppress(ValueError):  # for numbers that are beyond fixed point
            builder = GraphBuilder(seed)
            graph = builder.branched() if seed % 3 == 0 else builder.graph()
            network = read_network(graph, spec_of(graph))
            pairs.append((network, lay_out(network, group=4, block=32, small_block=16, alignment=16)))
    return pairs


class Replay:
    """Makes row after row in an arena that remembers whose each byte is, as `windows.h` does with numbers."""

    def __init__(self, network: Network, found: ModelLayout) -> None:
        self.network, self.found, self.windows = network, found, found.windows
        self.arena = np.full((found.numbers["arena_bytes"], 2), -1)
        self.made = [window["out_height"] if window["kind"] == Kind.CONSTANT else 0 for window in found.windows]
        if network.pixel_map is not None:
            place = found.numbers["image_place"]
            self.arena[place : place + network.inputs] = (0, 0)

    def run(self) -> None:
        """Make all rows, and the dense layers' outputs."""
        if self.windows:
            while self.made[-1] < self.windows[-1]["out_height"]:
                self.row(len(self.windows) - 1)
        for index in range(len(self.windows), len(self.found.layers)):
            self.see_all(index)
            place = self.found.layers[index].numbers["place"]
            self.arena[place : place + self.found.layers[index].room] = (index + 1, 0)

    def row(self, index: int) -> None:
        """Make a row of a layer, after those that it needs of others."""
        window, row = self.windows[index], self.made[index]
        joins = self.network.layers[index].joined is not None
        for bit, number in ((1, window["source"]), (2, window["other"]))[: 1 + joins]:
            rows = self.looked_at(window, bit, row)
            if number == 0:
                if self.network.pixel_map is not None:
                    self.see_all(-1)
                continue
            before = self.windows[number - 1]
            rows = range(before["out_height"]) if window["whole"] & bit else rows
            while rows and self.made[number - 1] <= rows[-1]:
                self.row(number - 1)
            for one in rows:
                self.see(number, one)
        layer, channels = self.found.layers[index], self.network.layers[index].outputs
        start = layer.numbers["place"] + row % window["kept"] * window["row_bytes"]
        # What is written beyond the outputs is nobody's.
        self.arena[start : start + (window["out_width"] - 1) * channels + layer.room] = (-1, -1)
        self.arena[start : start + window["out_width"] * channels] = (index + 1, row)
        self.made[index] += 1

    def looked_at(self, window: Mapping[str, int], bit: int, row: int) -> range:
        """Return the rows of what a layer takes that one of its rows needs."""
        if bit == 2 or window["kind"] >= Kind.SUM:
            at = row if bit == 1 or window["other_row"] else 0
            return range(at, at + 1)
        first = row * window["stride_height"] - window["top"]
        reach = (window["kernel_height"] - 1) * window["dilation_height"]
        first += reach if window["kind"] == Kind.PICK else 0
        last = first + (0 if window["kind"] == Kind.PICK else reach)
        return range(max(first, 0), min(last + 1, window["height"]))

    def see(self, number: int, row: int) -> None:
        """Find a row of a layer where it has to be."""
        window, layer = self.windows[number - 1], self.network.layers[number - 1]
        if layer.kind is Kind.CONSTANT:
            return
        start = self.found.layers[number - 1].numbers["place"] + row % window["kept"] * window["row_bytes"]
        assert (self.arena[start : start + window["out_width"] * layer.outputs] == (number, row)).all()

    def see_all(self, index: int) -> None:
        """Find all that a dense layer takes, or the input for -1, where it has to be, one number after the other."""
        if index <= 0:
            if self.network.pixel_map is not None:
                place = self.found.numbers["image_place"]
                assert (self.arena[place : place + self.network.inputs] == (0, 0)).all()
            return
        if index == len(self.windows):
            for row in range(self.windows[-1]["out_height"]):
                self.see(index, row)
            assert self.windows[-1]["kept"] == self.windows[-1]["out_height"]
            assert (
                self.windows[-1]["row_bytes"] == self.windows[-1]["out_width"] * self.network.layers[index - 1].outputs
            )
            return
        before = self.found.layers[index - 1].numbers["place"]
        assert (self.arena[before : before + self.network.layers[index - 1].outputs] == (index, 0)).all()


def test_what_a_layer_looks_at_is_where_it_looks(laid_out: list[tuple[Network, ModelLayout]]) -> None:
    saved = 0
    for network, found in laid_out:
        small, plain = (lay_out(network, group=1, block=8, small=small, alignment=4) for small in (True, False))
        # Complete layers take less where they may.
        saved += plain.numbers["arena_bytes"] - small.numbers["arena_bytes"]
        for again, alignment in ((found, 16), (small, 4)):
            Replay(network, again).run()
            assert all(layer.numbers["place"] % alignment == 0 for layer in again.layers)
            inputs = [layer.numbers["inputs"] for layer in again.layers]
            patch = again.numbers["patch_bytes"]
            assert patch >= max(inputs[: len(again.windows)], default=0)
            needed = max(inputs) + patch + 4 * len(again.windows) + again.numbers["arena_bytes"]
            assert again.scratch_bytes(1) == needed
    assert saved > 1_000


@pytest.mark.parametrize(("structure", "field"), [(LAYER, "outputs"), (WINDOW, "height"), (MODEL, "classes")])
def test_what_does_not_fit_is_refused(structure: Structure, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(structure.bits, field, 3)
    with pytest.raises(ValueError, match=f"the {field.replace('_', ' ')} of it.* 0 to 7 is possible"):
        lay_out(read_network(small_network(204)), group=1, block=8, alignment=4)
