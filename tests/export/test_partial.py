"""An artifact that cannot be made costs no other one, and making one takes neither a compiler nor a browser."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import answer_all, read_answers
from edgemnist.model.runtimes import load
from tests.conftest import Run
from tests.needs import require

BARE = {"PATH": "/nowhere", "CC": ""}
"""A machine with Python alone."""


@pytest.fixture
def bare(made_exports: Path, tmp_path: Path) -> Path:
    """An export directory with the model alone."""
    (tmp_path / "exports").mkdir()
    shutil.copy(made_exports / "model.keras", tmp_path / "exports")
    return tmp_path / "exports"


@pytest.mark.all
def test_a_c_file_and_a_page_are_made_without_a_compiler_or_a_browser(bare: Path, edgemnist: Run) -> None:
    formats = ("--format", "c", "--format", "web", "--format", "tflite")
    done = edgemnist("export", *formats, "--calibration", "50", "--offline", env=BARE)
    assert done.returncode == 0, done.stderr
    assert "Next: edgemnist verify c-int8 web-int8 tflite-int8" in done.stdout
    exports = Exports.open(bare)
    c, web, tflite = (exports.manifest.artifact(name) for name in ("c-int8", "web-int8", "tflite-int8"))
    images = exports.read_golden().images
    wanted = load(bare / tflite.file, runtime="integer").predict_proba(images)
    recorded = read_answers(bare, exports.manifest)
    for one in (c, web):
        np.testing.assert_array_equal(recorded[one.sha256], wanted)
        assert one.calibration == tflite.calibration
    require("cc")
    np.testing.assert_array_equal(answer_all(bare, [c], images)[c.sha256], wanted)


@pytest.mark.usefixtures("bare")
def test_verify_says_what_it_could_not_try_and_what_brings_it(
    every_export: Path, edgemnist: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ziglang'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = edgemnist("verify", "web-int8", "--exports", every_export, env=BARE)
    assert (done.returncode, done.stdout) == (3, "")
    assert "web-int8 needs Chromium, which is not installed" in done.stderr
    assert "Install it with: sudo apt install chromium" in done.stderr
    done = edgemnist("verify", "--exports", every_export, env=BARE)
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "web-int8: it needs Chromium (sudo apt install chromium)" in said
    assert "c-int8: it needs a C compiler (sudo apt install gcc)" in said
    # A page alone: nothing that passes is left.
    assert edgemnist("export", "--format", "web", "--offline", env=BARE).returncode == 0
    done = edgemnist("verify", env=BARE)
    assert (done.returncode, done.stdout) == (3, "")
    require("chromium")
    done = edgemnist("verify", "--json")
    assert [one["name"] for one in json.loads(done.stdout)["artifacts"]] == ["web-int8"]


def test_a_format_that_the_model_cannot_become_costs_no_other(
    save_model: Callable[..., Path], edgemnist: Run, tmp_path: Path
) -> None:
    from keras import layers

    model = save_model(
        layers.Input((28, 28, 1)),
        layers.Conv2D(2, 3, dilation_rate=5, name="eyes"),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    )
    asked = ("export", "--model", model, "--calibration", "10", "--golden", "50", "--offline")
    done = edgemnist(*asked, "--format", "c", "--format", "tflite", "--project", "cmake", "--json")
    assert done.returncode == 2, done.stderr
    document = json.loads(done.stdout)
    assert [one["name"] for one in document["artifacts"]] == ["tflite-int8"]
    (refused,) = document["refused"]
    assert "its layer 'eyes' (Conv2D)" in refused["reason"]
    assert (tmp_path / "exports" / "tflite-int8.tflite").is_file()
    done = edgemnist(*asked, "--format", "c")
    assert (done.returncode, done.stdout) == (2, "")
    assert "its layer 'eyes' (Conv2D)" in done.stderr


@pytest.mark.all
def test_a_package_that_is_missing_costs_no_other_format(bare: Path, edgemnist: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tf2onnx'] = None\n")
    without = {"PYTHONPATH": str(tmp_path)}
    done = edgemnist("export", "--quantize", "int8", "--offline", env=without)
    assert done.returncode == 3, done.stderr
    assert "Wrote 1 artifact, 1 not possible." in done.stdout
    assert 'pip install "edgemnist[train]"' in " ".join(done.stdout.split())
    assert [one.name for one in Exports.open(bare).artifacts] == ["tflite-int8"]
    done = edgemnist("export", "--format", "onnx", "--offline", env=without)
    assert (done.returncode, done.stdout) == (3, "")
