"""What is recorded of models of other shapes than digits: read as it was written, and never taken for digits."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import ArtifactError
from edgemnist.ground.inputs import UNIT, InputSpec
from edgemnist.ground.results.data import DataIdentity
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import GoldenPack, decode_golden
from edgemnist.model.exports.manifest import MANIFEST_FILE, Manifest, ModelRecord
from edgemnist.model.exports.questions import golden_questions
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import infer_numbers, infer_spec, softmax
from edgemnist.model.runtimes.pixels import Numbers
from edgemnist.model.task import (
    PREPARERS,
    REFUSERS,
    TASKS,
    Task,
    default_input,
    default_task,
    task_named,
    task_of,
    unnamed_task,
)
from tests.conftest import MADE_EXPORTS
from tests.messages import Told
from tests.shapes import SPECS
from tests.shapes.made import task_for, weights, write

EACH = pytest.mark.parametrize("name", SPECS)


def pack(task: Task, answers: tuple[int, ...] = (3,)) -> GoldenPack:
    return GoldenPack(
        images=task.input.random(6),
        truth=np.arange(6) % 3,
        probabilities=np.random.default_rng(0).random((6, *answers), dtype=np.float32),
        class_labels=() if task.answers == "numbers" else ("a", "b", "c"),
        data=DataIdentity(source="random", train=0, test=6, sha256="", reduced=False),
        model_sha256="",
        task=task,
    )


@EACH
def test_a_manifest_says_what_its_models_are_for(name: str, tmp_path: Path) -> None:
    task = task_for(name)
    record = ModelRecord(file="model.onnx", bytes=0, sha256="", parameters=1, takes=task.input)
    written = Manifest(labels=["a", "b"], task=task, model=record)
    (tmp_path / MANIFEST_FILE).write_bytes(written.encode())
    exports = Exports.open(tmp_path)
    assert exports.manifest == written
    assert (exports.task, exports.model_path) == (task, tmp_path / "model.onnx")
    assert record.spec(task) == task.input


def test_a_manifest_without_a_task_is_one_of_digits() -> None:
    exports = Exports.open(MADE_EXPORTS)
    assert exports.task == unnamed_task()
    assert exports.model_path == MADE_EXPORTS / "model.keras"
    assert exports.manifest.model is not None
    # Its file says what it reads, as those of an earlier edgemnist do.
    assert exports.manifest.model.spec(exports.task) is None


def test_a_record_says_what_is_read_in_a_range_or_by_channel() -> None:
    plain = ModelRecord(file="m", bytes=0, sha256="", parameters=1)
    ranged = msgspec.structs.replace(plain, input_range="-1..1")
    assert ranged.spec(default_task()) == InputSpec.of_range((28, 28), "-1..1")
    for task in (task_for("colour"), task_for("row")):
        assert plain.spec(task) == task.input
    assert msgspec.structs.replace(plain, takes=SPECS["meter"]).spec(task_for("colour")) == SPECS["meter"]


@EACH
@pytest.mark.parametrize("answers", [(3,), (640,), (1,), (4, 2)])
def test_a_golden_pack_of_any_shape_is_read_as_it_was_written(name: str, answers: tuple[int, ...]) -> None:
    written = pack(task_for(name, numbers=answers != (3,)), answers)
    read = decode_golden(written.encode())
    assert (read.task, read.class_labels) == (written.task, written.class_labels)
    np.testing.assert_array_equal(read.images, written.images)
    np.testing.assert_array_equal(read.probabilities, written.probabilities)
    assert read.images.dtype == written.images.dtype


@EACH
def test_a_golden_pack_whose_labels_nobody_knows_has_none(name: str) -> None:
    written = replace(pack(task_for(name)), truth=None)
    read = decode_golden(written.encode())
    assert (read.truth, len(read)) == (None, 6)
    with pytest.raises(ArtifactError, match="has no labels: its 6 inputs come from random"):
        _ = read.labels
    manifest = Manifest(labels=["a", "b", "c"])
    (told,) = golden_questions(manifest, read)
    assert told == "The figures come from random without labels: nothing is said about accuracy."


@pytest.mark.parametrize(
    ("given", "expected"), [("colour", "picture"), ("picture", "colour"), ("spectrogram", "long"), ("row", "odd")]
)
def test_inputs_of_another_task_are_damage(given: str, expected: str) -> None:
    names = {"picture": "digit"}
    one, other = (task_for(names.get(name, name)) for name in (given, expected))
    mixed = GoldenPack(**{**vars(pack(one)), "task": other})
    with pytest.raises(ArtifactError, match=r"images are \w+ \[6, "):
        decode_golden(mixed.encode())


GREY, COLOUR, CLEAR = InputSpec(shape=(8, 12)), InputSpec(shape=(8, 12, 3)), InputSpec(shape=(8, 12, 4))


def test_digits_are_the_default_and_register_themselves() -> None:
    assert [*TASKS] == ["pictures", "numbers", "digits"]
    assert [name for name, entry in TASKS.items() if entry.default] == ["digits"]
    assert default_task() == Task(name="digits", input=InputSpec(shape=(28, 28)), preparer="digit", refuser="likeness")
    assert unnamed_task() == Task(input=InputSpec(shape=(28, 28)), preparer="digit")
    assert "digit" in PREPARERS
    assert "likeness" in REFUSERS


@pytest.mark.parametrize("module", ["edgemnist.digits.task", "edgemnist.model.task"])
def test_whichever_is_imported_first_all_are_found_and_pillow_is_not_imported(module: str) -> None:
    asked = "import sys; from edgemnist.model.task import TASKS, PREPARERS; print([*TASKS], 'digit' in PREPARERS)"
    heavy = "print([name for name in ('PIL', 'tensorflow', 'edgemnist.digits.images') if name in sys.modules])"
    words = [sys.executable, "-c", f"import {module}; {asked}; {heavy}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['pictures', 'numbers', 'digits'] True", "[]"]


def test_a_task_is_named_or_refused(told: Told) -> None:
    assert task_named("pictures", SPECS["meter"]).preparer == "resize"
    for name in ("digit", "numbers"):
        with told():
            task_named(name)
    row, meter = Task(input=SPECS["row"], preparer="resize"), Task(input=SPECS["meter"], preparer="digit")
    grey, blurred = (Task(input=GREY, preparer=name) for name in ("resize", "blur"))
    for task, size in ((row, (13, 1)), (meter, (28, 28)), (grey, (0, 3)), (blurred, (3, 3))):
        with told():
            task.prepare(Image.new("L", size))


@pytest.mark.parametrize("task", [default_task(), unnamed_task(), task_named("numbers", SPECS["row"])])
def test_a_record_of_a_task_is_read_as_it_was_written(task: Task) -> None:
    data = msgspec.json.encode(task)
    assert list(msgspec.json.decode(data)) == ["name", "input", "answers", "prepare", "refuse"]
    assert msgspec.json.decode(data, type=Task) == task


CORE: Final = ("board", "field", "fleet", "ground", "model", "pipeline", "errors.py", "selftest.py", "testing.py")
"""All but the task of digits, and what serves or lists it."""
SOURCES: Final = {".c", ".css", ".h", ".html", ".ino", ".js", ".py", ".txt"}
OTHER_THINGS: Final = {
    "field/drift/ink.py": 2,  # of pictures of the default shape
    "field/review/page/index.html": 1,  # the side of an icon
    "ground/pictures.py": 1,  # bytes of a header
    "ground/web/page/index.html": 1,  # the side of an icon
    "model/native/list_avx2.h": 1,  # a place in a register
    "model/native/program.c": 1,  # 256 MB
    "model/runtimes/fixedpoint.py": 1,  # gemmlowp's arithmetic
    "pipeline/search/networks.py": 1,  # a size in a figure
}
"""Lines of the core with a digit, or a number that could be a side or a size of MNIST's images, and what they are."""


def test_the_core_knows_no_digit_and_not_how_large_one_is() -> None:
    found = Counter(
        path.relative_to("edgemnist").as_posix()
        for path in Path("edgemnist").rglob("*.*")
        if path.parts[1] in CORE and path.suffix in SOURCES
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\b(28|784)\b|digit", line, re.IGNORECASE)
    )
    assert found == OTHER_THINGS


REAL, BYTES, PIXELS = Numbers(np.dtype("f4")), Numbers(np.dtype("u1")), Numbers(np.dtype("i1"), 1 / 255, -128)
LEVELS = Numbers(np.dtype("i1"), 1.0, -128)
SENSOR = Numbers(np.dtype("i1"), 0.58, 83)
"""Ends at -122 and 26: no range of pixels."""


def numbers(*shape: int) -> InputSpec:
    return InputSpec(shape=shape, dtype="float32", scale=(1.0,))


def pictures(*shape: int, name: str = UNIT) -> InputSpec:
    return InputSpec.of_range(shape, name)


@pytest.mark.parametrize(
    ("shape", "held", "expected", "guess"),
    [
        ((784,), REAL, default_input(), None),
        ((1, 28, 28), SENSOR, default_input(), None),
        ((28, 28, 1), LEVELS, default_input("0..255"), None),
        ((32, 32, 3), LEVELS, pictures(32, 32, 3, name="0..255"), "32×32 images in colour in 0..255, or else numbers"),
        ((3, 32, 20), REAL, pictures(32, 20, 3), "20×32 images in colour in 0..1, or else 0..255"),
        ((1, 96, 96), REAL, pictures(96, 96), "96×96 images in 0..1, or else numbers as they are"),
        ((17, 23), PIXELS, pictures(17, 23), "23×17 images in 0..1, or else numbers as they are"),
        ((8, 9, 4), BYTES, pictures(8, 9, 4), "9×8 images in colour"),
        ((49, 10, 1), SENSOR, numbers(49, 10), "49×10 numbers as they are, or else pixels"),
        ((32, 32, 3), SENSOR, numbers(32, 32, 3), "32×32×3 numbers"),
        ((30, 1, 40), PIXELS, numbers(30, 1, 40), "30×1×40 numbers"),
        ((1, 13), REAL, numbers(1, 13), "1×13 numbers"),
        ((13,), REAL, numbers(13), "13 numbers"),
        ((2, 3, 4, 5), REAL, numbers(2, 3, 4, 5), "2×3×4×5 numbers"),
    ],
)
def test_what_a_file_reads_is_guessed(
    shape: tuple[int, ...], held: Numbers, expected: InputSpec, guess: str | None
) -> None:
    spec, guesses = infer_spec(shape, held)
    assert spec == expected
    spec.axes(shape)
    assert [one.startswith(f"reads {guess}") for one in guesses] == [True] * (guess is not None)


def test_the_range_that_a_file_says_is_no_guess() -> None:
    assert infer_spec((8, 8, 3), REAL, "-1..1")[0] == pictures(8, 8, 3, name="-1..1")


def test_a_tensor_of_no_input_is_refused_in_words(told: Told) -> None:
    shapes: list[tuple[Any, ...]] = [(), (None, 13), (0, 3), (1,) * 5, (1 << 21,), ("height", 8, 3)]
    for shape in shapes:
        with told():
            infer_spec(shape, REAL)


SCORES = np.random.default_rng(0).normal(size=(5, 2000)).astype(np.float32)


@pytest.mark.parametrize(
    ("scores", "spec", "expected"),
    [
        (SCORES[:, :10], SPECS["row"], ""),
        (SCORES[:, :1], SPECS["row"], "answers with 1 number"),
        (SCORES[:, :6].reshape(5, 2, 3), SPECS["row"], "answers with 2×3 numbers"),
        (SCORES[:, :640], SPECS["long"], "answers with 640 numbers, or else as many classes"),
        (SCORES[:, :1000], SPECS["row"], ""),
        (SCORES[:, :1001], SPECS["row"], "answers with 1,001 numbers, or else as many classes"),
        (softmax(SCORES[:, :1001]), SPECS["row"], ""),
        (softmax(SCORES[:, :640]), SPECS["long"], ""),
        (np.full((0, 10), np.nan, np.float32), SPECS["row"], ""),
    ],
)
def test_whether_answers_are_classes_is_guessed_by_number(scores: np.ndarray, spec: InputSpec, expected: str) -> None:
    assert infer_numbers(scores, spec) == expected


def test_one_sigmoid_is_two_classes_and_one_number_is_a_number(tmp_path: Path) -> None:
    spec, column = SPECS["row"], weights(SPECS["row"])[:, :1]
    plain = numbers(13)
    inputs = plain.random(3)
    found = inputs @ column
    sigmoid = load(write(tmp_path / "s.onnx", (13,), column, "Sigmoid"), trusted=True)
    second = 1 / (1 + np.exp(-found))
    np.testing.assert_allclose(sigmoid.predict_proba(inputs), np.hstack([1 - second, second]), atol=1e-5)
    np.testing.assert_allclose(sigmoid.predict_proba(inputs[:1])[0], [1 - second[0, 0], second[0, 0]], atol=1e-5)
    assert (sigmoid.labels, sigmoid.answers_logits, len(sigmoid.guesses)) == (("0", "1"), False, 2)
    assert sigmoid.guesses[1].startswith("answers with the probability of the second of two classes")
    named = load(tmp_path / "s.onnx", labels=["no", "yes"], spec=spec, trusted=True)
    assert (named.labels, named.guesses) == (("no", "yes"), ())
    told = load(tmp_path / "s.onnx", spec=plain, numbers=True, trusted=True)
    np.testing.assert_allclose(told.answer(inputs), second, atol=1e-5)
    plainly = load(write(tmp_path / "n.onnx", (13,), column))
    assert (plainly.answers_numbers, task_of(plainly).answers) == (True, "numbers")
    np.testing.assert_allclose(plainly.answer(inputs), found, atol=1e-5)
    with pytest.raises(ArtifactError, match="does not map 13 numbers to class scores"):
        load(tmp_path / "n.onnx", numbers=False, trusted=True)


@pytest.mark.all
def test_a_keras_file_without_a_record_is_understood(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    for name, shape, units, activation, expected in (
        ("yes", (13,), 1, "sigmoid", 2),
        ("sum", (13,), 1, None, 0),
        ("code", (13,), 13, "tanh", 0),
        ("signs", (8, 9, 3), 5, "softmax", 5),
    ):
        layers = [keras.layers.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units, activation)]
        keras.Sequential(layers).save(tmp_path / f"{name}.keras")
        found = load(tmp_path / f"{name}.keras", trusted=True)
        assert (len(found.labels), found.answers_numbers) == (expected, expected == 0), name
        assert task_of(found).input == (pictures(*shape) if len(shape) > 1 else numbers(*shape))
        assert found.answer(found.spec.random(2)).shape == (2, expected or units)
