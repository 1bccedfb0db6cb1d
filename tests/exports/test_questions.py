"""A reference that only guesses is questioned by every command that shows a figure, as is data of another source."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from edgemnist.exports import Exports, reference_directory
from edgemnist.exports.golden import GoldenPack
from edgemnist.exports.manifest import GOLDEN_FILE, MANIFEST_FILE
from edgemnist.exports.questions import chance_question, near_chance, question, questions
from edgemnist.progress import Reporter
from edgemnist.results.data import DataIdentity
from edgemnist.search.networks import warnings_of
from edgemnist.storage import sha256
from tests.conftest import Run
from tests.serve.service import png, seven

QUESTION = "hardly better than guessing"


def with_golden(directory: Path, **changes: Any) -> Path:
    """Replace parts of the golden pack, and record it as `export` would have."""
    opened = Exports.open(directory)
    golden: GoldenPack = dataclasses.replace(opened.read_golden(), **changes)
    packed = golden.encode()
    (directory / GOLDEN_FILE).write_bytes(packed)
    assert opened.manifest.golden is not None
    record = msgspec.structs.replace(opened.manifest.golden, bytes=len(packed), sha256=sha256(packed))
    (directory / MANIFEST_FILE).write_bytes(msgspec.structs.replace(opened.manifest, golden=record).encode())
    return directory


def guessing(directory: Path) -> Path:
    """Give the evaluation images the labels of others: what the Keras model answers is a guess now."""
    labels = Exports.open(directory).read_golden().labels
    return with_golden(directory, labels=np.roll(labels, 1))


def test_every_command_that_shows_a_figure_questions_a_reference_that_guesses(
    edgemnist: Run, old_exports: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "seven.png"
    picture.write_bytes(png(seven()))
    quick = ("--samples", "30", "--seconds", "0", "--rounds", "1", "--repeats", "0")
    commands: dict[str, tuple[str | Path, ...]] = {
        "verify": ("verify",),
        "bench": ("bench", "tflite-int8", "--no-keras", *quick),
        "recommend": ("recommend",),
        "report": ("report",),
        "runtimes": ("runtimes",),
        "predict": ("predict", picture),
        "read": ("read", picture),
        "scenario": ("scenario", "single-stream", "tflite-int8", *quick),
    }

    def questioned(command: tuple[str | Path, ...]) -> bool:
        done = edgemnist(*command, "--exports", old_exports)
        assert done.returncode in {0, 1}, done.stderr
        return QUESTION in " ".join((done.stdout + done.stderr).split())

    assert not any(questioned(commands[name]) for name in ("verify", "predict"))
    guessing(old_exports)
    assert {name: questioned(command) for name, command in commands.items()} == dict.fromkeys(commands, True)
    assert QUESTION in (old_exports / "report.html").read_text()
    document = json.loads(edgemnist("recommend", "--exports", old_exports, "--json").stdout)
    assert any(QUESTION in warning for warning in document["warnings"])


def test_files_are_held_against_a_reference_that_is_questioned_too(edgemnist: Run, old_exports: Path) -> None:
    guessing(old_exports)
    file = old_exports / "tflite-int8.tflite"
    done = edgemnist("verify", "--reference", file, file, "--exports", old_exports, "--json")
    (warning,) = json.loads(done.stdout)["warnings"]
    assert str(file) in warning
    assert QUESTION in warning


def test_the_range_that_the_reference_takes_is_told_as_the_export_found_it(old_exports: Path) -> None:
    guessing(old_exports)
    manifest = Exports.open(old_exports).manifest
    assert manifest.model is not None
    told: dict[str | None, str] = {}
    for taken in ("0..255", None):
        model = msgspec.structs.replace(manifest.model, input_range=taken)
        opened = Exports(old_exports, msgspec.structs.replace(manifest, model=model))
        notices: list[str] = []
        reporter = Reporter()
        reporter.notice = notices.append  # type: ignore[assignment]
        question(opened, reporter)
        assert notices == questions(opened)
        (told[taken],) = notices
    assert "pixels in 0..255?" in told["0..255"]
    assert "pixels in the range that it is given?" in told[None]
    without_model = Exports(old_exports, msgspec.structs.replace(manifest, model=None))
    assert questions(without_model) == [told[None]]


def test_data_of_another_source_than_the_training_is_named(old_exports: Path) -> None:
    assert questions(Exports.open(old_exports)) == []
    other = DataIdentity(sha256="0" * 64, source="photographs of house numbers", train=9, test=9)
    (asked,) = questions(Exports.open(with_golden(old_exports, data=other)))
    assert "photographs of house numbers" in asked
    assert "was trained on" in asked


def test_a_directory_without_a_golden_pack_or_with_a_damaged_one_raises_nothing(old_exports: Path) -> None:
    (old_exports / GOLDEN_FILE).write_bytes(b"damaged")
    assert questions(Exports.open(old_exports)) == []
    opened = Exports.open(old_exports)
    assert questions(Exports(old_exports, msgspec.structs.replace(opened.manifest, golden=None))) == []


def test_the_reference_of_the_package_is_not_questioned() -> None:
    assert questions(Exports.open(reference_directory())) == []


@pytest.mark.parametrize("guesses", [True, False])
def test_a_frontier_says_which_network_only_guesses(*, guesses: bool) -> None:
    found = [QUESTION] if guesses else []
    network = SimpleNamespace(
        directory=Path("frontier/8"),
        verified=SimpleNamespace(warnings=found),
        benched=SimpleNamespace(warnings=[*found, "the machine was busy"]),
    )
    expected = [f"8: {QUESTION}"] if guesses else []
    assert warnings_of(cast("Any", [network])) == [*expected, "the machine was busy"]


@pytest.mark.parametrize(
    ("classes", "images", "limit"),
    [
        # Guessing, a fifth of the way from there to knowing, and two standard deviations.
        (10, 900, 0.1 + 0.18 + 0.02),
        (2, 100, 0.5 + 0.1 + 0.1),
        (2, 1, 1.0),
        (2, 0, 1.0),
    ],
)
def test_from_where_on_a_reference_is_not_questioned(classes: int, images: int, limit: float) -> None:
    assert near_chance(limit - 1e-9, classes, images)
    assert not near_chance(limit + 1e-9, classes, images)


def test_the_question_names_what_guesses_and_the_range_that_it_was_given() -> None:
    assert chance_question(0.5, 10, 1_000) == []
    rest = (
        "the 1,000 evaluation images right, hardly better than guessing. Are these the right images for it, and does "
        "it take pixels"
    )
    way_out = "To set another range, use `edgemnist export --input-range`."
    assert chance_question(0.123, 10, 1_000) == [
        f"The Keras model gets only 12.3 % of {rest} in the range that it is given? {way_out}"
    ]
    assert chance_question(0.1, 10, 1_000, reference="a.onnx", input_range="0..255") == [
        f"The a.onnx gets only 10.0 % of {rest} in 0..255? {way_out}"
    ]
