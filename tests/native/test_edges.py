"""What C reads holds what Python writes, to the last number of each field, and memory ends where both say it does."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.native import SOURCES
from edgemnist.model.native import network as networks
from edgemnist.model.native.amalgamation import c_source
from edgemnist.model.native.classifier import NativeClassifier, kernel_names
from edgemnist.model.native.layers import Joined, Kind, Layer, Summing
from edgemnist.model.native.layout import Rows, _in_one_step, _settled, lay_out
from edgemnist.model.native.library import ALIGNMENT, open_library
from edgemnist.model.native.lines import NO_SUM, lines_of
from edgemnist.model.native.network import read_network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW, Structure
from edgemnist.model.native.webassembly import pack_network
from edgemnist.model.runtimes.fixedpoint import multiply_by_quantized_multiplier, multiply_rounding_twice
from edgemnist.model.runtimes.integer import SUM_BITS, IntegerClassifier, plan, sum_terms
from edgemnist.model.runtimes.tflite import Graph
from edgemnist.model.runtimes.windows import Window
from tests.native.conftest import Case, Compile, c_compiler, drive, origin, run_program
from tests.native.networks import (
    EDGES,
    GraphBuilder,
    edge_graph,
    expected_scores,
    random_images,
    small_network,
    spec_of,
)
from tests.native.test_build import SANITIZERS

STRUCTURES = [LAYER, WINDOW, MODEL]


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda structure: structure.name)
def test_a_field_takes_its_greatest_number_and_not_one_more(structure: Structure) -> None:
    numbers = dict.fromkeys(structure.bits, 1)
    # As a processor with pointers of 4 bytes has it.
    numbered = structure.native()._fields_[len(structure.pointers) :]
    fields = [*((name, ctypes.c_uint32) for name in structure.pointers), *numbered]
    small = type("Small", (ctypes.LittleEndianStructure,), {"_fields_": fields})
    for name, bits in structure.bits.items():
        most = 2**bits - 1
        for value in (0, most):
            structure.check(numbers | {name: value}, "it")
            assert getattr(structure.native()(**{name: value}), name) == value
            places = (*range(len(structure.pointers)), *(numbers | {name: value}).values())
            assert structure.packed().pack(*places) == bytes(small(*places))
        for value in (-1, most + 1):
            with pytest.raises(
                ValueError, match=rf"the {name.replace('_', ' ')} of it is {value:,}, and 0 to {most:,} "
            ):
                structure.check(numbers | {name: value}, "it")
    with pytest.raises(ValueError, match=rf"other numbers than edgemnist_{structure.name}"):
        structure.check(dict(reversed(numbers.items())), "it")


@pytest.mark.parametrize(
    "bits",
    [
        pytest.param(64, marks=pytest.mark.needs("gcc")),
        pytest.param(32, marks=pytest.mark.needs("arm-none-eabi-gcc")),
    ],
)
def test_fields_lie_where_the_compiler_puts_them(bits: int, tmp_path: Path) -> None:
    claims = []
    for structure in STRUCTURES:
        name, native, end = (f"edgemnist_{structure.name}", structure.native(), 4 * len(structure.pointers))
        for field in structure.bits:
            size = structure.bits[field] // 8
            end += -end % size
            offset = getattr(native, field).offset if bits == 64 else end
            claims.append(f"offsetof({name}, {field}) == {offset} && sizeof((({name} *)0)->{field}) == {size}")
            end += size
        claims.append(f"sizeof({name}) == {ctypes.sizeof(native) if bits == 64 else structure.packed().size}")
    text = "".join(f'_Static_assert({claim}, "");\n' for claim in claims)
    (tmp_path / "claims.c").write_text(f'#include "engine.h"\n{text}')
    compiler = c_compiler("gcc" if bits == 64 else "arm-none-eabi-gcc")
    run_program(compiler, "-fsyntax-only", f"-I{SOURCES}", tmp_path / "claims.c")


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    images = random_images(3, seed=3)
    graphs = [edge_graph(*edge) for edge in EDGES]
    cases = [(read_network(graph, spec_of(graph)), images, expected_scores(graph, images)) for graph in graphs]
    # An answer that is always the same proves little; the largest bias leaves nothing else.
    assert min(len(np.unique(scores)) for _, _, scores in cases[:-1]) > 5
    return cases


@pytest.mark.needs("cc", "engine")
def test_every_kernel_is_exact_where_a_field_would_have_ended(cases: list[Case]) -> None:
    for network, images, expected in cases:
        scores = np.float32(network.output.scale) * (expected.astype(np.float32) - network.score_zero_point)
        for kernel in kernel_names():
            classifier = NativeClassifier(network, Path("edge"), kernel=kernel, numbers=True)
            np.testing.assert_array_equal(classifier._scores(images), scores, err_msg=kernel)


@pytest.mark.all
def test_every_kernel_keeps_to_its_memory_where_a_field_had_ended(cases: list[Case], compile_driver: Compile) -> None:
    found = drive(compile_driver(c_compiler("gcc"), *SANITIZERS), cases=cases)
    assert found == dict.fromkeys(found, (len(cases), 3 * len(cases), 0))
    assert "scalar" in found


def test_sums_beyond_32_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 2,147,516,160, which is beyond 32 bits"):
        read_network(edge_graph("sums", 65_794, 1))


@pytest.mark.parametrize("kind", [pytest.param("native", marks=pytest.mark.needs("engine")), "c", "web"])
def test_a_network_that_needs_too_much_memory_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = read_network(small_network(204))
    make: Callable[[], object] = {
        "native": lambda: NativeClassifier(network, Path("wide.tflite"), kernel="scalar"),
        "c": lambda: c_source(network, origin()),
        "web": lambda: pack_network(network),
    }[kind]
    alignment = {"native": ALIGNMENT, "c": 4, "web": 16}[kind]
    if kind == "native":
        scalar = open_library().kernels[-1]
        group, small, block, rows = scalar.group, scalar.small_block, scalar.block, Rows(scalar.rows)
    else:
        group, small, block, rows = {"c": (1, 8, 8, Rows.PATCHES), "web": (2, 16, 32, Rows.WHOLE)}[kind]
    sizes = {"group": group, "block": block, "small_block": small, "small": kind == "c"}
    laid_out = lay_out(network, **sizes, rows=rows, alignment=alignment)
    needed = laid_out.scratch_bytes(alignment)
    monkeypatch.setattr("edgemnist.model.native.layout.MAX_SCRATCH", needed)
    make()
    monkeypatch.setattr("edgemnist.model.native.layout.MAX_SCRATCH", needed - 1)
    with pytest.raises((ValueError, ArtifactError), match=f"hand over {needed:,} bytes at a time, and up to") as caught:
        make()
    assert isinstance(caught.value, ArtifactError) is (kind == "native")


def classes_graph(width: int, scale: float = 0.1, *, softmax: bool = True) -> Graph:
    """Return a graph whose first `width` pixels are its logits, as they are and in turn, perhaps before a softmax."""
    builder = GraphBuilder(1)
    source = builder.add("int8", (1, 784), 1 / 255, -128)
    hidden = builder.add("int8", (1, width), scale, -128)
    weights = builder.add("int8", (width, 784), scale * 255, 0, np.eye(784, dtype=np.int8)[np.arange(width) % 784])
    builder.operate("FULLY_CONNECTED", source, hidden, weights)
    return builder.ending_in(builder.softmax(hidden, width) if softmax else hidden)


def test_a_network_has_up_to_4096_outputs_and_a_softmax_one_less() -> None:
    """Which adds up 4,095 numbers of at most 2^19 in 31 bits."""
    for softmax, most in ((True, 4_095), (False, 4_096)):
        for width in (1, most):
            assert read_network(classes_graph(width, softmax=softmax)).classes == width
        graph = classes_graph(most + 1, softmax=softmax)
        with pytest.raises(ValueError, match=r"4,096 inputs, and up to 4,095|4,097 outputs, and up to 4,096"):
            read_network(graph)
    with pytest.raises(ValueError, match="its SOFTMAX has 4,096 inputs, and up to 4,095 are possible"):
        plan(classes_graph(4_096))


def ends_of_a_softmax(width: int) -> npt.NDArray[np.uint8]:
    """Return images whose first pixels are equal, one far above all others, all distances, and each distance alone."""
    logits = [np.full(width, value) for value in (0, 1, 255)]
    logits += [np.where(np.arange(width) == 0, 255, 255 - distance) for distance in range(256)]
    logits += [np.where(np.arange(width) < width // 2, 255, 255 - distance) for distance in range(256)]
    logits += [(np.arange(width) * step) % 256 for step in (1, 3, 255)]
    images = np.zeros((len(logits), 784), dtype=np.uint8)
    images[:, :width] = np.array(logits)[:, :784]
    return images.reshape(-1, 28, 28)


@pytest.mark.needs("engine")
@pytest.mark.parametrize("scale", [1e-4, 0.0217, 0.1, 0.3, 1.0, 3.99, 60.0])
@pytest.mark.parametrize("width", [2, 3, 10, 256, 4_095])
def test_the_softmax_in_c_is_the_references_to_its_ends(width: int, scale: float) -> None:
    graph, images = classes_graph(width, scale), ends_of_a_softmax(width)
    expected = IntegerClassifier(graph, Path("softmax")).predict_proba(images)
    for kernel in kernel_names():
        classifier = NativeClassifier(read_network(graph), Path("softmax"), kernel=kernel)
        np.testing.assert_array_equal(classifier.predict_proba(images), expected, err_msg=kernel)


def test_products_fill_64_bits_and_not_one_more() -> None:
    multiplier, shift = 2**31 - 1, 62
    largest = (2**63 - 1 - 2**30 - 2 ** (shift - 1)) // multiplier

    def dense(bias: int) -> Layer:
        sums = Summing(
            weights=np.zeros((1, 784), np.int8),
            bias=np.array([bias], np.int64),
            multiplier=np.array([multiplier], np.int32),
            shift=np.array([shift], np.uint8),
        )
        return Layer(kind=Kind.DENSE, name="dense", zero_point=0, low=0, high=255, sums=sums)

    for sign in (1, -1):
        networks._check(dense(sign * largest))
        with pytest.raises(ValueError, match=f"reach {largest + 1:,}, which is beyond 64-bit products"):
            networks._check(dense(sign * (largest + 1)))


OUTPUTS, SEEDS = 48, 12


def convolution(seed: int, *, twice: bool) -> Layer:
    """Return a convolution of random weights and scales, of which some outputs are dead."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (OUTPUTS, int(rng.integers(1, 12))), np.int8)
    weights[rng.random(OUTPUTS) < 0.1] = 0
    spread = 128 * 74 * np.sqrt(weights.shape[1])
    slopes = 256 / spread * 10 ** rng.uniform(-1, 1, OUTPUTS)
    mantissas, exponents = np.frexp(slopes)
    zero_point = int(rng.choice(np.array([0, 128, 250, rng.integers(190)])))
    low, high = (zero_point, 255) if rng.random() < 0.5 else (0, int(rng.choice([255, 251])))
    return Layer(
        kind=Kind.CONVOLUTION,
        name="random",
        zero_point=zero_point,
        low=min(low, high),
        high=high,
        window=Window(height=1, width=1, channels=1, out_height=1, out_width=1, kernel_height=1, kernel_width=1),
        sums=Summing(
            weights=weights,
            bias=rng.normal(0, spread / 4, OUTPUTS).astype(np.int64),
            multiplier=np.minimum(mantissas * 2**31, 2**31 - 1).astype(np.int32),
            shift=(31 - exponents).astype(np.uint8),
            rounds_twice=twice,
        ),
    )


def answers(layer: Layer, sums: npt.NDArray[np.int64], output: int) -> npt.NDArray[np.int64]:
    """Return what the reference makes of sums of one output."""
    assert layer.sums is not None
    rescale = multiply_rounding_twice if layer.sums.rounds_twice else multiply_by_quantized_multiplier
    values = rescale(sums, int(layer.sums.multiplier[output]), 31 - int(layer.sums.shift[output]))
    return np.clip(values + layer.zero_point, layer.low, layer.high)


def test_a_line_answers_as_the_integers_at_every_sum() -> None:
    found = exceptions = 0
    for seed in range(SEEDS):
        layer = convolution(seed, twice=seed % 2 == 0)
        assert layer.sums is not None
        least, most = (layer.sums.bias + end for end in layer.products)
        for output, (slope, offset, other, exception, added) in enumerate(lines_of(layer).T):
            if slope == 0:
                continue
            found, exceptions = found + 1, exceptions + (exception != NO_SUM)
            sums = np.arange(least[output], most[output] + 1)
            start = np.where(sums < 0, other, offset)
            # A fused multiplication and addition, which a float64 holds exactly before it is rounded.
            start = np.where(sums == exception, np.float32(start + added), start).astype(np.float64)
            line = (sums.astype(np.float32).astype(np.float64) * np.float64(slope) + start).astype(np.float32)
            value = np.clip(np.floor(line).astype(np.int64) + 128, layer.low, layer.high)
            np.testing.assert_array_equal(value, answers(layer, sums, output), err_msg=f"seed {seed}, output {output}")
    assert found > 0.98 * SEEDS * OUTPUTS
    assert exceptions > 0


@pytest.mark.parametrize("twice", [False, True])
def test_an_output_that_is_always_the_same_stays_so_with_simple_numbers(*, twice: bool) -> None:
    layer = convolution(3, twice=twice)
    settled = _settled(layer)
    assert layer.sums is not None
    assert settled.sums is not None
    dead = np.flatnonzero(settled.sums.shift != layer.sums.shift)
    assert len(dead) > 0
    for output in dead.tolist():
        ends = np.array([int(layer.sums.bias[output] + end[output]) for end in layer.products])
        expected = np.unique(answers(layer, ends, output))
        assert expected.tolist() == answers(settled, settled.sums.bias[[output]], output).tolist()
        assert not np.any(settled.sums.weights[output]) if settled.sums.weights is not None else False


def test_a_sum_of_two_in_one_step_answers_as_the_three_of_the_reference_for_every_pair() -> None:
    rng, found = np.random.default_rng(0), 0
    numbers = np.arange(256)
    for _ in range(60):
        scales, kind = rng.uniform(0.01, 1, 3), Kind.SUM if rng.random() < 0.5 else Kind.DIFFERENCE
        zeros, zero_point = rng.integers(0, 256, 2), int(rng.integers(0, 256))
        common = 2 * max(scales[:2])
        ratios = [np.frexp(ratio) for ratio in (*scales[:2] / common, common / 2**SUM_BITS / scales[2])]
        fixed = [(min(round(mantissa * 2**31), 2**31 - 1), int(power)) for mantissa, power in ratios]
        terms = np.array([sum_terms(numbers - zero, one) for zero, one in zip(zeros, fixed, strict=False)], np.int32)
        layer = Layer(
            kind=kind,
            name="two",
            zero_point=zero_point,
            low=0,
            high=255,
            zero=int(zeros[0]),
            sums=Summing(
                weights=None,
                bias=np.zeros(1, np.int64),
                multiplier=np.array([fixed[2][0]], np.int32),
                shift=np.array([31 - fixed[2][1]], np.uint8),
                rounds_twice=True,
            ),
            joined=Joined(number=0, shape=(1, 1, 1), zero=int(zeros[1]), terms=terms),
        )
        constants = _in_one_step(layer, [(one, 31 - power) for one, power in fixed[:2]], terms)
        if constants is None:
            continue
        found += 1
        down, a, a_part, b, b_part, plus = (np.int64(number) for number in constants)
        x, y = numbers[:, None], numbers
        whole = x * a + y * b + ((x * a_part + y * b_part) >> 15) + plus
        assert np.abs(whole).max() < 2**31
        sums = terms[0].astype(np.int64)[:, None] + (1 if kind is Kind.SUM else -1) * terms[1].astype(np.int64)
        expected = np.clip(multiply_rounding_twice(sums, fixed[2][0], fixed[2][1]) + zero_point, 0, 255)
        np.testing.assert_array_equal(np.clip(whole >> down, 0, 255), expected)
    assert found > 30
