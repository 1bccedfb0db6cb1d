"""The C engine under sanitizers, and on processors that this machine emulates, against the NumPy reference."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgemnist.model.native import OPTIONS, WARNINGS, engine_sources
from tests.native.conftest import ZIG, Case, Compile, c_compiler, cases_of, drive
from tests.needs import require

pytestmark = pytest.mark.all

SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

EMULATED = {
    # Before AVX, with it but not AVX2, and with AVX2: QEMU has nothing newer, and an instruction that is not there ends
    # the program.
    "nehalem": ("qemu-x86_64", "Nehalem", "x86_64-linux-musl", "-mcpu=x86_64", {"scalar"}),
    "ivybridge": ("qemu-x86_64", "IvyBridge", "x86_64-linux-musl", "-mcpu=x86_64", {"scalar"}),
    "haswell": ("qemu-x86_64", "Haswell", "x86_64-linux-musl", "-mcpu=x86_64", {"avx2", "scalar"}),
    "cortex-a53": ("qemu-aarch64", "cortex-a53", "aarch64-linux-musl", "-mcpu=generic", {"neon", "scalar"}),
    "cortex-a72": ("qemu-aarch64", "cortex-a72", "aarch64-linux-musl", "-mcpu=generic", {"neon", "scalar"}),
    "cortex-a76": ("qemu-aarch64", "cortex-a76", "aarch64-linux-musl", "-mcpu=generic", {"neondot", "neon", "scalar"}),
    "cortex-a7": (
        "qemu-arm",
        "cortex-a7",
        "arm-linux-musleabihf",
        "-mcpu=generic+v7a+vfp3d16-neon",
        {"neon", "scalar"},
    ),
    "arm1176": ("qemu-arm", "arm1176", "arm-linux-musleabihf", "-mcpu=arm1176jzf_s", {"scalar"}),
    "riscv64": ("qemu-riscv64", "rv64", "riscv64-linux-musl", "-mcpu=generic_rv64+m+a+f+d+c", {"scalar"}),
    "riscv32": ("qemu-riscv32", "rv32", "riscv32-linux-musl", "-mcpu=generic_rv32+m+a+f+d+c", {"scalar"}),
}
"""By processor: the emulator and its name for it, Zig's name of the system, what to compile for, the kernels there."""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_kernel_is_exact_and_clean_under_the_sanitizers(
    compiler: str, compile_driver: Compile, few_cases: list[Case]
) -> None:
    program = compile_driver(c_compiler(compiler), *SANITIZERS)
    found = drive(program, cases=few_cases)
    assert found["scalar"][0] >= 50
    assert {wrong for _, _, wrong in found.values()} == {0}, found


def test_2_000_random_networks_are_exact_under_the_sanitizers(compile_driver: Compile) -> None:
    cases = cases_of(range(10_000, 12_100))
    assert len(cases) >= 2_000
    found = drive(compile_driver(c_compiler("gcc"), *SANITIZERS), cases=cases)
    assert found == dict.fromkeys(found, (len(cases), 24 * len(cases), 0))
    assert "scalar" in found


@pytest.mark.parametrize("processor", EMULATED)
def test_every_kernel_is_exact_on(processor: str, compile_driver: Compile, few_cases: list[Case]) -> None:
    emulator, cpu, system, option, kernels = EMULATED[processor]
    require(emulator)
    pytest.importorskip("ziglang")
    program = compile_driver(*ZIG, "-target", system, option, "-O2", "-static", "-fno-sanitize=all")
    found = drive(emulator, "-cpu", cpu, program, cases=few_cases)
    assert set(found) == kernels
    assert {wrong for _, _, wrong in found.values()} == {0}, found


@pytest.mark.parametrize("compiler", [("gcc",), ("clang",), ZIG], ids=["gcc", "clang", "zig"])
def test_the_engine_compiles_without_a_warning(compiler: Sequence[str], tmp_path: Path) -> None:
    if compiler is ZIG:
        pytest.importorskip("ziglang")
    command = [*compiler] if compiler is ZIG else [c_compiler(compiler[0])]
    options = ("-std=c99", *OPTIONS, *WARNINGS, "-Werror", "-fPIC")
    target = tmp_path / "engine.so"
    done = subprocess.run(
        [*command, *options, *map(str, engine_sources()), "-o", str(target)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
