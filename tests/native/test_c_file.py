"""The C file answers every bit of the integer reference, on this machine and on emulated microcontrollers."""

import hashlib
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ArtifactError, UsageError
from edgemnist.ground.arrays import Images
from edgemnist.ground.storage import sha256
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native.amalgamation import CODE_BYTES, RECOMMENDED, c_file, c_header, c_source, origin_of
from edgemnist.model.native.classifier import read_network_file, require_origin
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.integer import Rounding
from edgemnist.model.runtimes.tflite import Graph
from edgemnist.pipeline.data.sources import read_dataset
from tests.conftest import MNIST, REPOSITORY, Run
from tests.native.conftest import (
    FOREIGN,
    HARNESS,
    LABELS,
    SHIPPED,
    STRICT,
    c_compiler,
    foreign_case,
    origin,
    run_program,
)
from tests.native.networks import GraphBuilder, expected_scores, random_case, random_images, small_network, spec_of
from tests.needs import require

pytestmark = pytest.mark.all

LIKENESS = REPOSITORY / "edgemnist/digits/read/likeness.tflite"
BOARD = Path(__file__).with_name("board")
ODD_LABELS = ["zero", "äé", 'q"uote', "back\\slash", "??/", "5\n", "", "*/", "8", "9"]

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


TARGETS: dict[str, tuple[str, ...]] = {one: ("-mthumb", f"-mcpu={one}", "-ffreestanding") for one in MACHINES}
TARGETS["cortex-m55"] += ("-mfloat-abi=hard",)  # without which GCC has no Helium
ARMED: Final = ("cortex-m0plus", "cortex-m4", "cortex-m55")
"""Of each kind of kernel one, and one with Helium."""

QUIET = ("-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native")


@pytest.fixture(scope="module")
def network() -> Network:
    return read_network_file(SHIPPED)


@pytest.fixture(scope="module")
def source(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "c-int8.c"
    path.write_text(c_source(network, origin()))
    return path


def test_the_same_network_is_the_same_text_and_names_its_twin(network: Network, source: Path) -> None:
    made = c_file(network, origin())
    assert made.text == source.read_text()
    assert made.header == c_header(network, origin())
    for labels in (LABELS, ODD_LABELS):
        assert origin_of(c_source(network, origin(labels)).encode()) == origin(labels)
    assert origin_of(b"int main(void) { return 0; }") is None


STRANGE: Final = "__attribute__((constructor)) static void run(void) { *(volatile int *)0 = 0; }\n"


@pytest.mark.parametrize(("twin", "labels"), [(SHIPPED, ODD_LABELS), (LIKENESS, [*LABELS, "no digit"])])
def test_a_strangers_c_file_is_compiled_only_out_of_its_twin(twin: Path, labels: list[str], tmp_path: Path) -> None:
    text = c_source(read_network_file(twin), replace(origin(labels), tflite_sha256=sha256(twin.read_bytes())))
    path = tmp_path / "x.c"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=r"x\.c is not compiled: the TFLite file .* is not beside it"):
        require_origin(text.encode(), path)
    shutil.copy(twin, tmp_path / "any-name.tflite")
    require_origin(text.encode(), path)
    if twin is LIKENESS:
        return
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    changes = [f"{text[:place]}{STRANGE}{text[place:]}" for place in (0, lines[len(lines) // 2])]
    changes += [text.replace("1,", "2,", 1), text[:-1], text.replace('", "', '", STRANGE "', 1)]
    for changed in changes:
        with pytest.raises(ArtifactError, match="is not compiled"):
            require_origin(changed.encode(), path)


@pytest.mark.needs("cc")
@pytest.mark.parametrize("seed", range(200, 212))
def test_random_networks_as_c_answer_as_the_reference_does(seed: int, tmp_path: Path) -> None:
    case = random_case(seed, count=8, widest=40)
    if case is None:
        pytest.skip("beyond 64-bit arithmetic")
    network, images, expected = case
    path = tmp_path / "random.c"
    path.write_text(c_source(network, origin([str(index) for index in range(network.classes)])))
    made_from = origin_of(path.read_bytes())
    assert made_from is not None
    assert made_from.rounding == ("single", "double")[seed // 2 % 2]
    scores = np.float32(network.output.scale) * (expected.astype(np.float32) - network.score_zero_point)
    np.testing.assert_array_equal(load(path, trusted=True)._scores(images), scores)  # type: ignore[attr-defined]  # of a compiled one


def small_source(seed: int, bits: int, path: Path, channels: int = 8) -> tuple[Images, npt.NDArray[np.uint8]]:
    """Write a small convolutional network as C; return images and the reference's answers."""
    graph, images = small_network(seed, bits, channels), random_images(20, seed)
    path.write_text(c_source(read_network(graph), origin()))
    return images, expected_scores(graph, images)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("seed", [162, 204, 245, 272])
def test_small_networks_of_few_bits_are_exact_under_the_sanitizers(seed: int, bits: int, tmp_path: Path) -> None:
    images, expected = small_source(seed, bits, tmp_path / "small.c")
    assert bits == 8 or "\n#define EDGEMNIST_PACKED\n" in (tmp_path / "small.c").read_text()
    (tmp_path / "main.c").write_text(HARNESS)
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = tmp_path / "small"
    run_program(
        c_compiler("gcc"), *STRICT, "-O2", *sanitizers, tmp_path / "small.c", tmp_path / "main.c", "-o", program
    )
    answers = run_program(program, given=images.tobytes())
    np.testing.assert_array_equal(np.frombuffer(answers, np.uint8).reshape(-1, 10), expected)
    assert len(np.unique(expected)) > 5, "an answer that is always the same proves little"


@pytest.mark.needs("cc")
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
    graph = builder.ending_in(builder.operate("FULLY_CONNECTED", source, target, constants))
    images = np.full((3, 28, 28), 255, dtype=np.uint8)
    images[1, 20:] = 0
    images[2, ::2] = 1
    path = tmp_path / "largest.c"
    path.write_text(c_source(read_network(graph), origin()))
    scores = load(path, trusted=True)._scores(images)  # type: ignore[attr-defined]  # of a compiled one
    expected = expected_scores(graph, images).astype(np.float32) - 128
    np.testing.assert_array_equal(scores, np.float32(graph.tensors[target].scales[0]) * expected)


@pytest.mark.needs("cc")
@pytest.mark.parametrize("rule", ["single", "double"])
def test_halves_are_rounded_as_the_reference_does(rule: str, tmp_path: Path) -> None:
    builder = GraphBuilder(1)
    source, matrix = builder.add("int8", (1, 784), 1 / 255, -128), np.zeros((255, 784), np.int8)
    matrix[:, 0] = np.arange(-127, 128)
    weights, target = builder.add("int8", matrix.shape, 1.0, 0, matrix), builder.add("int8", (1, 255), 256 / 255, 5)
    graph = builder.ending_in(builder.operate("FULLY_CONNECTED", source, target, weights))
    images, rounding = np.zeros((256, 28, 28), np.uint8), Rounding(rule)
    images[:, 0, 0] = np.arange(256)
    network, path = read_network(graph, spec_of(graph), rounding), tmp_path / "halves.c"
    path.write_text(c_source(network, origin([str(index) for index in range(255)])))
    scores = load(path, trusted=True)._scores(images)  # type: ignore[attr-defined]  # of a compiled one
    expected = expected_scores(graph, images, rounding).astype(np.float32) - 128 - 5
    assert len(np.unique(expected)) > 200
    np.testing.assert_array_equal(scores, np.float32(256 / 255) * expected)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_it_compiles_without_a_warning_as_c_and_with_its_header_from_c_plus_plus(
    compiler: str, network: Network, tmp_path: Path
) -> None:
    command = c_compiler(compiler)
    (tmp_path / "c-int8.c").write_text(c_source(network, origin(ODD_LABELS)))
    (tmp_path / "edgemnist.h").write_text(c_header(network, origin()))
    strict = (*STRICT, "-O2", "-c")
    run_program(command, *strict, tmp_path / "c-int8.c", "-o", tmp_path / "plain.o")
    run_program(command, *strict, "-DEDGEMNIST_MAIN", tmp_path / "c-int8.c", "-o", tmp_path / "main.o")
    (tmp_path / "user.cpp").write_text('#include "edgemnist.h"\nint count() { return edgemnist_class_count; }\n')
    run_program(command, "-x", "c++", "-Wall", "-Werror", "-c", tmp_path / "user.cpp", "-o", tmp_path / "user.o")


@pytest.mark.needs("cc")
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
            load(tmp_path / name, trusted=True)


@pytest.mark.needs("cc")
def test_export_makes_it_and_verify_holds_it_to_every_bit(exports_with_c: Path, edgemnist: Run, tmp_path: Path) -> None:
    exports = Path(shutil.copytree(exports_with_c, tmp_path / "exports"))
    # Its own twin is enough.
    (exports / "tflite-int8.tflite").unlink()
    done = edgemnist("verify", "c-int8", "--exports", exports, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["artifacts"]
    assert found["integer"]["differing"] == 0
    assert (exports / "edgemnist.h").exists()

    # One weight that is another one, recorded as if that were right.
    path = exports / "c-int8.c"
    text = path.read_text()
    start = text.index("(", text.index("edgemnist_weights_1[")) + 1
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


@pytest.mark.needs("cc")
def test_a_c_file_that_rounds_twice_answers_by_that_rule(edgemnist: Run, tmp_path: Path) -> None:
    exports, images = tmp_path / "exports", random_images(400, 5)
    np.save(tmp_path / "images.npy", images)
    # What is there already is made again by the rule that it has.
    for model, words in (([SHIPPED], ["--rounding", "double"]), ([], [])):
        data = ("--data", tmp_path / "images.npy", "--exports", exports)
        done = edgemnist("export", *model, *words, *data)
        assert done.returncode == 0, done.stderr
        assert "c-int8 and web-int8: rounded twice, as kernels of microcontrollers do (double)." in done.stdout
        recorded = {one.name: one.rounding for one in read_manifest(exports).artifacts}
        assert recorded == {"tflite-int8": msgspec.UNSET, "c-int8": "double", "web-int8": "double"}
    path = exports / "c-int8.c"
    once, twice = (
        load(exports / "tflite-int8.tflite", runtime="native", rounding=rule).predict_proba(images)
        for rule in ("single", "double")
    )
    assert (once != twice).any(), "images that both rules answer alike prove nothing"
    np.testing.assert_array_equal(load(path).predict_proba(images), twice)

    # It is held to the bits of its rule.
    done = edgemnist("verify", "c-int8", "--rounding", "--exports", exports, "--json")
    assert not done.stderr, "of noise some labels change, and the gate is missed"
    result = json.loads(done.stdout)
    assert result["artifacts"][0]["integer"]["differing"] == 0
    (rules,) = (one["rules"] for one in result["rounding"])
    assert (rules[0]["rescaling"], rules[0]["differing"]) == ("double", 0)
    for words in (["--format", "tflite", "--rounding", "double"], ["--format", "c", "--rounding", "float"]):
        assert edgemnist("export", SHIPPED, *words, "--exports", tmp_path / "other").returncode == 2
    with pytest.raises(UsageError, match="litert cannot be told to round by 'single'"):
        load(SHIPPED, runtime="litert", rounding="single")
    text = path.read_text()
    path.write_text(text.replace("Rounding: double", "Rounding: single"))
    with pytest.raises(ArtifactError, match="is not compiled"):
        load(path)


def on_machine(
    processor: str, source: Path, images: Images, directory: Path, option: str = "-O2", classes: int = 10
) -> npt.NDArray[np.uint8]:
    """Return what an emulated microcontroller answers, uint8 [N, classes]; `stack.bin` gets the bytes of its stack."""
    machine, flash, memory = MACHINES[processor]
    require("qemu-system-arm")
    program = directory / "classifier.elf"
    options = ("-std=c99", option, *TARGETS[processor], "-nostartfiles", "-nostdlib")
    symbols = f"-Wl,--defsym=FLASH={flash:#x},--defsym=RAM={memory:#x}"
    places = (symbols, "-T", BOARD / "memory.ld", f"-DINPUTS={images[0].size}")
    run_program(c_compiler("arm-none-eabi-gcc"), *options, *places, source, BOARD / "start.c", "-lgcc", "-o", program)
    (directory / "images.bin").write_bytes(images.tobytes())
    emulated = ("qemu-system-arm", "-M", machine, *QUIET, "-kernel", program)
    done = subprocess.run(emulated, cwd=directory, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return np.frombuffer((directory / "answers.bin").read_bytes(), dtype=np.uint8).reshape(len(images), classes)


@pytest.mark.parametrize("processor", MACHINES)
def test_microcontrollers_answer_every_bit(processor: str, source: Path, golden: Images, tmp_path: Path) -> None:
    images = read_dataset(MNIST).test.images if MNIST.exists() else golden
    expected = load(SHIPPED, runtime="integer").predict_proba(images)
    np.testing.assert_array_equal(on_machine(processor, source, images, tmp_path) / np.float32(256), expected)


# As many channels as kernels take at once, and one more and less: 4 of inputs, 8 of outputs, 32 that are rescaled.
@pytest.mark.parametrize(
    ("bits", "channels"), [(2, 8), (4, 8), *((8, one) for one in (3, 4, 5, 6, 7, 8, 9, 30, 31, 32))]
)
@pytest.mark.parametrize("processor", ARMED)
def test_microcontrollers_answer_small_networks_exactly(
    processor: str, bits: int, channels: int, tmp_path: Path
) -> None:
    various = 0
    for seed in (204,) if channels == 8 else (11, 20, 42, 44, 46, 58):
        images, expected = small_source(seed, bits, tmp_path / "small.c", channels)
        np.testing.assert_array_equal(on_machine(processor, tmp_path / "small.c", images, tmp_path), expected)
        various += len(np.unique(expected)) > 5
    assert various, "answers that are always the same prove little"


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.stem)
@pytest.mark.parametrize("processor", ARMED)
def test_models_that_others_made_get_every_bit_of_the_reference(processor: str, path: Path, tmp_path: Path) -> None:
    network, images, expected = foreign_case(path, "single", 100)
    source = tmp_path / "foreign.c"
    source.write_text(c_source(network, origin([str(index) for index in range(network.classes)])))
    answers = on_machine(processor, source, images, tmp_path, classes=network.classes)
    np.testing.assert_array_equal(answers, expected)


def sizes_of(source: Path, processor: str, option: str, directory: Path) -> dict[str, int]:
    """Return the sections of a C file that GCC compiled, by name."""
    made = directory / f"{processor}.o"
    options = ("-std=c99", option, *TARGETS[processor])
    run_program(c_compiler("arm-none-eabi-gcc"), *options, "-c", source, "-o", made)
    done = subprocess.run(["arm-none-eabi-size", "-A", made], check=True, capture_output=True, text=True)
    rows = (row for row in map(str.split, done.stdout.splitlines()) if len(row) == 3 and row[1].isdigit())
    return {name: int(size) for name, size, _ in rows}


def total(sizes: dict[str, int], *sections: str) -> int:
    return sum(size for name, size in sizes.items() if name.startswith(sections))


def dense_network(seed: int, bits: int) -> Graph:
    builder = GraphBuilder(seed, bits=bits)
    # Its pixels become other numbers first.
    source = builder.activation(784, plain=False)
    hidden = builder.dense(builder.dense(source, 784, 40), 40, 20)
    return builder.ending_in(builder.softmax(builder.dense(hidden, 20, 10), 10))


def measured(name: str) -> Network:
    name, _, rule = name.partition(" by ")
    kind, *numbers = name.split()
    rounding = Rounding(rule or "single")
    if kind == "shipped":
        return read_network_file(SHIPPED)
    bits, seed = map(int, numbers)
    if kind == "graph":
        graph = GraphBuilder(seed, bits=bits).branched()
        return read_network(graph, spec_of(graph), rounding)
    if kind == "random":
        graph = GraphBuilder(seed, widest=40, bits=bits).graph()
        return read_network(graph, spec_of(graph))
    graph = small_network(seed, bits) if kind == "windows" else dense_network(seed, bits)
    return read_network(graph, None, rounding)


MEASURED: Final = (
    # The least code and the shallowest call, the deepest, and much code: dense and with windows, of 8 bits and few.
    *itertools.product(("shipped", "dense 2 5", "windows 2 162", "windows 8 245", "random 8 1007"), MACHINES),
    # Of these GCC makes the most code on one of two processors.
    *((f"windows {bits} {seed}", "cortex-m0plus") for bits in (2, 8) for seed in (204, 272)),
    *((f"dense {bits} 5", "cortex-m0plus") for bits in (4, 8)),
    *((f"random 8 {seed}", "cortex-m0plus") for seed in (1001, 1025, 1040, 1046)),
    *((f"random 2 {seed}", "cortex-m0plus") for seed in (1029, 1032, 1044)),
    *((name, "cortex-m55") for name in ("dense 8 5", "windows 2 272", "random 8 1025")),
    *itertools.product(("windows 4 245", "graph 8 1", "graph 8 11", "graph 2 6"), ("cortex-m0plus", "cortex-m55")),
    # Where dense layers round twice, GCC makes more of the code for the first of these processors.
    *itertools.product(("dense 8 5 by double", "windows 8 204 by double", "graph 8 1 by double"), MACHINES),
)
"""Networks and processors: those with the greatest and the least numbers of 492 that were measured."""


@pytest.mark.nightly
@pytest.mark.parametrize("option", CODE_BYTES)
@pytest.mark.parametrize(("name", "processor"), MEASURED)
def test_flash_ram_and_stack_are_what_the_compiler_and_a_painted_stack_say(
    name: str, processor: str, option: str, tmp_path: Path
) -> None:
    """At most what the file says, and not much less."""
    source = tmp_path / "measured.c"
    network = measured(name)
    made = c_file(network, origin([str(index) for index in range(network.classes)]))
    source.write_text(made.text)
    said = made.needs[option]
    sizes = sizes_of(source, processor, option, tmp_path)
    flash = total(sizes, ".text", ".rodata", ".data")
    assert flash <= said.flash_bytes
    assert said.flash_bytes - flash <= 0.55 * (flash - made.data_bytes)
    static = total(sizes, ".bss", ".data")
    most = said.ram_bytes - said.stack_bytes
    assert static <= most
    # With the DSP extension there is a shorter list, or none.
    assert static == most or processor not in {"cortex-m0plus", "cortex-m3"}
    compiled_once = tmp_path / f"{processor}.o"
    on_machine(processor, compiled_once, random_images(4, 3), tmp_path, option, classes=network.classes)
    stack = int.from_bytes((tmp_path / "stack.bin").read_bytes(), "little")
    assert said.stack_bytes / 4 <= stack <= said.stack_bytes


def test_an_export_records_flash_and_ram(exports_with_c: Path) -> None:
    manifest, written = (read_manifest(exports_with_c), (exports_with_c / "c-int8.c").read_bytes())
    recorded, made_from = manifest.artifact("c-int8").footprint, origin_of(written)
    assert recorded is not None
    assert made_from is not None
    made = c_file(read_network_file(exports_with_c / "tflite-int8.tflite"), made_from)
    assert made.text.encode() == written
    assert msgspec.structs.asdict(recorded) == asdict(made.needs[RECOMMENDED])
    assert manifest.artifact("tflite-int8").footprint is None
