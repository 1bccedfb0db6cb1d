"""A network and the engine as one C file, in the manner of SQLite's amalgamation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.native.bounds import ALIGNMENT, BLOCK, stays_inside
from edgemnist.native.layers import total_outputs, window_of_layer
from edgemnist.native.layout import Layout, ModelLayout, lay_out
from edgemnist.native.network import Network

ENGINE_BYTES: Final = 2_048
"""Of flash, at the most, for code, the descriptions of the layers and the names of ten classes: what GCC makes of them
with `-Os` for a Cortex-M0+ to M55 (`tests/native/test_c_file.py`)."""
WINDOWS_BYTES: Final = 1_280
"""As much again for layers with windows, ..."""
PACKED_BYTES: Final = 384
"""... and for weights of less than 8 bits."""

_DENSE_ONLY: Final = "#define EDGEMNIST_DENSE_ONLY"
_PACKED: Final = "#define EDGEMNIST_PACKED"
_SETTINGS: Final = f"#define EDGEMNIST_AMALGAMATION\n#define EDGEMNIST_SCALAR_BLOCK {BLOCK}U\n"

_SOURCES: Final = ("engine.h", "softmax.h", "requantize.h", "kernel_scalar.c")
_FITTING: Final = ("reduce.h", "box.h", "scale.h", "mnist.h", "find.h", "fit.c")
_PROGRAM: Final = ("inflate.h", "picture.h", "program.c")
_MEANINGS: Final = ("score of each class in steps of its scale", "probability of each class in steps of 1/256")
_LINE: Final = 116
_C_TYPES: Final = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a C file says of where it comes from."""

    version: str
    """Of edgemnist."""
    model_sha256: str
    tflite_sha256: str
    """Of the TFLite file that answers the same bits."""
    labels: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a C file says of itself."""

    tflite_sha256: str
    header: str
    classes: int
    scale: float
    zero_point: int
    data_bytes: int
    """Read-only: weights and tables."""
    memory_bytes: int
    """Static memory."""
    engine_bytes: int
    """Of flash beside the data, at the most."""


def describe(source: bytes) -> Description | None:
    """Return what a C file of ours says of itself, or None for another file."""
    text = source.decode("utf-8", "replace")
    twin = re.search(r"TFLite file with the SHA-256\n \*   ([0-9a-f]{64})\n", text[:4_000])
    header = re.search(
        r"^/\* A classifier of images .*?^#endif\n(?=\n#define EDGEMNIST_AMALGAMATION)", text, re.DOTALL | re.MULTILINE
    )
    classes = re.search(r"^#define EDGEMNIST_CLASSES (\d+)$", text, re.MULTILINE)
    scale = re.search(r"^const float edgemnist_score_scale = (-?\d\.\d{9}e[-+]\d\d)F;$", text, re.MULTILINE)
    zero_point = re.search(r"^const int edgemnist_score_zero_point = (\d+);$", text, re.MULTILINE)
    memory = re.search(r"^ \* Read-only data: ([\d,]+) bytes\. Static memory: ([\d,]+) bytes\.$", text, re.MULTILINE)
    if not (twin and header and classes and scale and zero_point and memory):
        return None
    return Description(
        tflite_sha256=twin[1],
        header=header[0],
        classes=int(classes[1]),
        scale=float(scale[1]),
        zero_point=int(zero_point[1]),
        data_bytes=int(memory[1].replace(",", "")),
        memory_bytes=int(memory[2].replace(",", "")),
        engine_bytes=ENGINE_BYTES
        + (0 if f"\n{_DENSE_ONLY}\n" in text else WINDOWS_BYTES)
        + (PACKED_BYTES if f"\n{_PACKED}\n" in text else 0),
    )


def c_header(network: Network, origin: Origin) -> str:
    """Return the declarations, which the C file also has in it."""
    probabilities = network.has_softmax and network.layers[-1].softmax_map is None
    return _header(origin.version, network.classes, _MEANINGS[probabilities])


def _header(version: str, classes: int, meaning: str) -> str:
    return f"""\
/* A classifier of images of 28 x 28 pixels, made by edgemnist {version}. */
#ifndef EDGEMNIST_CLASSIFIER_H
#define EDGEMNIST_CLASSIFIER_H

#include <stdint.h>

#define EDGEMNIST_CLASSES {classes}

#ifdef __cplusplus
extern "C" {{
#endif

/* Writes the {meaning}, and returns the index of the
 * first of the highest. `image` has a byte a pixel, row by row, white (255) on black (0). Not reentrant. */
int edgemnist_classify(const uint8_t image[{IMAGE_SIDE**2}], uint8_t probabilities[EDGEMNIST_CLASSES]);

/* How many classes there are, the name of each, and what the numbers stand for: scale * (number - zero point). */
extern const int edgemnist_class_count;
extern const char *const edgemnist_labels[EDGEMNIST_CLASSES];
extern const float edgemnist_score_scale;
extern const int edgemnist_score_zero_point;

/* Pictures of any size; the C file is to be compiled with -DEDGEMNIST_FIT for these. */
{_inlined("fit.h")}
#ifdef __cplusplus
}}
#endif

#endif
"""


def c_source(network: Network, origin: Origin) -> str:
    """Return the C file: declarations, engine, tables, and functions; the same text for the same network."""
    tables = _Tables()
    laid_out = lay_out(network, group=1, block=BLOCK, packed=True, alignment=ALIGNMENT)
    layers = ",\n".join(_layer(tables, index, layer) for index, layer in enumerate(laid_out.layers))
    pixel_map = tables.add("pixel_map", network.pixel_map)
    windows = _windows(laid_out)
    labels = ", ".join(_c_string(label) for label in origin.labels)
    head = f"""\
/* SPDX-License-Identifier: Apache-2.0
 *
 * {_named(network)} in int8
 * and the engine that executes it, in one C99 file without dependencies.{_bits(laid_out)}
 * Made by edgemnist {origin.version} from the Keras model with the SHA-256
 *   {origin.model_sha256}
 * It answers every bit of the TFLite file with the SHA-256
 *   {origin.tflite_sha256}
 * in the reference kernels.
 * Read-only data: {tables.bytes:,} bytes. Static memory: {_scratch_bytes(laid_out):,} bytes.
 *
 * Compile it with your program and include the declarations, which also are in a header of their own. With
 * -DEDGEMNIST_MAIN it is a program that reads a PGM or PNG:
 *   cc -O3 -DEDGEMNIST_MAIN -o digit THIS.c && ./digit picture.png
 */
"""
    network_text = f"""\
const int edgemnist_class_count = EDGEMNIST_CLASSES;
const char *const edgemnist_labels[EDGEMNIST_CLASSES] = {{{labels}}};
const float edgemnist_score_scale = {_float(network.output.scale)};
const int edgemnist_score_zero_point = {network.score_zero_point};

static const edgemnist_layer edgemnist_layers[{len(network.layers)}] = {{
{layers},
}};

{windows}static const edgemnist_model edgemnist_network = {{
    {pixel_map}, edgemnist_layers, {"edgemnist_windows" if windows else "NULL"},
    {", ".join(map(str, laid_out.numbers.values()))},
}};

#define EDGEMNIST_SCRATCH_BYTES {_scratch_bytes(laid_out)}U
"""
    return "\n".join(
        [
            head,
            c_header(network, origin),
            _SETTINGS,
            *_left_out(laid_out),
            engine_text(),
            *tables.text,
            network_text,
            _functions(),
        ]
    )


def _functions() -> str:
    """Return what follows the network."""
    return "\n".join(
        [
            _inlined("classify.c"),
            "#if defined(EDGEMNIST_FIT) || defined(EDGEMNIST_MAIN)",
            *map(_inlined, _FITTING),
            "#endif /* EDGEMNIST_FIT */\n\n#ifdef EDGEMNIST_MAIN",
            *map(_inlined, _PROGRAM),
            "#endif /* EDGEMNIST_MAIN */\n",
        ]
    )


_HEAD: Final = re.compile(r"/\* SPDX(?:(?!\*/)[^\\?])*\*/\n\n/\* A classifier .* made by edgemnist ([\w.+]+)\. \*/\n")


def is_own(source: bytes) -> bool:
    """Return whether a C file is a network beside the very code of this version: it does nothing but answer images.

    Its numbers are such that the code reads and writes its own memory alone.
    """
    text = source.decode("utf-8", "replace")
    head, engine, rest = text.partition(f"\n{engine_text()}\n")
    network, functions, more = rest.partition(f"\n{_functions()}")
    first = _HEAD.match(head)
    classes = re.search(r"^#define EDGEMNIST_CLASSES ([1-9][0-9]{0,4})$", head, re.MULTILINE)
    if not (first and classes and engine and functions) or more:
        return False
    declared = head[first.end() :]
    left_out = ("", f"\n{_DENSE_ONLY}\n", f"\n{_PACKED}\n", f"\n{_DENSE_ONLY}\n\n{_PACKED}\n")
    headers = (_header(first[1], int(classes[1]), meaning).partition("\n")[2] for meaning in _MEANINGS)
    if declared not in {f"{header}\n{_SETTINGS}{options}" for header in headers for options in left_out}:
        return False
    options = declared.rpartition(_SETTINGS)[2]
    return stays_inside(network, int(classes[1]), windowed=_DENSE_ONLY not in options, packed=_PACKED in options)


def engine_text() -> str:
    """Return the engine with its portable kernel alone, each file once, in the order in which they need each other."""
    text = "\n".join(_inlined(name) for name in _SOURCES)
    # What chooses among kernels is left out.
    return re.sub(
        r"#ifndef EDGEMNIST_AMALGAMATION\n.*?#endif /\* EDGEMNIST_AMALGAMATION \*/\n", "", text, flags=re.DOTALL
    )


def _inlined(name: str) -> str:
    text = Path(__file__).with_name(name).read_text("utf-8")

    def included(match: re.Match[str]) -> str:
        # The others stand before it.
        return _inlined(match[1]) if match[1] in {"forward.h", "windows.h"} else ""

    return re.sub(r'#include "(.*?)"\n', included, text)


class _Tables:
    """Arrays of constants as C."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.bytes = 0

    def add(self, name: str, values: npt.NDArray[Any] | None) -> str:
        """Add an array; return its name, or `NULL` for none."""
        if values is None:
            return "NULL"
        self.bytes += values.nbytes
        numbers = (_number(int(value), values.dtype) for value in values.reshape(-1))
        rows = "\n".join(_wrapped(numbers))
        kind = _C_TYPES[values.dtype.name]
        self.text.append(f"static const {kind} edgemnist_{name}[{values.size}] = {{\n{rows}\n}};\n")
        return f"edgemnist_{name}"


def _layer(tables: _Tables, index: int, layer: Layout) -> str:
    """Add a layer's arrays; return its initializer."""
    pointers = [tables.add(f"{name}_{index}", table) for name, table in layer.tables.items()]
    if layer.numbers["weight_bits"] < 8:  # noqa: PLR2004 - as they are
        # The weights, which are words of several.
        pointers[0] = f"(const int8_t *){pointers[0]}"
    return f"    {{{', '.join(pointers)},\n     {', '.join(map(str, layer.numbers.values()))}}}"


def _windows(laid_out: ModelLayout) -> str:
    """Return the array of windows, empty for a dense network."""
    if not laid_out.windows:
        return ""
    rows = ",\n".join(f"    {{{', '.join(map(str, window.values()))}}}" for window in laid_out.windows)
    return f"static const edgemnist_window edgemnist_windows[{len(laid_out.windows)}] = {{\n{rows},\n}};\n\n"


def _left_out(laid_out: ModelLayout) -> Iterator[str]:
    """Yield what the engine needs to know of a network to leave out what it does not have."""
    if not laid_out.windows:
        yield f"{_DENSE_ONLY}\n"
    if any(layer.numbers["weight_bits"] < 8 for layer in laid_out.layers):  # noqa: PLR2004 - as they are
        yield f"{_PACKED}\n"


def _named(network: Network) -> str:
    """Return what a network is, in a few words."""
    sizes = "-".join(str(total_outputs(layer)) for layer in network.layers)
    if any(window_of_layer(layer) for layer in network.layers):
        return f"A convolutional network of {IMAGE_SIDE**2}-{sizes} numbers"
    return f"A dense network of {IMAGE_SIDE**2}-{sizes} units"


def _bits(laid_out: ModelLayout) -> str:
    """Return a sentence about weights of less than 8 bits, empty if there are none."""
    found = [layer.numbers["weight_bits"] for layer in laid_out.layers if layer.tables["weights"] is not None]
    if min(found, default=8) == 8:  # noqa: PLR2004 - as they are
        return ""
    return f"\n * Weights have {', '.join(map(str, found))} bits, layer by layer."


def static_bytes(network: Network) -> int:
    """Return the bytes of static memory of a network's C file. Of its weights only the shapes matter."""
    return _scratch_bytes(lay_out(network, group=1, block=BLOCK, alignment=ALIGNMENT))


def _scratch_bytes(laid_out: ModelLayout) -> int:
    """Return what `ARENA_PLACE` and the arena come to: a list of bytes, a patch, 16-bit numbers of rows."""
    numbers = laid_out.numbers
    parts = (numbers["most_inputs"], numbers["patch_bytes"], 2 * numbers["window_count"], numbers["arena_bytes"])
    return sum(-(-part // ALIGNMENT) * ALIGNMENT for part in parts)


def _number(value: int, dtype: np.dtype[Any]) -> str:
    if dtype == np.int64:
        return f"INT64_C({value})"
    if dtype == np.uint32:
        return f"{value}U"
    # -2147483648 is the negative of a number that no int32 holds.
    return "INT32_MIN" if value == np.iinfo(np.int32).min else str(value)


def _float(value: float | None) -> str:
    """Return a float32 as C writes it, to the last bit: nine digits tell any two apart."""
    return f"{np.float32(1 if value is None else value):.9e}F"


def _wrapped(numbers: Iterator[str]) -> Iterator[str]:
    line = ""
    for number in numbers:
        if len(line) + len(number) + 1 > _LINE:
            yield line
            line = ""
        line += f"{number},"
    yield line


def _c_string(text: str) -> str:
    """Return a string literal of ASCII alone: other bytes as three octal digits, which no later digit can join."""
    escaped = "".join(
        chr(byte) if ord(" ") <= byte <= ord("~") and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{escaped}"'
