"""On the processors of a Raspberry Pi 3, 4 and 5, the product answers as it does on the machine that exported."""

import os
import platform
import shutil
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from edgemnist.model.exports.manifest import read_manifest
from tests.deploy.loopback import descendants, kill
from tests.pi.conftest import HERE, MODELS, RunOnPi, run
from tests.serve.service import Service, first_document, png, seven

pytestmark = pytest.mark.all

INT8_STEP = 1 / 256
"""One step of an int8 probability: what the ARM and x86 kernels of the int8 softmax may differ by."""
RUN_TIME_STEP = 5e-3
"""Where activations are quantized while the model runs, float noise may send one of them to the next step: 1.5e-3 was
the most that was seen in 10,000 images, with the same labels."""
FLOAT_NOISE = 1e-5
"""Sums of floats in another order; 7e-6 was the most that was seen."""


ALLOWED = {
    "tflite-int8": INT8_STEP,
    "tflite-dynamic": RUN_TIME_STEP,
    "onnx-dynamic": RUN_TIME_STEP,
}
"""Largest difference of a probability, by artifact; `FLOAT_NOISE` for the others."""


def test_all_that_a_board_is_for_installs_in_251_megabytes(sysroot: Path) -> None:
    packages = next(sysroot.glob("usr/local/lib/python3.*/dist-packages"))
    for package in ("onnxruntime", "ai_edge_litert", "cv2", "uvicorn"):
        assert (packages / package).is_dir(), package
    files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(path.stat().st_size for path in files) <= 251_000_000


@pytest.fixture(scope="session")
def host_answers(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    output = tmp_path_factory.mktemp("answers") / "host.npz"
    run([sys.executable, HERE / "answer.py", exports, output, platform.machine()], cwd=exports.parent)
    with np.load(output) as answers:
        return dict(answers)


@pytest.mark.parametrize("model", MODELS)
def test_every_artifact_gives_the_same_labels_as_on_the_exporting_machine(
    model: str, exports: Path, run_on_pi: RunOnPi, host_answers: dict[str, np.ndarray]
) -> None:
    output = exports.parent / f"pi{model}.npz"
    shutil.copy(HERE / "answer.py", exports.parent)
    done = run_on_pi(model, "python3", "answer.py", "exports", output.name, "aarch64", cwd=exports.parent)
    assert done.returncode == 0, done.stderr
    with np.load(output) as answers:
        assert set(answers) == set(host_answers)
        assert len(answers) == len(read_manifest(exports).artifacts)
        for name, here in host_answers.items():
            there = answers[name]
            changed = np.flatnonzero(here.argmax(axis=1) != there.argmax(axis=1))
            assert changed.size == 0, f"{name}: labels of images {changed[:10]} differ"
            allowed = ALLOWED.get(name, FLOAT_NOISE)
            assert np.abs(here - there).max() <= allowed, name


def test_the_service_answers_on_the_board(exports: Path, sysroot: Path, tmp_path: Path) -> None:
    words = ("python3", "-m", "edgemnist", "serve", "--exports", "exports", "--port", "0", "--json")
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [HERE / "run-on-pi.sh", sysroot, *words],
            cwd=exports.parent,
            env={**os.environ, "PI_MODEL": "4"},
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        service = Service(process, first_document(process))
        answer = service.ask("/v1/predict?artifact=tflite-int8", png(seven()))
        assert answer.status == HTTPStatus.OK, log.read_text()
        assert answer.document["predictions"][0]["digit"] == 7
    finally:
        # What proot started does not end with it.
        for child in [*descendants(process.pid), process.pid]:
            kill(child)
        process.communicate()
