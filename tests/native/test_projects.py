"""Projects around the C file that can be built here are built; of the others, what is C is compiled."""

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from edgemnist.errors import MissingDependencyError, UnknownNameError, UsageError
from edgemnist.ground.arrays import Images
from edgemnist.model.native.amalgamation import c_header, c_source
from edgemnist.model.native.classifier import read_network_file
from edgemnist.model.runtimes import load
from edgemnist.pipeline.export.c import PROJECTS, TARGETS, check_extras, write_executable, write_project
from edgemnist.pipeline.export.interface import ExportConfig
from tests.native.conftest import SHIPPED, STRICT, c_compiler, origin

pytestmark = pytest.mark.all

EMULATORS = {
    "pi-zero": ("qemu-arm", "-cpu", "arm1176"),
    "linux-armv7": ("qemu-arm", "-cpu", "cortex-a7"),
    "pi": ("qemu-aarch64", "-cpu", "cortex-a53"),
    "linux-x86_64": (),
}


@pytest.fixture(scope="module")
def texts() -> tuple[bytes, bytes]:
    network = read_network_file(SHIPPED)
    return c_source(network, origin()).encode(), c_header(network, origin()).encode()


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
    c_compiler("cc")
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
    with resources.as_file(resources.files("edgemnist.pipeline.export").joinpath("projects", kind)) as around:
        shipped = {Path(str(path.relative_to(around)).replace("Model", "Digit")) for path in around.rglob("*")}
    assert shipped
    assert {path.relative_to(folder) for path in folder.rglob("*")} >= shipped
    (source,) = folder.rglob("edgemnist.c")
    subprocess.run([c_compiler("gcc"), *STRICT, "-c", source, "-o", tmp_path / "made.o"], check=True)


def test_what_cannot_be_made_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    c, onnx = ExportConfig.of(formats=["c"]), ExportConfig.of(formats=["onnx"])
    with pytest.raises(UnknownNameError, match="pico"):
        check_extras(c, ["pica"], [])
    with pytest.raises(UnknownNameError, match="pi-zero"):
        check_extras(c, [], ["pi-zerro"])
    with pytest.raises(UsageError, match="--project is made from a C file") as caught:
        check_extras(onnx, ["pico"], [])
    assert "--format c" in caught.value.hint
    monkeypatch.setattr("edgemnist.pipeline.export.c.importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="ziglang"):
        check_extras(c, [], ["pi"])


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
