"""The service with models of other shapes than digits: pictures in colour, and numbers in JSON."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from edgemnist.field.samples.store import SampleStore
from edgemnist.model.exports import Exports
from tests.browser import console, show, text, until
from tests.conftest import Run
from tests.patience import PATIENCE_S
from tests.serve.service import Answer, Service, first_document, serving
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
            assert (one["answer"], one["probabilities"]) == (None, [])
        else:
            np.testing.assert_allclose(one["probabilities"], expected, atol=1e-5)
            assert one["answer"] == LABELS[int(expected.argmax())]
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


def find(browser: Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


@contextmanager
def reviewing(samples: Path) -> Iterator[str]:
    """Run the review for as long as the body runs."""
    command = [sys.executable, "-m", "edgemnist", "review", str(samples), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield str(first_document(process)["url"])
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def ask(browser: Chrome, name: str, inputs: list[object], picture: Path) -> None:
    """Ask about the first input of a golden pack as a person would: with a file, or with numbers."""
    if name == "meter":
        find(browser, "ask-file").send_keys(str(picture))
    else:
        find(browser, "ask-numbers").send_keys(json.dumps(inputs))
        find(browser, "ask-form").find_element(By.TAG_NAME, "button").click()


@pytest.mark.parametrize(("name", "window"), [("meter", "desktop"), ("row", "phone"), ("numbers", "desktop")])
def test_pictures_and_numbers_are_corrected_and_reviewed(
    name: str, window: str, browser: Chrome, tmp_path: Path
) -> None:
    numbers = name == "numbers"
    exports = make_exports(tmp_path / "made", "long" if numbers else name, numbers=numbers)
    golden, picture = exports.read_golden(), tmp_path / "picture.png"
    if name == "meter":
        Image.fromarray(golden.images[0]).save(picture)
    samples = tmp_path / "samples"
    with serving(exports.directory, "--rate", "0", *([] if numbers else ["--collect", str(samples)])) as service:
        show(browser, service.url, window)
        until(browser, lambda: browser.find_elements(By.ID, "panel-ask"))
        assert not browser.find_elements(By.ID, "pad")
        ask(browser, name, golden.images[0].tolist(), picture)
        until(browser, lambda: "Answered" in text(browser, "status"))
        assert find(browser, "seen").is_displayed()
        assert Axe().run(browser)["violations"] == []
        if numbers:
            assert text(browser, "answer") == "5 numbers"
            return
        expected = LABELS[int(golden.probabilities[0].argmax())]
        assert text(browser, "answer") == expected
        bars = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#bars .label")]
        assert bars == [LABELS[index] for index in golden.probabilities[0].argsort()[::-1]]
        (other, *_, none) = find(browser, "correct-keys").find_elements(By.TAG_NAME, "button")
        assert none.text == "none of these"
        corrected = other.text
        other.click()
        until(browser, lambda: f"Kept as {corrected}" in text(browser, "correct-words"))
    with reviewing(samples) as url:
        show(browser, url, window)
        until(browser, lambda: find(browser, "review").is_displayed())
        keys = [one.text.split()[-1] for one in find(browser, "keys").find_elements(By.TAG_NAME, "button")]
        assert keys == [label.split()[-1] for label in LABELS]
        assert Axe().run(browser)["violations"] == []
        find(browser, "reveal").click()
        assert f"answered {expected}" in text(browser, "answer")
        browser.find_element(By.TAG_NAME, "body").send_keys("3")
        until(browser, lambda: f"Labelled {LABELS[2]}" in text(browser, "status"))
    with SampleStore.open(samples) as store:
        (sample,) = store.samples()
    assert sample.pixels == golden.images[0].tobytes()
    assert {label.label for label in sample.labels} == {corrected, LABELS[2]}
    assert not console(browser)
