"""What `predict` says of pictures: digits, what is none, several, directories and standard input."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks.vision.synthetic.digits import evaluation_digits
from benchmarks.vision.synthetic.several import KINDS
from edgemnist.digits import recognize
from edgemnist.digits.images import normalize_digit, read_digit
from edgemnist.digits.predict.refusal import assess, verdict
from edgemnist.digits.predict.run import expanded, predict_sources
from edgemnist.errors import ImageError
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import default_task, task_of, unnamed_task
from tests.conftest import Run
from tests.runtimes.test_foreign_onnx import write
from tests.serve.service import png, seven
from tests.shapes.made import write as write_layer


@cache
def reference() -> Classifier:
    return Exports.open(reference_directory()).load()


def written(text: str) -> Image.Image:
    picture = Image.new("L", (60 + 80 * len(text), 200), 255)
    ImageDraw.Draw(picture).text((30, 30), text, fill=0, font=ImageFont.load_default(120))
    return picture


def block(*box: int) -> Image.Image:
    picture = Image.new("L", (300, 200), 255)
    ImageDraw.Draw(picture).rectangle(box, fill=0)
    return picture


def said(picture: Image.Image) -> str | None:
    """Return what the reference and the layout of the ink say of a picture."""
    found = normalize_digit(picture)
    return verdict(assess(found), reference().predict_proba(found.image[None])[0].tolist())


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        *((written(text), "no-digit") for text in "AB+_"),
        (block(92, 92, 108, 108), "no-digit"),
        (block(60, 92, 240, 108), "no-digit"),
        *((written(text), "several") for text in ("12345", "10", "77")),
        (seven(), "digit"),
        (written("4"), "digit"),
    ],
)
def test_what_is_not_one_digit_is_told(picture: Image.Image, expected: str) -> None:
    assert said(picture) == expected


@pytest.mark.parametrize("kind", list(KINDS))
def test_pages_of_digits_are_not_one_digit(kind: str) -> None:
    """However they are cropped: rulings may run into the edge, and a column may be ten times as high as it is wide."""
    rng, verdicts = np.random.default_rng(3), []
    for _ in range(20):
        with suppress(ImageError):
            verdicts.append(said(Image.fromarray(KINDS[kind](evaluation_digits(), rng))))
    # One of a few that stand apart may be all that there is to see.
    assert verdicts.count("digit") <= 2
    assert len(verdicts) > 10


def ruled_column() -> Image.Image:
    """Return 17 numbers with rulings around them that run into the edge, as a column is cropped from a form."""
    picture = Image.new("L", (74, 486), 255)
    draw = ImageDraw.Draw(picture)
    for row in range(18):
        draw.line((0, 4 + 28 * row, 73, 4 + 28 * row), fill=60, width=2)
    for left in (1, 36, 71):
        draw.line((left, 0, left, 485), fill=60, width=2)
    for row, digit in enumerate(evaluation_digits().images[:17]):
        picture.paste(Image.fromarray(255 - digit).resize((24, 24)), (6, 7 + 28 * row))
    return picture


def test_a_ruled_column_is_several_whatever_the_networks_make_of_its_28_pixels() -> None:
    found = normalize_digit(ruled_column())
    assert assess(found).crowded
    sure = [1.0] + [0.0] * 9
    assert verdict(assess(found), sure) == "several"


def test_few_digits_are_refused_and_hardly_any_are_taken_for_several() -> None:
    # As somebody would have drawn them: larger, and dark on light.
    pictures = (Image.fromarray(255 - image).resize((112, 112)) for image in evaluation_digits().images[:400])
    verdicts = [said(picture) for picture in pictures]
    assert verdicts.count("digit") >= 0.98 * len(verdicts)
    assert verdicts.count("several") <= 0.01 * len(verdicts)


def test_many_pictures_are_a_line_each_and_one_has_its_bars(edgemnist: Run, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(seven()))
    (folder / "b.PNG").write_bytes(png(written("A")))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture either")
    done = edgemnist("predict", folder)
    assert done.returncode == 0, done.stderr
    first, second, model = done.stdout.splitlines()
    assert first.split()[:2] == [str(folder / "a.png"), "7"]
    assert "no digit" in second
    assert "tflite-int8" in model
    assert "broken.png is not a picture" in " ".join(done.stderr.split())
    assert len(edgemnist("predict", folder / "a.png").stdout.splitlines()) == 12
    document = json.loads(edgemnist("predict", folder, "--json").stdout)
    assert [one["verdict"] for one in document["predictions"]] == ["digit", "no-digit"]
    assert [document["predictions"][1][name] for name in ("answer", "digit")] == [4, 4]


def test_a_named_picture_that_cannot_be_read_keeps_no_other_from_an_answer(edgemnist: Run, tmp_path: Path) -> None:
    (tmp_path / "seven.png").write_bytes(png(seven()))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    done = edgemnist("predict", "missing.png", "seven.png", "broken.png", "--json")
    document = json.loads(done.stdout)
    assert [one["source"] for one in document["predictions"]] == ["seven.png"]
    assert [sentence.split()[0] for sentence in document["unread"]] == ["missing.png", "broken.png"]
    assert all(sentence in " ".join(done.stderr.split()) for sentence in document["unread"])
    assert done.returncode == 2
    # Nobody's directory of pictures fails because of one.
    assert edgemnist("predict", ".").returncode == 0


def test_a_picture_comes_on_standard_input(tmp_path: Path) -> None:
    def predict(data: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "edgemnist", "predict", "-", "--json"]
        return subprocess.run(command, input=data, capture_output=True, cwd=tmp_path, check=False)

    done = predict(png(seven()))
    assert done.returncode == 0, done.stderr
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert (prediction["source"], prediction["digit"]) == ("standard input", 7)
    for data, said in ((b"", b"standard input is empty"), (b"x", b"standard input is not a picture")):
        done = predict(data)
        assert done.returncode == 2
        assert said in b" ".join(done.stderr.split())


def test_a_pipe_in_a_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    seven().save(tmp_path / "seven.png")
    assert expanded(tmp_path) == [tmp_path / "seven.png"]


@pytest.mark.parametrize("command", ["predict", "read"])
def test_an_answer_that_is_no_number_is_refused(command: str, edgemnist: Run, tmp_path: Path) -> None:
    import onnx

    broken = onnx.load(write(tmp_path / "broken.onnx"))
    (kernel,) = (one for one in broken.graph.initializer if one.name == "kernel")
    # A pixel of 0 times infinity.
    kernel.CopyFrom(onnx.numpy_helper.from_array(np.full((784, 10), np.inf, np.float32), "kernel"))
    onnx.save(broken, tmp_path / "broken.onnx")
    seven().save(tmp_path / "seven.png")
    done = edgemnist(command, "seven.png", "--artifact", "broken.onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: The model answers a picture with numbers that are not finite." in done.stderr


def garment(kind: int) -> Image.Image:
    """Draw one of ten kinds of clothes: a body with a cut of its own, and sleeves or none."""
    picture = Image.new("L", (64, 64))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((20 - 3 * (kind % 4), 10, 44 + 3 * (kind % 4), 54), fill=200)
    draw.rectangle((30 - kind, 10 + 4 * (kind % 3), 34 + kind, 20 + 3 * kind), fill=60)
    if kind % 2:
        draw.rectangle((4, 12, 60, 20 + 2 * kind), fill=140)
    return picture


@pytest.fixture
def clothes(tmp_path: Path) -> tuple[Path, list[Path]]:
    """Return a model of ten kinds of clothes without names, as an ONNX file, and a picture of each kind."""
    pictures = []
    for kind in range(10):
        garment(kind).save(tmp_path / f"{kind}.png")
        pictures.append(tmp_path / f"{kind}.png")
    pixels = np.stack([read_digit(path).image for path in pictures]).reshape(10, 784) / 255
    kernel, bias = 2 * pixels.T, -(pixels**2).sum(axis=1)
    return write_layer(
        tmp_path / "clothes.onnx", (28, 28), kernel.astype(np.float32), bias=bias.astype(np.float32)
    ), pictures


def test_a_model_of_clothes_names_its_classes_and_never_calls_them_no_digit(
    clothes: tuple[Path, list[Path]],
) -> None:
    model, pictures = clothes
    result = predict_sources(None, pictures, [], artifact=str(model))
    assert result.labels == list("0123456789")
    assert [one.digit for one in result.predictions] == list(range(10))
    assert {one.verdict for one in result.predictions} == {None}


def test_what_cannot_be_found_out_is_not_known_to_read_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reference = reference_directory() / "tflite-int8.tflite"
    assert task_of(load(reference)) == default_task()
    assert task_of(load(reference, labels="abcdefghij")) == unnamed_task()
    monkeypatch.setattr(recognize, "reference_directory", lambda: tmp_path / "none")
    recognize._digits.cache_clear()
    assert task_of(load(reference)) == unnamed_task()
    recognize._digits.cache_clear()
