"""The page in a real Chromium: draws, reads, compares, on a phone and on a desk, by day and by night."""

from __future__ import annotations

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
from selenium.webdriver.support.wait import WebDriverWait

from benchmarks.vision.synthetic.forms import STYLES as FORMS
from benchmarks.vision.synthetic.forms import compose_form
from edgemnist.exports import reference_directory
from edgemnist.train_likeness.synthetic.page import Digits
from tests.browser import WINDOWS, console, draw, show
from tests.conftest import REPOSITORY
from tests.serve.service import TOKEN, Service, serving

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


def text(browser: Chrome, name: str) -> str:
    # Also of what is there for screen readers only.
    return str(find(browser, name).get_attribute("textContent"))


def wait_for_status(browser: Chrome, said: str) -> None:
    WebDriverWait(browser, 10, 0.05).until(lambda _: said in text(browser, "status"))


def open_page(browser: Chrome, service: Service, window: str = "desktop", scheme: str = "light") -> None:
    show(browser, service.url, window, scheme)
    WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "artifact").is_enabled())


@pytest.mark.parametrize(("window", "scheme"), EVERYWHERE)
def test_what_is_drawn_is_read_at_once(window: str, scheme: str, known: Service, browser: Chrome) -> None:
    open_page(browser, known, window, scheme)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as 7")
    assert text(browser, "digit") == "7"
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


def test_a_drawing_that_is_no_digit_is_told(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    draw(browser, [(0, -0.3), (0, 0.3)])
    draw(browser, [(-0.3, 0), (0.3, 0)])
    wait_for_status(browser, "but this looks like no digit")
    assert text(browser, "confidence") == "no digit"
    assert "doubtful" in str(find(browser, "digit").get_attribute("class"))


def test_the_answer_and_its_bars_are_on_the_first_screen_of_a_phone(known: Service, browser: Chrome) -> None:
    open_page(browser, known, "phone")
    bars = find(browser, "bars")
    assert bars.location["y"] + bars.size["height"] <= WINDOWS["phone"][1]
    for button in browser.find_elements(By.CSS_SELECTOR, "button, select"):
        if button.is_displayed():
            assert button.size["height"] >= 44, button.get_attribute("id")


@pytest.mark.parametrize("size", [(320, 640), (568, 320), (640, 320), (667, 375), (844, 390)])
def test_nothing_covers_the_answer_on_a_small_phone_upright_or_on_its_side(
    size: tuple[int, int], service: Service, browser: Chrome
) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(service.url)
    WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "artifact").is_enabled())
    assert find(browser, "compare-label").is_displayed()
    parts = [find(browser, name).rect for name in ("pad", "undo", "clear", "compare-label", "bars", "digit")]
    for one, other in itertools.combinations(parts, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        below = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or below, (one, other)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


def test_a_finger_draws_and_does_not_scroll(known: Service, browser: Chrome) -> None:
    open_page(browser, known, "phone")
    pad = find(browser, "pad")
    side = pad.size["width"]
    left, top = pad.location["x"] + side / 2, pad.location["y"] + side / 2
    places = [{"x": left + x * side, "y": top + y * side} for x, y in SEVEN]
    points = [
        {"x": a["x"] + (b["x"] - a["x"]) * step / 8, "y": a["y"] + (b["y"] - a["y"]) * step / 8}
        for a, b in itertools.pairwise(places)
        for step in range(9)
    ]
    touch = "Input.dispatchTouchEvent"
    browser.execute_cdp_cmd(touch, {"type": "touchStart", "touchPoints": [points[0]]})
    for point in points[1:]:
        browser.execute_cdp_cmd(touch, {"type": "touchMove", "touchPoints": [point]})
    browser.execute_cdp_cmd(touch, {"type": "touchEnd", "touchPoints": []})
    wait_for_status(browser, "Read as 7")
    assert browser.execute_script("return scrollY") == 0


def test_the_pad_is_cleared_and_strokes_are_taken_back(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as 7")
    draw(browser, [(-0.4, -0.4), (0.4, 0.4)])
    WebDriverWait(browser, 10, 0.05).until(
        lambda _: "7" not in text(browser, "status") or text(browser, "digit") != "7"
    )
    find(browser, "undo").click()
    WebDriverWait(browser, 10, 0.05).until(lambda _: text(browser, "digit") == "7")
    find(browser, "clear").click()
    assert text(browser, "digit") == "–"
    assert not find(browser, "clear").is_enabled()


def test_the_keyboard_alone_draws(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    find(browser, "tab-draw").click()
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.get_attribute("id") == "pad"
    ActionChains(browser).send_keys(" ", *[Keys.ARROW_DOWN] * 12, " ").perform()
    wait_for_status(browser, "Read as 1")
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert text(browser, "digit") == "–"


RING = """
const pad = document.getElementById("pad");
const accent = getComputedStyle(pad).getPropertyValue("--accent").trim().match(/[0-9a-f]{2}/gi);
const [r, g, b] = accent.map((channel) => parseInt(channel, 16));
const copy = new OffscreenCanvas(pad.width, pad.height).getContext("2d", { willReadFrequently: true });
copy.drawImage(pad, 0, 0);
const { data } = copy.getImageData(0, 0, pad.width, pad.height);
let found = 0;
for (let i = 0; i < data.length; i += 4) found += data[i] === r && data[i + 1] === g && data[i + 2] === b;
return found
"""
"""How many pixels of the pad have the colour of the keyboard's pen."""


def test_whether_the_keyboards_pen_is_down_is_seen_and_told(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    pad = find(browser, "pad")
    pad.send_keys(Keys.ARROW_DOWN)
    up = browser.execute_script(RING)
    assert up > 0
    pad.send_keys(" ")
    assert text(browser, "pen") == "Pen down."
    assert browser.execute_script(RING) > 1.5 * up
    pad.send_keys(*[Keys.ARROW_DOWN] * 4, " ")
    assert text(browser, "pen") == "Pen up."
    wait_for_status(browser, "Read as")


@pytest.mark.parametrize("keys", [(Keys.CONTROL, "z"), (Keys.BACKSPACE,), (Keys.ESCAPE,)], ids=["z", "back", "escape"])
def test_a_stroke_that_is_taken_back_while_it_is_drawn_is_over(
    keys: tuple[str, ...], known: Service, browser: Chrome
) -> None:
    open_page(browser, known)
    pad = find(browser, "pad")
    pad.send_keys(" ", *[Keys.ARROW_DOWN] * 3)
    pad.send_keys(*keys)
    assert text(browser, "pen") == "Pen up."
    assert not find(browser, "undo").is_enabled()
    # The next stroke is one again.
    pad.send_keys(*[Keys.ARROW_UP] * 3, " ", *[Keys.ARROW_DOWN] * 12, " ")
    wait_for_status(browser, "Read as 1")


def test_every_bar_is_told_to_those_who_do_not_see_it(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
    told = "#bars li > :not([aria-hidden])"
    assert [bar.get_attribute("textContent") for bar in browser.find_elements(By.CSS_SELECTOR, told)] == [*"0123456789"]
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as 7")
    for digit, bar in enumerate(browser.find_elements(By.CSS_SELECTOR, told)):
        label, _, share = str(bar.get_attribute("textContent")).partition(": ")
        assert label == str(digit)
        assert share.endswith(" %")
        assert (float(share.removesuffix(" %")) > 50) == (digit == 7)


def test_tabs_are_changed_with_arrow_keys(known: Service, browser: Chrome) -> None:
    open_page(browser, known)
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


@pytest.mark.parametrize(("window", "scheme"), EVERYWHERE)
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


def test_a_picture_that_cannot_be_read_is_told_and_the_next_one_is_read(
    known: Service, browser: Chrome, tmp_path: Path
) -> None:
    open_page(browser, known)
    find(browser, "tab-read").click()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    find(browser, "file").send_keys(str(tmp_path / "broken.png"))
    WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "alert").is_displayed())
    assert "not a picture" in find(browser, "alert").text
    find(browser, "file").send_keys(str(PAGE))
    wait_for_status(browser, "Read:")
    assert not find(browser, "alert").is_displayed()
    # Chromium itself writes down that the answer was 422.
    assert [entry["source"] for entry in console(browser)] == ["network"]


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
    WebDriverWait(browser, 10, 0.05).until(
        lambda _: (
            browser.execute_script("return document.querySelector('#comparison tbody th').textContent")
            == "onnx-float32"
        )
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
    WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "alert").is_displayed())
    assert "does not answer" in find(browser, "alert").text
    console(browser)


def test_the_token_is_asked_for_or_comes_with_the_address(browser: Chrome) -> None:
    with serving(reference_directory(), "--token", TOKEN) as service:
        show(browser, service.url)
        WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "token-form").is_displayed())
        find(browser, "token").send_keys(TOKEN, Keys.ENTER)
        WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "artifact").is_enabled())
        assert not find(browser, "token-form").is_displayed()
        browser.execute_script("sessionStorage.clear()")
        browser.get("about:blank")
        browser.get(f"{service.url}#token={TOKEN}")
        WebDriverWait(browser, 10, 0.05).until(lambda _: find(browser, "artifact").is_enabled())
        assert TOKEN not in browser.current_url
        console(browser)
