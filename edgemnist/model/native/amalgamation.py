"""A network and the engine as one C file, in the manner of SQLite's amalgamation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.ground.inputs import InputSpec
from edgemnist.model.native.layers import Kind
from edgemnist.model.native.layout import Layout, ModelLayout, lay_out
from edgemnist.model.native.network import Network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW
from edgemnist.model.runtimes.integer import REFERENCE
from edgemnist.model.task import Task, code_of

ALIGNMENT: Final = 4
"""As in `kernel_scalar.c`."""
BLOCK: Final = 8
"""Outputs that are computed at once: with their eight sums, a Cortex-M has five registers left for all else."""
RECOMMENDED: Final = "-O2"
"""How a C file is best compiled: measured, see docs/guides/microcontroller.md."""
PROCESSORS: Final = "Cortex-M0+, M3, M4, M7, M33 or M55"


@dataclass(frozen=True)
class Needs:
    """What a C file takes at the most of any of `PROCESSORS`, compiled by GCC with one option."""

    flash_bytes: int
    """Code and all read-only data."""
    ram_bytes: int
    """Static memory and stack."""
    stack_bytes: int
    """That a call takes, without that of interrupts."""


CODE_BYTES: Final[Mapping[str, tuple[int, int, int, int, int, int]]] = {
    "-Os": (1_728, 1_920, 3_328, 3_456, 4_992, 5_120),
    "-O2": (2_048, 2_432, 4_032, 4_544, 6_656, 7_104),
    "-O3": (3_040, 3_840, 6_592, 7_424, 12_032, 13_184),
}
"""Of the engine, by GCC's option: for dense layers alone, the same with weights of less than 8 bits, then both with
layers that have windows, and with all that a graph may have. GCC 14 makes at most this of it for any of `PROCESSORS`
(`tests/native/test_c_file.py`)."""
_TWICE_BYTES: Final[Mapping[str, int]] = {"-Os": 0, "-O2": 0, "-O3": 256}
"""More where dense layers round twice: elsewhere that takes up to 80 bytes, for which there is room."""
_QUANTIZE_BYTES: Final = 3_584
"""Of `edgemnist_quantize` and GCC's functions for floating point, where a processor has none: a Cortex-M0+ takes 3,452,
72 more where halves go away from zero, and others half of it."""
_MAPPING_BYTES: Final = 192
"""Of `edgemnist_classify_levels`, and of code for a network that is known only when it is called."""
STACK_BYTES: Final[Mapping[str, tuple[int, int, int]]] = {
    "-Os": (320, 544, 640),
    "-O2": (480, 480, 560),
    "-O3": (480, 640, 1_024),
}
"""The deepest call on these processors, in an emulator: for dense layers alone, with windows, and of a graph."""

_KERNELS: Final = {
    "single": "LiteRT's reference kernels",
    "double": "TensorFlow Lite for Microcontrollers, which rounds twice in dense layers, too",
}
_DENSE_ONLY: Final = "#define EDGEMNIST_DENSE_ONLY"
_ONCE: Final = "#define EDGEMNIST_ROUNDS_ONCE"
_CHAIN: Final = "#define EDGEMNIST_CHAIN"
_PACKED: Final = "#define EDGEMNIST_PACKED"
_SETTINGS: Final = f"#define EDGEMNIST_AMALGAMATION\n#define EDGEMNIST_SCALAR_BLOCK {BLOCK}U\n"

_QUANTIZES: Final = """
/* Writes what numbers are to edgemnist_classify: the nearest of 256 steps of each. */
void edgemnist_quantize(const float input[EDGEMNIST_INPUTS], uint8_t levels[EDGEMNIST_INPUTS]);
"""
_STANDS: Final = "/* What the numbers stand for: scale * (number - zero point). */\n"
_NAMES: Final = """\
/* How many classes there are, the name of each, and what the numbers stand for: scale * (number - zero point). */
extern const int edgemnist_class_count;
extern const char *const edgemnist_labels[EDGEMNIST_CLASSES];
"""
_SOURCES: Final = ("engine.h", "softmax.h", "requantize.h", "kernel_scalar.c")
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
    """Of its classes; none where it answers with numbers."""
    source: str = "Keras model"
    """What the hash of the model is of."""
    task: Task | None = None
    """What it is for; None for what is usual."""
    rounding: str = REFERENCE.rescaling
    """Read from a file: the rule of its network."""


@dataclass(frozen=True, kw_only=True)
class CFile:
    """A C file, and what it takes."""

    text: str
    header: str
    data_bytes: int
    """Read-only: weights and tables."""
    needs: Mapping[str, Needs]
    """By option of GCC."""


def origin_of(source: bytes) -> Origin | None:
    """Return what a C file of ours says of where it comes from, or None for another file."""
    text = source.decode("utf-8", "replace")
    made = re.search(
        r"Made by edgemnist (\S*) from the (.*) with the SHA-256\n \*   ([0-9a-f]{64})\n.*\n \*   ([0-9a-f]{64})\n",
        text[:4_000],
    )
    rounding = re.search(r"^ \* Rounding: (\w+)", text[:8_000], re.MULTILINE)
    task = re.search(r"^ \* Task: (\{.*\})$", text[:8_000], re.MULTILINE)
    labels = re.search(r"^const char \*const edgemnist_labels\[EDGEMNIST_CLASSES\] = \{(.*)\};$", text, re.MULTILINE)
    if not made:
        return None
    names = [_python_string(label) for label in re.findall(r'"((?:[^"\\]|\\.)*)"', labels[1])] if labels else []
    try:
        found = msgspec.json.decode(task[1], type=Task) if task else None
    except msgspec.DecodeError:
        return None
    return Origin(
        version=made[1],
        source=made[2],
        model_sha256=made[3],
        tflite_sha256=made[4],
        labels=names,
        task=found,
        rounding=rounding[1] if rounding else REFERENCE.rescaling,
    )


def c_header(network: Network, origin: Origin) -> str:
    """Return the declarations, which the C file also has in it."""
    probabilities = network.has_softmax and network.layers[-1].softmax_map is None
    numbers, both = not origin.labels, _is_of_both(network, origin)
    meaning = (
        "numbers that it answers in steps of their scale"
        if numbers
        else "probability of each class in steps of 1/256"
        if probabilities
        else "probability of the second class in steps of its scale"
        if both
        else "score of each class in steps of its scale"
    )
    code, spec = code_of(origin.task), network.spec
    finder = "\n/* Pictures of any size; the C file is to be compiled with -DEDGEMNIST_FIT for these. */\n"
    return _filled(
        "declarations.in.h",
        model="model" if numbers else "classifier",
        reads=_inputs(spec),
        origin=origin,
        network=network,
        classes="" if numbers else f"#define EDGEMNIST_CLASSES {'2' if both else 'EDGEMNIST_OUTPUTS'}\n",
        levels="#define EDGEMNIST_QUANTIZES\n" * network.takes_levels,
        maps="#define EDGEMNIST_MAPS\n" * network.maps_pixels,
        input_lowest=network.held.lowest,
        output_lowest=network.output.lowest,
        meaning=meaning,
        chosen="more probable one" if both else "first of the highest",
        read=_bytes_of(network, origin),
        quantizes=_QUANTIZES * network.takes_levels,
        names=_STANDS if numbers else _NAMES,
        run=_inlined("run.h"),
        finder=finder + _flat(code.read(code.declarations)) if code else "",
    )


def _is_of_both(network: Network, origin: Origin) -> bool:
    """Return whether the only number of a network is the probability of the second of two classes."""
    return (network.classes, len(origin.labels)) == (1, 2)


def _inputs(spec: InputSpec) -> str:
    """Return what a network takes, in a few words."""
    if spec.is_picture:
        height, width = spec.shape[:2]
        return f"images of {width} x {height} pixels{' in colour' if spec.channels > 1 else ''}"
    return f"inputs of {' x '.join(map(str, spec.shape))} numbers"


def _bytes_of(network: Network, origin: Origin) -> str:
    """Return what the bytes of an input are, in a sentence."""
    spec = network.spec
    if network.takes_levels:
        return "`input` is what edgemnist_quantize writes."
    if not spec.is_picture:
        return "`input` has a byte for each number."
    if spec.channels > 1:
        colours = ", ".join(("red", "green", "blue", "alpha")[: spec.channels])
        return f"`input` has {spec.channels} bytes a pixel, row by row: {colours}."
    code = code_of(origin.task)
    return f"`input` has a byte a pixel, row by row{f', {code.pixels}' if code else ''}."


def c_source(network: Network, origin: Origin) -> str:
    """Return the text of a C file, see `c_file`."""
    return c_file(network, origin).text


def c_file(network: Network, origin: Origin) -> CFile:
    """Return the C file: declarations, engine, tables, and functions; the same text for the same network."""
    if origin.task is not None and network.spec != origin.task.input:
        raise ValueError(f"it reads {network.spec.words()}, and its task is {origin.task.input.words()}")
    tables = _Tables()
    laid_out = lay_out(network, group=1, block=BLOCK, small=True, alignment=ALIGNMENT)
    layers = ",\n".join(_layer(tables, index, layer) for index, layer in enumerate(laid_out.layers))
    windows = _windows(laid_out)
    models = _model("network", tables.add("pixel_map", network.pixel_map), laid_out.numbers, windows)
    if network.maps_pixels:
        numbers = {**laid_out.numbers, "pixel_maps": 1}
        models += "\n" + _model("level_network", tables.add("level_map", network.level_map), numbers, windows)
    labels = ", ".join(_c_string(label) for label in origin.labels)
    memory_bytes = laid_out.scratch_bytes(ALIGNMENT)
    listed = -(-laid_out.numbers["most_inputs"] // ALIGNMENT) * ALIGNMENT
    quantizing = _QUANTIZE_BYTES + 8 * _scales(network.spec) if network.takes_levels else 0
    mapping = MODEL.packed().size + _MAPPING_BYTES if network.maps_pixels else 0
    needs = _needs(laid_out, origin.labels, tables.bytes + quantizing + mapping, network.rounding)
    needs_text = "\n".join(
        f" *   {option}: at most {one.flash_bytes:,} bytes of flash, and {one.ram_bytes:,} bytes of RAM, of which "
        f"{one.stack_bytes:,} are stack"
        for option, one in needs.items()
    )
    code = code_of(origin.task)
    name, example = (code.name, code.example) if code else ("model", "FILE")
    program = (
        f"is a program that {f'reads {code.takes}' if code else 'answers a file'}:\n"
        f" *   cc {RECOMMENDED} -DEDGEMNIST_MAIN -o {name} THIS.c && ./{name} {example}"
    )
    task = "" if origin.task is None else f" * Task: {_commented(origin.task)}\n"
    head = _filled(
        "head.in.h",
        network=_named(network),
        bits=_bits(laid_out),
        origin=origin,
        kernels=_KERNELS[network.rounding],
        rounding=network.rounding,
        data=tables.bytes,
        memory=memory_bytes,
        processors=PROCESSORS,
        needs=needs_text,
        task=task,
        recommended=RECOMMENDED,
        program=program,
    )
    names = f"""\
const int edgemnist_class_count = EDGEMNIST_CLASSES;
const char *const edgemnist_labels[EDGEMNIST_CLASSES] = {{{labels}}};
"""
    network_text = f"""\
{names if labels else ""}const float edgemnist_score_scale = {network.score_scale:.9e}F;
const int edgemnist_score_zero_point = {network.score_zero_point};

static const edgemnist_layer edgemnist_layers[{len(network.layers)}] = {{
{layers},
}};

{windows}{models}
#define EDGEMNIST_SCRATCH_BYTES ({memory_bytes - listed}U + WHOLE_LIST_BYTES({listed}U))
"""
    header = c_header(network, origin)
    reading = _flat(code.read(code.program)) if code else _inlined("raw.h")
    program_text = _inlined("program.c").replace('#include "raw.h"\n', reading)
    classify = _inlined("classify.c")
    if _is_of_both(network, origin):
        # As `of_both` has it: the second class is the more probable one beyond a half.
        half = np.flatnonzero(network.score_scale * (np.arange(256) - network.score_zero_point) <= 1 / 2).max()
        classify = classify.replace("return best;", f"return best + (outputs[0] > {half}U);")
        rest = "1.0 - (double)(edgemnist_score_scale * (float)(outputs[i] - edgemnist_score_zero_point))"
        printed = f'"  %s: %.4g\\n  %s: ", edgemnist_labels[0], {rest}, edgemnist_labels[1]'
        program_text = program_text.replace('"  %s: ", edgemnist_labels[i]', printed)
    fitting = [_flat(code.read(name)) for name in code.sources] if code else []
    fitted = "#if defined(EDGEMNIST_FIT) || defined(EDGEMNIST_MAIN)"
    text = "\n".join(
        [
            head,
            header,
            _SETTINGS,
            *_left_out(laid_out),
            engine_text(),
            *tables.text,
            network_text,
            classify,
            *([_quantizing(network)] if network.takes_levels else []),
            *([fitted, *fitting, "#endif /* EDGEMNIST_FIT */\n"] if fitting else []),
            "#ifdef EDGEMNIST_MAIN",
            program_text,
            "#endif /* EDGEMNIST_MAIN */\n",
        ]
    )
    return CFile(text=text, header=header, data_bytes=tables.bytes, needs=needs)


def engine_text() -> str:
    """Return the engine with its portable kernel alone, each file once, in the order in which they need each other."""
    text = "\n".join(_inlined(name) for name in _SOURCES)
    # What chooses among kernels is left out.
    return re.sub(
        r"#ifndef EDGEMNIST_AMALGAMATION\n.*?#endif /\* EDGEMNIST_AMALGAMATION \*/\n", "", text, flags=re.DOTALL
    )


def _quantizing(network: Network) -> str:
    """Return the function that brings numbers to the network's bytes, with its constants."""
    spec, held = network.spec, network.held
    count = _scales(spec)
    scales, offsets = (
        ", ".join(f"{np.float32(value):.9e}F" for value in values * (count // len(values)))
        for values in (spec.scale, spec.offset)
    )
    real = "#define EDGEMNIST_REAL_INPUT\n" if network.real_input else ""
    return f"""\
{real}#define EDGEMNIST_INPUT_SCALES {count}U
static const float edgemnist_input_scale[EDGEMNIST_INPUT_SCALES] = {{{scales}}};
static const float edgemnist_input_offset[EDGEMNIST_INPUT_SCALES] = {{{offsets}}};
static const float edgemnist_input_step = {np.float32(held.scale or 1):.9e}F;
static const int edgemnist_input_zero_point = {held.zero_point - held.lowest};

{_inlined("quantize.c")}"""


def _scales(spec: InputSpec) -> int:
    return max(len(spec.scale), len(spec.offset))


def _commented(task: Task) -> str:
    """Return a task as JSON that cannot end a comment."""
    # As it is read again: whole numbers are numbers like any others.
    again = msgspec.json.decode(msgspec.json.encode(task), type=Task)
    return msgspec.json.encode(again).decode().replace("/", "\\/")


def _filled(name: str, **values: object) -> str:
    """Return a file of C with values in the place of their names in braces."""
    return Path(__file__).with_name(name).read_text("utf-8").format(**values)


def _inlined(name: str) -> str:
    return _flat(Path(__file__).with_name(name).read_text("utf-8"))


def _flat(text: str) -> str:
    """Return C with a few headers in the place of their `#include`, and none of the other lines of this kind."""

    def included(match: re.Match[str]) -> str:
        # The others stand before it.
        within = match[1] in {"forward.h", "quantize.h", "windows.h"}
        return _inlined(match[1]) if within else match[0] * (match[1] == "raw.h")

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
        kind, size = _C_TYPES[values.dtype.name], values.size
        rows = _wrapped(_number(int(value), values.dtype) for value in values.reshape(-1))
        if values.ndim > 1:
            macro, size = ("EDGEMNIST_BIAS", size // 2) if values.dtype == np.int32 else ("EDGEMNIST_FOUR", size)
            rows = (f"{macro}({','.join(_number(one, values.dtype) for one in row)})," for row in values.tolist())
            kind += " EDGEMNIST_ALIGNED"
        self.bytes += size * values.itemsize
        body = "\n".join(rows)
        self.text.append(f"static const {kind} edgemnist_{name}[{size}] = {{\n{body}\n}};\n")
        return f"edgemnist_{name}"


def _layer(tables: _Tables, index: int, layer: Layout) -> str:
    """Add a layer's arrays; return its initializer."""
    weights, bias = layer.tables["weights"], layer.tables["bias"]
    if weights is not None and weights.ndim > 1 and bias is not None:
        # With inputs that are 128 less.
        more = 128 * weights.reshape(layer.numbers["blocks"], -1, BLOCK).sum(axis=1, dtype=np.int64).reshape(-1)
        layer = replace(layer, tables={**layer.tables, "bias": np.stack([bias, bias + more], axis=1, dtype=np.int32)})
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


def _parts(laid_out: ModelLayout) -> int:
    """Return which parts of the engine a network needs: 0 for dense layers alone, 1 with windows, 2 for all of it."""
    simple = all(
        window["kind"] <= Kind.PICK and window["dilation_height"] == window["dilation_width"] == 1
        for window in laid_out.windows
    )
    return (1 if simple else 2) if laid_out.windows else 0


def _model(name: str, first_map: str, numbers: Mapping[str, int], windows: str) -> str:
    return f"""\
static const edgemnist_model edgemnist_{name} = {{
    {first_map}, edgemnist_layers, {"edgemnist_windows" if windows else "NULL"},
    {", ".join(map(str, numbers.values()))},
}};
"""


def _left_out(laid_out: ModelLayout) -> Iterator[str]:
    """Yield what the engine needs to know of a network to leave out what it does not have."""
    if not any(layer.numbers["rounding"] & 1 for layer in laid_out.layers):
        yield f"{_ONCE}\n"
    if not laid_out.windows:
        yield f"{_DENSE_ONLY}\n"
    elif _parts(laid_out) == 1:
        yield f"{_CHAIN}\n"
    if any(layer.numbers["weight_bits"] < 8 for layer in laid_out.layers):  # noqa: PLR2004 - as they are
        yield f"{_PACKED}\n"


def _named(network: Network) -> str:
    """Return what a network is, in a few words."""
    sizes = "-".join(str(layer.total_outputs) for layer in network.layers)
    if any(layer.window for layer in network.layers):
        return f"A convolutional network of {network.inputs}-{sizes} numbers"
    return f"A dense network of {network.inputs}-{sizes} units"


def _bits(laid_out: ModelLayout) -> str:
    """Return a sentence about weights of less than 8 bits, empty if there are none."""
    found = [layer.numbers["weight_bits"] for layer in laid_out.layers if layer.tables["weights"] is not None]
    if min(found, default=8) == 8:  # noqa: PLR2004 - as they are
        return ""
    return f"\n * Weights have {', '.join(map(str, found))} bits, layer by layer."


def ram_bytes(network: Network) -> int:
    """Return the bytes of static memory and stack of a network's C file. Of its weights only the shapes matter."""
    laid_out = lay_out(network, group=1, block=BLOCK, small=True, alignment=ALIGNMENT)
    return laid_out.scratch_bytes(ALIGNMENT) + STACK_BYTES[RECOMMENDED][_parts(laid_out)]


def _needs(laid_out: ModelLayout, labels: Sequence[str], table_bytes: int, rounding: str) -> dict[str, Needs]:
    """Return what a C file takes of a microcontroller, by option of the compiler."""
    structures = LAYER.packed().size * len(laid_out.layers) + WINDOW.packed().size * len(laid_out.windows)
    # Pointers to the names, the names with a zero byte each, and three numbers; each array begins at a whole word.
    names = sum(-(-len(label.encode() + b"\0") // 4) * 4 + 4 for label in labels)
    read_only = table_bytes + structures + MODEL.packed().size + names + 3 * 4
    read_only += 3 * sum(table is not None for layer in laid_out.layers for table in layer.tables.values())
    parts, packed = _parts(laid_out), _PACKED in "".join(_left_out(laid_out))
    static = laid_out.scratch_bytes(ALIGNMENT)
    return {
        option: Needs(
            read_only + code[2 * parts + packed] + (rounding == "double") * _TWICE_BYTES[option],
            static + (stack := STACK_BYTES[option][parts]),
            stack,
        )
        for option, code in CODE_BYTES.items()
    }


def _number(value: int, dtype: np.dtype[Any]) -> str:
    if dtype == np.int64:
        return f"INT64_C({value})"
    if dtype == np.uint32:
        return f"{value}U"
    # -2147483648 is the negative of a number that no int32 holds.
    return "INT32_MIN" if value == np.iinfo(np.int32).min else str(value)


def _wrapped(numbers: Iterator[str]) -> Iterator[str]:
    line = ""
    for number in numbers:
        if len(line) + len(number) + 1 > _LINE:
            yield line
            line = ""
        line += f"{number},"
    yield line


def _c_string(text: str) -> str:
    """Return a string literal of ASCII alone: other bytes as three octal figures, which no later one can join."""
    escaped = "".join(
        chr(byte) if ord(" ") <= byte <= ord("~") and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{escaped}"'


def _python_string(text: str) -> str:
    """Return the text of such a literal, without its quotation marks."""
    plain = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 0xFF]), text.encode())
    return plain.decode("utf-8", "replace")
