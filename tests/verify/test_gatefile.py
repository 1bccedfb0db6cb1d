"""A gate file says how much may be lost, and a wrong one is refused before anything is verified."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgemnist.errors import EdgemnistError, UnknownNameError, UsageError
from edgemnist.exports import Exports
from edgemnist.formats import arithmetic_of, artifact_names
from edgemnist.results.verify import ArtifactParity, Limit
from edgemnist.verify.gate import GATES, LimitOverrides
from edgemnist.verify.gatefile import LIMITS, GateTable, gate_toml, held_limits, own_gates, read_gates
from edgemnist.verify.run import verify
from tests.bench.test_recommend import parity


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_as_a_file_are_the_defaults(tmp_path: Path) -> None:
    table = read_gates(written(tmp_path / "gate.toml", gate_toml(GateTable())))
    for name in artifact_names():
        quantization = arithmetic_of(*name.split("-"))
        assert table.of(name, quantization) == GATES[quantization]


def test_every_limit_of_a_gate_can_be_written() -> None:
    assert {limit.field for limit in LIMITS.values()} == set(GATES["int8"].__dataclass_fields__)


def test_an_artifact_has_its_own_limits_above_those_of_its_quantization(tmp_path: Path) -> None:
    text = "[tflite-int8]\nmax_flips_percent = 0.1\n[int8]\nmax_flips_percent = 1\nmax_abs_diff = 0.5\n"
    table = read_gates(written(tmp_path / "gate.toml", text))
    assert table.of("tflite-int8", "int8").flips.share == pytest.approx(0.001)
    assert table.of("onnx-int8", "int8").flips.share == pytest.approx(0.01)
    assert table.of("tflite-int8", "int8").abs_diff == 0.5
    assert table.of("tflite-int8", "int8").drop == GATES["int8"].drop
    assert table.of("tflite-int4", "int4") == GATES["int4"]
    again = read_gates(written(tmp_path / "again.toml", gate_toml(table)))
    assert again.of("tflite-int8", "int8") == table.of("tflite-int8", "int8")


def test_a_file_says_from_how_many_images_on_a_share_holds_to_the_letter(tmp_path: Path) -> None:
    text = "[int8]\nmax_flips_percent = 0.3\n"
    strict = read_gates(written(tmp_path / "a.toml", f"settled_images = 0\n{text}"))
    lenient = read_gates(written(tmp_path / "b.toml", text))
    assert strict.of("x", "int8").flips.allowed(1_000) == 3
    assert lenient.of("x", "int8").flips.allowed(1_000) == GATES["int8"].flips.allowed(1_000) > 3


def test_a_limit_in_a_file_fails_an_artifact_that_passes_without_it(made_exports: Path, tmp_path: Path) -> None:
    table = read_gates(written(tmp_path / "gate.toml", "[tflite-int8]\nmax_abs_diff = 0.0\n"))
    result = verify(Exports.open(made_exports), ["tflite-int8", "onnx-int8"], gates=table)
    assert [(parity.name, parity.passed) for parity in result.artifacts] == [
        ("tflite-int8", False),
        ("onnx-int8", True),
    ]
    assert "0 allowed" in result.artifacts[0].reasons[0]


def test_options_take_the_place_of_the_file(made_exports: Path, tmp_path: Path) -> None:
    table = read_gates(written(tmp_path / "gate.toml", "[tflite-int8]\nmax_abs_diff = 0.0\n"))
    assert verify(Exports.open(made_exports), ["tflite-int8"], LimitOverrides(max_abs_diff=0.9), gates=table).passed


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[int8", UsageError, "not a gate file"),
        ("[int9]\n", UnknownNameError, "'int8'"),
        ("[int8]\nmax_flips = 1\n", UnknownNameError, r"\[int8\].*max_flips_percent"),
        ("[int8]\nmax_flips_percent = -1\n", UsageError, r"max_flips_percent of \[int8\]"),
        ("[int8]\nmax_flips_percent = 101\n", UsageError, "max_flips_percent"),
        ("[int8]\nmax_abs_diff = nan\n", UsageError, "max_abs_diff"),
        ("[int8]\nmax_abs_diff = true\n", UsageError, "max_abs_diff"),
        ('[int8]\nmax_abs_diff = "0.1"\n', UsageError, "max_abs_diff"),
        ("int8 = 3\n", UsageError, "not a table"),
        ("settled_images = -1\n", UsageError, "settled_images"),
        ("settled_images = 0.5\n", UsageError, "settled_images"),
    ],
)
def test_a_wrong_gate_file_is_refused_with_the_word_that_is_wrong(
    text: str, error: type[EdgemnistError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as caught:
        read_gates(written(tmp_path / "gate.toml", text))
    assert "gate.toml" in caught.value.message


def test_a_gate_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml"):
        read_gates(tmp_path / "none.toml")
    (tmp_path / "gate.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a gate file"):
        read_gates(tmp_path / "gate.toml")


def test_limits_are_recorded_beside_the_built_in_ones_and_own_ones_are_marked() -> None:
    gates = GateTable(changes={"tflite-int8": {"max_drop_points": 0.05}})
    limits = held_limits(gates.of("tflite-int8", "int8"), "int8", 10_000)
    assert list(limits) == list(LIMITS)
    assert limits["max_drop_points"] == Limit(limit=0.05, builtin=0.2, allowed=5, own=True)
    assert limits["max_flips_percent"] == Limit(limit=0.3, builtin=0.3, allowed=30)
    assert [name for name, limit in limits.items() if limit.own] == ["max_drop_points"]
    assert "max_integer_diff" not in held_limits(GATES["float32"], "float32", 10_000)


def test_a_share_that_is_held_to_the_letter_is_another_limit_where_chance_is_allowed_for() -> None:
    strict = GateTable(settled=0).of("tflite-int8", "int8")
    few, many = held_limits(strict, "int8", 1_000), held_limits(strict, "int8", 10_000)
    assert few["max_flips_percent"] == Limit(limit=0.3, builtin=0.3, allowed=3, own=True)
    assert not any(limit.own for limit in many.values())


def test_a_gate_file_explains_itself_and_each_limit_once() -> None:
    text = gate_toml(GateTable(settled=5, changes={"tflite-int8": {"max_abs_diff": 0.5}}))
    assert text.startswith(
        "# Shares hold to the letter from this many evaluation images on; on fewer, chance is allowed for; 0: always.\n"
        "settled_images = 5\n\n["
    )
    assert text.endswith("\n\n[tflite-int8]\nmax_abs_diff = 0.5\n")
    for key, limit in LIMITS.items():
        first, *others = [line for line in text.splitlines() if line.startswith(key)]
        assert first.endswith(f"  # {limit.meaning}")
        assert not any("#" in line for line in others)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[int8", "See what a gate file may say with: edgemnist verify --show-gate"),
        ("int8 = 3\n", "Write [int8] with its limits below."),
    ],
)
def test_a_wrong_gate_file_leads_to_a_right_one(text: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_gates(written(tmp_path / "gate.toml", text))
    assert caught.value.hint == hint


def test_everything_may_be_allowed(tmp_path: Path) -> None:
    table = read_gates(written(tmp_path / "gate.toml", "[int8]\nmax_flips_percent = 100\nmax_abs_diff = 1\n"))
    assert table.of("tflite-int8", "int8").flips.share == 1.0


def test_own_gates_are_told_with_what_they_are_instead_of() -> None:
    def gate(name: str, **limits: Limit) -> ArtifactParity:
        return msgspec.structs.replace(parity(name), gate=limits)

    usual = Limit(limit=0.3, builtin=0.3, allowed=30)
    new = Limit(limit=0.5, builtin=None, allowed=None, own=True)
    counted = Limit(limit=0.3, builtin=0.3, allowed=3000, own=True)
    rows = [gate("a", max_x=new, max_y=counted), gate("b", max_x=usual), gate("c", max_x=new, max_y=counted), gate("d")]
    assert own_gates(rows) == [
        "The gate of a, c is not the built-in one: max_x 0.5, max_y 0.3 counted as 3,000 images."
    ]
