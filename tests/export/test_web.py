"""The web page in a real Chromium and Firefox, from disk: every bit of the reference, drawn on, without a network."""

import base64
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from edgemnist.digits.images import normalize_digit
from edgemnist.errors import ArtifactError
from edgemnist.ground.arrays import Images
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.native import compile_wasm
from edgemnist.model.native.amalgamation import Origin
from edgemnist.model.native.classifier import read_network_file
from edgemnist.model.native.network import Network
from edgemnist.model.native.webassembly import ENGINE, BrowserClassifier, pack_network
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.tflite import read_graph_file
from edgemnist.pipeline.data.sources import read_dataset
from edgemnist.pipeline.export.web import web_page
from tests.browser import WINDOWS, console, show, text
from tests.conftest import MNIST, Run
from tests.firefox import Firefox
from tests.images.drawing import random_drawing
from tests.native.networks import expected_scores, random_case
from tests.needs import require
from tests.patience import PATIENCE_S

SHIPPED = reference_directory() / "tflite-int8.tflite"
SEVEN = [(-0.22, -0.28), (0.22, -0.28), (0.06, 0.02), (-0.06, 0.3)]
"""Points of a stroke from the middle of the pad, as shares of its side."""


def page_of(network: Network) -> bytes:
    origin = Origin(version="1.2.3", model_sha256="a" * 64, tflite_sha256="b" * 64, labels=[*"0123456789"])
    return web_page(network, origin, "web-int8", ends_with="probabilities").encode()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the network that comes with the package."""
    path = tmp_path_factory.mktemp("web") / "digit.html"
    path.write_bytes(page_of(read_network_file(SHIPPED)))
    return path


def open_page(browser: Chrome, page: Path, window: str = "desktop", scheme: str = "light") -> None:
    show(browser, page.as_uri(), window, scheme)
    WebDriverWait(browser, PATIENCE_S, 0.05).until(
        lambda _: browser.execute_script("return Boolean(globalThis.edgemnist)")
    )


def draw(browser: Chrome, stroke: list[tuple[float, float]] = SEVEN) -> None:
    pad = browser.find_element(By.ID, "pad")
    (left, top), *rest = [(round(x * pad.size["width"]), round(y * pad.size["width"])) for x, y in stroke]
    actions = ActionChains(browser, duration=20)
    actions.move_to_element_with_offset(pad, left, top).click_and_hold()
    for x, y in rest:
        actions.move_to_element_with_offset(pad, x, y)
    actions.release().perform()
    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: "Read as" in text(browser, "status"))


def test_export_makes_it_and_verify_holds_it_to_every_bit(every_export: Path, edgemnist: Run) -> None:
    require("chromium")
    done = edgemnist("verify", "web-int8", "--exports", every_export, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["artifacts"]
    assert (found["runtime"], found["integer"]["differing"]) == ("browser", 0)


@pytest.mark.needs("EDGEMNIST_DATA", "chromium")
def test_it_answers_every_bit_for_all_of_mnist(page: Path) -> None:
    images: Images = read_dataset(MNIST).test.images
    assert len(images) == 10_000
    expected = load(SHIPPED, runtime="integer").predict_proba(images)
    np.testing.assert_array_equal(BrowserClassifier.load(page).predict_proba(images), expected)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.all) for name in ("chromium", "firefox")])
def execute(request: pytest.FixtureRequest, page: Path) -> Callable[..., Any]:
    """Return what runs JavaScript on the page, in each browser."""
    if request.param == "chromium":
        chrome: Chrome = request.getfixturevalue("browser")
        open_page(chrome, page)
        return chrome.execute_script
    return open_in_firefox(request.getfixturevalue("firefox"), page).run


def open_in_firefox(firefox: Firefox, page: Path) -> Firefox:
    firefox.open(page.as_uri())
    firefox.wait("globalThis.edgemnist")
    return firefox


RUN = """
const [about, model, images] = arguments;
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const code = bytes(document.getElementById("carried-engine").textContent);
return globalThis.edgemnist.constructor.open(code, bytes(model), about)
  .then((engine) => Array.from(engine.answer(bytes(images))));
"""


def test_random_networks_answer_every_bit_of_the_integer_reference(execute: Callable[..., Any]) -> None:
    tried = 0
    for seed in range(9_000, 9_120):
        case = random_case(seed)
        if case is None:
            continue
        network, images, expected = case
        about = {"labels": [""] * network.classes, "inputs": network.inputs}
        sent = [base64.b64encode(data).decode() for data in (pack_network(network), images.tobytes())]
        found = execute(RUN, about, *sent)
        assert np.array_equal(np.reshape(found, expected.shape), expected), seed
        tried += 1
    assert tried > 100


FIT = """
const [width, height, picture] = arguments;
const grey = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
const { kind, image, several, inverted } = globalThis.edgemnist.fit(grey, width, height);
return { kind, image: Array.from(image), several, inverted };
"""


def test_a_drawing_becomes_the_bytes_that_python_makes_of_it(execute: Callable[..., Any]) -> None:
    kinds = set()
    for seed in range(150):
        drawing = random_drawing(seed)
        sent = base64.b64encode(drawing.tobytes()).decode()
        found = execute(FIT, *drawing.size, sent)
        kinds.add(found["kind"])
        if found["kind"] == "found":
            expected = normalize_digit(drawing)
            assert found["image"] == expected.image.ravel().tolist(), seed
            assert (found["several"], found["inverted"]) == (expected.several, expected.inverted), seed
    assert kinds == {"found", "blank", "uneven"}


ANSWER = """
const images = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
return Array.from(globalThis.edgemnist.answer(images));
"""


@pytest.mark.parametrize("data", ["golden", pytest.param("mnist", marks=pytest.mark.needs("EDGEMNIST_DATA"))])
def test_in_firefox_it_answers_every_bit_of_the_integer_reference(data: str, page: Path, firefox: Firefox) -> None:
    golden = read_golden(reference_directory(), read_manifest(reference_directory()))
    images: Images = read_dataset(MNIST).test.images if data == "mnist" else golden.images
    found = open_in_firefox(firefox, page).run(ANSWER, base64.b64encode(images.tobytes()).decode())
    expected = expected_scores(read_graph_file(SHIPPED), images)
    np.testing.assert_array_equal(np.reshape(found, expected.shape), expected)
    assert firefox.console == []


@pytest.mark.parametrize("pointer", ["mouse", "touch"])
def test_in_firefox_it_is_drawn_on_from_disk(pointer: str, page: Path, firefox: Firefox) -> None:
    open_in_firefox(firefox, page)
    firefox.draw("#pad", SEVEN, pointer=pointer)
    firefox.wait("document.getElementById('status').textContent.includes('Read as')")
    assert firefox.run("return document.getElementById('answer').textContent") == "7"
    assert firefox.console == []


@pytest.mark.parametrize(("window", "scheme"), list(itertools.product(WINDOWS, ("light", "dark"))))
def test_it_is_drawn_on_from_disk(window: str, scheme: str, page: Path, browser: Chrome) -> None:
    open_page(browser, page, window, scheme)
    draw(browser)
    assert "Read as 7" in text(browser, "status")
    assert text(browser, "answer") == "7"
    bars = browser.find_elements(By.CSS_SELECTOR, "#bars li")
    heights = [bar.find_element(By.CLASS_NAME, "fill").size["height"] for bar in bars]
    assert heights.index(max(heights)) == 7
    assert text(browser, "fact-classify").endswith(" µs")
    assert text(browser, "fact-normalize").endswith(" ms")
    pixels = browser.execute_script(
        "const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });"
        "copy.drawImage(document.getElementById('seen'), 0, 0);"
        "const d = copy.getImageData(0, 0, 28, 28).data;"
        "return Array.from(d).filter((_, i) => i % 4 === 0)"
    )
    assert max(pixels) == 255
    assert browser.execute_script("return document.documentElement.scrollWidth") == WINDOWS[window][0]
    findings = Axe().run(browser)["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in findings] == []
    assert console(browser) == []


def test_the_keyboard_alone_draws(page: Path, browser: Chrome) -> None:
    open_page(browser, page)
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.get_attribute("id") == "pad"
    ActionChains(browser).send_keys(" ", *[Keys.ARROW_DOWN] * 12, " ").perform()
    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: "Read as 1" in text(browser, "status"))
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert text(browser, "answer") == "–"


def test_it_asks_nobody_for_anything_and_is_small(page: Path, browser: Chrome) -> None:
    open_page(browser, page)
    draw(browser)
    asked = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [address for address in asked if not address.startswith("data:")] == []
    assert page.stat().st_size <= 650_000
    assert ENGINE.stat().st_size <= 24_576
    # Not even where a script of the page tries to.
    refused = "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name).then(arguments[0])"
    assert browser.execute_async_script(refused) == "TypeError"
    assert any("Content Security Policy" in entry["message"] for entry in console(browser))


def test_what_clang_makes_of_the_sources_answers_as_the_engine_that_comes_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("clang", "wasm-ld", "chromium")
    compile_wasm(tmp_path / "engine.wasm")
    monkeypatch.setattr("edgemnist.pipeline.export.web.ENGINE", tmp_path / "engine.wasm")
    (tmp_path / "digit.html").write_bytes(page_of(read_network_file(SHIPPED)))
    directory = reference_directory()
    images = read_golden(directory, read_manifest(directory)).images[:100]
    expected = load(SHIPPED, runtime="integer").predict_proba(images)
    np.testing.assert_array_equal(BrowserClassifier.load(tmp_path / "digit.html").predict_proba(images), expected)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"labels": []}'], ids=["nothing", "no-json", "no-page"])
def test_what_is_no_page_of_ours_is_refused_in_a_sentence(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.html"
    path.write_bytes(b'<!doctype html>\n<script type="application/json" id="carried-about">' + damage + b"</script>")
    with pytest.raises(ArtifactError, match=r"other\.html is not a page written by edgemnist"):
        BrowserClassifier.load(path)


def test_a_page_whose_engine_is_damaged_is_told_of(page: Path, tmp_path: Path) -> None:
    require("chromium")
    engine = base64.b64encode(ENGINE.read_bytes())
    (tmp_path / "broken.html").write_bytes(page.read_bytes().replace(engine[:400], b"A" * 400))
    with pytest.raises(ArtifactError, match="does not answer in a browser"):
        BrowserClassifier.load(tmp_path / "broken.html")


def test_labels_end_no_element() -> None:
    origin = Origin(version="1", model_sha256="", tflite_sha256="", labels=["</script><b>", *"123456789"])
    made = web_page(read_network_file(SHIPPED), origin, "web-int8", ends_with="probabilities")
    assert "<b>" not in made
