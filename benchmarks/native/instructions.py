"""Instructions of one image on emulated Arm processors: the C file beside kernels that skip nothing.

    python -m benchmarks.native.instructions exports/reference [NETWORK.tflite ...] [--data MNIST] [--images 10000]
        [--cmsis-nn CMSIS-NN]

Needs arm-none-eabi-gcc, qemu-system-arm, aarch64-linux-gnu-gcc and qemu-aarch64. Counted are instructions, never time:
an emulator has no clock that a board would know. The dense kernel is the textbook's, output by output, with weights in
rows, compiled with the same options; its rescaling is left out, in its favour. Images are the first 100 of the golden
pack, and the first 20 on the Cortex-A53. At worst no pixel is blank: the same images are counted with pixels of 0 as 1.
Further networks, such as convolutional ones, are counted without another kernel beside them, and with what flash and
RAM the C file says it takes. With --data their answers to test images, on the Cortex-M0+ and M4, are compared with
those of the integer reference. The figures of other networks stay.

With --models the TFLite files of a directory are counted on the Cortex-M4 and M55 for one input of noise: instructions
a multiplication, in all and by kind of layer, for which the C file is made to count its rows; the same if no zero were
left out; and bytes of code at -Os, of static memory, and of the stack at -O2.

With --cmsis-nn the two layers and the softmax are counted as CMSIS-NN has them, compiled with -Ofast, as its manual
does, and rounding once, as the reference does. All its answers, to the test images if there are any, must be the
reference's. Turning pixels to int8 is left out, in its favour. Without --cmsis-nn its figures stay.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgemnist.ground.arrays import Images
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native.amalgamation import RECOMMENDED, Origin, c_file, c_source
from edgemnist.model.native.classifier import read_network_file
from edgemnist.model.native.layers import Layer, Summing
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.fixedpoint import affine, quantized_multiplier
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.pipeline.data.sources import find_dataset

RESULTS = Path(__file__).with_suffix(".json")
HERE = Path(__file__).parent
BOARD = HERE.parents[1] / "tests" / "native" / "board"
SCRIPT = BOARD / "memory.ld"
MACHINES = {
    "cortex-m0plus": "mps2-an385",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m55": "mps3-an547",
}
"""QEMU has no machine with a Cortex-M0+: its instructions are executed by a Cortex-M3."""
ANSWERING = ("cortex-m0plus", "cortex-m4")
"""Processors that answer test images."""
MODELED = ("cortex-m4", "cortex-m55")
"""Processors on which the models of others are counted: with the DSP extension, and with Helium."""
CMSIS_NN_SOURCES = (
    "FullyConnectedFunctions/arm_fully_connected_per_channel_s8.c",
    "NNSupportFunctions/arm_nn_vec_mat_mult_t_per_ch_s8.c",
    "SoftmaxFunctions/arm_nn_softmax_common_s8.c",
    "SoftmaxFunctions/arm_softmax_s8.c",
)
SIGN = np.uint8(128)
"""Flipped, it turns uint8 to int8 with the zero point -128, and back."""
IMAGES = 100
LOOP = 200_000
"""Instructions of the loop in `count.c` whose ticks are printed first, and of `loop` in `count_linux.c`."""
LINUX = "cortex-a53"
"""A processor with Linux. Both kernels are compiled for it as scalar code."""
LINUX_IMAGES = 20


def dense_layers(network: Network) -> list[tuple[Layer, Summing]]:
    """Return the layers of a dense network."""
    return [(layer, layer.sums) for layer in network.layers if layer.sums is not None]


def dense_source(network: Network) -> str:
    """Return two dense layers as the textbook has them."""
    (first, sums), (second, last) = dense_layers(network)
    parts = ["#include <stdint.h>\n"]
    for name, summing in (("first", sums), ("second", last)):
        parts.append(constants("int8_t", f"{name}_weights", np.asarray(summing.weights)))
        parts.append(constants("int32_t", f"{name}_bias", summing.bias))
    parts.append(
        f"""
static void layer(const int8_t *w, const int32_t *bias, const uint8_t *x, uint32_t inputs, uint32_t outputs, uint8_t *y)
{{
    for (uint32_t o = 0; o < outputs; ++o, w += inputs) {{
        int32_t sum = bias[o];
        for (uint32_t i = 0; i < inputs; ++i) {{
            sum += w[i] * x[i];
        }}
        y[o] = (uint8_t)(sum < 0 ? 0 : sum >> 12);
    }}
}}

int dense_classify(const uint8_t image[784], uint8_t answer[]);

int dense_classify(const uint8_t image[784], uint8_t answer[])
{{
    static uint8_t hidden[{first.outputs}];
    layer(first_weights, first_bias, image, 784, {first.outputs}, hidden);
    layer(second_weights, second_bias, hidden, {first.outputs}, {second.outputs}, answer);
    return answer[0];
}}
"""
    )
    return "".join(parts)


def cmsis_nn_source(network: Network, softmax: tuple[int, int, int]) -> str:
    """Return two dense layers and their softmax as calls of CMSIS-NN, whose images and answers are int8."""
    (first, sums), (second, last) = dense_layers(network)
    parts = ['#include "arm_nnfunctions.h"\n', f"const int edgemnist_class_count = {second.outputs};\n"]
    calls = []
    for name, layer, summing, source, target in (
        ("first", first, sums, "image", "hidden"),
        ("second", second, last, "hidden", "scores"),
    ):
        outputs, inputs = layer.outputs, np.asarray(summing.weights).shape[1]
        parts += [
            constants("int8_t", f"{name}_weights", np.asarray(summing.weights)),
            constants("int32_t", f"{name}_bias", summing.bias),
            # With Helium it takes these, which are made once.
            constants(
                "int32_t", f"{name}_sums", summing.bias + 128 * np.asarray(summing.weights).sum(axis=1, dtype=np.int32)
            ),
            constants("int32_t", f"{name}_multiplier", summing.multiplier),
            constants("int32_t", f"{name}_shift", 31 - summing.shift.astype(np.int32)),
        ]
        # The bias already holds the zero point of inputs that are counted from the lowest.
        calls.append(f"""
    arm_fully_connected_per_channel_s8(
        &(cmsis_nn_context){{(void *){name}_sums, 0}},
        &(cmsis_nn_fc_params){{
            .input_offset = 128,
            .output_offset = {layer.zero_point - 128},
            .activation = {{{layer.low - 128}, {layer.high - 128}}},
        }},
        &(cmsis_nn_per_channel_quant_params){{(int32_t *){name}_multiplier, (int32_t *){name}_shift}},
        &(cmsis_nn_dims){{1, 1, 1, {inputs}}}, {source}, &(cmsis_nn_dims){{{inputs}, 1, 1, {outputs}}}, {name}_weights,
        &(cmsis_nn_dims){{1, 1, 1, {outputs}}}, {name}_bias, &(cmsis_nn_dims){{1, 1, 1, {outputs}}}, {target});""")
    parts.append(
        f"""
int cmsis_nn_classify(const int8_t image[784], int8_t answer[]);

int cmsis_nn_classify(const int8_t image[784], int8_t answer[])
{{
    static int8_t hidden[{first.outputs}], scores[{second.outputs}];{"".join(calls)}
    arm_softmax_s8(scores, 1, {second.outputs}, {", ".join(map(str, softmax))}, answer);
    return answer[0];
}}
"""
    )
    return "".join(parts)


def softmax_parameters(path: Path) -> tuple[int, int, int]:
    """Return multiplier, shift and least difference of a network's softmax, as CMSIS-NN takes them."""
    graph = read_graph_file(path)
    softmax = next(operator for operator in graph.operators if operator.kind == "SOFTMAX")
    beta = 1.0 if softmax.options is None else float(softmax.options.scalar(0, "f"))
    scale, _ = affine(graph.tensors[softmax.inputs[0]])
    multiplier, shift = quantized_multiplier(beta * scale * 2.0**26)
    return multiplier, shift, -((31 << 26) >> shift)


def constants(kind: str, name: str, values: npt.NDArray[np.integer]) -> str:
    """Return a C array."""
    return f"static const {kind} {name}[] = {{{','.join(map(str, values.reshape(-1).tolist()))}}};\n"


def write_images(images: Images, directory: Path) -> None:
    """Write the images that are counted as a C file."""
    numbers = ",".join(map(str, images.reshape(-1).tolist()))
    shape = f"[{len(images)}][{images[0].size}]"
    text = f"#include <stdint.h>\nextern const uint8_t images{shape};\n"
    (directory / "images.c").write_text(f"{text}const uint8_t images{shape} = {{{numbers}}};\n")


def count(processor: str, what: str, directory: Path, *library: str | Path) -> int:
    """Return the instructions of one call of `what`, on average."""
    program = directory / f"{what}.elf"
    sources = (directory / f"{what}.c", directory / "images.c", HERE / "count.c")
    printed = run(processor, program, *sources, *library, f"-DWHAT={what}", emulator=("-icount", "shift=0"))
    loop, total = (int(line) for line in printed.split())
    return round(total * LOOP / loop / IMAGES)


def count_on_linux(what: str, directory: Path, calls: int) -> int:
    """Return the instructions of one call of `what` on a processor with Linux, on average: QEMU logs each of them."""
    program = directory / f"{what}-linux"
    sources = [directory / f"{what}.c"] if what != "loop" else []
    options = ("-std=gnu99", "-O2", "-fno-tree-vectorize", "-static")
    compiler = ("aarch64-linux-gnu-gcc", f"-mcpu={LINUX}")
    places = (*sources, directory / "images.c", HERE / "count_linux.c", "-o", program)
    subprocess.run([*compiler, *options, f"-DWHAT={what}", *map(str, places)], check=True)
    return round((logged(program, calls) - logged(program, 0)) / calls)


def logged(program: Path, calls: int) -> int:
    """Return the instructions of a program with so many calls."""
    options = ("-cpu", LINUX, "-one-insn-per-tb", "-d", "exec,nochain")
    with tempfile.TemporaryFile() as log:
        subprocess.run(["qemu-aarch64", *options, program, str(calls)], check=True, stderr=log)  # noqa: S607 - the one on the path
        log.seek(0)
        return sum(line.startswith(b"Trace") for line in log)


def target(processor: str) -> tuple[str, ...]:
    """Return the options for a processor; GCC uses Helium only where floating point is in registers."""
    return ("-mthumb", f"-mcpu={processor}", "-ffreestanding", *["-mfloat-abi=hard"] * (processor == "cortex-m55"))


def run(processor: str, program: Path, *arguments: str | Path, emulator: Sequence[str] = ()) -> str:
    """Compile sources to a program, execute it in its directory, and return what it prints."""
    options = ("-std=gnu99", "-O2", *target(processor), "-nostartfiles", "-nostdlib")
    places = ("-Wl,--defsym=FLASH=0", "-Wl,--defsym=RAM=0x20000000", "-T", SCRIPT)
    subprocess.run(["arm-none-eabi-gcc", *options, *places, *arguments, "-lgcc", "-o", program], check=True)  # noqa: S607 - the one on the path
    done = subprocess.run(
        ["qemu-system-arm", "-M", MACHINES[processor], *emulator, "-nographic", "-monitor", "none"]  # noqa: RUF005
        + ["-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel", program],
        cwd=program.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def answer(processor: str, images: Images, directory: Path, *arguments: str | Path) -> npt.NDArray[np.uint8]:
    """Return what compiled sources answer to images, uint8 [images, classes]."""
    (directory / "images.bin").write_bytes(images.tobytes())
    run(processor, directory / "answers.elf", BOARD / "start.c", *arguments)
    return np.frombuffer((directory / "answers.bin").read_bytes(), dtype=np.uint8).reshape(len(images), -1)


def equal_answers(path: Path, images: Images, answers: npt.NDArray[np.uint8]) -> int:
    """Return how many images get every bit of the integer reference's answer."""
    expected = load(path, runtime="integer").predict_proba(images)
    return int(np.all(answers / np.float32(256) == expected, axis=1).sum())


ROW = "        KERNEL(row)(layer, window, &rows, &others, row, scratch, scratch + PATCH_PLACE(model), sums, outputs);\n"
"""Of `windows.h`: makes a row of a layer."""
SKIP = "if (four != 0U) {"
"""Of `kernel_scalar.c`: leaves out inputs of 0."""
KINDS = {0: "convolution", 1: "depthwise", 15: "pointwise", 16: "dense"}
POINTWISE, DENSE = 15, 16


def kind_of(layer: Layer) -> int:
    """Return the number of a kind of layer as `count.c` has it."""
    if layer.window is None:
        return DENSE
    sides = (layer.window.kernel_height, layer.window.kernel_width)
    return POINTWISE if layer.kind == 0 and sides == (1, 1) else int(layer.kind)


def model_counted(path: Path, processor: str, directory: Path) -> dict[str, object]:
    """Return what an input of noise takes on a processor, and how much memory."""
    graph = read_graph_file(path)
    spec = InputSpec(shape=graph.tensors[graph.inputs[0]].shape[1:], dtype="float32")
    network = read_network(graph, spec)
    labels = [str(index) for index in range(network.classes)]
    made = c_file(network, Origin(version="", model_sha256="", tflite_sha256="0" * 64, labels=labels))
    image = np.random.default_rng(1).integers(1, 256, (1, network.inputs), dtype=np.uint8)
    write_images(image, directory)
    products: dict[int, int] = {}
    for layer in network.layers:
        if layer.sums is not None and layer.sums.weights is not None and layer.joined is None:
            places = layer.total_outputs // layer.outputs
            products[kind_of(layer)] = products.get(kind_of(layer), 0) + layer.sums.weights.size * places
    total = sum(products.values())
    counted_row = f"count_begin();\n{ROW}count_end(window->kind, window->kernel_height * window->kernel_width);\n"
    counting = f"void count_begin(void);\nvoid count_end(int, int);\n{made.text.replace(ROW, counted_row)}"
    program = directory / "edgemnist_classify.c"
    texts = {"all": made.text, "rows": counting, "unskipped": made.text.replace(SKIP, "if (1) {")}
    found: dict[str, list[int]] = {}
    for name, text in texts.items():
        program.write_text(text)
        given = (program, directory / "images.c", HERE / "count.c", "-DWHAT=edgemnist_classify", "-DKINDS")
        sizes, emulator = (f"-DINPUTS={network.inputs}", "-DIMAGES=1U"), ("-icount", "shift=0")
        printed = run(processor, directory / "model.elf", *given, *sizes, emulator=emulator)
        loop, *ticks = map(int, printed.split())
        found[name] = [round(tick * LOOP / loop) for tick in ticks]
    program.write_text(made.text)
    sized = directory / "size.o"
    options = ("-std=c99", "-Os", *target(processor), "-c")
    subprocess.run(["arm-none-eabi-gcc", *options, program, "-o", sized], check=True)  # noqa: S607 - the one on the path
    listed = subprocess.run(["arm-none-eabi-size", "-A", sized], check=True, capture_output=True, text=True)  # noqa: S607 - the one on the path
    rows = [row for row in map(str.split, listed.stdout.splitlines()) if len(row) == 3 and row[1].isdigit()]
    sections = {name: int(size) for name, size, _ in rows}
    answer(processor, image, directory, program, f"-DINPUTS={network.inputs}")
    return {
        "model": path.stem,
        "processor": processor,
        "multiplications": total,
        "instructions": found["all"][0],
        "per_multiplication": found["all"][0] / total,
        "unskipped_per_multiplication": found["unskipped"][0] / total,
        "by_kind": {KINDS[kind]: found["rows"][1 + kind] / count for kind, count in products.items() if kind != DENSE},
        "code_bytes_at_os": sum(size for name, size in sections.items() if name.startswith(".text")),
        "static_bytes": sections[".bss"],
        "stack_bytes": int.from_bytes((directory / "stack.bin").read_bytes(), "little"),
    }


def main() -> None:
    """Count, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="an export directory with tflite-int8 of two layers")
    parser.add_argument("networks", type=Path, nargs="*", help="full-int8 TFLite files to count as well")
    parser.add_argument("--data", type=Path, help="directory with MNIST")
    parser.add_argument("--images", type=int, default=10_000, help="test images to answer, from the first one on")
    parser.add_argument("--models", type=Path, help="a directory of further TFLite files to count")
    parser.add_argument("--cmsis-nn", type=Path, help="a checkout of CMSIS-NN, v7 or later, to count as well")
    options = parser.parse_args()
    path = options.exports / "tflite-int8.tflite"
    network = read_network_file(path)
    manifest = read_manifest(options.exports)
    images = read_golden(options.exports, manifest).images[:IMAGES]
    filled = np.maximum(images, 1)
    test = None if options.data is None else find_dataset(options.data).test.images[: options.images]
    origin = Origin(version="", model_sha256="", tflite_sha256="0" * 64, labels=manifest.labels)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"processors": [], "networks": []}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "edgemnist_classify.c").write_text(c_source(network, origin))
        (directory / "dense_classify.c").write_text(dense_source(network))
        (directory / "cmsis_nn_classify.c").write_text(cmsis_nn_source(network, softmax_parameters(path)))
        real, worst = (count_beside_dense(shown, directory) for shown in (images, filled))
        if options.cmsis_nn is None:
            answered = known.get("cmsis_nn_equal_answers")
            for row in known["processors"]:
                if "cmsis_nn" in row:
                    real[row["processor"]]["cmsis_nn"] = row["cmsis_nn"]
                    worst[row["processor"]]["cmsis_nn"] = row["worst"]["cmsis_nn"]
        else:
            library = cmsis_nn_arguments(options.cmsis_nn)
            answered = check_cmsis_nn(path, images if test is None else test, directory, library)
            for counts, shown in ((real, images), (worst, filled)):
                write_images(shown ^ SIGN, directory)
                for processor in MACHINES:
                    counts[processor]["cmsis_nn"] = count(processor, "cmsis_nn_classify", directory, *library)
        rows = [
            {"processor": processor, **with_ratios(counts), "worst": with_ratios(worst[processor])}
            for processor, counts in real.items()
        ]
        print(*map(json.dumps, rows), sep="\n", flush=True)
        write_images(images, directory)
        networks = [row for path in options.networks for row in counted(path, origin, test, directory)]
        paths = sorted(options.models.glob("*.tflite")) if options.models else ()
        models = [model_counted(path, processor, directory) for path in paths for processor in MODELED]
    named = {row["network"] for row in networks}
    networks = [row for row in known["networks"] if row["network"] not in named] + networks
    results = {
        "images": IMAGES,
        "processors": rows,
        "cmsis_nn_equal_answers": answered,
        "networks": networks,
        "models": models or known.get("models", []),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def count_beside_dense(images: Images, directory: Path) -> dict[str, dict[str, int]]:
    """Return the instructions of a call of the C file and of the dense kernel, by processor."""
    write_images(images, directory)
    counts = {
        processor: {
            "ours": count(processor, "edgemnist_classify", directory),
            "dense": count(processor, "dense_classify", directory),
        }
        for processor in MACHINES
    }
    if abs(count_on_linux("loop", directory, 1) - LOOP) > 0.001 * LOOP:
        raise ValueError("QEMU does not log every instruction")
    counts[LINUX] = {
        "ours": count_on_linux("edgemnist_classify", directory, LINUX_IMAGES),
        "dense": count_on_linux("dense_classify", directory, 1),
    }
    return counts


def with_ratios(counts: dict[str, int]) -> dict[str, float]:
    """Return counts, and how many times the others' ours are."""
    others = {"ratio": "dense", "cmsis_nn_ratio": "cmsis_nn"}
    return counts | {name: counts["ours"] / counts[other] for name, other in others.items() if other in counts}


def cmsis_nn_arguments(checkout: Path) -> list[str | Path]:
    """Return what compiles the functions of CMSIS-NN that are called."""
    sources = (checkout / "Source" / name for name in CMSIS_NN_SOURCES)
    # Without -fhosted, GCC calls memcpy for each four bytes that CMSIS-NN reads.
    return ["-Ofast", "-fhosted", "-DCMSIS_NN_USE_SINGLE_ROUNDING", f"-I{checkout / 'Include'}", *sources, "-lc"]


def check_cmsis_nn(path: Path, images: Images, directory: Path, library: Sequence[str | Path]) -> int:
    """Return how many images there are. Raises ValueError unless CMSIS-NN gets every bit of all answers right."""
    source = directory / "cmsis_nn_classify.c"
    for processor in MACHINES:
        found = answer(processor, images ^ SIGN, directory, "-Dedgemnist_classify=cmsis_nn_classify", source, *library)
        equal = equal_answers(path, images, found ^ SIGN)
        if equal != len(images):
            raise ValueError(f"CMSIS-NN on {processor} answers {equal} of {len(images)} images as the reference does")
    return len(images)


def counted(path: Path, origin: Origin, test: Images | None, directory: Path) -> list[dict[str, object]]:
    """Return what a call of a network takes on each processor, and how many of its answers are the reference's."""
    made = c_file(read_network_file(path), origin)
    program = directory / "edgemnist_classify.c"
    program.write_text(made.text)
    rows: list[dict[str, object]] = []
    for processor in MACHINES:
        ours = count(processor, "edgemnist_classify", directory)
        shown = test if processor in ANSWERING else None
        equal = None if shown is None else equal_answers(path, shown, answer(processor, shown, directory, program))
        rows.append(
            {
                "network": path.stem,
                "processor": processor,
                "instructions": ours,
                "data_bytes": made.data_bytes,
                **asdict(made.needs[RECOMMENDED]),
                "test_images": None if shown is None else len(shown),
                "equal_answers": equal,
            }
        )
        print(f"{path.stem} on {processor}: {ours:,} instructions, {equal} answers", flush=True)
    return rows


if __name__ == "__main__":
    main()
