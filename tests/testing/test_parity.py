"""`assert_parity` in a test of a stranger's: what it says, and that pytest starts without anything of the product."""

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.conftest import ANOTHER_SEED

BEGIN = """import numpy as np
PACK = np.load("exports/golden.npz")
SOURCE, ARTIFACT, IMAGES = "exports/onnx-float32.onnx", "exports/tflite-int8.tflite", PACK["images"]
LABELLED = IMAGES, PACK["labels"]
"""
CALLS = {
    "SOURCE, ARTIFACT, data=LABELLED, max_drop=0.5": [],
    "'exports', 'tflite-int8'": [],
    "SOURCE, 'another/tflite-int8.tflite', data=LABELLED, max_drop=0.5": [
        "AssertionError: missed: another/tflite-int8.tflite: accuracy fell by", "0.5 allowed", "FAIL", "broken",
        "labels came back when the cause was repaired", "the first 5 of 123 flips",
    ],
    "SOURCE, ARTIFACT, data=IMAGES, max_drop=0.5": ["AssertionError: unknown: ", "nobody has said the labels"],
    "SOURCE, 'exports/none.tflite', data=IMAGES": ["exports/none.tflite does not exist", "edgemnist export"],
    "'exports', 'tflite-float32'": ["tflite-float32.tflite has", "where the manifest says", "it is damaged"],
    "SOURCE, ARTIFACT, data=IMAGES, gate='gate.toml'": ["it takes 107,800 bytes, but only 100,000 are allowed"],
    "SOURCE, ARTIFACT, data=[*LABELLED]": ["UsageError: data is a list of 2", "Give an array, or (x, y)."],
    "SOURCE, ARTIFACT, data=(*LABELLED, 0)": ["UsageError: data is a tuple of 3"],
    "'exports', 'tflite-int8', data=IMAGES": ["UsageError: exports has inputs of its own, and so data cannot be"],
}  # fmt: skip


def test_a_failure_shows_the_table_the_first_flips_and_the_cause_and_wrong_input_a_sentence(
    exports: Path, tmp_path: Path
) -> None:
    shutil.copytree(ANOTHER_SEED, tmp_path / "another")
    (exports / "tflite-float32.tflite").write_bytes(b"TFL3")
    (tmp_path / "gate.toml").write_text("[int8]\nmax_bytes = 100_000\n")
    tests = [f"def test_{at}(assert_parity): assert_parity({call})\n" for at, call in enumerate(CALLS)]
    (tmp_path / "test_models.py").write_text(BEGIN + "".join(tests))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--junit-xml", "tests.xml"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    cases = list(ET.parse(tmp_path / "tests.xml").getroot().iter("testcase"))
    for (call, words), case in zip(CALLS.items(), cases, strict=True):
        said = " ".join("".join(case.itertext()).replace("\nE ", " ").split())
        assert bool(said) == bool(words), call
        assert [one for one in words if one not in said] == [], said
        # Nobody wants to see where in the product it was raised.
        assert "edgemnist/pipeline" not in said


def test_pytest_starts_without_anything_of_the_product() -> None:
    code = (
        "import sys, importlib.metadata as meta, pytest; before = {*sys.modules}; "
        "[one.load() for one in meta.entry_points(group='pytest11', name='edgemnist')]; print(*{*sys.modules} - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert {name for name in done.stdout.split() if name[0] != "_"} == {"edgemnist", "edgemnist.testing"}
