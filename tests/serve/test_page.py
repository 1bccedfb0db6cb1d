"""The page in a real Chromium: draws, reads, compares, on a phone and on a desk, by day and by night."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from benchmarks.vision.synthetic.forms import STYLES as FORMS
from benchmarks.vision.synthetic.forms import compose_form
from edgemnist.model.exports import reference_directory
from tests.browser import WINDOWS, console, draw, show, text, until
from tests.conftest import REPOSITORY
from tests.serve.service import TOKEN, Service, serving
from tools.likeness.page import Digits

SEVEN = [(-0.22, -0.28), (0.22, -0.28), (0.06, 0.02), (-0.06, 0.3)]
THREE = [(-0.2, -0.25), (0.0, -0.32), (0.18, -0.22), (0.12, -0.06), (-0.02, 0), (0.14, 0.06), (0.2, 0.2), (0.02, 0.32),
         (-0.2, 0.25)]  # fmt: skip
"""Points of a stroke from the middle of the pad, as shares of its side."""
PAGE = REPOSITORY / "tests" / "read" / "pages" / "everything.jpg"
EVERYWHERE = list(itertools.product(WINDOWS, ("light", "dark")))


@pytest.fixture(scope="module")
def known() -> Iterator[Service]:
    """A service with the artifact that comes with the package, which reads what the tests draw."""
    with serving(reference_directory(), "--rate", "0") as running:
        yield running


def find(browser: Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, name)


def wait_for_status(browser: Chrome, said: str) -> None:
    until(browser, lambda: said in text(browser, "status"))


def open_page(browser: Chrome, service: Service, window: str = "desktop", scheme: str = "light") -> None:
    show(browser, service.url, window, scheme)
    until(browser, lambda: find(browser, "artifact").is_enabled())


@pytest.mark.parametrize(("window", "scheme"), EVERYWHERE)
def test_what_is_drawn_is_read_at_once(window: str, scheme: str, known: Service, browser: Chrome) -> None:
    open_page(browser, known, window, scheme)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as 7")
    assert text(browser, "answer") == "7"
    bars = browser.find_elements(By.CSS_SELECTOR, "#bars li")
    assert [bar.find_element(By.CLASS_NAME, "label").text for bar in bars] == [*"0123456789"]
    heights = [bar.find_element(By.CLASS_NAME, "fill").size["height"] for bar in bars]
    assert heights.index(max(heights)) == 7
    assert text(browser, "fact-classify").endswith(" µs")
    assert text(browser, "artifact") == "tflite-int8"
    pixels = browser.execute_script(
        "const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });"
        "copy.drawImage(document.getElementById('seen'), 0, 0);"
        "const d = copy.getImageData(0, 0, 28, 28).data;"
        "return Array.from(d).filter((_, i) => i % 4 === 0)"
    )
    assert max(pixels) == 255
    assert 40 < sum(value > 128 for value in pixels) < 250
    assert browser.execute_script("return document.documentElement.scrollWidth") == WINDOWS[window][0]
    assert console(browser) == []


def test_the_page_says_that_no_answer_has_come_and_keeps_no_earlier_one(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    browser.execute_script("window.fetch = () => new Promise(() => {})")
    draw(browser, SEVEN)
    assert text(browser, "confidence") == "reading …"
    open_page(browser, known)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as 7")
    browser.execute_script("window.fetch = () => Promise.reject(new TypeError('gone'))")
    draw(browser, [(-0.3, 0), (0.3, 0)])
    until(browser, lambda: text(browser, "confidence") == "no answer")
    assert text(browser, "answer") == "–"


def test_the_answer_and_its_bars_are_on_the_first_screen_of_a_phone(known: Service, browser: Chrome) -> None:
    open_page(browser, known, "phone")
    bars = find(browser, "bars")
    assert bars.location["y"] + bars.size["height"] <= WINDOWS["phone"][1]
    for button in browser.find_elements(By.CSS_SELECTOR, "button, select"):
        if button.is_displayed():
            assert button.size["height"] >= 44, button.get_attribute("id")


def test_a_finger_draws_and_does_not_scroll(known: Service, browser: Chrome) -> None:
    open_page(browser, known, "phone")
    draw(browser, SEVEN, finger=True)
    wait_for_status(browser, "Read as 7")
    assert browser.execute_script("return scrollY") == 0


def test_strokes_are_taken_back_and_what_is_no_digit_is_told(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as 7")
    draw(browser, [(-0.4, -0.4), (0.4, 0.4)])
    until(browser, lambda: "7" not in text(browser, "status") or text(browser, "answer") != "7")
    find(browser, "undo").click()
    until(browser, lambda: text(browser, "answer") == "7")
    find(browser, "clear").click()
    assert text(browser, "answer") == "–"
    assert not find(browser, "clear").is_enabled()
    draw(browser, [(0, -0.3), (0, 0.3)])
    draw(browser, [(-0.3, 0), (0.3, 0)])
    wait_for_status(browser, "but this looks like no digit")
    assert text(browser, "confidence") == "no digit"
    assert "doubtful" in str(find(browser, "answer").get_attribute("class"))


def test_the_keyboard_alone_draws_and_changes_tabs(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    find(browser, "tab-draw").click()
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.get_attribute("id") == "pad"
    ActionChains(browser).send_keys(" ").perform()
    assert text(browser, "pen") == "Pen down."
    ActionChains(browser).send_keys(*[Keys.ARROW_DOWN] * 12, " ").perform()
    assert text(browser, "pen") == "Pen up."
    wait_for_status(browser, "Read as 1")
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert text(browser, "answer") == "–"
    find(browser, "tab-draw").send_keys(Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element.get_attribute("id") == "tab-read"
    assert find(browser, "panel-read").is_displayed()
    assert not find(browser, "panel-draw").is_displayed()


@pytest.mark.parametrize(("window", "scheme"), EVERYWHERE)
def test_a_page_is_read_and_boxes_lie_over_it(window: str, scheme: str, known: Service, browser: Chrome) -> None:
    open_page(browser, known, window, scheme)
    find(browser, "tab-read").click()
    find(browser, "file").send_keys(str(PAGE))
    wait_for_status(browser, "Read:")
    expected = known.ask("/v1/read", PAGE.read_bytes(), kind="image/jpeg").document
    sheet = find(browser, "sheet")
    boxes = sheet.find_elements(By.TAG_NAME, "rect")
    assert len(boxes) == len(expected["digits"])
    assert len(sheet.find_elements(By.CSS_SELECTOR, ".refused rect")) == sum(
        d["digit"] is None for d in expected["digits"]
    )
    scale = sheet.size["width"] / expected["width"]
    for box, digit in zip(boxes, expected["digits"], strict=True):
        x, y, width, height = digit["box"]
        assert box.rect["x"] - sheet.rect["x"] == pytest.approx(x * scale, abs=5)
        assert box.rect["y"] - sheet.rect["y"] == pytest.approx(y * scale, abs=5)
        assert box.rect["height"] == pytest.approx(height * scale, abs=8)
        assert box.rect["width"] == pytest.approx(width * scale, abs=8)
    words = [word.text for word in find(browser, "lines").find_elements(By.TAG_NAME, "b")]
    assert words == [number["text"] for number in expected["numbers"]]
    assert browser.execute_script("return document.documentElement.scrollWidth") == WINDOWS[window][0]
    assert console(browser) == []


@pytest.mark.parametrize(("window", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_a_form_is_shown_as_its_table(
    window: str, scheme: str, known: Service, browser: Chrome, digits: Digits, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    form = tmp_path / "form.png"
    Image.fromarray(compose_form(digits.sample(200, rng), rng, FORMS["sudoku"]).picture).save(form)
    expected = known.ask("/v1/read", form.read_bytes(), kind="image/png").document
    open_page(browser, known, window, scheme)
    find(browser, "tab-read").click()
    find(browser, "file").send_keys(str(form))
    wait_for_status(browser, "Read:")
    (table,) = expected["tables"]
    shown = [cell.text for cell in find(browser, "tables").find_elements(By.TAG_NAME, "td")]
    assert shown == [cell["text"] for cell in table["cells"]]
    assert len(shown) == 81
    outside = {digit["line"] for digit in expected["digits"] if digit["table"] is None}
    words = [word.text for word in find(browser, "lines").find_elements(By.TAG_NAME, "b")]
    assert words == [number["text"] for number in expected["numbers"] if number["line"] in outside]
    assert len(find(browser, "sheet").find_elements(By.CSS_SELECTOR, ".cell")) == 81
    assert browser.execute_script("return document.documentElement.scrollWidth") == WINDOWS[window][0]
    assert Axe().run(browser)["violations"] == []
    assert console(browser) == []


def test_artifacts_are_compared_side_by_side(service: Service, browser: Chrome) -> None:
    open_page(browser, service)
    find(browser, "compare").click()
    draw(browser, THREE)
    wait_for_status(browser, "Read as")
    rows = browser.execute_script(
        "return Array.from(document.querySelectorAll('#comparison tbody tr'),"
        " (row) => Array.from(row.cells, (cell) => cell.innerText))"
    )
    names = [one["name"] for one in service.ask("/v1/artifacts").document["artifacts"]]
    assert {row[0] for row in rows} == set(names)
    for _, digit, _, time, verdict in rows[1:]:
        assert verdict == ("agrees" if digit == rows[0][1] else "differs")
        assert time.endswith("µs")
    # Another artifact answers as soon as it is chosen.
    browser.find_element(By.CSS_SELECTOR, "#artifact option[value='onnx-float32']").click()
    until(
        browser,
        lambda: (
            browser.execute_script("return document.querySelector('#comparison tbody th').textContent")
            == "onnx-float32"
        ),
    )
    assert console(browser) == []


@pytest.mark.parametrize(("window", "scheme"), EVERYWHERE)
def test_axe_finds_nothing_that_keeps_people_out(window: str, scheme: str, service: Service, browser: Chrome) -> None:
    open_page(browser, service, window, scheme)
    find(browser, "compare").click()
    draw(browser, THREE)
    wait_for_status(browser, "Read as")
    findings = Axe().run(browser)["violations"]
    find(browser, "tab-read").click()
    find(browser, "file").send_keys(str(PAGE))
    wait_for_status(browser, "Read:")
    findings += Axe().run(browser)["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in findings] == []


def test_nothing_comes_from_anywhere_else_and_nothing_is_inline(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(loaded) >= 6
    assert all(address.startswith(known.url) for address in loaded), loaded
    html = known.ask("/").body.decode()
    assert "style=" not in html
    assert "onclick" not in html
    assert "<style" not in html


def test_a_service_that_goes_away_is_told_in_words(browser: Chrome) -> None:
    with serving(reference_directory()) as service:
        open_page(browser, service)
    draw(browser, SEVEN)
    until(browser, lambda: find(browser, "alert").is_displayed())
    assert "does not answer" in find(browser, "alert").text
    console(browser)


def test_the_token_is_asked_for_or_comes_with_the_address(browser: Chrome) -> None:
    with serving(reference_directory(), "--token", TOKEN) as service:
        show(browser, service.url)
        until(browser, lambda: find(browser, "token-form").is_displayed())
        find(browser, "token").send_keys(TOKEN, Keys.ENTER)
        until(browser, lambda: find(browser, "artifact").is_enabled())
        assert not find(browser, "token-form").is_displayed()
        browser.execute_script("sessionStorage.clear()")
        browser.get("about:blank")
        browser.get(f"{service.url}#token={TOKEN}")
        until(browser, lambda: find(browser, "artifact").is_enabled())
        assert TOKEN not in browser.current_url
        console(browser)
