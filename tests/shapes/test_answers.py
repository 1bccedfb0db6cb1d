"""What is answered by models of every shape: pictures and numbers in, classes with their names or numbers out."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

import edgemnist
from edgemnist.digits.predict.cli import picture_rows
from edgemnist.digits.predict.run import predict_sources
from edgemnist.digits.recognize import require_digits
from edgemnist.errors import ArtifactError, UsageError
from edgemnist.model.exports.golden import ask_one_at_a_time
from edgemnist.model.prepare import STRETCHED, TO_GREY
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.pixels import Numbers, encoder, quantize_pixels
from edgemnist.model.task import task_of
from tests.conftest import Run
from tests.messages import Told
from tests.notices import Notices
from tests.shapes import SPECS
from tests.shapes.made import LABELS, NAME, make_exports, weights, write

EACH = pytest.mark.parametrize("name", [name for name in SPECS if name != "digit"])
PICTURES = [name for name, spec in SPECS.items() if spec.is_picture and name != "digit"]


@EACH
@pytest.mark.parametrize("numbers", [False, True])
def test_a_file_of_one_input_or_of_several_is_answered(name: str, numbers: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    exports, spec = make_exports(tmp_path / "made", name, numbers=numbers), SPECS[name]
    golden = exports.read_golden()
    np.save(tmp_path / "one.npy", golden.images[3])
    np.save(tmp_path / "some.npy", golden.images[:3])
    found = predict_sources(exports, [tmp_path / "some.npy", tmp_path / "one.npy"], [], show=True).predictions
    found += predict_sources(exports, [], [7], show=True).predictions
    places = [f"{tmp_path / 'some.npy'}[{index}]" for index in range(3)]
    places += [str(tmp_path / "one.npy"), f"evaluation {spec.noun} 7"]
    assert [one.source for one in found] == places
    for one, place in zip(found, (0, 1, 2, 3, 7), strict=True):
        expected = golden.probabilities[place]
        if numbers:
            np.testing.assert_allclose(np.array(one.values), expected.ravel(), atol=1e-5)
            assert (one.answer, one.probabilities) == (None, [])
        else:
            np.testing.assert_allclose(one.probabilities, expected, atol=1e-5)
            assert (one.answer, one.verdict) == (LABELS[int(expected.argmax())], None)
        assert one.digit is msgspec.UNSET
        np.testing.assert_array_equal(np.array(one.image, spec.dtype), golden.images[place])
        assert len({len(row) for row in picture_rows(one.image or [])}) == 1


@pytest.mark.parametrize("recorded", [True, False])
def test_classes_of_the_shape_of_0_1_0_have_its_field_unless_a_record_says_otherwise(
    recorded: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    exports = make_exports(tmp_path / "made", "digit")
    Image.fromarray(exports.read_golden().images[0]).save(tmp_path / "one.png")
    alone = shutil.copy(exports.directory / f"{NAME}.onnx", tmp_path)
    given = (exports, None) if recorded else (None, str(alone))
    result = predict_sources(given[0], [tmp_path / "one.png"], [], artifact=given[1])
    (one,) = json.loads(result.to_json())["predictions"]
    assert one.get("digit") == (None if recorded else one["answer"])
    assert ("digit" in one) == (not recorded)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_any_size_is_prepared_as_the_task_says(name: str, tmp_path: Path) -> None:
    exports, spec = make_exports(tmp_path / "made", name), SPECS[name]
    image = exports.read_golden().images[0]
    Image.fromarray(image).save(tmp_path / "right.png")
    Image.fromarray(image).resize((300, 200)).save(tmp_path / "large.jpg")
    Image.new("RGB", (40, 40), (200, 30, 30)).save(tmp_path / "red.png")
    notices = Notices()
    pictures = sorted(tmp_path.glob("*.*g"))
    with pytest.raises(UsageError, match="--index names evaluation images, and does not go"):
        predict_sources(exports, pictures, [0])
    shown = predict_sources(exports, pictures, [], show=True, reporter=notices).predictions
    right, (itself,) = shown[2], predict_sources(exports, [], [0], show=True).predictions
    high, wide, *_ = spec.shape
    stretched = [not 0.8 <= across * high / (down * wide) <= 1.25 for across, down in ((300, 200), (40, 40))]
    assert [TO_GREY in one.told for one in shown] == [False, spec.channels == 1, False]
    assert [STRETCHED in one.told for one in shown] == [*stretched, False]
    assert (right.image, right.answer) == (itself.image, itself.answer)
    assert all(np.array(one.image).shape == spec.shape for one in shown)
    assert ("Colours were turned into grey" in notices.heard) == (spec.channels == 1)
    several = Notices()
    predict_sources(exports, [*[tmp_path / "red.png"] * 4, tmp_path / "right.png"], [], reporter=several)
    assert several.messages.count(f"4 of 5 pictures: {STRETCHED}.") == stretched[1]
    classifier = exports.load(NAME)
    with Image.open(tmp_path / "large.jpg") as opened:
        pixels = np.asarray(opened)
    for given in (tmp_path / "large.jpg", (tmp_path / "large.jpg").read_bytes(), pixels):
        np.testing.assert_array_equal(edgemnist.prepare(given, classifier), np.array(shown[0].image, np.uint8))


def test_ten_classes_called_as_digits_are_no_digits_in_colour(tmp_path: Path) -> None:
    """The recognizer would be shown pictures of another shape."""
    exports = make_exports(tmp_path, "meter", labels=tuple("0123456789"))
    classifier = exports.load(NAME)
    assert (task_of(classifier).name, task_of(classifier).refuser) == ("pictures", "")
    with pytest.raises(UsageError, match="`read` is for digits, and onnx answers 0, 1, 2 and 7 more"):
        require_digits(classifier, "onnx", "read")


BAD: dict[str, Any] = {
    "text.npy": b"no array",
    "empty.npy": np.zeros((0, 13), np.float32),
    "wide.npy": np.zeros((2, 14), np.float32),
    "nan.npy": np.full((2, 13), np.nan, np.float32),
    "names.npy": np.array(["a"] * 13),
    "objects.npy": np.array([{}] * 13),
    "many.npy": np.zeros((10_001, 13), np.float32),
    "picture.png": b"",
    "short.csv": b"1,2,3\n",
    "text.csv": b"a;b\n1;x\n",
    "missing.npy": None,
}


def test_what_does_not_fit_the_model_is_a_sentence(tmp_path: Path, told: Told) -> None:
    exports = make_exports(tmp_path / "made", "row")
    for file, contents in BAD.items():
        if isinstance(contents, bytes):
            (tmp_path / file).write_bytes(contents)
        elif contents is not None:
            np.save(tmp_path / file, contents, allow_pickle=True)
        with told():
            predict_sources(exports, [tmp_path / file], [])
    colour = make_exports(tmp_path / "colour", "colour")
    np.save(tmp_path / "x.npy", np.full((32, 32, 3), 0.1))
    (tmp_path / "x.png").write_bytes(b"none")
    for file in ("x.npy", "x.png"):
        with told():
            predict_sources(colour, [tmp_path / file], [])


def test_the_command_shows_the_likeliest_of_many_classes_and_numbers_in_a_line(edgemnist: Run, tmp_path: Path) -> None:
    names = tuple(f"class {index}" for index in range(1000))
    exports = make_exports(tmp_path / "many", "row", labels=names)
    golden = exports.read_golden()
    np.save(tmp_path / "row.npy", golden.images[:2])
    done = edgemnist("predict", "--index", "0", "--exports", exports.directory)
    lines = done.stdout.splitlines()
    best = names[int(golden.probabilities[0].argmax())]
    assert lines[0].startswith(f"evaluation row 0: {best}  ")
    assert lines[1].startswith(best)
    assert lines[11] == "and 990 less probable classes"
    numbers = make_exports(tmp_path / "numbers", "long", numbers=True)
    done = edgemnist("predict", "--index", "0", "--exports", numbers.directory)
    assert done.stdout.startswith("evaluation row 0: 5 numbers, ")
    done = edgemnist("predict", "--index", "0", "--exports", numbers.directory, "--json")
    (answer,) = json.loads(done.stdout)["predictions"]
    assert (len(answer["values"]), answer["answer"]) == (5, None)
    for words in (("read", "x.png"), ("watch", ".", "--once")):
        Image.new("L", (90, 90)).save(tmp_path / "x.png")
        refused = edgemnist(*words, "--exports", numbers.directory)
        assert refused.returncode == 2
        assert f"`{words[0]}` is for digits, and {NAME} answers with numbers" in refused.stderr


def test_a_file_without_a_record_is_told_as_what_it_is_taken_and_answers(tmp_path: Path) -> None:
    """Its ten classes are called as digits are, and it reads pictures in colour."""
    made = make_exports(tmp_path / "made", "colour", labels=tuple("0123456789"), int8=True)
    golden, notices = made.read_golden(), Notices()
    alone = tmp_path / "alone.tflite"
    alone.write_bytes((made.directory / "tflite-int8.tflite").read_bytes())
    np.save(tmp_path / "x.npy", golden.images[:3])
    result = predict_sources(None, [tmp_path / "x.npy"], [], artifact=str(alone), reporter=notices)
    assert [str(one.answer) for one in result.predictions] == [str(row.argmax()) for row in golden.probabilities[:3]]
    assert "has no record: it is taken for a model that reads 32×32 images in colour" in notices.heard


CLASSES = len(LABELS)
EACH_SHAPE = pytest.mark.parametrize("name", SPECS)


@EACH_SHAPE
def test_a_model_of_any_shape_answers_any_number_of_inputs(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    path = write(tmp_path / "model.onnx", spec.shape, weights(spec))
    classifier = load(path, spec=spec, trusted=True)
    assert (classifier.spec, len(classifier.labels), classifier.answers_logits) == (spec, CLASSES, True)
    inputs = spec.random(3)
    expected = softmax(spec.real(inputs).reshape(3, -1) @ weights(spec))
    for given in (inputs, np.asfortranarray(inputs), inputs.reshape(3, -1), [*inputs]):
        np.testing.assert_allclose(classifier.predict_proba(given), expected, atol=1e-5)
    for index in range(3):
        np.testing.assert_allclose(classifier.answer(inputs[index : index + 1])[0], expected[index], atol=1e-5)
    assert classifier.answer(inputs[:0]).shape == (0, CLASSES)
    with pytest.raises(ValueError, match=r"must be \[N, .*, not"):
        classifier.predict_proba(np.zeros((2, spec.size + 1)))
    if spec.dtype == "float32":
        inputs[1].flat[0] = np.nan
        for bad in (inputs, inputs[1:2]):
            with pytest.raises(ValueError, match="finite"):
                classifier.predict_proba(bad)


@pytest.mark.parametrize("name", ["colour", "meter"])
def test_channels_may_come_first_in_a_file(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    height, width, channels = spec.shape
    path = write(tmp_path / "model.onnx", (channels, height, width), weights(spec))
    inputs = spec.random(2)
    turned = spec.real(inputs).transpose(0, 3, 1, 2)
    expected = softmax(turned.reshape(2, -1) @ weights(spec))
    classifier = load(path, spec=spec, trusted=True)
    np.testing.assert_allclose(classifier.predict_proba(inputs), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(inputs[1:])[0], expected[1], atol=1e-5)


def test_a_model_of_another_shape_is_refused_by_what_it_should_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", (32, 32, 3), weights(SPECS["colour"]))
    with pytest.raises(ArtifactError, match="does not map 20×32 images in colour to class scores") as error:
        load(path, spec=SPECS["meter"], trusted=True)
    assert "[N, 32, 20, 3]" in error.value.hint


def test_what_a_stranger_wrote_is_tried_with_what_it_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", (13,), weights(SPECS["row"]))
    assert load(path, spec=SPECS["row"]).answer(np.zeros(13)).shape == (1, CLASSES)


@EACH_SHAPE
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_inputs_are_quantized_to_the_nearest_step(name: str, dtype: type[np.integer[Any]]) -> None:
    spec = SPECS[name]
    limits = np.iinfo(dtype)
    numbers = Numbers(np.dtype(dtype), 4 / 255, int(limits.min) + 128)
    inputs = spec.random(4)
    written = np.empty(inputs.shape, np.uint8)
    encoder(numbers, spec)(inputs, written)
    real = np.clip(spec.real(inputs), -128 * 4 / 255, 127 * 4 / 255)
    found = 4 / 255 * (written.view(dtype).astype(np.float64) - numbers.zero_point)
    assert np.abs(found - real).max() <= 2 / 255 * 1.001
    if spec.dtype == "uint8":
        channels = len(spec.ends)
        assert quantize_pixels(numbers, spec).shape == ((256,) if channels == 1 else (channels, 256))


@pytest.mark.parametrize("trusted", [True, False])
def test_a_model_may_answer_with_numbers(trusted: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    spec = SPECS["long"]
    path = write(tmp_path / "model.onnx", (640,), weights(spec))
    classifier = load(path, spec=spec, numbers=True, trusted=trusted)
    assert (classifier.answers_numbers, classifier.labels, len(classifier.classes_)) == (True, (), 0)
    inputs = spec.random(3)
    expected = spec.real(inputs) @ weights(spec)
    np.testing.assert_allclose(classifier.answer(inputs), expected, atol=1e-5)
    np.testing.assert_allclose(ask_one_at_a_time(classifier, inputs), expected, atol=1e-5)
    for ask in (classifier.predict_proba, classifier.predict):
        with pytest.raises(ValueError, match=r"use answer\(\)"):
            ask(inputs[:1])
    with pytest.raises(ArtifactError, match="answers with numbers, but there are 5 labels"):
        load(path, spec=spec, numbers=True, labels="abcde", trusted=True)
