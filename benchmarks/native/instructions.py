"""Instructions of one image on emulated Arm processors: the C file beside a dense kernel that skips nothing.

    python -m benchmarks.native.instructions exports/reference [NETWORK.tflite ...] [--data MNIST] [--images 10000]

Needs arm-none-eabi-gcc, qemu-system-arm, ziglang and qemu-aarch64. Counted are instructions, never time: an emulator
has no clock that a board would know. The dense kernel is the textbook's, output by output, with weights in rows,
compiled with the same options; its rescaling is left out, in its favour. Images are the first 100 of the golden pack,
and the first 20 on the Cortex-A53. Further networks, such as convolutional ones, are counted without one beside them,
and with what flash and RAM the C file says it takes. With --data their answers to test images, on the Cortex-M0+ and
M4, are compared with those of the integer reference. The figures of other networks stay.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgemnist.arrays import Images
from edgemnist.data.sources import find_dataset
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.native.amalgamation import Origin, c_source, describe
from edgemnist.native.classifier import read_network_file
from edgemnist.native.layers import Dense
from edgemnist.native.network import Network
from edgemnist.runtimes import load

RESULTS = Path(__file__).with_suffix(".json")
HERE = Path(__file__).parent
BOARD = HERE.parents[1] / "tests" / "native" / "board"
SCRIPT = BOARD / "memory.ld"
MACHINES = {
    "cortex-m0plus": "mps2-an385",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
}
"""QEMU has no machine with a Cortex-M0+: its instructions are executed by a Cortex-M3."""
ANSWERING = ("cortex-m0plus", "cortex-m4")
"""Processors that answer test images."""
IMAGES = 100
LOOP = 200_000
"""Instructions of the loop in `count.c` whose ticks are printed first, and of `loop` in `count_linux.c`."""
LINUX = "cortex-a53"
"""A processor with Linux. Both kernels are compiled for it as scalar code."""
LINUX_IMAGES = 20


def dense_source(network: Network) -> str:
    """Return two dense layers as the textbook has them."""
    first, second = (layer for layer in network.layers if isinstance(layer, Dense))
    parts = ["#include <stdint.h>\n"]
    for name, layer in (("first", first), ("second", second)):
        for kind, what, values in (("int8_t", "weights", layer.weights), ("int32_t", "bias", layer.bias)):
            numbers = ",".join(str(int(value)) for value in values.reshape(-1))
            parts.append(f"static const {kind} {name}_{what}[] = {{{numbers}}};\n")
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
    static uint8_t hidden[{len(first.weights)}];
    layer(first_weights, first_bias, image, 784, {len(first.weights)}, hidden);
    layer(second_weights, second_bias, hidden, {len(first.weights)}, {len(second.weights)}, answer);
    return answer[0];
}}
"""
    )
    return "".join(parts)


def count(processor: str, what: str, directory: Path) -> float:
    """Return the instructions of one call of `what`, on average."""
    program = directory / f"{what}.elf"
    sources = (directory / f"{what}.c", directory / "images.c", HERE / "count.c")
    printed = run(processor, program, *sources, f"-DWHAT={what}", emulator=("-icount", "shift=0"))
    loop, total = (int(line) for line in printed.split())
    return total * LOOP / loop / IMAGES


def count_on_linux(what: str, directory: Path, calls: int) -> float:
    """Return the instructions of one call of `what` on a processor with Linux, on average: QEMU logs each of them."""
    program = directory / f"{what}-linux"
    sources = [directory / f"{what}.c"] if what != "loop" else []
    options = ("-std=gnu99", "-O2", "-fno-vectorize", "-fno-slp-vectorize", "-fno-sanitize=all", "-static")
    compiler = (
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "aarch64-linux-musl",
        f"-mcpu={LINUX.replace('-', '_')}",
    )
    places = (*sources, directory / "images.c", HERE / "count_linux.c", "-o", program)
    subprocess.run([*compiler, *options, f"-DWHAT={what}", *map(str, places)], check=True)
    return (logged(program, calls) - logged(program, 0)) / calls


def logged(program: Path, calls: int) -> int:
    """Return the instructions of a program with so many calls."""
    options = ("-cpu", LINUX, "-one-insn-per-tb", "-d", "exec,nochain")
    with tempfile.TemporaryFile() as log:
        subprocess.run(["qemu-aarch64", *options, program, str(calls)], check=True, stderr=log)  # noqa: S607
        log.seek(0)
        return sum(line.startswith(b"Trace") for line in log)


def run(processor: str, program: Path, *arguments: str | Path, emulator: Sequence[str] = ()) -> str:
    """Compile sources to a program, execute it in its directory, and return what it prints."""
    options = ("-std=gnu99", "-O2", "-mthumb", f"-mcpu={processor}", "-ffreestanding", "-nostartfiles", "-nostdlib")
    places = ("-Wl,--defsym=FLASH=0", "-Wl,--defsym=RAM=0x20000000", "-T", SCRIPT)
    subprocess.run(["arm-none-eabi-gcc", *options, *places, *arguments, "-lgcc", "-o", program], check=True)  # noqa: S607
    done = subprocess.run(
        ["qemu-system-arm", "-M", MACHINES[processor], *emulator, "-nographic", "-monitor", "none"]  # noqa: RUF005
        + ["-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel", program],
        cwd=program.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def equal_answers(processor: str, path: Path, images: Images, directory: Path) -> int:
    """Return how many images get every bit of the integer reference's answer."""
    (directory / "images.bin").write_bytes(images.tobytes())
    run(processor, directory / "answers.elf", directory / "edgemnist_classify.c", BOARD / "start.c")
    answers = np.frombuffer((directory / "answers.bin").read_bytes(), dtype=np.uint8).reshape(len(images), -1)
    expected = load(path, runtime="integer").predict_proba(images)
    return int(np.all(answers / np.float32(256) == expected, axis=1).sum())


def main() -> None:
    """Count, compare, and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="an export directory with tflite-int8 of two layers")
    parser.add_argument("networks", type=Path, nargs="*", help="full-int8 TFLite files to count as well")
    parser.add_argument("--data", type=Path, help="directory with MNIST")
    parser.add_argument("--images", type=int, default=10_000, help="test images to answer, from the first one on")
    options = parser.parse_args()
    network = read_network_file(options.exports / "tflite-int8.tflite")
    manifest = read_manifest(options.exports)
    images = read_golden(options.exports, manifest).images[:IMAGES]
    origin = Origin(version="", model_sha256="", tflite_sha256="0" * 64, labels=manifest.labels)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "edgemnist_classify.c").write_text(c_source(network, origin))
        (directory / "dense_classify.c").write_text(dense_source(network))
        numbers = ",".join(map(str, images.reshape(-1).tolist()))
        text = f"#include <stdint.h>\nextern const uint8_t images[{IMAGES}][784];\n"
        (directory / "images.c").write_text(f"{text}const uint8_t images[{IMAGES}][784] = {{{numbers}}};\n")
        for processor in MACHINES:
            ours, dense = (count(processor, what, directory) for what in ("edgemnist_classify", "dense_classify"))
            rows.append({"processor": processor, "ours": round(ours), "dense": round(dense), "ratio": ours / dense})
        if abs(count_on_linux("loop", directory, 1) - LOOP) > 0.001 * LOOP:
            raise ValueError("QEMU does not log every instruction")
        ours = count_on_linux("edgemnist_classify", directory, LINUX_IMAGES)
        dense = count_on_linux("dense_classify", directory, 1)
        rows.append({"processor": LINUX, "ours": round(ours), "dense": round(dense), "ratio": ours / dense})
        for row in rows:
            print("{processor}: {ours:,} instructions, dense {dense:,}, ratio {ratio:.3f}".format_map(row))
        test = None if options.data is None else find_dataset(options.data).test.images[: options.images]
        networks = [row for path in options.networks for row in counted(path, origin, test, directory)]
    named = {row["network"] for row in networks}
    known = json.loads(RESULTS.read_text())["networks"] if RESULTS.exists() else []
    networks = [row for row in known if row["network"] not in named] + networks
    RESULTS.write_text(json.dumps({"images": IMAGES, "processors": rows, "networks": networks}, indent=2) + "\n")


def counted(path: Path, origin: Origin, test: Images | None, directory: Path) -> list[dict[str, object]]:
    """Return what a call of a network takes on each processor, and how many of its answers are the reference's."""
    source = c_source(read_network_file(path), origin)
    (directory / "edgemnist_classify.c").write_text(source)
    described = describe(source.encode())
    if described is None:
        raise ValueError(f"{path} has become no C file of ours")
    rows: list[dict[str, object]] = []
    for processor in MACHINES:
        ours = count(processor, "edgemnist_classify", directory)
        shown = test if processor in ANSWERING else None
        rows.append(
            {
                "network": path.stem,
                "processor": processor,
                "instructions": round(ours),
                "data_bytes": described.data_bytes,
                "flash_bytes": described.data_bytes + described.engine_bytes,
                "ram_bytes": described.memory_bytes,
                "test_images": None if shown is None else len(shown),
                "equal_answers": None if shown is None else equal_answers(processor, path, shown, directory),
            }
        )
        print(f"{path.stem} on {processor}: {ours:,.0f} instructions, {rows[-1]['equal_answers']} answers", flush=True)
    return rows


if __name__ == "__main__":
    main()
