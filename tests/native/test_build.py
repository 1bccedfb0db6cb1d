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
from edgemnist.model.native import WHEELS
from edgemnist.model.native.library import ABI, open_library
from edgemnist.model.runtimes import RUNTIMES
from tests.conftest import REPOSITORY

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
    monkeypatch.setattr("edgemnist.model.native.importlib.util.find_spec", lambda _: None)
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
    pytest.importorskip("hatchling")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory],
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


@pytest.mark.parametrize("name", WHEELS)
def test_a_wheel_for_every_system_is_made_here(name: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    wheel = build_wheel(tmp_path, EDGEMNIST_WHEEL_TARGET=name)
    target = WHEELS[name]
    assert wheel.name.endswith(f"-py3-none-{target.tags}.whl")
    archive = zipfile.ZipFile(wheel)
    data = archive.read(f"edgemnist/model/native/{target.library}")
    heads = {"engine.so": b"\x7fELF", "engine.dylib": b"\xcf\xfa\xed\xfe", "engine.dll": b"MZ"}
    assert data.startswith(heads[target.library])
    (record,) = (one for one in archive.namelist() if one.endswith(".dist-info/WHEEL"))
    tags = [line.removeprefix("Tag: ") for line in archive.read(record).decode().splitlines() if line.startswith("Tag")]
    assert sorted(tags) == sorted(f"py3-none-{tag}" for tag in target.tags.split("."))
