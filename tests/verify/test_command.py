"""What `edgemnist verify` writes besides its table, and which options go together."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from PIL import Image

from edgemnist.ground.results import read_result
from edgemnist.ground.results.verify import VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.pipeline.verify.gate import own_gates
from edgemnist.pipeline.verify.screen import junit_xml
from tests.conftest import Run, run_edgemnist
from tests.verify import damage
from tests.verify.damage import damage_artifact

Json = Callable[..., dict[str, Any]]


def test_junit_has_a_case_of_each_artifact_with_all_missed_gates(edgemnist: Run, exports: Path, tmp_path: Path) -> None:
    damage_artifact(exports, "tflite-int8", damage.clip_hidden_activations)
    words = "verify tflite-int8 tflite-float16 --junit parity.xml --json --exports"
    done = edgemnist(*words.split(), exports)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    suites = ET.parse(tmp_path / "parity.xml").getroot()
    assert (suites.tag, suites.get("tests"), suites.get("failures")) == ("testsuites", "2", "1")
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    failure = cases["tflite-int8"].find("failure")
    assert failure is not None
    assert failure.text is not None
    assert failure.text.split("\n") == result["artifacts"][0]["reasons"]
    assert cases["tflite-float16"].find("failure") is None
    odd = msgspec.structs.replace(read_result(VerifyResult, done.stdout.encode()), reference="a\x1b[1m\0\ufffe")
    assert ET.fromstring(junit_xml(odd)).findall(".//property")[0].get("value") == "a\ufffd[1m\ufffd\ufffd"


def test_a_verdict_says_by_which_limits_it_was_reached(
    edgemnist: Run, edgemnist_json: Json, exports: Path, tmp_path: Path
) -> None:
    words = ("verify", "tflite-float16", "onnx-float32", "--exports", exports)
    usual = edgemnist_json(*words)
    limit = usual["artifacts"][0]["gate"]["max_abs_diff"]["limit"]
    assert limit == 0.002 + 0.01 * usual["artifacts"][0]["reference_impurity"] > 0.0025
    assert not any(limit["own"] for one in usual["artifacts"] for limit in one["gate"].values())
    (exports / "gate.toml").write_text("[tflite-float16]\nmax_abs_diff = 0.5\n")
    done = edgemnist(*words, "--junit", "parity.xml")
    assert done.returncode == 0, done.stderr
    sentence = f"The gate of tflite-float16 is not the built-in one: max_abs_diff 0.5 instead of {limit:.3g}."
    assert sentence in " ".join(done.stdout.split())
    found = Exports.open(exports).findings.verify
    assert found is not None
    saved = found.result
    assert sentence in own_gates(saved.artifacts)
    case = next(ET.parse(tmp_path / "parity.xml").getroot().iter("testcase"))
    limits = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert limits["max_abs_diff"] == "0.5"
    assert list(limits) == list(saved.artifacts[0].gate)
    (exports / "gate.toml").unlink()
    again = edgemnist(*words)
    assert "built-in" not in again.stdout + again.stderr


def test_the_page_lists_every_flip_that_is_asked_for(edgemnist: Run, exports: Path) -> None:
    options = ("verify", "tflite-int4", "--exports", exports)
    flips = json.loads(edgemnist(*options, "--json").stdout)["artifacts"][0]["flipped"]
    assert flips
    page = edgemnist(*options, "--flips").stdout
    listed = {
        int(line.split()[0]) for line in page.splitlines() if line.split()[-1:] in (["fixed"], ["broken"], ["changed"])
    }
    assert listed == {flip["index"] for flip in flips}


def test_the_shown_gate_is_a_gate_file_with_what_holds(edgemnist: Run, edgemnist_json: Json, tmp_path: Path) -> None:
    shown = edgemnist("verify", "--show-gate", env={"COLUMNS": "40"}).stdout
    assert set(tomllib.loads(shown)["int8"]) == set()
    document = tomllib.loads(re.sub(r"^# (?=[a-z_]+ = )", "", shown, flags=re.MULTILINE))
    assert document["int8"]["max_flips_percent"] == 0.3
    assert edgemnist_json("verify", "--show-gate")["gate"] == {"settled_images": 10_000, **document}
    (tmp_path / "gate.toml").write_text("[tflite-int8]\nmax_drop_points = 0.01\n")
    for place in (("--gate", "gate.toml"), ("--exports", ".")):
        merged = tomllib.loads(edgemnist("verify", "--show-gate", *place).stdout)
        assert merged["tflite-int8"] == {"max_drop_points": 0.01}


def test_files_are_compared_without_any_export_directory(
    edgemnist: Run, made_exports: Path, digits: Path, tmp_path: Path
) -> None:
    arguments = ("verify", "--reference", made_exports / "onnx-float32.onnx", made_exports / "tflite-int8.tflite")
    done = edgemnist(*arguments, "--exports", "none", "--data", digits, "--json")
    assert done.returncode in {0, 1}, done.stderr
    result = json.loads(done.stdout)
    assert result["images"] == 20
    assert result["artifacts"][0]["quantization"] == "int8"
    assert not (tmp_path / "none").exists()
    strict = edgemnist(*arguments, "--exports", made_exports, "--max-diff", "0", "--json")
    assert strict.returncode == 1
    assert json.loads(strict.stdout)["images"] > 20


def test_data_of_the_environment_is_for_other_commands_and_no_wrong_usage(exports: Path, tmp_path: Path) -> None:
    words = ("verify", "tflite-int8@integer", "--exports", exports, "--json")
    done = run_edgemnist(*words, cwd=tmp_path, env={"EDGEMNIST_DATA": str(tmp_path)})
    assert done.returncode in {0, 1}, done.stderr
    alone = ("verify", exports / "tflite-int8.tflite")
    done = run_edgemnist(*alone, cwd=tmp_path, env={"EDGEMNIST_DATA": str(tmp_path)})
    assert "random inputs" in done.stderr, done.stderr
    for asked in (words, alone):
        assert run_edgemnist(*asked, "--data", tmp_path, cwd=tmp_path).returncode == 2


def test_another_runtime_has_a_verdict_of_its_own_beside_that_of_the_default(
    edgemnist_json: Json, exports: Path
) -> None:
    edgemnist_json("verify", "tflite-int8", "--exports", exports)
    result = edgemnist_json("verify", "tflite-int8@integer", "--exports", exports)
    assert [(one["name"], one["runtime"]) for one in result["artifacts"]] == [("tflite-int8@integer", "integer")]
    kept = json.loads((exports / "verify.json").read_text())["artifacts"]
    assert [one["name"] for one in kept] == ["tflite-int8", "tflite-int8@integer"]


@pytest.fixture
def digits(made_exports: Path, tmp_path: Path) -> Path:
    """A folder of 20 evaluation images by class, as a data set of one's own."""
    from edgemnist.model.exports.golden import read_golden
    from edgemnist.model.exports.manifest import read_manifest

    pack = read_golden(made_exports, read_manifest(made_exports))
    for split in ("train", "test"):
        for label in range(10):
            folder = tmp_path / "digits" / split / str(label)
            folder.mkdir(parents=True)
            for index in (pack.labels == label).nonzero()[0][:2]:
                Image.fromarray(pack.images[index]).save(folder / f"{index}.png")
    return tmp_path / "digits"
