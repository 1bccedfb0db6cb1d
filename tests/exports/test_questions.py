"""A reference that only guesses is questioned by every command that shows a figure, as is data of another source."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from edgemnist.ground.progress import Reporter
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.exports.manifest import GOLDEN_FILE
from edgemnist.model.exports.questions import (
    chance_question,
    golden_questions,
    near_chance,
    question,
    questions,
    reference_question,
    source_name,
)
from edgemnist.pipeline.search.networks import warnings_of
from tests.conftest import Run
from tests.serve.service import png, seven
from tests.verify.damage import with_golden
from tests.verify.gates import golden_of

QUESTION = "hardly better than guessing"


def guessing(directory: Path) -> Path:
    """Give the evaluation images the labels of others: what the Keras model answers is a guess now."""
    return with_golden(directory, lambda pack: dataclasses.replace(pack, truth=np.roll(pack.labels, 1))).directory


@pytest.mark.all
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
        "predict": ("predict", picture),
        "read": ("read", picture),
        "scenario": ("bench", "tflite-int8", "--scenario", "single-stream", *quick),
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
    (artifact,) = json.loads(done.stdout)["artifacts"]
    (reason,) = artifact["verdict"]["reasons"]
    assert str(file) in reason
    assert QUESTION in reason
    assert artifact["verdict"]["outcome"] == "unknown"


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
        reporter.notice = notices.append  # type: ignore[assignment]  # keeps them
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
    (asked,) = questions(with_golden(old_exports, lambda pack: dataclasses.replace(pack, data=other)))
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
def test_a_search_says_which_network_only_guesses(*, guesses: bool) -> None:
    found = [QUESTION] if guesses else []
    network = SimpleNamespace(
        directory=Path("search/8"),
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
        "1,000 evaluation images right, hardly better than guessing. Are these the right images for it, and does "
        "it take pixels"
    )
    way_out = "To set another range, use `edgemnist export` with --input-range, or --mean and --std."
    assert chance_question(0.123, 10, 1_000) == [
        f"The Keras model gets only 12.3 % of {rest} in the range that it is given? {way_out}"
    ]
    assert chance_question(0.1, 10, 1_000, reference="a.onnx", input_range="0..255") == [
        f"The a.onnx gets only 10.0 % of {rest} in 0..255? {way_out}"
    ]


@pytest.mark.parametrize(
    ("truth", "answered", "named"),
    [
        # Most images are of one class, so that an accuracy of 90 % tells nothing.
        ([90, 4, 3, 3], [0, 0, 0, 0], "a"),
        ([90, 4, 3, 3], [0, 1, 1, 0], "a and b"),
        ([90, 4, 3, 3], [0, 1, 2, 0], None),
        # As many as there are images of.
        ([90, 10, 0, 0], [0, 1, 0, 0], None),
        ([100, 0, 0, 0], [0, 0, 0, 0], None),
        ([90, 10, 0, 0], [0, 0, 0, 0], "a"),
    ],
)
def test_a_model_that_answers_with_one_or_two_of_its_classes_is_questioned_whatever_its_accuracy(
    truth: list[int], answered: list[int], named: str | None
) -> None:
    labels = np.repeat(np.arange(4), truth)
    pack = golden_of(np.eye(4, dtype=np.float32)[np.array(answered)[labels]], labels, np.zeros((100, 28, 28), np.uint8))
    expected = (
        f"The Keras model answers 100 evaluation images with nothing but {named}. Has it learnt its other classes?"
    )
    assert reference_question(pack) == ([] if named is None else [expected])


@pytest.mark.parametrize(
    ("different", "classes", "told"),
    [
        (200, 4, []),
        (199, 4, ["The 400 evaluation images are copies of 199 pictures. Export with other images: --data DIR."]),
        (1, 4, ["The 400 evaluation images are copies of 1 picture. Export with other images: --data DIR."]),
        (400, 1, ["All 400 evaluation images are of class a. Export with other images: --data DIR."]),
    ],
)
def test_copies_and_a_single_class_prove_nothing(different: int, classes: int, told: list[str]) -> None:
    labels = np.arange(400) % classes
    images = np.random.default_rng(0).integers(0, 256, (400, 28, 28), np.uint8)[np.arange(400) % different]
    pack = golden_of(np.eye(4, dtype=np.float32)[labels], labels, images)
    assert reference_question(pack) == told


@pytest.mark.parametrize(
    ("file", "name"), [("model.keras", "Keras model"), ("model.onnx", "ONNX model"), ("model.tflite", "TFLite model")]
)
def test_a_doubted_source_is_called_what_it_is(file: str, name: str, old_exports: Path) -> None:
    opened = Exports.open(guessing(old_exports))
    assert opened.manifest.model is not None
    record = msgspec.structs.replace(opened.manifest.model, file=file)
    manifest = msgspec.structs.replace(opened.manifest, model=record)
    assert source_name(manifest) == name
    assert golden_questions(manifest, opened.read_golden())[0].startswith(f"The {name} gets only")
