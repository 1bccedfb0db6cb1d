"""The steps of the action and of the page on GitLab, as they are written, in a repository of nothing else."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml  # type: ignore[import-untyped]  # untyped

from tests.conftest import ANOTHER_SEED, REPOSITORY

pytestmark = pytest.mark.all

ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
PAGE = (REPOSITORY / "docs" / "guides" / "ci-gate.md").read_text(encoding="utf-8")
SET_UP, *STEPS = (one for one in ACTION["runs"]["steps"] if "run" in one)
GREEN, RED = (f"[all]\nmax_bytes = {most}\n" for most in ("500_000", "108_000"))


@pytest.fixture
def repository(tmp_path: Path, exports: Path) -> Path:  # noqa: ARG001 - is in it
    """A repository of git with an export directory alone."""
    subprocess.run("git init --quiet && git add exports", shell=True, cwd=tmp_path, check=True)
    return tmp_path


def run(shell: str, script: str, place: Path, **variables: str) -> tuple[int, str]:
    """Run a script with what a runner sets; pip finds what is named, and nothing else."""
    packages = os.pathsep.join([str(REPOSITORY), *(one for one in sys.path if one.endswith("site-packages"))])
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PYTHONPATH": packages, "EDGEMNIST_OFFLINE": "1"}
    done = subprocess.run(
        [*shell.split(), "-c", script], cwd=place, env={**os.environ, **pip, **variables}, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def run_step(step: dict[str, Any], place: Path, runner: Path, **inputs: str) -> tuple[int, str]:
    """Run a step of the action as a runner does."""
    # What a step is given comes by its environment alone: a shell would run what stands in an input.
    assert "${{" not in step["run"]
    given = {f"${{{{ inputs.{name} }}}}": one["default"] for name, one in ACTION["inputs"].items()}
    given |= {f"${{{{ inputs.{name} }}}}": value for name, value in inputs.items()}
    variables = {name: given[value] for name, value in step.get("env", {}).items()}
    path = runner / "path"
    path.touch()
    variables["PATH"] = path.read_text().strip() + os.pathsep + os.environ["PATH"]
    variables |= {"GITHUB_PATH": str(path), "GITHUB_STEP_SUMMARY": str(runner / "summary.md")}
    return run(f"{step['shell']} -eo pipefail", step["run"], place, RUNNER_TEMP=str(runner), **variables)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner on which the action is set up."""
    runner = tmp_path_factory.mktemp("runner")
    # Nothing but the program, for which a virtual environment finds the product in this checkout.
    wheel = {
        "METADATA": "Metadata-Version: 2.1\nName: edgemnist\nVersion: 9", "RECORD": "",
        "WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any",
        "entry_points.txt": "[console_scripts]\nedgemnist = edgemnist.__main__:main",
    }  # fmt: skip
    with zipfile.ZipFile(runner / "edgemnist-9-py3-none-any.whl", "w") as file:
        for name, contents in wheel.items():
            file.writestr(f"edgemnist-9.dist-info/{name}", contents)
    code, said = run_step(SET_UP, runner, runner, requirement=str(file.filename))
    assert code == 0, said
    return runner


def act(repository: Path, runner: Path, toml: str, models: str) -> tuple[list[int], str, str]:
    """Run what follows; return the exit codes of verify, bench and report, what they said, and the job's summary."""
    (repository / "edgemnist.toml").write_text(toml)
    for file in [runner / "summary.md", *(runner / "gate").iterdir()]:
        file.unlink(missing_ok=True)
    # A runner goes on after a step that failed only where the next one says so.
    assert all("if" in step for step in ACTION["runs"]["steps"][2:])
    codes, said = zip(*(run_step(step, repository, runner, models=models) for step in STEPS), strict=True)
    return list(codes), "".join(said), (runner / "summary.md").read_text(encoding="utf-8")


def faults_of(junit: Path) -> dict[str | None, list[str]]:
    """Return the faults of each case, after a look at what the usual schema asks for."""
    suites = ET.parse(junit).getroot()
    (suite,) = suites
    properties, *cases = suite
    found = {f"{name}s": list(suite.iter(name)) for name in ("failure", "error")} | {"tests": cases, "skipped": []}
    assert properties.tag == "properties"
    for one in (suites, suite):
        assert {name: one.get(name) for name in found} == {name: str(len(those)) for name, those in found.items()}
        assert float(one.get("time", "")) >= 0
    for case in cases:
        assert (case.tag, {"name", "classname"} <= {*case.keys()}) == ("testcase", True)
        assert {one.tag for one in case} <= {"properties", "failure", "error", "system-out"}
    assert all(one.get("type") and one.get("message") for one in (*found["failures"], *found["errors"]))
    return {case.get("name"): [one.tag for one in case if one.tag in {"failure", "error"}] for case in cases}


def test_an_empty_repository_has_a_green_gate_and_a_red_one(repository: Path, runner: Path) -> None:
    junit = runner / "gate" / "verify.xml"
    codes, said, summary = act(repository, runner, GREEN, "tflite-int8 onnx-int8")
    assert (codes, "::error" in said) == ([0, 0, 0], False), said
    assert summary.startswith("### edgemnist verify\n\n```text\n1,000 evaluation images")
    assert faults_of(junit) == {"tflite-int8": [], "onnx-int8": []}
    codes, said, summary = act(repository, runner, RED, "tflite-int8 onnx-int8")
    assert (codes, "FAIL" in summary) == ([1, 0, 0], True), said
    assert re.findall("::error (.*)", said) == ["title=onnx-int8::it takes 108,712 bytes, but only 108,000 are allowed"]
    assert faults_of(junit) == {"tflite-int8": [], "onnx-int8": ["failure"]}
    # What is not known is red, too.
    codes, said, summary = act(repository, runner, "[all]\nmax_slowdown = 1.5\nmax_ram_bytes = 2000\n", "tflite-int8")
    assert codes == [1, 1, 0], said
    assert faults_of(junit) == {"tflite-int8": ["error"]}
    assert "::error title=edgemnist bench::Unknown whether anything became slower." in said
    assert "### edgemnist bench" in summary


@pytest.mark.parametrize(
    ("toml", "change", "sentence"), [
        ("[all]\nmax_kb = 5\n", "", "There is no limit, named in edgemnist.toml at [all], 'max_kb'"),
        ('[all]\nmax_bytes = "5k"\n', "", "max_bytes of [all] must be a number between 1 and 1e+12 (got '5k')."),
        (GREEN, "cp another/tflite-int8.tflite exports", "it is damaged."),
        (GREEN, "rm exports/tflite-int8.tflite", "exports/tflite-int8.tflite is missing"),
    ],
)  # fmt: skip
def test_wrong_input_is_a_sentence(toml: str, change: str, sentence: str, repository: Path, runner: Path) -> None:
    (repository / "another").symlink_to(ANOTHER_SEED)
    run("sh -e", change, repository)
    codes, said, summary = act(repository, runner, toml, "tflite-int8")
    assert (codes, sentence in summary) == ([2, 0, 0], True)
    assert re.search(rf"::error title=edgemnist verify::.*{re.escape(sentence)}", said), said


def test_the_page_on_gitlab_has_the_same_gate(repository: Path, runner: Path) -> None:
    (job,) = yaml.safe_load(PAGE.partition("# .gitlab-ci.yml\n")[2].partition("```")[0]).values()
    install, *script = job["script"]
    assert install.startswith("pip install")
    path = (runner / "path").read_text().strip() + os.pathsep + os.environ["PATH"]
    for toml, code, faults in ((GREEN, 0, []), ("[onnx-int8]\nmax_bytes = 9\n", 1, ["failure"])):
        (repository / "edgemnist.toml").write_text(toml)
        found, said = run("sh -e", "\n".join(script), repository, PATH=path)
        assert found == code, said
        assert faults_of(repository / job["artifacts"]["reports"]["junit"])["onnx-int8"] == faults
