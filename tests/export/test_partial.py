"""An artifact that cannot be made costs no other one, and making one takes neither a compiler nor a browser."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgemnist.errors import ArtifactError
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.exports.golden import answer_all, read_answers
from edgemnist.model.runtimes import load
from edgemnist.model.task import default_input
from edgemnist.pipeline.export.tflite import TFLiteExporter
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
def test_verify_says_what_it_could_not_try_and_what_brings_it(every_export: Path, edgemnist: Run) -> None:
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


def test_what_a_model_cannot_become_costs_no_other(
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
    done = edgemnist(*asked, "--format", "c", "--format", "tflite", "--json")
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


INT8 = (reference_directory() / "tflite-int8.tflite").read_bytes()


@pytest.fixture
def exporter() -> TFLiteExporter:
    source: Any = SimpleNamespace(path=Path("model.keras"), numbers=False, spec=default_input())
    return TFLiteExporter(source, [str(digit) for digit in range(10)], np.zeros((1, 28, 28), np.uint8))


def with_float(*, output: bool) -> bytes:
    """Return the reference with a tensor in float32: a constant more, or its scores, as a converter has them."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(INT8, 0))
    graph = model.subgraphs[0]
    added = schema.TensorT()
    added.name, added.type, added.shape = "added", schema.TensorType.FLOAT32, [1, 10] if output else [1]
    graph.tensors.append(added)
    if output:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, list(graph.outputs)
        operator.outputs = graph.outputs = [len(graph.tensors) - 1]
        graph.operators.append(operator)
    else:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.float32(0.5).tobytes(), np.uint8)
        model.buffers.append(buffer)
        added.buffer = len(model.buffers) - 1
    model.signatureDefs = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_an_output_or_a_constant_of_real_numbers_is_no_int8(exporter: TFLiteExporter) -> None:
    with pytest.raises(ArtifactError, match="its output is float32 instead of int8"):
        exporter.inspect(with_float(output=True), "int8")
    assert exporter.departures(with_float(output=False), "int8") == ["its tensor 'added' is float32"]
    with pytest.raises(ArtifactError, match="'added' is float32"):
        exporter.inspect(with_float(output=False), "int8")


@pytest.mark.all
def test_nothing_of_tensorflow_reaches_a_terminal(exports: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "edgemnist", "export", "--exports", str(exports)),
        *("--format", "tflite", "--quantize", "int8", "--golden", "20", "--calibration", "10", "--offline"),
    ]
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=follower, stderr=follower, stdin=follower)
    os.close(follower)
    seen = b""
    # Reading fails once the last process has closed the terminal.
    while piece := _read(leader):
        seen += piece
    os.close(leader)
    assert process.wait() == 0, seen.decode()
    words = seen.decode()
    assert "Exporting" in words
    assert "tflite-int8" in words
    # Nothing but colours and a line break stands between the words.
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\s+", " ", words)
    assert re.search(r"Wrote 1 artifact\. +Next: edgemnist verify --exports \S", plain), plain
    for chatter in ("Saved artifact", "Captures", "TensorSpec", "WARNING", "fully_quantize", "I0000", "INFO"):
        assert chatter not in words


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
