"""The C file answers every bit of the integer reference, on this machine and on emulated microcontrollers."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.arrays import Images
from edgemnist.data.sources import read_directory
from edgemnist.errors import ArtifactError
from edgemnist.exports import reference_directory
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.native.amalgamation import (
    ENGINE_BYTES,
    PACKED_BYTES,
    WINDOWS_BYTES,
    Origin,
    c_header,
    c_source,
    describe,
    is_own,
)
from edgemnist.native.bounds import BLOCK
from edgemnist.native.classifier import read_network_file
from edgemnist.native.layers import Dense, Depthwise
from edgemnist.native.network import Network, read_network
from edgemnist.runtimes import load
from edgemnist.runtimes.tflite import Graph, Operator
from tests.conftest import MNIST, Run
from tests.native.conftest import ZIG, c_compiler
from tests.native.networks import GraphBuilder, expected_scores, random_case, random_images, small_network
from tests.needs import require

SHIPPED = reference_directory() / "tflite-int8.tflite"
BOARD = Path(__file__).with_name("board")
LABELS = tuple("0123456789")
ODD_LABELS = ("zero", "äé", 'q"uote', "back\\slash", "??/", "5\n", "", "*/", "8", "9")

MACHINES = {
    # The instructions of ARMv6-M, executed by a Cortex-M3: QEMU has no machine with a Cortex-M0+.
    "cortex-m0plus": ("mps2-an385", 0x0, 0x20000000),
    "cortex-m3": ("mps2-an385", 0x0, 0x20000000),
    "cortex-m4": ("mps2-an386", 0x0, 0x20000000),
    "cortex-m7": ("mps2-an500", 0x0, 0x20000000),
    "cortex-m33": ("mps2-an505", 0x10000000, 0x38000000),
    "cortex-m55": ("mps3-an547", 0x0, 0x20000000),
}
"""By processor: QEMU's machine, where its flash lies, and its memory."""


QUIET = ("-nographic", "-monitor", "none", "-serial", "none")


def origin(labels: Sequence[str] = LABELS) -> Origin:
    return Origin(version="1.2.3", model_sha256="a" * 64, tflite_sha256="b" * 64, labels=labels)


@pytest.fixture(scope="module")
def network() -> Network:
    return read_network_file(SHIPPED)


@pytest.fixture(scope="module")
def source(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network as C."""
    path = tmp_path_factory.mktemp("c") / "c-int8.c"
    path.write_text(c_source(network, origin()))
    return path


@pytest.fixture(scope="module")
def golden() -> Images:
    directory = reference_directory()
    return read_golden(directory, read_manifest(directory)).images


def compiled(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4_000:]


def test_the_same_network_is_the_same_text_and_names_its_twin(network: Network, source: Path) -> None:
    assert c_source(network, origin()) == source.read_text()
    described = describe(source.read_bytes())
    assert described is not None
    assert described.tflite_sha256 == "b" * 64
    assert described.header == c_header(network, origin())
    assert (described.classes, described.scale, described.zero_point) == (10, 1 / 256, 0)
    assert describe(b"int main(void) { return 0; }") is None


def test_the_golden_images_get_every_bit_of_the_reference(source: Path, golden: Images) -> None:
    classifier = load(source)
    assert classifier.labels == LABELS
    np.testing.assert_array_equal(
        classifier.predict_proba(golden), load(SHIPPED, runtime="integer").predict_proba(golden)
    )


RUNS: Final = "__attribute__((constructor)) static void run(void) { *(volatile int *)0 = 0; }"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Behind the engine's code, among the numbers, as the name of a class, beside the declarations, behind the head.
        ("$", f"\n{RUNS}\n"),
        ("\nconst int edgemnist_class_count", f"\n{RUNS}\nconst int edgemnist_class_count"),
        ("\nstatic const int32_t edgemnist_bias_0", f"\n{RUNS}static const int32_t edgemnist_bias_0"),
        ('{"', f'{{0}};{RUNS}static const char *const more[] = {{"'),
        ("#define EDGEMNIST_CLASSES 10\n", f"#define EDGEMNIST_CLASSES 10\n{RUNS}\n"),
        ("#include <stdint.h>", '#include "/etc/passwd"'),
        (" * in the reference kernels.\n", f" * */ {RUNS} /*\n"),
        (" * in the reference kernels.\n", f" * *\\\n/ {RUNS} /*\n"),
        ("#define EDGEMNIST_AMALGAMATION\n", f"#define EDGEMNIST_AMALGAMATION {RUNS}\n"),
    ],
)
def test_code_that_is_not_the_engines_is_not_compiled(source: Path, tmp_path: Path, old: str, new: str) -> None:
    text = source.read_text() + "$"
    assert old in text
    (tmp_path / "x.c").write_text(text.replace(old, new, 1).removesuffix("$"))
    with pytest.raises(ArtifactError, match=r"x\.c is not compiled: its code or its numbers are not those that"):
        load(tmp_path / "x.c")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Where the first layer writes: four gigabytes behind its memory, and four bytes too far.
        ("255, 0, 8, 16},", "255, 0, 8, 4000000000},"),
        ("255, 0, 8, 16},", "255, 0, 8, 20},"),
        ("784, 0, 10,", "784, 0, 11,"),  # answers
        ("1312U", "1308U"),
        ("528, 0, 2,", "532, 0, 2,"),
        ("528, 0, 2, 0, 784,", "528, 0, 2, 0, 783,"),
        ("528, 0, 2,", "528, 0, 3,"),
        ("528, 0, 2, 0,", "528, 0, 2, 1,"),
        ("0, 784, 512, 8, 64,", "0, 784, 520, 8, 65,"),
        ("0, 784, 512, 8, 64,", "0, 784, 512, 8, 63,"),
        ("0, 784, 512, 8, 64,", "0, 784, 512, 16, 64,"),
        ("0, 784, 512, 8, 64,", "0, 784, 0512, 8, 64,"),
        ("71, 512, 10,", "72, 512, 10,"),  # exponentials
        ("71, 512, 10,", "71, 513, 10,"),
        ("255, 0, 8, 0},", "255, 0, 4, 0},"),  # bits of a weight
        ("edgemnist_bias_1[16]", "edgemnist_bias_1[16000000000]"),
        ("NULL, edgemnist_multiplier_1,", "edgemnist_bias_1, edgemnist_multiplier_1,"),
    ],
)
def test_numbers_that_lead_out_of_the_arrays_are_not_compiled(source: Path, tmp_path: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert text.count(old) == 1
    (tmp_path / "x.c").write_text(text.replace(old, new))
    with pytest.raises(ArtifactError, match=r"x\.c is not compiled: its code or its numbers are not those that"):
        load(tmp_path / "x.c")


@pytest.mark.parametrize("side", [0, 1])
def test_a_crop_that_leads_out_of_its_image_is_not_compiled(side: int) -> None:
    text = c_source(read_network(small_network(204)), origin())
    begin = text.index("    {", text.index("edgemnist_windows[")) + 5
    end = text.index("}", begin)
    numbers = [int(number) for number in text[begin:end].split(", ")]
    assert (numbers[2:5], numbers[13]) == ([28, 28, 1], 4)
    # As far as it may reach, and one further.
    for farther, own in ((0, True), (1, False)):
        numbers[7 + side] = 28 - numbers[5 + side] + 1 + farther
        assert is_own(f"{text[:begin]}{', '.join(map(str, numbers))}{text[end:]}".encode()) is own


_SANITIZED = """
#include <stdlib.h>
int main(void)
{
    uint8_t *const image = malloc(784), *const scores = malloc(EDGEMNIST_CLASSES);
    for (int i = 0; i < 4 * 784; ++i) {
        image[i % 784] = i < 784 ? 0 : i < 2 * 784 ? 255 : rand() & 255;
        if (i % 784 == 783) {
            edgemnist_classify(image, scores);
        }
    }
    return 0;
}
"""


def test_whatever_numbers_are_let_through_keep_the_code_in_its_own_memory(tmp_path: Path) -> None:
    rng, done = random.Random(17), 0
    texts = [c_source(read_network(small_network(seed, bits)), origin()) for seed in range(4) for bits in (8, 4, 2)]
    assert all(is_own(text.encode()) for text in texts)
    while done < 12:
        text = rng.choice(texts)
        begin, end = text.index("static const edgemnist_layer edgemnist_layers"), text.index("/* The outer functions")
        found = list(re.finditer(r"(?<=[ {])\d+(?=[,}U])", text[begin:end]))
        one = rng.choice(found)
        value = rng.choice([0, 1, int(one[0]) + 1, max(int(one[0]) - 1, 0), 2 * int(one[0]), rng.choice(found)[0]])
        changed = f"{text[: begin + one.start()]}{value}{text[begin + one.end() :]}"
        if changed == text or not is_own(changed.encode()):
            continue
        (tmp_path / "x.c").write_text(changed + _SANITIZED)
        options = ("-std=c99", "-O1", "-w", "-fsanitize=address", "-fno-sanitize-recover")
        subprocess.run([c_compiler("gcc"), *options, "-o", tmp_path / "x", tmp_path / "x.c"], check=True)
        subprocess.run([tmp_path / "x"], check=True)
        done += 1


@pytest.mark.parametrize("seed", range(200, 212))
def test_random_networks_as_c_answer_as_the_reference_does(seed: int, tmp_path: Path) -> None:
    case = random_case(seed, count=8, widest=40)
    if case is None:
        pytest.skip("beyond 64-bit arithmetic")
    network, images, expected = case
    path = tmp_path / "random.c"
    path.write_text(c_source(network, origin([str(index) for index in range(network.classes)])))
    scores = np.float32(network.output.scale) * (expected.astype(np.float32) - network.score_zero_point)
    np.testing.assert_array_equal(load(path)._scores(images), scores)  # type: ignore[attr-defined]


def small_source(seed: int, bits: int, path: Path) -> tuple[Images, npt.NDArray[np.uint8]]:
    """Write a small convolutional network as C; return images and the reference's answers."""
    graph, images = small_network(seed, bits), random_images(20, seed)
    path.write_text(c_source(read_network(graph), origin()))
    return images, expected_scores(graph, images)


HARNESS = """
#include <stdio.h>
#include <stdint.h>
int edgemnist_classify(const uint8_t image[784], uint8_t probabilities[10]);
int main(void)
{
    uint8_t image[784], answer[10];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        (void)edgemnist_classify(image, answer);
        fwrite(answer, 1, sizeof answer, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("seed", [162, 204, 245, 272])
def test_small_networks_of_few_bits_are_exact_under_the_sanitizers(seed: int, bits: int, tmp_path: Path) -> None:
    images, expected = small_source(seed, bits, tmp_path / "small.c")
    assert bits == 8 or "\n#define EDGEMNIST_PACKED\n" in (tmp_path / "small.c").read_text()
    (tmp_path / "main.c").write_text(HARNESS)
    strict = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = tmp_path / "small"
    compiled(c_compiler("gcc"), *strict, *sanitizers, tmp_path / "small.c", tmp_path / "main.c", "-o", program)
    done = subprocess.run([program], input=images.tobytes(), check=True, capture_output=True)
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.uint8).reshape(-1, 10), expected)
    assert len(np.unique(expected)) > 5, "an answer that is always the same proves little"


@pytest.mark.parametrize("bits", [2, 4])
def test_the_largest_products_of_few_bits_are_added_up_exactly(bits: int, tmp_path: Path) -> None:
    """Pairs of 16 bits hold as many products as are added up before they are widened, and not one more."""
    builder = GraphBuilder(1, bits=bits)
    source = builder.activation(784, scale=1 / 255, plain=True)
    weights = np.full((10, 784), 2 ** (bits - 1) - 1, dtype=np.int8)
    weights[1] *= -1
    weights[2::2] = -(2 ** (bits - 1))
    constants = builder.add("int8", weights.shape, 0.01, 0, weights)
    target = builder.add("int8", (1, 10), 784 * (2 ** (bits - 1)) * 0.01 / 120, 0)
    builder.operators.append(
        Operator(kind="FULLY_CONNECTED", inputs=(source, constants), outputs=(target,), options=None)
    )
    graph = Graph(
        tensors=tuple(builder.tensors), operators=tuple(builder.operators), inputs=(source,), outputs=(target,)
    )
    images = np.full((3, 28, 28), 255, dtype=np.uint8)
    images[1, 20:] = 0
    images[2, ::2] = 1
    path = tmp_path / "largest.c"
    path.write_text(c_source(read_network(graph), origin()))
    scores = load(path)._scores(images)  # type: ignore[attr-defined]
    expected = expected_scores(graph, images).astype(np.float32) - 128
    np.testing.assert_array_equal(scores, np.float32(graph.tensors[target].scales[0]) * expected)


@pytest.mark.parametrize("bits", [2, 4])
def test_weights_of_fewer_bits_take_as_many_bytes_less(
    bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def data_bytes() -> int:
        small_source(272, bits, tmp_path / "small.c")
        described = describe((tmp_path / "small.c").read_bytes())
        assert described is not None
        return described.data_bytes

    layers = read_network(small_network(272, bits)).layers
    # In blocks of 8 outputs; those of depthwise ones in whole bytes.
    weights = sum(-(-layer.outputs // 8) * 8 * layer.weights.shape[1] for layer in layers if isinstance(layer, Dense))
    weights += sum(layer.weights.size for layer in layers if isinstance(layer, Depthwise) and layer.weights is not None)
    packed = data_bytes()
    monkeypatch.setattr("edgemnist.native.layout.narrow", lambda layer, _: layer)
    assert data_bytes() - packed == weights * (8 - bits) // 8
    assert weights > 500


@pytest.mark.parametrize("compiler", [("gcc",), ("clang",), ZIG], ids=["gcc", "clang", "zig"])
def test_it_compiles_without_a_warning_as_c_and_with_its_header_from_c_plus_plus(
    compiler: Sequence[str], network: Network, tmp_path: Path
) -> None:
    if compiler is ZIG:
        pytest.importorskip("ziglang")
    command = compiler if compiler is ZIG else [c_compiler(compiler[0])]
    (tmp_path / "c-int8.c").write_text(c_source(network, origin(ODD_LABELS)))
    (tmp_path / "edgemnist.h").write_text(c_header(network, origin()))
    strict = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-c")
    compiled(*command, *strict, tmp_path / "c-int8.c", "-o", tmp_path / "plain.o")
    compiled(*command, *strict, "-DEDGEMNIST_MAIN", tmp_path / "c-int8.c", "-o", tmp_path / "main.o")
    (tmp_path / "user.cpp").write_text('#include "edgemnist.h"\nint count() { return edgemnist_class_count; }\n')
    compiled(*command, "-x", "c++", "-Wall", "-Werror", "-c", tmp_path / "user.cpp", "-o", tmp_path / "user.o")


def test_labels_come_back_whatever_they_are(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "labels.c"
    path.write_text(c_source(network, origin(ODD_LABELS)))
    assert load(path).labels == ODD_LABELS


def test_a_c_file_that_does_not_compile_or_is_none_of_ours_is_an_error(source: Path, tmp_path: Path) -> None:
    text = source.read_text()
    broken = {
        "broken.c": text.replace("int edgemnist_classify(", "int edgemnist_classify((", 1),
        "cut.c": text[: len(text) // 2],
        "other.c": text.replace("edgemnist_classify(", "edgemnist_other("),
        "foreign.c": "int main(void) { return 0; }\n" * 4,
    }
    for name, content in broken.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
            load(tmp_path / name)


def test_export_makes_it_and_verify_holds_it_to_every_bit(exports_with_c: Path, edgemnist: Run, tmp_path: Path) -> None:
    exports = Path(shutil.copytree(exports_with_c, tmp_path / "exports"))
    done = edgemnist("verify", "c-int8", "--exports", exports, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["artifacts"]
    assert found["integer"]["differing"] == 0
    assert (exports / "edgemnist.h").exists()

    # One weight that is another one, recorded as if that were right.
    path = exports / "c-int8.c"
    text = path.read_text()
    start = text.index("{", text.index("edgemnist_weights_1[")) + 2
    end = text.index(",", start)
    changed = text[:start] + ("100" if text[start:end] != "100" else "-100") + text[end:]
    path.write_text(changed)
    manifest = json.loads((exports / "manifest.json").read_text())
    (record,) = (one for one in manifest["artifacts"] if one["name"] == "c-int8")
    record |= {"sha256": hashlib.sha256(changed.encode()).hexdigest(), "bytes": len(changed.encode())}
    (exports / "manifest.json").write_text(json.dumps(manifest))
    done = edgemnist("verify", "c-int8", "--exports", exports)
    assert done.returncode == 1
    assert "promises every bit of it" in done.stdout


def test_a_compiler_that_cannot_be_run_is_named(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ArtifactError, match=r"no-such-compiler cannot be run: .* CC=gcc"):
        load(source)


def on_machine(processor: str, source: Path, images: Images, directory: Path) -> npt.NDArray[np.uint8]:
    """Return what an emulated microcontroller answers, uint8 [N, 10]."""
    machine, flash, memory = MACHINES[processor]
    require("qemu-system-arm")
    program = directory / "classifier.elf"
    options = ("-std=c99", "-O2", "-mthumb", f"-mcpu={processor}", "-ffreestanding", "-nostartfiles", "-nostdlib")
    places = (f"-Wl,--defsym=FLASH={flash:#x}", f"-Wl,--defsym=RAM={memory:#x}", "-T", BOARD / "memory.ld")
    compiled(c_compiler("arm-none-eabi-gcc"), *options, *places, source, BOARD / "start.c", "-lgcc", "-o", program)
    (directory / "images.bin").write_bytes(images.tobytes())
    done = subprocess.run(
        [
            "qemu-system-arm",
            "-M",
            machine,
            *QUIET,
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
            program,
        ],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return np.frombuffer((directory / "answers.bin").read_bytes(), dtype=np.uint8).reshape(len(images), 10)


@pytest.mark.native
@pytest.mark.parametrize("processor", MACHINES)
def test_a_microcontroller_answers_every_bit_of_the_reference(
    processor: str, source: Path, golden: Images, tmp_path: Path
) -> None:
    images = read_directory(MNIST).test.images if MNIST.exists() else golden
    expected = load(SHIPPED, runtime="integer").predict_proba(images)
    np.testing.assert_array_equal(on_machine(processor, source, images, tmp_path) / np.float32(256), expected)


@pytest.mark.native
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("processor", MACHINES)
def test_a_microcontroller_answers_every_bit_of_a_small_network(processor: str, bits: int, tmp_path: Path) -> None:
    images, expected = small_source(204, bits, tmp_path / "small.c")
    np.testing.assert_array_equal(on_machine(processor, tmp_path / "small.c", images, tmp_path), expected)


@pytest.mark.native
@pytest.mark.parametrize("processor", MACHINES)
def test_products_are_dsp_instructions_where_the_processor_has_them(
    processor: str, source: Path, tmp_path: Path
) -> None:
    """`smlabb` multiplies and adds in one step, of 16 bits; the M0+ and M3 have no DSP extension."""
    made = tmp_path / "classifier.s"
    options = ("-std=c99", "-O2", "-mthumb", f"-mcpu={processor}", "-ffreestanding")
    compiled(c_compiler("arm-none-eabi-gcc"), *options, "-S", source, "-o", made)
    has_dsp = processor not in {"cortex-m0plus", "cortex-m3"}
    assert made.read_text().count("smlabb") == (BLOCK if has_dsp else 0)


def sizes_of(source: Path, processor: str, directory: Path) -> dict[str, int]:
    """Return the sections of a C file that GCC compiled, by name."""
    made = directory / f"{processor}.o"
    options = ("-std=c99", "-Os", "-mthumb", f"-mcpu={processor}", "-ffreestanding")
    compiled(c_compiler("arm-none-eabi-gcc"), *options, "-c", source, "-o", made)
    done = subprocess.run(["arm-none-eabi-size", "-A", made], check=True, capture_output=True, text=True)
    rows = (row for row in map(str.split, done.stdout.splitlines()) if len(row) == 3 and row[1].isdigit())
    return {name: int(size) for name, size, _ in rows}


def total(sizes: dict[str, int], *sections: str) -> int:
    return sum(size for name, size in sizes.items() if name.startswith(sections))


@pytest.mark.native
def test_code_and_memory_on_a_cortex_m4_are_as_small_as_promised(source: Path, tmp_path: Path) -> None:
    """The engine, its tables beside weights and rescaling, and its static memory."""
    sizes = sizes_of(source, "cortex-m4", tmp_path)
    assert total(sizes, ".text") <= 2_048
    assert total(sizes, ".bss", ".data") <= 1_344


@pytest.mark.native
@pytest.mark.parametrize("processor", MACHINES)
@pytest.mark.parametrize("bits", [0, 2, 4, 8])
def test_flash_and_ram_are_what_the_compiler_finds(bits: int, processor: str, source: Path, tmp_path: Path) -> None:
    """Of the shipped network, and of small convolutional ones whose weights have so many bits."""
    if bits:
        source = tmp_path / "small.c"
        small_source(204, bits, source)
    described = describe(source.read_bytes())
    assert described is not None
    assert described.engine_bytes == ENGINE_BYTES + WINDOWS_BYTES * (bits > 0) + PACKED_BYTES * (bits in {2, 4})
    sizes = sizes_of(source, processor, tmp_path)
    # At most what is said, and no more than half of the engine's share below it.
    engine = total(sizes, ".text", ".rodata", ".data") - described.data_bytes
    assert described.engine_bytes / 2 <= engine <= described.engine_bytes
    assert total(sizes, ".bss", ".data") == described.memory_bytes


def test_an_export_records_flash_and_ram(exports_with_c: Path, edgemnist: Run) -> None:
    described = describe((exports_with_c / "c-int8.c").read_bytes())
    assert described is not None
    manifest = read_manifest(exports_with_c)
    recorded = manifest.artifact("c-int8").footprint
    assert recorded is not None
    assert recorded.flash_bytes == described.data_bytes + described.engine_bytes
    assert recorded.ram_bytes == described.memory_bytes
    assert manifest.artifact("tflite-int8").footprint is None
    shown = edgemnist("runtimes", "--exports", exports_with_c).stdout
    assert f"{recorded.flash_bytes:,} bytes of flash and {recorded.ram_bytes:,} bytes of RAM" in " ".join(shown.split())
