"""The engine is compiled if there is a compiler, and nothing else depends on one."""

import ctypes
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgemnist.errors import ArtifactError, MissingDependencyError
from edgemnist.model import native as build
from edgemnist.model.native import OPTIONS, WARNINGS, engine_sources
from edgemnist.model.native.library import ABI, open_library
from edgemnist.model.runtimes import RUNTIMES
from tests.conftest import REPOSITORY
from tests.native.conftest import Case, Compile, c_compiler, cases_of, drive
from tests.needs import require

pytestmark = pytest.mark.all


@pytest.mark.needs("cc")
def test_a_compiler_that_fails_is_named_with_its_first_error(tmp_path: Path) -> None:
    target = tmp_path / "engine.so"
    with pytest.raises(build.CompilerError, match=r"cannot compile engine.c: .*error: .*no-such-option.*CC=gcc$"):
        build.compile_library(target, options=("-fno-such-option",))
    with pytest.raises(build.CompilerError, match=r"no-such-compiler cannot be run: .* CC=gcc"):
        build.compile_library(target, compiler=["no-such-compiler"])
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("edgemnist.model.native.shutil.which", lambda _: None)
    with pytest.raises(build.CompilerError, match="sudo apt install gcc"):
        build.compile_library(tmp_path / "engine.so")


def test_the_runtime_says_how_to_get_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edgemnist.model.native.SOURCES", tmp_path)
    with pytest.raises(MissingDependencyError) as caught:
        RUNTIMES["native"].load()
    assert caught.value.exit_code == 3
    assert "python -m edgemnist.model.native" in caught.value.hint


@pytest.mark.needs("cc")
def test_a_library_of_another_version_or_system_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "engine.so"
    other.write_bytes(b"\x7fELF of another world")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        open_library(other)
    build.compile_library(tmp_path / "next.so", options=(f"-DEDGEMNIST_ABI={ABI + 1}",))
    with pytest.raises(ArtifactError, match=f"of another version: {ABI + 1} instead of {ABI}") as caught:
        open_library(tmp_path / "next.so")
    assert "python -m edgemnist.model.native" in caught.value.hint


def build_wheel(directory: Path, **environment: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory, "."],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = directory.glob("*.whl")
    return wheel


def test_a_wheel_without_a_compiler_is_a_pure_one(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, CC="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith((".so", ".dylib", ".dll"))]
    # The sources are there: the runtime's message tells how to compile them.
    assert {"edgemnist/model/native/engine.c", "edgemnist/model/native/__init__.py"} <= set(names)


@pytest.mark.needs("cc")
def test_a_wheel_of_this_machine_brings_its_library(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    assert "-py3-none-any" not in wheel.name
    name = f"edgemnist/model/native/{build.library_name()}"
    library = ctypes.CDLL(zipfile.ZipFile(wheel).extract(name, tmp_path))
    assert library.edgemnist_abi() == ABI


SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

AARCH64 = ("qemu-aarch64", "aarch64-linux-gnu-gcc", ())
ARMV7 = ("qemu-arm", "arm-linux-gnueabihf-gcc", ("-mfpu=vfpv3-d16",))
EMULATED: dict[str, tuple[str, str, str, tuple[str, ...], set[str]]] = {
    # Before AVX, with it but not AVX2, and with AVX2: QEMU has nothing newer, and an instruction that is not there ends
    # the program.
    "nehalem": ("Nehalem", "qemu-x86_64", "gcc", ("-march=x86-64",), {"scalar"}),
    "ivybridge": ("IvyBridge", "qemu-x86_64", "gcc", ("-march=x86-64",), {"scalar"}),
    "haswell": ("Haswell", "qemu-x86_64", "gcc", ("-march=x86-64",), {"avx2", "scalar"}),
    "cortex-a53": ("cortex-a53", *AARCH64, {"neon", "scalar"}),
    "cortex-a72": ("cortex-a72", *AARCH64, {"neon", "scalar"}),
    "cortex-a76": ("cortex-a76", *AARCH64, {"neondot", "neon", "scalar"}),
    "cortex-a7": ("cortex-a7", *ARMV7, {"neon", "scalar"}),
    # Debian's C library with hardware floats is for ARMv7.
    "arm1176": ("arm1176", "qemu-arm", "arm-linux-gnueabi-gcc", ("-march=armv6",), {"scalar"}),
    "riscv64": ("rv64", "qemu-riscv64", "riscv64-linux-gnu-gcc", (), {"scalar"}),
}
"""By processor: its name in the emulator, that, the compiler and its options, the kernels there."""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_kernel_is_exact_when_sanitized(compiler: str, compile_driver: Compile, few_cases: list[Case]) -> None:
    program = compile_driver(c_compiler(compiler), *SANITIZERS)
    found = drive(program, cases=few_cases)
    assert found["scalar"][0] >= 50
    assert {wrong for _, _, wrong in found.values()} == {0}, found


@pytest.mark.nightly
def test_2_000_random_networks_are_exact_under_the_sanitizers(compile_driver: Compile) -> None:
    cases = cases_of(range(10_000, 12_100))
    assert len(cases) >= 2_000
    found = drive(compile_driver(c_compiler("gcc"), *SANITIZERS), cases=cases)
    assert found == dict.fromkeys(found, (len(cases), 24 * len(cases), 0))
    assert "scalar" in found


@pytest.mark.nightly
@pytest.mark.parametrize("processor", EMULATED)
def test_every_kernel_is_exact_on(processor: str, compile_driver: Compile, few_cases: list[Case]) -> None:
    cpu, emulator, compiler, options, kernels = EMULATED[processor]
    require(emulator)
    program = compile_driver(c_compiler(compiler), *options, "-O2", "-static")
    found = drive(emulator, "-cpu", cpu, program, cases=few_cases)
    assert set(found) == kernels
    assert {wrong for _, _, wrong in found.values()} == {0}, found


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_engine_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    options = ("-std=c99", *OPTIONS, *WARNINGS, "-Werror", "-fPIC")
    target = tmp_path / "engine.so"
    done = subprocess.run(
        [c_compiler(compiler), *options, *map(str, engine_sources()), "-o", str(target)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
