"""Whatever state an export directory is in, every command and endpoint says the same about its artifacts."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import edgemnist as package
from tests.conftest import Run
from tests.serve.service import png, serving, seven
from tests.verify.damage import edit_manifest, flip_bits_in_the_middle, replace_artifact, with_golden

NAME = "tflite-int8"
QUICK = ("--seconds", "0")


@dataclass(frozen=True)
class State:
    """What was done to a directory, and what is true of `tflite-int8` in it afterwards."""

    make: Callable[[Path], Path]
    """Changes a directory, and returns the one to ask about."""
    status: str
    verified: bool
    reason: str = ""
    """Words that everybody uses who says why."""

    @property
    def usable(self) -> bool:
        return self.status in {"current", "outdated"}


def another_model(exports: Path) -> Path:
    (exports / "model.keras").write_bytes((exports / "model.keras").read_bytes() + b"of another training")
    return exports


def damaged(exports: Path) -> Path:
    file = exports / f"{NAME}.tflite"
    file.write_bytes(flip_bits_in_the_middle(file.read_bytes(), count=1))
    return exports


def missing(exports: Path) -> Path:
    (exports / f"{NAME}.tflite").unlink()
    return exports


def verified_before_the_export(exports: Path) -> Path:
    replace_artifact(exports, NAME, flip_bits_in_the_middle((exports / f"{NAME}.tflite").read_bytes(), count=1))
    return exports


def golden_pack_of_another_model(exports: Path) -> Path:
    return with_golden(exports, lambda pack: replace(pack, model_sha256="ab" * 32)).directory


def without_a_model(exports: Path) -> Path:
    (exports / "model.keras").unlink()
    edit_manifest(exports, lambda manifest: msgspec.structs.replace(manifest, model=None))
    return exports


STATES = {
    "as exported": State(lambda exports: exports, "current", verified=True),
    "another model": State(
        another_model, "outdated", verified=False, reason="model.keras has changed since the export"
    ),
    "damaged": State(damaged, "damaged", verified=False, reason=f"{NAME}.tflite is not the file"),
    "missing": State(missing, "missing", verified=False, reason=f"{NAME}.tflite is missing"),
    "verified before the export": State(verified_before_the_export, "current", verified=False),
    "a golden pack of another model": State(
        golden_pack_of_another_model, "outdated", verified=False, reason="golden.npz belongs to another model"
    ),
    "without a model": State(without_a_model, "current", verified=True),
    "the reference": State(lambda _: Path("reference"), "current", verified=True),
}


OFTEN = ("another model", "damaged")
"""The states that are seen in every run of the tests."""


@pytest.fixture(params=[pytest.param(name, marks=[] if name in OFTEN else pytest.mark.all) for name in STATES])
def state(request: pytest.FixtureRequest) -> State:
    return STATES[request.param]


@pytest.fixture
def directory(state: State, old_exports: Path) -> Path:
    return state.make(old_exports)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A picture with a digit, alone in its directory."""
    (tmp_path / "pictures").mkdir()
    seven(mode="RGB").save(tmp_path / "pictures" / "seven.png")
    return tmp_path / "pictures" / "seven.png"


def words(text: str) -> str:
    return " ".join(text.split())


def check_notice(state: State, stderr: str, command: str) -> None:
    """See that a command which goes on in spite of it says that the artifact is not current, and only then."""
    assert ("is outdated" in words(stderr)) == (state.status == "outdated"), (command, stderr)
    if state.status == "outdated":
        assert state.reason in words(stderr), (command, stderr)


@pytest.mark.parametrize(
    "command",
    [
        ["bench", NAME, "--no-keras", "--batch-size", "1", *QUICK],
        ["predict", "--index", "0", "--artifact", NAME],
        ["read", "PAGE", "--artifact", NAME],
        ["watch", "FOLDER", "--once", "--artifact", NAME],
        ["bundle", NAME, "--output", "bundle.zip"],  # No board could tell that it is outdated.
    ],
    ids=lambda command: command[0],
)
def test_commands_that_use_an_artifact_warn_of_an_outdated_one_and_refuse_a_damaged_one(
    command: list[str], state: State, directory: Path, page: Path, edgemnist: Run
) -> None:
    given = [{"PAGE": str(page), "FOLDER": str(page.parent)}.get(word, word) for word in command]
    done = edgemnist(*given, "--exports", directory)
    if state.usable and not (command[0] == "bundle" and state.status == "outdated"):
        assert done.returncode == 0, done.stderr
        check_notice(state, done.stderr, command[0])
    else:
        assert done.returncode == 2, done.stdout
        assert state.reason in words(done.stderr)


def test_who_chooses_or_lists_says_the_same(state: State, directory: Path, edgemnist: Run, tmp_path: Path) -> None:
    told = edgemnist("data", "--offline", "--exports", directory)
    assert told.returncode == 0, told.stderr
    assert (state.reason in words(told.stderr)) or not state.reason
    assert ("tflite-int8 is" in words(told.stderr)) == (state.status != "current")

    best = package.Exports.open(directory).best()
    assert best.verified or state.status == "outdated"
    answered = edgemnist("predict", "--index", "0", "--exports", directory, "--json")
    assert best.model.name == json.loads(answered.stdout)["artifact"]

    written = json.loads(edgemnist("report", "--output", "r.md", "--exports", directory, "--json").stdout)
    assert (written["recommended"] == NAME) <= state.verified
    assert any(state.reason in warning for warning in written["warnings"]) == bool(state.reason)
    text = (tmp_path / "r.md").read_text()
    line = next(one for one in text.splitlines() if one.startswith("| ") and NAME in one)
    assert ("pass" in line) == state.verified

    examined = json.loads(edgemnist("doctor", "--exports", directory, "--json").stdout)
    (finding,) = [one for one in examined["findings"] if one["name"] == NAME]
    # Of a file that has taken another's place nobody recorded what it answers.
    level = {"current": "ok" if state.verified else "warning", "outdated": "warning"}.get(state.status, "failure")
    assert finding["level"] == level, finding
    assert state.reason in f"{finding['value']} {finding['meaning']}"


def test_the_service_says_it_as_the_others_do(state: State, directory: Path, tmp_path: Path) -> None:
    with serving(directory, cwd=tmp_path) as service:
        listed: list[dict[str, Any]] = service.ask("/v1/artifacts").document["artifacts"]
        (row,) = [one for one in listed if one["name"] == NAME]
        assert (row["status"], row["usable"], row["verified"]) == (state.status, state.usable, state.verified)
        answer = service.ask(f"/v1/predict?artifact={NAME}", png(seven()))
        assert (answer.status == 200) == state.usable, answer.body


@pytest.mark.all
def test_no_command_but_those_that_answer_falls_back_to_the_reference(edgemnist: Run, page: Path) -> None:
    for command in (["verify"], ["bench"], ["report"], ["bundle"]):
        done = edgemnist(*command)
        assert done.returncode == 2, command
        assert "The export directory exports does not exist" in words(done.stderr)
        assert "--exports reference" in words(done.stderr)
    for command in (["predict", str(page)], ["read", str(page)], ["doctor"], ["watch", str(page.parent), "--once"]):
        done = edgemnist(*command)
        assert "the reference that comes with edgemnist is used" in words(done.stderr), command
