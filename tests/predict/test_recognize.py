"""Ten classes called 0 to 9 may be anything: a model is asked whether it reads digits before pictures are refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edgemnist.digits import recognize
from edgemnist.digits.images import read_digit
from edgemnist.digits.predict.run import predict_sources
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes import load
from edgemnist.model.task import default_task, task_of, unnamed_task
from tests.exports.test_models import write


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
    return write(tmp_path / "clothes.onnx", kernel.astype(np.float32), bias.astype(np.float32)), pictures


def test_a_model_of_clothes_names_its_classes_and_never_says_that_they_are_no_digit(
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
