"""What was found out about other files than those that are there is not passed off as being about these."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.errors import UsageError
from edgemnist.exports import Exports
from edgemnist.exports.manifest import read_manifest
from edgemnist.recommend.weigh import recommend
from edgemnist.report.data import read_report_data
from edgemnist.results import read_result
from edgemnist.results.pipeline import TrainResult
from edgemnist.verify.run import verify
from tests.conftest import Run, run_edgemnist
from tests.verify.damage import flip_bits_in_the_middle

CHANGED = "model.keras has changed since the export"

Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def retrained(known_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Verified and measured artifacts, beside which another model was trained since. Read only."""
    exports = Path(shutil.copytree(known_exports, tmp_path_factory.mktemp("retrained") / "exports"))
    words = ("train", "--recipe", "baseline", "--hidden", "8", "--epochs", "1", "--seed", "5", "--offline")
    done = run_edgemnist(*words, "--exports", exports, cwd=exports.parent)
    assert done.returncode == 0, done.stderr
    return exports


@pytest.fixture
def known(known_exports: Path, tmp_path: Path) -> Path:
    """A copy of verified and measured artifacts, to break."""
    return Path(shutil.copytree(known_exports, tmp_path / "known"))


def test_artifacts_of_an_earlier_model_miss_the_gate_with_that_reason(retrained: Path) -> None:
    result = verify(Exports.open(retrained), ["tflite-int8", "onnx-float32"])
    assert not result.passed
    assert all(any(CHANGED in reason for reason in parity.reasons) for parity in result.artifacts)


def test_without_a_model_that_is_known_or_there_nothing_is_held_against_the_artifacts(known: Path) -> None:
    (known / "model.keras").unlink()
    assert not any(CHANGED in reason for reason in verify(Exports.open(known), ["onnx-float32"]).artifacts[0].reasons)
    assert read_report_data(Exports.open(known)).unfit == {}


def test_a_model_that_was_put_there_by_hand_is_noticed_as_well(known: Path, retrained: Path) -> None:
    shutil.copy(retrained / "model.keras", known)
    assert CHANGED in verify(Exports.open(known), ["onnx-float32"]).artifacts[0].reasons[0]


def test_nothing_is_recommended_that_was_made_from_an_earlier_model(retrained: Path, edgemnist: Run) -> None:
    assert not Exports.open(retrained).best().verified
    done = edgemnist("recommend", "--exports", retrained)
    assert done.returncode == 2
    assert CHANGED.split(" has ")[1] in " ".join(done.stderr.split())
    assert "edgemnist export" in done.stderr


def test_a_report_mixes_no_two_models(retrained: Path, edgemnist: Run, tmp_path: Path) -> None:
    done = edgemnist("report", "--exports", retrained, "--markdown", "--output", "report.md", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["recommended"] is None
    assert result["missing"][0] == f"edgemnist export --exports {retrained}"
    assert CHANGED in result["warnings"][0]
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("## edgemnist: Nothing to ship\n")
    assert CHANGED in page
    assert "| pass |" not in page
    facts = read_report_data(Exports.open(retrained))
    assert facts.training is not None
    assert facts.training.seed == 5
    assert (facts.golden, facts.verified, facts.advice, facts.scenarios) == (None, None, None, [])


def test_who_is_answered_by_an_earlier_model_is_told(retrained: Path, edgemnist: Run) -> None:
    done = edgemnist("predict", "--index", "0", "--artifact", "tflite-int8", "--exports", retrained)
    assert done.returncode == 0
    assert CHANGED in " ".join(done.stderr.split())


def test_a_verdict_on_what_was_exported_before_is_no_reason_to_recommend(known: Path, retrained: Path) -> None:
    trained = read_result(TrainResult, (retrained / "training.json").read_bytes())
    before = recommend(Exports.open(known))
    assert before.recommended is not None
    text = (known / "verify.json").read_text()
    (known / "verify.json").write_text(text.replace(read_manifest(known).artifacts[0].model_sha256, trained.sha256))
    with pytest.raises(UsageError, match="not been verified since the export"):
        recommend(Exports.open(known))


@pytest.mark.parametrize("damage", [flip_bits_in_the_middle, lambda data: data[:-1], None])
def test_a_damaged_artifact_is_not_recommended(damage: Damage | None, known: Path, edgemnist: Run) -> None:
    name = recommend(Exports.open(known)).recommended
    assert name is not None
    name = name.partition("@")[0]
    file = known / read_manifest(known).artifact(name).file
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    done = edgemnist("recommend", "--exports", known, "--json")
    advice = json.loads(done.stdout)
    assert advice["recommended"] not in (None, name)
    assert name not in [one["name"] for one in advice["candidates"]]
    assert any(file.name in warning for warning in advice["warnings"])
    facts = read_report_data(Exports.open(known))
    assert name in facts.unfit
    assert facts.recommended not in (None, name)
    assert facts.parity(name) is None
    assert any(name in warning for warning in facts.warnings())
    assert f"edgemnist export --exports {known}" in facts.missing()
