"""When the engine makes each row of a network, and where it keeps it: what is in memory at one time does not overlap.

Layers with windows hand over rows as `windows.h` does. A row is made when a layer that takes it needs it, and kept only
as long as one does. Instead, a layer may be complete before another begins, which takes more of it and less of all that
came before: what takes the least memory is found by trying.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgemnist.model.native.layers import NOWHERE, Kind, Layer, window_in
from edgemnist.model.runtimes.windows import Window

SOURCE: Final = 1
OTHER: Final = 2
"""Bits of `whole`: what a layer takes is complete before its first row."""
_MOST_STEPS: Final = 1 << 20
"""Rows that are made in all attempts: a second or two."""
_MOST_EDGE: Final = 2**16 - 1


@dataclass(frozen=True)
class Taken:
    """What a layer takes from another."""

    taker: int
    """Index of the layer."""
    bit: int
    """`SOURCE` or `OTHER`."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Of the layers with windows, and where the outputs of all lie."""

    sizes: tuple[tuple[int, int], ...]
    """Rows and columns that are made of each: those that another looks at."""
    whole: tuple[int, ...]
    """Bits of what is complete before each begins."""
    kept: tuple[int, ...]
    """Rows that are there at a time of each."""
    row_bytes: tuple[int, ...]
    edges: tuple[int, ...]
    """Bytes of its zero point around each row."""
    places: tuple[int, ...]
    """Of each layer's outputs in the arena, dense ones included."""
    input_place: int
    arena_bytes: int
    steps: int
    """How many rows are made."""


@dataclass(frozen=True, kw_only=True)
class Scheduling:
    """Layers, and what each writes beyond its outputs."""

    layers: Sequence[Layer]
    rooms: Sequence[int]
    """Bytes that each writes at one place, or of a row that is joined at its end."""
    input_bytes: int
    """Of a copy of the input that is kept; or 0."""
    alignment: int
    edged: bool = False
    """Whether convolutions take rows where they are, with what stands for 0 around them."""
    takers: dict[int, list[Taken]] = field(default_factory=dict, init=False)
    """By the number of a layer."""

    def __post_init__(self) -> None:
        for index in range(self.count):
            for bit, number in self.taken(index):
                self.takers.setdefault(number, []).append(Taken(index, bit))

    @property
    def count(self) -> int:
        """How many layers have windows."""
        return sum(layer.window is not None for layer in self.layers)

    def taken(self, index: int) -> Iterator[tuple[int, int]]:
        """Yield the bit and the number of what a layer with a window takes."""
        layer = self.layers[index]
        if layer.kind is not Kind.CONSTANT:
            yield SOURCE, self.source(index)
        if layer.joined is not None:
            yield OTHER, layer.joined.number

    def source(self, index: int) -> int:
        """Return the number of the layer that one takes the outputs of."""
        source = self.layers[index].source
        return index if source is None else source

    def least(self) -> Schedule:
        """Return the schedule that takes the least memory of those tried: complete layers, one after the other."""
        best = self.schedule([0] * self.count)
        steps = best.steps
        for number in range(1, self.count):
            whole = list(best.whole)
            for taken in self.takers.get(number, []):
                whole[taken.taker] |= taken.bit
            if steps > _MOST_STEPS or tuple(whole) == best.whole or self.layers[number - 1].kind is Kind.CONSTANT:
                continue
            found = self.schedule(whole)
            steps += found.steps
            if found.arena_bytes < best.arena_bytes:
                best = found
        return best

    def schedule(self, whole: Sequence[int]) -> Schedule:
        """Return the schedule where those in `whole` are complete before they are taken, and those seen otherwise."""
        whole = [bits | self._seen_otherwise(index) for index, bits in enumerate(whole)]
        sizes = self._sizes(whole)
        turns, kept = self._turns(whole, sizes)
        edges = [self._edge(index, whole, sizes) for index in range(self.count)]
        row_bytes = [self._row_bytes(index, whole, sizes[index]) + edges[index] for index in range(self.count)]
        intervals = self._intervals(turns)
        lengths = [self._bytes(index, kept, row_bytes) for index in range(len(self.layers))]
        before = [0, *edges, *[0] * (len(lengths) - self.count)]  # the first row
        rooms = [length + edge for length, edge in zip([self.input_bytes, *lengths], before, strict=True)]
        begins, end = _placed(rooms, intervals, self.alignment)
        places = [begin + edge for begin, edge in zip(begins, before, strict=True)]
        return Schedule(
            sizes=tuple(sizes),
            whole=tuple(whole),
            kept=tuple(kept),
            row_bytes=tuple(row_bytes),
            edges=tuple(edges),
            places=tuple(places[1:]),
            input_place=places[0],
            arena_bytes=end,
            steps=len(turns),
        )

    def _seen_otherwise(self, index: int) -> int:
        """Return the bits of what has other rows, columns and channels where it is made than where it is taken.

        So has a row of which more is taken than there is.
        """
        layer, bits = self.layers[index], 0
        for bit, number in self.taken(index):
            beyond = any(axis.max() >= size for axis, size in zip(layer.places or (), _seen(layer, bit), strict=False))
            if number and (self.layers[number - 1].shape != _seen(layer, bit) or beyond):
                bits |= bit
        return bits

    def _sizes(self, whole: Sequence[int]) -> list[tuple[int, int]]:
        """Return rows and columns of each layer, as far as another looks at them.

        The last of an odd number of rows before a pooling is not computed, say.
        """
        sizes = [layer.shape[:2] for layer in self.layers[: self.count]]
        for index in reversed(range(self.count - 1)):
            needed = [
                sizes[index]
                if whole[one.taker] & one.bit or self.layers[index].kind is Kind.CONSTANT
                else tuple(_needed(self.layers[one.taker], one.bit, sizes[one.taker][axis], axis) for axis in (0, 1))
                for one in self.takers[index + 1]
            ]
            # Of what is cut off by all that take it, a place is made all the same: a row of none has no end.
            sizes[index] = max(1, *(rows for rows, _ in needed)), max(1, *(columns for _, columns in needed))
        return sizes

    def _turns(self, whole: Sequence[int], sizes: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
        """Return whose turn it is to make a row, one after the other, and how many rows of each are kept."""
        constant = [layer.kind is Kind.CONSTANT for layer in self.layers]
        made = [sizes[index][0] if constant[index] else 0 for index in range(self.count)]
        kept = [rows if fixed else 1 for (rows, _), fixed in zip(sizes, constant, strict=False)]
        turns: list[int] = []
        last = index = self.count - 1
        askers: list[int] = []
        while self.count and made[last] < sizes[last][0]:
            row = made[index]
            missing = next(
                (
                    number - 1
                    for bit, number in self.taken(index)
                    if number
                    and made[number - 1]
                    < (sizes[number - 1][0] if whole[index] & bit else _needed(self.layers[index], bit, row + 1, 0))
                ),
                None,
            )
            if missing is not None:
                askers.append(index)
                index = missing
                continue
            looked_at = [
                0 if whole[taken.taker] & taken.bit else _first(self.layers[taken.taker], taken.bit, made[taken.taker])
                for taken in self.takers.get(index + 1, [])
                if made[taken.taker] < sizes[taken.taker][0]
            ]
            kept[index] = max(kept[index], row + 1 - min(looked_at, default=row))
            turns.append(index)
            made[index] += 1
            index = askers.pop() if askers else last
        for index, (rows, _) in enumerate(sizes):
            if self._gapless(index, whole):
                kept[index] = rows
        return turns, kept

    def _row_bytes(self, index: int, whole: Sequence[int], size: tuple[int, int]) -> int:
        layer = self.layers[index]
        # The last place of a row is written in whole blocks, and complete images without a gap.
        gap = 0 if self._gapless(index, whole) or layer.kind is Kind.CONSTANT else self.rooms[index] - layer.outputs
        return size[1] * layer.outputs + gap

    def _edge(self, index: int, whole: Sequence[int], sizes: Sequence[tuple[int, int]]) -> int:
        """Return as many bytes as convolutions look at beyond either end of a layer's rows, where they can be there."""
        layer, beyond, zeros = self.layers[index], [0], {self.layers[index].zero_point}
        written = self._gapless(index, whole) or self.rooms[index] != layer.outputs
        for number in (one.taker for one in self.takers.get(index + 1, [])):
            if (taker := self.layers[number]).kind is Kind.CONVOLUTION:
                stride, dilation, kernel, before = _along(window := window_in(taker), 1)
                end = (sizes[number][1] - 1) * stride + (kernel - 1) * dilation + 1 - before
                beyond += [before, end - window.width]
                zeros.add(taker.zero)
        edge = -(-max(beyond) * layer.outputs // self.alignment) * self.alignment
        possible = self.edged and not written and layer.kind is not Kind.CONSTANT and len(zeros) == 1
        return edge if possible and edge <= _MOST_EDGE else 0

    def _gapless(self, index: int, whole: Sequence[int]) -> bool:
        """Return whether all rows of a layer are there at once, one right after the other."""
        takers = self.takers.get(index + 1, [])
        return index == self.count - 1 or any(whole[taken.taker] & taken.bit for taken in takers)

    def _bytes(self, index: int, kept: Sequence[int], row_bytes: Sequence[int]) -> int:
        """Return how much room a layer's outputs need: the rows that are kept, and the last in whole blocks."""
        layer = self.layers[index]
        if index >= self.count:
            return self.rooms[index]
        if layer.kind is Kind.CONSTANT:
            return 0
        return max(kept[index] * row_bytes[index], kept[index] * row_bytes[index] - layer.outputs + self.rooms[index])

    def _intervals(self, turns: Sequence[int]) -> list[tuple[int, int]]:
        """Return from which turn to which the input is in memory, and each layer's outputs; a dense one has a turn."""
        begin = [0, *[len(turns) + len(self.layers)] * len(self.layers)]
        end = [0] * (len(self.layers) + 1)
        for turn, index in enumerate(itertools.chain(turns, range(self.count, len(self.layers)))):
            begin[index + 1] = min(begin[index + 1], turn)
            end[index + 1] = max(end[index + 1], turn)
            for _, number in self.taken(index) if index < self.count else [(SOURCE, index)]:
                end[number] = max(end[number], turn)
        end[-1] = len(turns) + len(self.layers)
        return list(zip(begin, end, strict=True))


def _seen(layer: Layer, bit: int) -> tuple[int, int, int]:
    """Return rows, columns and channels of what a layer takes, as it sees them."""
    if bit == OTHER and layer.joined is not None:
        return layer.joined.shape
    window = window_in(layer)
    return window.height, window.width, window.channels


def _along(window: Window, axis: int) -> tuple[int, int, int, int]:
    """Return stride, dilation, kernel, and how far the first place lies beyond the edge, along rows or columns."""
    if axis == 0:
        return window.stride_height, window.dilation_height, window.kernel_height, window.top
    return window.stride_width, window.dilation_width, window.kernel_width, window.left


def _needed(layer: Layer, bit: int, places: int, axis: int) -> int:
    """Return how many rows, or columns, must be there for so many of the outputs."""
    size = _seen(layer, bit)[axis]
    if bit == OTHER or layer.kind >= Kind.SUM:
        return min(places, size)
    if layer.places is not None:
        return int(layer.places[axis][:places].max()) + 1
    stride, dilation, kernel, before = _along(window_in(layer), axis)
    end = (places - 1) * stride + (kernel - 1) * dilation + 1
    return min(max(end - before, 0), size)


def _first(layer: Layer, bit: int, row: int) -> int:
    """Return the first row that is still looked at when a layer has made so many."""
    if bit == OTHER or layer.kind >= Kind.SUM:
        return min(row, _seen(layer, bit)[0] - 1)
    if layer.places is not None:
        rows = layer.places[0][row:]
        return int(rows[rows >= 0].min(initial=NOWHERE))
    stride, _, kernel, before = _along(window_in(layer), 0)
    return max(row * stride - before + (kernel - 1 if layer.kind is Kind.PICK else 0), 0)


def _placed(lengths: Sequence[int], intervals: Sequence[tuple[int, int]], alignment: int) -> tuple[list[int], int]:
    """Return where each of some things lies in memory, none where another is at the same time, and where all end.

    Each is put where it fits first, in several orders; the best of them stays.
    """
    lengths = [-(-length // alignment) * alignment for length in lengths]

    def place(order: Sequence[int]) -> tuple[int, list[int]]:
        places = [0] * len(lengths)
        done: list[int] = []
        for one in order:
            begin, end = intervals[one]
            meanwhile = sorted(
                (places[other], lengths[other])
                for other in done
                if lengths[other] and intervals[other][0] <= end and begin <= intervals[other][1]
            )
            at = 0
            for start, length in meanwhile:
                if start - at >= lengths[one]:
                    break
                at = max(at, start + length)
            places[one] = at
            done.append(one)
        return max((at + length for at, length in zip(places, lengths, strict=True)), default=0), places

    everything = range(len(lengths))
    orders = [
        sorted(everything, key=lambda one: -lengths[one]),
        sorted(everything, key=lambda one: -lengths[one] * (intervals[one][1] - intervals[one][0] + 1)),
        sorted(everything, key=lambda one: intervals[one]),
        sorted(everything, key=lambda one: (-intervals[one][1], intervals[one][0])),
    ]
    end, places = min(map(place, orders), key=lambda found: found[0])
    return places, end
