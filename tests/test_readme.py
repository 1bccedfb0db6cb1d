"""Every command line in the README runs as written, in the order in which a reader would type them."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from PIL import Image

from edgemnist.exports.golden import read_golden
from edgemnist.exports.manifest import read_manifest
from edgemnist.results.base import Result
from edgemnist.results.bench import BenchResult
from edgemnist.results.boards import BundleResult, DeployResult, DoctorResult, ReleasesResult, RollbackResult
from edgemnist.results.pictures import PredictResult, ReadResult, WatchReading
from edgemnist.results.pipeline import ExportResult, FrontierResult
from edgemnist.results.serve import ServeResult
from edgemnist.results.train import TrainResult
from edgemnist.results.verify import VerifyResult
from tests.conftest import REPOSITORY, run_edgemnist

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
COMMANDS = [line for line in LINES if line.startswith("edgemnist ")]


def test_every_command_runs_as_written(made_exports: Path, tmp_path: Path) -> None:
    assert len(COMMANDS) >= 15, "the README documents every command"
    golden = read_golden(made_exports, read_manifest(made_exports))
    Image.fromarray(golden.images[0]).save(tmp_path / "digit.png")
    shutil.copy(REPOSITORY / "tests" / "read" / "pages" / "everything.jpg", tmp_path / "page.jpg")
    for command in COMMANDS:
        # Comments are for the reader; what a line is piped into is a matter for the shell.
        words = shlex.split(command, comments=True)[1:]
        done = run_edgemnist(*words, cwd=tmp_path, env={"EDGEMNIST_OFFLINE": "1"}, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_every_other_line_names_a_make_target_or_an_extra_that_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    for line in LINES:
        if line.startswith("make "):
            assert set(line.split("#")[0].split()[1:]) <= targets, line
        elif "pip install" in line:
            named = re.search(r"\[([a-z,]+)\]", line)
            assert named, line
            assert set(named[1].split(",")) <= extras, line


def test_every_command_option_and_exit_code_is_documented() -> None:
    done = run_edgemnist("--help", cwd=REPOSITORY)
    for command in re.findall(r"│ ([a-z]+)  ", done.stdout):
        assert f"`edgemnist {command}" in README or f"$ edgemnist {command}" in README, command
    for quantization in ("int8", "int4", "dynamic", "float16", "float32"):
        assert quantization in README
    for code in ("0", "1", "2", "3", "130"):
        assert re.search(rf"^\| {code} \|", README, flags=re.MULTILINE), code


DOCUMENTS: dict[str, type[Result]] = {
    "train": TrainResult, "export": ExportResult, "verify": VerifyResult, "bench": BenchResult,
    "frontier": FrontierResult, "predict": PredictResult, "read": ReadResult, "watch": WatchReading,
    "serve": ServeResult, "bundle": BundleResult, "deploy": DeployResult, "rollback": RollbackResult,
    "releases": ReleasesResult, "doctor": DoctorResult,
}  # fmt: skip


def test_the_fields_of_each_document_are_those_it_has() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", README.partition("## JSON")[2], flags=re.MULTILINE))
    assert list(rows) == list(DOCUMENTS)
    for command, row in rows.items():
        fields = get_type_hints(DOCUMENTS[command])
        for name, parts in re.findall(r"`(\w+)(?:\[\])?(?:\{([^}]*)\})?`", row):
            assert name in fields, f"{command}: {name}"
            for part in re.findall(r"\w+", parts):
                assert part in parts_of(fields[name]), f"{command}: {name}.{part}"


def parts_of(hint: Any) -> tuple[str, ...]:
    """Return the fields of the struct that a type hint holds, however deep."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint.__struct_fields__
    return tuple(part for argument in get_args(hint) for part in parts_of(argument))


def test_the_python_example_runs_as_written(
    made_exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert examples
    (tmp_path / "exports").symlink_to(made_exports)
    monkeypatch.chdir(tmp_path)
    golden = read_golden(made_exports, read_manifest(made_exports))
    for example in examples:
        exec(compile(example, "README.md", "exec"), {"images": golden.images})
