"""A bundle is one file that is always the same, and every byte of it counts."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.board.agent.bundle import EXPORTS, Archive, encode_archive, read_record
from edgemnist.board.agent.install import needs, venv_key
from edgemnist.errors import ArtifactError, UsageError
from edgemnist.fleet.bundle.cli import bundle_page
from edgemnist.fleet.bundle.pack import BundleConfig, WheelsConfig, make_bundle, package_wheel, read_metadata
from edgemnist.fleet.deploy.run import open_bundle
from edgemnist.fleet.deploy.target import make_agent
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, encode_answers, read_answers
from edgemnist.model.exports.manifest import MANIFEST_FILE, MODEL_FILE, FileRecord, read_manifest
from tests.conftest import run_edgemnist
from tests.deploy.bundles import small_exports
from tests.notices import Notices
from tests.render.test_narrow import drawn


def test_the_same_exports_give_the_same_bytes(made_exports: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(made_exports, tmp_path / name)
        make_bundle(Exports.open(tmp_path / name), tmp_path / f"{name}.zip", BundleConfig())
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_answers_that_are_not_finite_are_not_packed(made_exports: Path, tmp_path: Path) -> None:
    exports = small_exports(made_exports, tmp_path / "exports", ["tflite-int8", "tflite-dynamic"])
    manifest = read_manifest(exports)
    answers = {name: rows.copy() for name, rows in read_answers(exports, manifest).items()}
    answers[manifest.artifact("tflite-dynamic").sha256][3, 4] = np.nan
    data = encode_answers(answers)
    (exports / ANSWERS_FILE).write_bytes(data)
    (exports / MANIFEST_FILE).write_bytes(
        msgspec.structs.replace(manifest, answers=FileRecord.of(ANSWERS_FILE, data)).encode()
    )
    with pytest.raises(ArtifactError, match="The answers recorded for tflite-dynamic are not all finite"):
        make_bundle(Exports.open(exports), tmp_path / "bundle.zip", BundleConfig())
    assert not (tmp_path / "bundle.zip").exists()
    make_bundle(Exports.open(exports), tmp_path / "bundle.zip", BundleConfig(artifacts=("tflite-int8",)))


@pytest.mark.parametrize("python", ["python3.11", "python3.13"])
def test_every_python_writes_the_same_container(python: str, tmp_path: Path) -> None:
    program = shutil.which(python, path="/usr/bin") or sys.executable
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from edgemnist.board.agent.bundle import encode_archive\n"
        "print(encode_archive({'b/ü': b'x' * 99, 'a': b''}).hex())"
    )
    # The part for the board, which any Python can import.
    agent = tmp_path / "board.pyz"
    agent.write_bytes(make_agent())
    done = subprocess.run([program, "-I", "-c", code, agent], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == encode_archive({"a": b"", "b/ü": b"x" * 99}).hex()


def test_the_bundle_holds_what_was_chosen_and_nothing_else(made_exports: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle.zip"
    make_bundle(Exports.open(made_exports), output, BundleConfig(artifacts=("tflite-int8",)))
    with Archive(output) as archive:
        record = read_record(archive)
        for file in record.files:
            if file.path.startswith(EXPORTS):
                target = tmp_path / file.path
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(archive.read(file.path))
    assert record.artifacts == ["tflite-int8"]
    assert record.extras == ["tflite"]
    assert [artifact.name for artifact in read_manifest(tmp_path / "exports").artifacts] == ["tflite-int8"]
    done = run_edgemnist("verify", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert any(pin.startswith("ai-edge-litert==") for pin in record.constraints)


def test_an_earlier_models_file_is_refused_and_an_unverified_one_told_of(made_exports: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    shutil.copytree(made_exports, exports)
    notices = Notices()
    make_bundle(Exports.open(exports), tmp_path / "same.zip", BundleConfig(artifacts=("tflite-int8",)), notices)
    # What was never verified is bundled, and told of.
    unknown = "Whether tflite-int8 passes its gate is unknown until a board tests it; or run here: "
    assert notices.messages == [f"{unknown}edgemnist verify tflite-int8 --exports {exports}"]
    (exports / MODEL_FILE).write_bytes(b"another model")
    for artifacts in ((), ("tflite-int8",)):
        with pytest.raises(ArtifactError, match=r"^tflite-int8 in .* is outdated: .*: run edgemnist export"):
            make_bundle(Exports.open(exports), tmp_path / "later.zip", BundleConfig(artifacts=artifacts))
    assert not (tmp_path / "later.zip").exists()


@pytest.mark.all
def test_the_wheel_in_the_bundle_is_one_that_pip_installs(tmp_path: Path) -> None:
    name, data = package_wheel(read_metadata())
    wheel = tmp_path / name
    wheel.write_bytes(data)
    target = tmp_path / "target"
    options = ["-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, target, wheel], check=True, capture_output=True)
    code = """import sys; sys.path.insert(0, sys.argv[1]); import edgemnist; print(edgemnist.__file__)
from edgemnist.digits.read.likeness import shipped_network; shipped_network()"""
    done = subprocess.run([sys.executable, "-I", "-c", code, target], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(str(target))
    # Whoever hands on the package hands on what it owes to others.
    assert {path.name for path in target.glob("*.dist-info/licenses/*")} == {"LICENSE", "NOTICE"}
    assert "from edgemnist.__main__ import main" in (target / "bin" / "edgemnist").read_text()


def test_a_processor_without_wheels_and_a_python_that_is_none_are_refused() -> None:
    with pytest.raises(UsageError, match="riscv64"):
        WheelsConfig(machine="riscv64")
    for python in ("abc", "", "3", "2.7", "3.11.2"):
        with pytest.raises(UsageError, match=re.escape(f"(got {python})")):
            WheelsConfig(pythons=("3.13", python))


def test_without_pip_wheels_are_a_missing_dependency_not_a_missing_network(made_exports: Path, tmp_path: Path) -> None:
    # find_spec sees a package as missing where a finder says so first.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pip' else real(name, *rest)\n"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = ("bundle", "tflite-int8", "--wheels", "--exports", made_exports)
    done = run_edgemnist(*command, cwd=tmp_path, env={"PYTHONPATH": paths})
    assert done.returncode == 3, done.stderr
    assert f"{sys.executable} -m ensurepip" in done.stderr


@pytest.mark.all
@pytest.mark.parametrize("name", ["tflite-int8"])
def test_wheels_for_a_raspberry_pi_come_along(name: str, made_exports: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle.zip"
    config = BundleConfig(artifacts=(name,), wheels=WheelsConfig(pythons=("3.13",)))
    result = make_bundle(Exports.open(made_exports), output, config)
    assert (result.machine, result.pythons) == ("aarch64", ["3.13"])
    record = open_bundle(output).record
    wheels = [file.path for file in record.files if file.path.endswith(".whl")]
    assert any("ai_edge_litert" in wheel and "cp313" in wheel and "aarch64" in wheel for wheel in wheels)
    assert not any("tensorflow" in wheel or "x86_64" in wheel for wheel in wheels)
    # What such a bundle has installed serves the next one too, which comes without wheels.
    make_bundle(Exports.open(made_exports), output, BundleConfig(artifacts=("tflite-dynamic",)))
    other = open_bundle(output).record
    assert set(needs(other)["wheels"]) < set(needs(record)["wheels"])
    # What was signed with the bundle is what is installed: other bytes are another environment.
    changed = [replace(file, sha256="0" * 64) if "ai_edge_litert" in file.path else file for file in record.files]
    assert venv_key(replace(record, files=changed)) != venv_key(record)


def test_an_artifact_that_missed_its_gate_is_told_of(made_exports: Path, tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    shutil.copytree(made_exports, exports)
    (exports / "gate.toml").write_text("[tflite-int8]\nmax_abs_diff = 0.0\n")
    assert run_edgemnist("verify", "tflite-int8", cwd=tmp_path).returncode == 1
    notices = Notices()
    result = make_bundle(Exports.open(exports), tmp_path / "b.zip", BundleConfig(artifacts=("tflite-int8",)), notices)
    assert result.refused == ["tflite-int8"]
    assert run_edgemnist("bundle", "tflite-int8", cwd=tmp_path).returncode == 1
    # The next step is not to deploy it.
    assert "deploy" not in drawn(bundle_page(result))
    assert "edgemnist deploy" in drawn(bundle_page(msgspec.structs.replace(result, refused=[])))
    (message,) = notices.messages
    assert message.startswith("tflite-int8 does not pass its gate (a probability is off by")
    # What cannot be judged here cannot be judged on a board either, which has the same images.
    (exports / "gate.toml").write_text("[tflite-int8]\nmin_images = 100000\n")
    assert run_edgemnist("verify", "tflite-int8", cwd=tmp_path).returncode == 1
    notices = Notices()
    result = make_bundle(Exports.open(exports), tmp_path / "b.zip", BundleConfig(artifacts=("tflite-int8",)), notices)
    assert (result.refused, len(notices.messages)) == (["tflite-int8"], 1)
    assert "and 100,000 are needed to judge), so a board will refuse this bundle." in notices.messages[0]
