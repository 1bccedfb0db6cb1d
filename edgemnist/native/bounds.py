"""Whether the numbers of a C file keep its code within its own memory.

The engine checks nothing when it runs: a place or a size that is wrong makes it read and write anywhere in the process.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.native.layout import CONVOLUTION, CROP, DEPTHWISE
from edgemnist.native.library import Layer, Model, Window

MAX_SCRATCH: Final = 1 << 26
"""Bytes of static memory: a microcontroller has far less."""
ALIGNMENT: Final = 4
"""As in `kernel_scalar.c`."""
BLOCK: Final = 8
"""Outputs that are computed at once: with their eight sums, a Cortex-M has five registers left for all else."""
PIXELS: Final = IMAGE_SIDE**2

# Without a zero at the beginning, which makes an octal number in C alone.
_NATURAL: Final = r"(?:0|[1-9][0-9]{0,18})"
_NUMBER: Final = rf"-?{_NATURAL}"
_POINTER: Final = r"(?:NULL|(?:\(const int8_t \*\))?edgemnist_[a-z]+(?:_[a-z]+)*(?:_[0-9]+)?)"
_STRING: Final = r'"(?:[ !#->@-\[\]-~]|\\[0-7]{3})*"'
_ROW: Final = rf"(?:{_NUMBER}, )*{_NUMBER}"
# Of numbers, INT64_C and INT32_MIN: whatever else can be written with these is a number, or cannot be compiled.
_ELEMENTS: Final = r"[-0-9U,INTMC_()\n]+"
_TABLE: Final = re.compile(
    rf"static const (u?int[0-9]+_t) (edgemnist_[a-z_]+[0-9]*)\[({_NATURAL})\] = \{{\n({_ELEMENTS})\}};\n\n"
)
_LAYER: Final = re.compile(rf"    \{{({_POINTER}(?:, {_POINTER})*),\n     ({_ROW})\}},\n")
_WINDOW: Final = re.compile(rf"    \{{({_ROW})\}},\n")
_NETWORK: Final = re.compile(
    "const int edgemnist_class_count = EDGEMNIST_CLASSES;\n"
    rf"const char \*const edgemnist_labels\[EDGEMNIST_CLASSES\] = \{{(?:{_STRING}(?:, )?)*\}};\n"
    "const float edgemnist_score_scale = [-+.e0-9]+F;\n"
    rf"const int edgemnist_score_zero_point = {_NUMBER};\n\n"
    rf"static const edgemnist_layer edgemnist_layers\[({_NATURAL})\] = \{{\n([^;]+)\}};\n\n"
    rf"(?:static const edgemnist_window edgemnist_windows\[({_NATURAL})\] = \{{\n([^;]+)\}};\n\n)?"
    "static const edgemnist_model edgemnist_network = \\{\n"
    rf"    ({_POINTER}), edgemnist_layers, (NULL|edgemnist_windows),\n    ({_ROW}),\n\}};\n\n"
    rf"#define EDGEMNIST_SCRATCH_BYTES ({_NATURAL})U\n"
)

_POINTERS: Final = [one[0] for one in Layer._fields_ if one[1] is ctypes.c_void_p]
_LAYERS: Final = [one[0] for one in Layer._fields_ if one[1] is not ctypes.c_void_p]
_WINDOWS: Final = [one[0] for one in Window._fields_]
_MODEL: Final = [one[0] for one in Model._fields_[3:]]
"""The names of the engine's structures, in their order; of a model all but its three pointers."""
_MAPS: Final = ("map", "softmax_map")
_WORDS: Final = {8: ("int8_t", BLOCK), 4: ("uint32_t", 1), 2: ("uint16_t", 1)}
"""By bits of a weight: the type of the weights of a block, and how many there are for an input."""


Tables: TypeAlias = Mapping[str, tuple[str, int]]
"""The type of each, and how many values it has."""


@dataclass(frozen=True)
class _Layer:
    pointers: Mapping[str, str]
    numbers: Mapping[str, int]
    window: Mapping[str, int] | None

    @property
    def room(self) -> int:
        """Bytes that are written at one place."""
        return self.numbers["outputs"] if self.pools else BLOCK * self.numbers["blocks"]

    @property
    def total(self) -> int:
        """Bytes of the outputs at all places."""
        places = 1 if self.window is None else self.window["out_height"] * self.window["out_width"]
        return places * self.numbers["outputs"]

    @property
    def end(self) -> int:
        """Where in the arena there is nothing of it any more, as far as it is written."""
        last = self.room
        if (window := self.window) is not None:
            last += (window["kept"] - 1) * window["row_bytes"] + (window["out_width"] - 1) * self.numbers["outputs"]
        return self.numbers["place"] + last

    @property
    def convolves(self) -> bool:
        return self.window is not None and self.window["kind"] == CONVOLUTION

    @property
    def pools(self) -> bool:
        return self.window is not None and self.window["kind"] not in {CONVOLUTION, DEPTHWISE}


def stays_inside(network: str, classes: int, *, windowed: bool, packed: bool) -> bool:
    """Return whether the tables and the network of a C file, as text, are such that its code stays in its own memory.

    `classes` is how many numbers it answers with, and `windowed` and `packed` tell which parts of the engine it has.
    """
    tables: dict[str, tuple[str, int]] = {}
    at = 0
    while found := _TABLE.match(network, at):
        # Not terabytes of zeros.
        if int(found[3]) != found[4].count(","):
            return False
        tables[found[2]] = found[1], int(found[3])
        at = found.end()
    whole = _NETWORK.fullmatch(network, at)
    if whole is None:
        return False
    layers = _layers(whole)
    model = _numbers(_MODEL, whole[7])
    if layers is None or model is None or (model["layer_count"], whole[1]) != (len(layers), str(len(layers))):
        return False
    windows = [one for one in layers if one.window is not None]
    patches = [one.numbers["inputs"] for one in windows if one.convolves]
    arena = model["arena_bytes"]
    parts = model["most_inputs"], model["patch_bytes"], 2 * len(windows), arena
    return (
        model["window_count"] == len(windows)
        and bool(windows) == windowed == (whole[6] != "NULL")
        and model["classes"] == classes == layers[-1].total
        and all(_fits(tables, one, packed=packed) and one.end <= arena for one in layers)
        # All rows of the last image are there.
        and all(one.numbers["place"] + one.total <= arena for one in windows[-1:])
        and all(map(_follows, [None, *layers], layers))
        and max(one.numbers["inputs"] for one in layers) <= model["most_inputs"]
        and max(patches, default=0) <= model["patch_bytes"]
        and (
            whole[5] == "NULL" or (_holds(tables, whole[5], "uint8_t", 256) and model["image_place"] + PIXELS <= arena)
        )
        and sum(-(-part // ALIGNMENT) * ALIGNMENT for part in parts) <= int(whole[8]) <= MAX_SCRATCH
    )


def _layers(whole: re.Match[str]) -> list[_Layer] | None:
    """Return the layers of a network, or None where they are no such text."""
    if _LAYER.sub("", whole[2]) or _WINDOW.sub("", whole[4] or ""):
        return None
    windows = [_numbers(_WINDOWS, row) for row in _WINDOW.findall(whole[4] or "")]
    layers = []
    for index, (names, row) in enumerate(_LAYER.findall(whole[2])):
        pointers, numbers = names.split(", "), _numbers(_LAYERS, row)
        window = windows[index] if index < len(windows) else None
        if len(pointers) != len(_POINTERS) or numbers is None or (index < len(windows) and window is None):
            return None
        layers.append(_Layer(dict(zip(_POINTERS, pointers, strict=True)), numbers, window))
    return layers if len(windows) <= len(layers) and whole[3] in {None, str(len(windows))} else None


def _numbers(names: Sequence[str], row: str) -> dict[str, int] | None:
    """Return numbers by their names, or None for more or fewer of them, or one below 0."""
    values = [int(value) for value in row.split(", ")]
    return dict(zip(names, values, strict=True)) if len(values) == len(names) and min(values) >= 0 else None


def _holds(tables: Tables, pointer: str, kind: str, count: int) -> bool:
    """Return whether a pointer leads to so many values of a type."""
    found = tables.get(pointer.removeprefix("(const int8_t *)"))
    return found is not None and found[0] == kind and found[1] >= count


def _fits(tables: Tables, layer: _Layer, *, packed: bool) -> bool:
    """Return whether the tables of a layer are as large as its numbers say."""
    pointers, numbers, window = layer.pointers, layer.numbers, layer.window
    outputs, bits, room = numbers["outputs"], numbers["weight_bits"], layer.room
    if not (0 < outputs <= BLOCK * numbers["blocks"] < outputs + BLOCK) or numbers["block"] != BLOCK:
        return False
    sums = {"bias": "int32_t", "wide_bias": "int64_t", "multiplier": "int32_t", "shift": "uint8_t"}
    given = {name: kind for name, kind in sums.items() if pointers[name] != "NULL"}
    if layer.pools:
        weighted = not given and pointers["weights"] == "NULL"
    elif window is not None and not layer.convolves:
        size = window["kernel_height"] * window["kernel_width"] * outputs
        kind = "int8_t" if bits == 8 else "uint8_t"  # noqa: PLR2004 - as they are
        weighted = pointers["weights"] == "NULL" or _holds(tables, pointers["weights"], kind, -(-size * bits // 8))
    else:
        size = numbers["inputs"] * numbers["blocks"]
        kind, together = _WORDS.get(bits, ("", 0))
        weighted = _holds(tables, pointers["weights"], kind, size * together)
    return (
        weighted
        and (bits == 8 or (packed and bits in _WORDS))  # noqa: PLR2004
        and (layer.pools or given.keys() | {"wide_bias"} == sums.keys())
        and all(_holds(tables, pointers[name], kind, room) for name, kind in given.items())
        and all(pointers[name] == "NULL" or _holds(tables, pointers[name], "uint8_t", 256) for name in _MAPS)
        and (
            pointers["exponentials"] == "NULL"
            or _holds(tables, pointers["exponentials"], "int32_t", numbers["exponential_count"])
        )
    )


def _follows(before: _Layer | None, layer: _Layer) -> bool:
    """Return whether a layer takes what the one before it writes, or the image."""
    window = layer.window
    if window is None:
        return layer.numbers["inputs"] == (PIXELS if before is None else before.total)
    image = window["height"], window["width"], window["channels"]
    if before is None:
        fits = math.prod(image) == PIXELS
    else:
        made = before.window or {}
        fits = image == (made["out_height"], made["out_width"], before.numbers["outputs"])
        fits = fits and made["row_bytes"] >= image[1] * image[2]
    taken = window["kernel_height"] * window["kernel_width"] * window["channels"]
    sides = (("height", "top"), ("width", "left"))
    return (
        fits
        and (layer.numbers["inputs"] == taken if layer.convolves else layer.numbers["outputs"] == window["channels"])
        and window["kept"] > 0
        and all(
            window[f"stride_{side}"] > 0
            and window[f"out_{side}"] > 0
            # The window covers something at its first place, and at its last.
            and window[edge] < window[f"kernel_{side}"]
            and (window[f"out_{side}"] - 1) * window[f"stride_{side}"] < window[side] + window[edge]
            # A crop takes the last row and column of each place, whatever the steps.
            and (window["kind"] != CROP or window[f"out_{side}"] + window[f"kernel_{side}"] - 1 <= window[side])
            for side, edge in sides
        )
    )
