"""Projects around the C file that can be built here are built; of the others, what is C is compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgemnist.arrays import Images
from edgemnist.errors import MissingDependencyError, UnknownNameError, UsageError
from edgemnist.export.c import PROJECTS, TARGETS, CExtras, write_executable, write_project
from edgemnist.export.interface import ExportConfig
from edgemnist.exports import reference_directory
from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.native.amalgamation import Origin, c_header, c_source
from edgemnist.native.classifier import read_network_file
from edgemnist.runtimes import load
from tests.native.conftest import c_compiler

SHIPPED = reference_directory() / "tflite-int8.tflite"
ORIGIN = Origin(version="1.2.3", model_sha256="a" * 64, tflite_sha256="b" * 64, labels=tuple("0123456789"))
EMULATORS = {
    "pi-zero": ("qemu-arm", "-cpu", "arm1176"),
    "linux-armv7": ("qemu-arm", "-cpu", "cortex-a7"),
    "pi": ("qemu-aarch64", "-cpu", "cortex-a53"),
    "linux-x86_64": (),
}


@pytest.fixture(scope="module")
def texts() -> tuple[bytes, bytes]:
    network = read_network_file(SHIPPED)
    return c_source(network, ORIGIN).encode(), c_header(network, ORIGIN).encode()


@pytest.fixture(scope="module")
def golden() -> Images:
    directory = reference_directory()
    return read_golden(directory, read_manifest(directory)).images


def answers(program: tuple[str | Path, ...], images: Images, directory: Path) -> list[list[int]]:
    """Return the scores that a program prints for each image."""
    found = []
    for image in images:
        (directory / "one.pgm").write_bytes(b"P5\n28 28\n255\n" + image.tobytes())
        command = [*program, "--json", directory / "one.pgm"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout)["scores"])
    return found


def test_the_cmake_project_builds_and_answers(texts: tuple[bytes, bytes], golden: Images, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    folder = write_project("cmake", *texts, tmp_path)
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    expected = load(SHIPPED, runtime="integer").predict_proba(golden[:10]) * 256
    assert answers((folder / "build" / "digit",), golden[:10], tmp_path) == expected.tolist()


@pytest.mark.parametrize("kind", PROJECTS)
def test_the_c_of_every_project_compiles_and_a_second_one_takes_its_place(
    kind: str, texts: tuple[bytes, bytes], tmp_path: Path
) -> None:
    folder = write_project(kind, *texts, tmp_path)
    (folder / "left-over").write_text("of an earlier one")
    assert write_project(kind, *texts, tmp_path) == folder
    assert not (folder / "left-over").exists()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} >= set(PROJECTS[kind])
    (source,) = folder.rglob("edgemnist.c")
    options = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-c")
    subprocess.run([c_compiler("gcc"), *options, source, "-o", tmp_path / "made.o"], check=True)


def test_what_cannot_be_made_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    c, onnx = ExportConfig.of(formats=["c"]), ExportConfig.of(formats=["onnx"])
    with pytest.raises(UnknownNameError, match="pico"):
        CExtras.of(c, projects=["pica"], targets=[])
    with pytest.raises(UnknownNameError, match="pi-zero"):
        CExtras.of(c, projects=[], targets=["pi-zerro"])
    with pytest.raises(UsageError, match="--project is made from a C file") as caught:
        CExtras.of(onnx, projects=["pico"], targets=[])
    assert "--format c" in caught.value.hint
    monkeypatch.setattr("edgemnist.export.c.importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="ziglang"):
        CExtras.of(c, projects=[], targets=["pi"])


@pytest.mark.native
@pytest.mark.parametrize("target", EMULATORS)
def test_a_static_executable_answers_every_bit_on(
    target: str, texts: tuple[bytes, bytes], golden: Images, tmp_path: Path
) -> None:
    pytest.importorskip("ziglang")
    emulator = EMULATORS[target]
    if emulator and shutil.which(emulator[0]) is None:
        pytest.skip(f"{emulator[0]} is not installed")
    assert target in TARGETS
    source = tmp_path / "c-int8.c"
    source.write_bytes(texts[0])
    program = write_executable(target, source, tmp_path)
    assert program.stat().st_size <= 700_000
    expected = load(SHIPPED, runtime="integer").predict_proba(golden[:40]) * np.float32(256)
    assert answers((*emulator, program), golden[:40], tmp_path) == expected.tolist()
