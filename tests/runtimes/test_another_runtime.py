"""A runtime is one file and one entry, and then works in every command that takes a model."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.serve.service import png, serving, seven

FILE = '''
from edgemnist.model.runtimes.onnxruntime import ONNXRuntimeClassifier


class ToyClassifier(ONNXRuntimeClassifier):
    """ONNX Runtime under another name."""
'''
ENTRY = """
from edgemnist.model.runtimes import RUNTIMES, RuntimeEntry

RUNTIMES["toy"] = RuntimeEntry(target="toy:ToyClassifier", summary="A toy", suffixes=(".onnx",))
"""
QUICK = ("--samples", "20", "--seconds", "0", "--rounds", "1", "--repeats", "0")
NAME = "onnx-float32@toy"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a runtime to the registry of every process that a test starts."""
    home = tmp_path / "site"
    home.mkdir()
    (home / "toy.py").write_text(FILE)
    (home / "sitecustomize.py").write_text(ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(home), prepend=":")


@pytest.mark.all
@pytest.mark.usefixtures("toy")
def test_it_is_verified_measured_and_answers(old_exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    def ask(*words: str) -> dict[str, Any]:
        done = edgemnist(*words, "--exports", old_exports, "--json")
        # Where the machine was busy, `recommend` does not know what to ship.
        assert done.returncode == 0 or words == ("recommend",), done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    assert NAME in [one["name"] for one in ask("verify")["artifacts"]]
    assert [one["runtime"] for one in ask("bench", NAME, "--batch-size", "1", *QUICK)["results"]] == ["toy"]
    assert [one["runtime"] for one in ask("bench", NAME, "--scenario", "single-stream", *QUICK)["results"]] == ["toy"]
    assert ask("bench", NAME, "onnx-float32", "--pair", *QUICK[:4], "--rounds", "3")["first"]["runtime"] == "toy"
    assert ask("predict", "--index", "0", "--artifact", NAME)["runtime"] == "toy"
    assert NAME in [one["name"] for one in ask("recommend")["candidates"]]
    seven(mode="RGB").save(tmp_path / "seven.png")
    read = edgemnist("read", tmp_path / "seven.png", "--artifact", NAME, "--exports", old_exports)
    assert read.returncode == 0, read.stderr
    with serving(old_exports, "--artifact", NAME) as service:
        assert service.ask("/v1/predict", png(seven())).document["runtime"] == "toy"
        assert service.ask("/v1/predict?artifact=onnx-float32", png(seven())).document["runtime"] == "onnxruntime"


@pytest.mark.usefixtures("toy")
def test_it_is_refused_for_files_that_it_does_not_execute(old_exports: Path, edgemnist: Run) -> None:
    for words in (["verify"], ["bench"], ["predict", "--index", "0", "--artifact"]):
        done = edgemnist(*words, "tflite-int8@toy", "--exports", old_exports)
        assert done.returncode == 2
        assert "The runtime toy does not execute tflite-int8" in " ".join(done.stderr.split())
