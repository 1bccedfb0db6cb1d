"""What `edgemnist verify` writes besides its table, and which options go together."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
from PIL import Image
from rich.console import Group

from edgemnist.ground.results import read_result
from edgemnist.ground.results.verdict import COMMAND_LINE, UNKNOWN
from edgemnist.ground.results.verify import ArtifactParity, Unusable, VerifyResult
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import GoldenPack
from edgemnist.pipeline.verify.gate import GATES, own_gates
from edgemnist.pipeline.verify.parity import Answers
from edgemnist.pipeline.verify.run import parity_of
from edgemnist.pipeline.verify.screen import board_step, files_step, junit_xml, next_words, verify_page
from tests.bench.machine import parity, verified
from tests.conftest import Run, run_edgemnist
from tests.render.test_narrow import lines_of, unfolded
from tests.verify import damage
from tests.verify.damage import damage_artifact
from tests.verify.gates import golden_of, subject

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


def test_a_verdict_says_its_limits(edgemnist: Run, edgemnist_json: Json, exports: Path, tmp_path: Path) -> None:
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
    options = ("verify", "tflite-int8", "--exports", exports)
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


def test_files_need_no_export_directory(edgemnist: Run, made_exports: Path, digits: Path, tmp_path: Path) -> None:
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


def test_another_runtime_has_a_verdict_beside_that_of_the_default(edgemnist_json: Json, exports: Path) -> None:
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


def missed(name: str, *reasons: str, **changes: Any) -> ArtifactParity:
    return msgspec.structs.replace(parity(name, passed=False), reasons=list(reasons), **changes)


LOGITS = "export --format tflite --quantize int8 --logits"
LOSS = {"accuracy_drop_points": 7.3, "mcnemar_p": 2e-15, "significant_loss": True}
SLIGHT = msgspec.structs.replace(
    parity("onnx-int8"), accuracy_drop_points=0.08, mcnemar_p=0.02, significant_loss=True, ties=3, flips=9
)


def below(result: VerifyResult) -> list[str]:
    page = verify_page(result, step="edgemnist next")
    assert isinstance(page, Group)
    return [unfolded(lines_of(one, 1000)).strip() for one in page.renderables[2:]]


@pytest.mark.parametrize("warnings", [[], ["the reference only guesses", "other data"]])
@pytest.mark.parametrize("unusable", [[], [Unusable(name="tflite-dynamic", status="damaged", reason="it is cut off")]])
@pytest.mark.parametrize(
    "artifacts",
    [
        [parity("a-int8")],
        [parity("a-int8"), SLIGHT],
        [missed("b-int8", "too many flips"), missed("c-int8", "too many flips"), missed("a-int8", "lost", **LOSS)],
        [missed(f"{name}-int8", f"reason {name}") for name in "abcdef"] + [SLIGHT],
    ],
)
def test_below_the_table_are_three_lines_at_most_with_the_loss_first(
    artifacts: list[ArtifactParity], unusable: list[Unusable], warnings: list[str]
) -> None:
    result = verified(*artifacts)
    passed = result.passed and not unusable
    lines = below(msgspec.structs.replace(result, passed=passed, unusable=unusable, warnings=warnings))
    assert len(lines) <= 3
    assert lines[-1].endswith("Next: edgemnist next")
    text = " ".join(lines)
    for warning in warnings:
        assert text.count(warning) == 1
    names = [one.name for one in artifacts if one.reasons or one.loss] + [one.name for one in unusable]
    assert [name for name in names if name not in text] == []
    if any(one.loss for one in artifacts if not one.passed):
        assert lines[0].startswith("a-int8: lost. b-int8, c-int8: too many flips.")
    if SLIGHT in artifacts:
        assert (
            "onnx-int8 is 0.08 points less accurate, more than chance explains (McNemar's exact test, p 0.02)." in text
        )


def tied(images: int, ties: int) -> tuple[GoldenPack, Answers]:
    """The first `ties` images are labelled 0 by a tie, and are 1, as all others are but the last."""
    reference = np.tile(np.array([[0.496, 0.504]], np.float32), (images, 1))
    reference[-1] = reference[-1, ::-1]
    answers = np.round(reference * 256) / np.float32(256)
    answers[:ties] = 0.5
    return golden_of(reference), Answers(single=answers, batched=answers)


@pytest.mark.parametrize(
    ("scale", "off_grid", "cure"),
    [(1 / 256, 0.0, LOGITS), (0.02, 0.0, None), pytest.param(1 / 256, 1e-3, None, id="shares of sigmoids")],
)
def test_too_coarse_an_output_misses_the_gate_with_its_cure(scale: float, off_grid: float, cure: str | None) -> None:
    pack, answers = tied(1_000, 73)
    answers.single[73:, 1] += np.float32(off_grid)
    gate = GATES["int8"].given({"max_drop_points": 0.5, "max_flips_percent": 1}, COMMAND_LINE)
    found = parity_of(subject(output_scale=scale), pack, answers, gate)
    assert (found.passed, found.significant_loss, found.ties, found.cure) == (False, True, 73, cure)
    assert found.reasons[:2] == [
        "accuracy fell by 7.3 points, more than chance explains (p = 2.1e-22), 0.5 allowed",
        "73 labels changed (7.30 %), 10 allowed (1.00 %); 73 of them are ties",
    ]
    coarse = ["its output has only 256 steps, too few to tell those labels apart: logits have more"]
    assert found.reasons[2:] == (coarse if cure else [])
    result = verified(found)
    assert next_words(result, flips=False) == (cure or "verify tflite-int8 --flips")
    assert board_step(result, "pi", flips=False) == "edgemnist verify tflite-int8 --flips --on pi"
    given = {"--reference": "x.onnx", "--data": Path("my digits"), "--as": None}
    assert files_step(result, given, flips=True) == ""
    again = "edgemnist verify tflite-int8 --flips --reference x.onnx --data 'my digits'"
    assert files_step(result, given, flips=False) == ("" if cure else again)


@pytest.mark.parametrize(("others", "cured"), [(40, True), (41, False)])
def test_ties_are_the_cause_from_half_of_the_flips_on(others: int, *, cured: bool) -> None:
    pack, answers = tied(1_000, 40)
    answers.single[40 : 40 + others] = 0.625, 0.375
    found = parity_of(subject(output_scale=1 / 256), pack, answers, GATES["int8"])
    assert (found.ties, found.flips, found.cure is not None) == (40, 40 + others, cured)


def test_outdated_and_damaged_files_are_exported_again() -> None:
    pack, answers = tied(10, 0)
    changed = subject(mistakes=["model.keras has changed since the export"], outdated=True)
    found = parity_of(changed, pack, answers, GATES["int8"])
    assert next_words(verified(found), flips=False) == "export"
    broken = msgspec.structs.replace(
        verified(parity("a-int8")), passed=False, unusable=[Unusable(name="b", status="missing", reason="it is gone")]
    )
    assert next_words(broken, flips=False) == "export"
    assert next_words(verified(parity("a-int8")), flips=False) == "bench"


def test_what_is_not_known_is_not_reported() -> None:
    pack, answers = tied(50, 0)
    result = verified(parity_of(subject(output_scale=1 / 256), pack, answers, GATES["int8"]))
    assert result.verdict.outcome == UNKNOWN
    assert next_words(result, flips=False) == ""
    assert board_step(result, "pi", flips=False) == "edgemnist doctor --on pi"
