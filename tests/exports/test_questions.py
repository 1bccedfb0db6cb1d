"""A reference that only guesses is questioned by every command that shows a figure, as is data of another source."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from edgemnist.errors import ArtifactError
from edgemnist.ground.progress import Reporter
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports import Exports, model_for, reference_directory
from edgemnist.model.exports.manifest import GOLDEN_FILE, read_manifest
from edgemnist.model.exports.questions import (
    chance_question,
    golden_questions,
    near_chance,
    question,
    questions,
    reference_question,
    source_name,
)
from edgemnist.model.exports.ranges import ALIKE, CALIBRATED, TOO_SURE, Weighed, logarithms, weigh
from edgemnist.model.task import default_input
from edgemnist.pipeline.search.networks import warnings_of
from tests.conftest import Run
from tests.notices import Notices
from tests.serve.service import png, seven
from tests.shapes.made import write
from tests.verify.damage import with_golden
from tests.verify.gates import golden_of

QUESTION = "hardly better than guessing"


def guessing(directory: Path) -> Path:
    """Give the evaluation images the labels of others: what the Keras model answers is a guess now."""
    return with_golden(directory, lambda pack: dataclasses.replace(pack, truth=np.roll(pack.labels, 1))).directory


@pytest.mark.all
def test_every_command_questions_a_reference_that_guesses(edgemnist: Run, old_exports: Path, tmp_path: Path) -> None:
    picture = tmp_path / "seven.png"
    picture.write_bytes(png(seven()))
    quick = ("--seconds", "0")
    commands: dict[str, tuple[str | Path, ...]] = {
        "verify": ("verify",),
        "bench": ("bench", "tflite-int8", "--no-keras", *quick),
        "report": ("report",),
        "predict": ("predict", picture),
        "read": ("read", picture),
    }

    def questioned(command: tuple[str | Path, ...]) -> bool:
        done = edgemnist(*command, "--exports", old_exports)
        assert done.returncode in {0, 1}, done.stderr
        return QUESTION in " ".join((done.stdout + done.stderr).split())

    assert not any(questioned(commands[name]) for name in ("verify", "predict"))
    guessing(old_exports)
    assert {name: questioned(command) for name, command in commands.items()} == dict.fromkeys(commands, True)
    assert QUESTION in (old_exports / "report.html").read_text()


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
    ("order", "wrong", "said"),
    [
        ([2, 0, 1, 3], 0, "what it calls a is b, and so on. In its own order 100.0 % would be right, not 25.0 %."),
        ([0, 1, 3, 2], 40, "what it calls c is d, and so on. In its own order 90.0 % would be right, not 47.5 %."),
        ([0, 1, 2, 3], 40, ""),
        # Two of its answers are mostly one class, so that it is no order.
        ([0, 1, 2, 2], 0, ""),
    ],
)
def test_classes_in_another_order_are_told(order: list[int], wrong: int, said: str) -> None:
    labels = np.arange(400) % 4
    answers = np.array(order)[labels]
    answers[:wrong] = answers[1 : wrong + 1]
    told = reference_question(golden_of(np.eye(4, dtype=np.float32)[answers], labels))
    assert [said in one for one in told] == [True] * bool(said)


@pytest.mark.parametrize(("rare", "is_told"), [(1, False), (9, False), (10, True)])
def test_a_few_mistakes_are_no_other_order(rare: int, is_told: bool) -> None:  # noqa: FBT001 - a parameter
    labels = np.repeat([0, 1, 2, 3], [500, 500, rare, rare])
    answers = np.array([0, 1, 3, 2])[labels]
    told = reference_question(golden_of(np.eye(4, dtype=np.float32)[answers], labels))
    assert bool(told) == is_told


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


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    """What most digits are known by: the mean of each class without the mean of all, float32 [784, 10]."""
    golden = Exports.open(reference_directory()).read_golden()
    pixels = golden.images.reshape(-1, 784) / 255
    means = np.stack([pixels[golden.labels == digit].mean(axis=0) for digit in range(10)], axis=1)
    means -= pixels.mean(axis=0)[:, None]
    return np.asarray(means / np.linalg.norm(means, axis=0), np.float32)


# Of ten scores up to 5 with pixels in 0..1, one is raised by 100: only with larger pixels do the others count.
LOPSIDED = np.eye(10, dtype=np.float32)[3] * 100


@pytest.mark.parametrize(("bias", "expected"), [(0, None), (LOPSIDED, "0..255")], ids=["0..1", "0..255"])
def test_the_range_of_a_foreign_file_is_found(
    bias: np.ndarray | float, expected: str | None, kernel: np.ndarray, tmp_path: Path
) -> None:
    notices = Notices()
    path = write(tmp_path / "foreign.onnx", (28, 28), kernel, bias=bias)
    model, labels = model_for(None, str(path), notices)
    assert labels is None
    assert (model.spec and model.spec.range) == expected
    if expected is None:
        assert notices.messages == []
    else:
        (notice,) = notices.messages
        assert notice.startswith(f"{path} is given pixels in {expected}: ")
    golden = Exports.open(reference_directory()).read_golden()
    answers = model.load().predict_proba(golden.images[:200]).argmax(axis=1)
    assert np.mean(answers == golden.labels[:200]) > 0.5


def test_a_file_that_is_named_by_its_path_has_the_class_names_of_the_manifest_beside_it(old_exports: Path) -> None:
    manifest, letters = read_manifest(old_exports), list("abcdefghij")
    (old_exports / "manifest.json").write_bytes(msgspec.structs.replace(manifest, labels=letters).encode())
    notices = Notices()
    for name in ("tflite-int8.tflite", "onnx-float32.onnx"):
        model, labels = model_for(None, str(old_exports / name), notices)
        assert model.load(labels=labels).labels == tuple(letters), name
    assert notices.messages == []


def test_a_file_that_reads_no_digits_in_any_range_is_questioned(kernel: np.ndarray, tmp_path: Path) -> None:
    notices = Notices()
    path = write(tmp_path / "foreign.onnx", (28, 28), np.roll(kernel, 1, axis=1))
    model, _ = model_for(None, str(path), notices)
    assert model.spec is None
    assert "hardly better than guessing" in notices.messages[0]


def test_a_file_that_is_no_classifier_of_images_is_refused_and_not_said_to_guess() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")

    notices = Notices()
    other = Path(onnxruntime.__file__).parent / "datasets" / "sigmoid.onnx"
    model, _ = model_for(None, str(other), notices)
    assert notices.messages == []
    assert model.load().answers_numbers
    with pytest.raises(ArtifactError, match=r"its input is an array of \[3, 4, 5\]"):
        replace(model, spec=default_input()).load()


IMAGES = 5_000


@pytest.mark.parametrize(
    ("own", "wrong", "noise", "best", "clear"),
    [
        # What the own range and the wrong one make of the logits, and how much worse the wrong one tells classes apart.
        (1.0, 255.0, 0.0, "own", True),
        (0.85, 200.0, 2.0, "own", True),
        (0.1, 255.0, 2.0, "own", True),
        # Twice or half as sure is what many trainings make of a model.
        (1.0, 2.0, 0.0, "own", False),
        (1.0, 0.5, 0.0, "own", False),
        # As sure as it should be in 0..255, it may have been trained there, or not.
        (0.004, 1.02, 0.0, "wrong", False),
        (0.01, 2.55, 0.0, "wrong", False),
        (0.01, 1.0, 1.0, "wrong", False),
        (0.1, 2.0, 0.0, "wrong", False),
        (0.1, 0.5, 1.0, "wrong", False),
        (30.0, 0.5, 1.0, "wrong", False),
        (30.0, 3.0, 0.3, "wrong", False),
        (255.0, 1.0, 1.0, "wrong", False),
    ],
)
def test_a_range_is_taken_for_how_well_it_tells_classes_apart_and_not_for_making_up_for_sureness(
    own: float, wrong: float, noise: float, best: str, *, clear: bool
) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(scale=3, size=(IMAGES, 10))
    # The class with the largest logit plus Gumbel noise is drawn with the softmax's probability.
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    answers = {"own": own * logits, "wrong": wrong * (logits + random.normal(size=logits.shape) * max(noise, 1e-9))}
    weighed = weigh(answers, answers.__getitem__, labels)
    first, second = weighed
    assert first.name == best
    assert first.is_clearly_better(second) == clear
    assert not second.is_clearly_better(first)
    for one in weighed:
        assert one.tempered.mean() <= one.loss + 1e-9
    (trained,) = (one for one in weighed if one.name == "own")
    assert trained.temperature == pytest.approx(own, rel=0.1)


def _weighed(*, loss: float, tempered: float, temperature: float) -> Weighed:
    """Return what has the same figures for every image, so that no chance is in them."""
    same = np.ones(100)
    return Weighed(name="", right=same > 0, losses=loss * same, tempered=tempered * same, temperature=temperature)


@pytest.mark.parametrize(("sign", "clear"), [(1, True), (-1, False)])
def test_each_limit_decides_just_beyond_it_and_not_before(sign: int, *, clear: bool) -> None:
    beyond = 1 + sign * 1e-6
    own = _weighed(loss=0.2, tempered=0.2, temperature=1.0)
    # How much better it tells classes apart.
    assert own.is_clearly_better(_weighed(loss=1.0, tempered=0.2 * ALIKE * beyond, temperature=2.0)) == clear
    # How much worse it may do so where the other range makes the model too sure by far.
    surer = _weighed(loss=1.0, tempered=0.2, temperature=TOO_SURE)
    almost = _weighed(loss=0.2 * ALIKE / beyond, tempered=0.2 * ALIKE / beyond, temperature=1.0)
    assert almost.is_clearly_better(surer) == clear
    assert own.is_clearly_better(dataclasses.replace(surer, temperature=TOO_SURE * beyond)) == clear
    # What its own sureness may cost, of what the other's does.
    excess = CALIBRATED * 0.8 / beyond
    assert _weighed(loss=0.2 + excess, tempered=0.2, temperature=1.0).is_clearly_better(surer) == clear
    # As unsure is never an argument.
    assert not own.is_clearly_better(dataclasses.replace(surer, temperature=1 / TOO_SURE))


def test_answers_that_are_not_finite_are_wrong_and_probabilities_of_0_have_a_logarithm() -> None:
    labels = np.zeros(10, np.int64)
    (one,) = weigh(["0..1"], lambda _: np.full((10, 3), np.nan, np.float32), labels)
    assert one.accuracy == 0
    assert one.loss == pytest.approx(16.118, abs=0.001)
    assert np.isfinite(one.tempered).all()
    assert logarithms(np.array([[0.0, 0.25, 0.75]], np.float32)) == pytest.approx(np.log([[0.25, 0.25, 0.75]]))
