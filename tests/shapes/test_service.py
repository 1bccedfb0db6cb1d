"""The service with models of other shapes than digits: pictures in colour, and numbers in JSON."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.model.exports import Exports
from tests.conftest import Run
from tests.serve.service import Answer, Service, serving
from tests.shapes import SPECS
from tests.shapes.made import LABELS, NAME, make_exports

JSON = "application/json"


class Made:
    """A service, and what its models answered to their golden pack."""

    def __init__(self, service: Service, exports: Exports) -> None:
        self.service, self.golden = service, exports.read_golden()

    def ask(self, body: Any, path: str = "/v1/predict?show=true") -> Answer:
        """Send a body of JSON."""
        return self.service.ask(path, body if isinstance(body, bytes) else json.dumps(body).encode(), kind=JSON)


@pytest.fixture(scope="module", params=["meter", "grey", "row", "spectrogram", "numbers"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    place, name = tmp_path_factory.mktemp(request.param), request.param
    numbers = name == "numbers"
    exports = make_exports(place, "long" if numbers else name, numbers=numbers)
    with serving(place, "--rate", "0") as running:
        yield Made(running, exports)


def test_numbers_in_json_are_answered_as_the_model_answers_them(made: Made) -> None:
    images, spec = made.golden.images[:3], made.golden.task.input
    sent = [images[0].tolist(), images[1].ravel().tolist(), images[2].tolist()]
    document = made.ask({"inputs": sent}).document
    for index, (one, image, expected) in enumerate(
        zip(document["predictions"], images, made.golden.probabilities, strict=False)
    ):
        assert one["source"] == f"inputs[{index}]"
        np.testing.assert_array_equal(np.array(one["image"], spec.dtype), image)
        if made.golden.task.numbers:
            np.testing.assert_allclose(one["values"], expected, atol=1e-5)
            assert (one["digit"], one["probabilities"]) == (None, [])
        else:
            np.testing.assert_allclose(one["probabilities"], expected, atol=1e-5)
            assert one["digit"] == LABELS[int(expected.argmax())]
            assert "values" not in one


def test_a_picture_is_answered_where_the_model_takes_pictures(made: Made) -> None:
    task, stream = made.golden.task, io.BytesIO()
    picture = made.golden.images[0] if task.input.is_picture else np.zeros((9, 9), np.uint8)
    Image.fromarray(picture).save(stream, "PNG")
    answer = made.service.ask("/v1/predict", stream.getvalue())
    if not task.input.is_picture:
        assert (answer.status, answer.document["hint"]) == (415, 'Send {"inputs": [[…]]} as application/json.')
        assert f"takes {task.input.words()}, and no pictures" in answer.document["message"]
        return
    (first,) = answer.document["predictions"]
    np.testing.assert_allclose(first["probabilities"], made.golden.probabilities[0], atol=1e-5)
    assert first["told"] == []
    stream = io.BytesIO()
    Image.new("RGBA", (40, 40), (200, 30, 30, 9)).save(stream, "PNG")
    (lost,) = made.service.ask("/v1/predict", stream.getvalue()).document["predictions"]
    assert "Transparent parts were put on white" in lost["told"]


def test_the_service_says_what_it_takes_and_that_pages_are_for_digits(made: Made) -> None:
    found = made.service.ask("/v1/artifacts").document
    spec = made.golden.task.input
    assert (found["task"], found["takes"]["shape"]) == (made.golden.task.name, list(spec.shape))
    refused = made.service.ask("/v1/read", b"no picture")
    assert (refused.status, refused.document["error"]) == (422, "wrong-task")
    assert f"`read` is for digits, and {NAME} answers" in refused.document["message"]
    document = made.service.ask("/openapi.json").document
    assert "/v1/read" not in document["paths"]
    assert spec.words() in document["info"]["description"]


def test_what_is_no_input_of_the_model_is_told_and_the_next_one_is_answered(made: Made) -> None:
    spec = made.golden.task.input
    one = np.zeros(spec.shape).tolist()
    huge, deep = b"[" + b"0," * 8_000_000 + b"0]", b"[" * 100_000
    cases: list[tuple[Any, int, str]] = [
        ({"inputs": [np.zeros(spec.size + 1).tolist()]}, 422, "must be"),
        ({"inputs": [one, "a"]}, 422, "inputs[1] cannot be used: "),
        ({"inputs": [np.full(spec.shape, None).tolist()]}, 422, "must be numbers"),
        ({"inputs": []}, 400, "no inputs"),
        ({"inputs": 5}, 400, "no inputs"),
        ({"inputs": [one], "images": ["aGk="]}, 400, "both images and inputs"),
        ({"inputs": [[0]] * 257}, 413, "257 inputs, but the limit is 256"),
        ({}, 400, "no images"),
        (b'{"inputs": ' + deep + b"}", 400, "not the expected JSON"),
        (b'{"inputs": [[1e999]]}', 400, "not the expected JSON"),
        (b'{"inputs": ' + huge + b"}", 413, ""),
    ]
    for body, status, words in cases:
        answer = made.ask(body)
        assert (answer.status, words in answer.document["message"]) == (status, True), answer.document
    assert made.ask({"inputs": [one]}).status == 200


def test_a_model_of_numbers_keeps_and_counts_nothing(edgemnist: Run, tmp_path: Path) -> None:
    exports = make_exports(tmp_path / "made", "row", numbers=True).directory
    np.save(tmp_path / "x.npy", SPECS["row"].random(1))
    for words in (("serve", "--port", "0"), ("predict", "x.npy")):
        refused = edgemnist(*words, "--exports", exports, "--collect", "samples")
        assert refused.returncode == 2
        assert "answers with numbers, and only classes are kept" in refused.stderr
    assert not (tmp_path / "samples").exists()
