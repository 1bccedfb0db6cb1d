"""`import edgemnist`: what it offers, and that a picture goes in and a digit comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgemnist
from edgemnist.errors import ImageError
from tests.serve.service import png, seven


def test_everything_that_is_offered_is_listed_and_there() -> None:
    assert {"Exports", "load", "prepare", "__version__", "__name__", "__doc__"} <= set(dir(edgemnist))
    for name in edgemnist.__all__:
        assert getattr(edgemnist, name) is not None
    with pytest.raises(AttributeError, match="'lood'"):
        _ = edgemnist.lood  # type: ignore[attr-defined]


def test_any_picture_of_a_digit_is_prepared_for_any_classifier(tmp_path: Path) -> None:
    picture = seven(mode="RGB")
    picture.save(tmp_path / "seven.png")
    classifier = edgemnist.Exports.open("reference").load()
    forms: list[Any] = [
        tmp_path / "seven.png",
        str(tmp_path / "seven.png"),
        png(picture),
        picture,
        np.asarray(picture.convert("L")),
    ]
    prepared = [edgemnist.prepare(form) for form in forms]
    assert all(np.array_equal(one, prepared[0]) for one in prepared)
    assert prepared[0].shape == (28, 28)
    assert classifier.labels[classifier.predict(prepared[0])[0]] == "7"
    with pytest.raises(ImageError):
        edgemnist.prepare(Image.new("L", (100, 100), 255))
