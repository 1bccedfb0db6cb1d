"""What C reads holds what Python writes, to the last number of each field, and memory ends where both say it does."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.model.native import SOURCES
from edgemnist.model.native.amalgamation import c_source
from edgemnist.model.native.classifier import NativeClassifier, kernel_names
from edgemnist.model.native.layout import Rows, lay_out
from edgemnist.model.native.library import ALIGNMENT, open_library
from edgemnist.model.native.network import read_network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW, Structure
from edgemnist.model.native.webassembly import pack_network
from tests.native.conftest import Case, Compile, c_compiler, drive, origin, run_program
from tests.native.networks import EDGES, edge_graph, expected_scores, random_images, small_network, spec_of
from tests.native.test_driver import SANITIZERS

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


@pytest.mark.parametrize("bits", [64, 32])
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
def test_every_kernel_keeps_to_its_memory_where_a_field_would_have_ended(
    cases: list[Case], compile_driver: Compile
) -> None:
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
