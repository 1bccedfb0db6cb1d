"""What a board installs: the wheel with one runtime, no TensorFlow, and everything a board is for works."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from tests.conftest import REPOSITORY

MEGABYTE = 1_000_000
LIGHT = REPOSITORY / "constraints-light.txt"
CHOSEN_FOR_SIZE = {"ai-edge-litert", "numpy", "onnxruntime"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A venv with `edgemnist[tflite]` from the wheel, as the README installs it, and how many bytes that added."""
    directory = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory, ".")
    run(sys.executable, "-m", "venv", directory / "venv")
    before = tree_size(directory / "venv")
    wheel = next(directory.glob("edgemnist-*.whl"))
    pip = directory / "venv" / "bin" / "pip"
    options = ("-q", "--disable-pip-version-check", "--no-compile", "-c", LIGHT)
    run(pip, "install", *options, f"{wheel}[tflite]")
    return directory / "venv" / "bin" / "edgemnist", tree_size(directory / "venv") - before


def tree_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def run(*command: str | Path, cwd: Path = REPOSITORY, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def run_fresh(program: Path, *arguments: str, cwd: Path) -> dict[str, object]:
    done = run(program, *arguments, "--json", cwd=cwd)
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_the_install_is_light(fresh: tuple[Path, int]) -> None:
    program, added = fresh
    assert added <= 120 * MEGABYTE
    python = program.parent / "python"
    assert subprocess.run([python, "-c", "import tensorflow"], check=False, capture_output=True).returncode != 0


def test_the_light_constraints_differ_only_where_size_was_the_reason() -> None:
    light, usual = (
        dict(line.split("==") for line in path.read_text().splitlines() if not line.startswith("#"))
        for path in (LIGHT, REPOSITORY / "constraints.txt")
    )
    assert {name for name, version in light.items() if usual[name] != version} == CHOSEN_FOR_SIZE


@pytest.mark.parametrize("kind", ["", "-light"])
def test_every_package_that_is_pinned_has_hashes_of_that_version(kind: str) -> None:
    pins, hashed = (
        dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (REPOSITORY / f"{name}{kind}.txt").read_text(), re.MULTILINE))
        for name in ("constraints", "requirements")
    )
    text = (REPOSITORY / f"requirements{kind}.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(hashed) > 25
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines)
    known = {normal(name): version for name, version in pins.items()}
    there = {normal(name): version for name, version in hashed.items()}
    assert {name: there[name] for name in there if name in known and known[name] != there[name]} == {}
    # uv installs the others, and what comes with pip is not pinned.
    assert set(known) - set(there) <= {"uv"}


def normal(name: str) -> str:
    """Return a name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_predict_reads_a_picture_with_the_shipped_artifact(fresh: tuple[Path, int], tmp_path: Path) -> None:
    program, _ = fresh
    reference = REPOSITORY / "exports" / "reference"
    golden = read_golden(reference, read_manifest(reference))
    Image.fromarray(255 - golden.images[0]).resize((280, 280)).save(tmp_path / "digit.png")
    document = run_fresh(program, "predict", "digit.png", cwd=tmp_path)
    # In edgemnist's own engine, where the installation found a compiler for it.
    assert document["artifact"] in {"tflite-int8", "tflite-int8@native"}
    assert document["predictions"][0]["digit"] == golden.labels[0]  # type: ignore[index]  # a document is plain JSON


@pytest.mark.parametrize("words", [("read", "page.jpg"), ("watch", ".", "--once")])
def test_reading_pages_asks_for_its_own_extra(words: tuple[str, ...], fresh: tuple[Path, int], tmp_path: Path) -> None:
    program, _ = fresh
    shutil.copy(REPOSITORY / "tests" / "read" / "pages" / "everything.jpg", tmp_path / "page.jpg")
    assert 'pip install "edgemnist[vision]"' in run(program, *words, cwd=tmp_path, code=3).stderr


def test_predict_stays_small(fresh: tuple[Path, int], tmp_path: Path) -> None:
    program, _ = fresh
    # RUSAGE_CHILDREN keeps the largest child ever, so the measurement gets a parent of its own.
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.argv[1], 'predict', '--index', '0'], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit <= 80 * MEGABYTE


def test_verify_and_bench_work_without_tensorflow(fresh: tuple[Path, int], exports: Path, tmp_path: Path) -> None:
    program, _ = fresh
    for where in ([], ["--exports", str(exports)]):
        names = ["tflite-int8"]
        verified = run_fresh(program, "verify", *names, *where, cwd=tmp_path)
        assert verified["passed"]
        options = ["--seconds", "0"]
        benched = run_fresh(program, "bench", *names, *where, *options, cwd=tmp_path)
        assert [one["name"] for one in benched["results"]] == names  # type: ignore[attr-defined]  # plain JSON
