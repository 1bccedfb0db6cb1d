"""The report in a real Chromium, on a desk and on a phone: complete, quiet, within its window, and readable."""

import re
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from edgemnist.model.exports import Exports
from edgemnist.pipeline.report.page import read_report_data, write_report
from tests.browser import WINDOWS, console, show
from tests.patience import PATIENCE_S

AA = 4.5
"""Contrast that WCAG 2 asks of text, level AA."""


@pytest.fixture(scope="module")
def report(known_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of artifacts about which everything is known."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(Exports.open(known_exports), path)
    return path


def look(browser: Chrome, page: Path, window: str = "desktop", scheme: str = "light") -> None:
    show(browser, page.resolve().as_uri(), window, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", WINDOWS)
def test_it_opens_without_a_word_and_fits_the_window(window: str, scheme: str, report: Path, browser: Chrome) -> None:
    look(browser, report, window, scheme)
    assert console(browser) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == WINDOWS[window][0]
    for drawing in browser.find_elements(By.CSS_SELECTOR, "figure svg"):
        assert 250 < drawing.size["width"] <= WINDOWS[window][0]
        assert drawing.size["height"] > 100


@pytest.mark.parametrize("size", [(320, 640), (640, 320)])
def test_on_a_small_phone_upright_or_on_its_side_only_tables_scroll_and_say_so(
    size: tuple[int, int], report: Path, browser: Chrome
) -> None:
    look(browser, report)
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")

    def tables() -> list[list[bool]]:
        found: list[list[bool]] = browser.execute_script(
            "return [...document.querySelectorAll('.scroll')].map(one => "
            "[one.scrollWidth > one.clientWidth, getComputedStyle(one, '::before').visibility == 'visible'])"
        )
        return found

    assert any(scrolls for scrolls, _ in tables())
    # What was closed is laid out with the next frame.
    WebDriverWait(browser, PATIENCE_S, 0.05).until(lambda _: all(scrolls == said for scrolls, said in tables()))


def test_the_answer_stands_on_the_first_screen_of_a_phone(report: Path, known_exports: Path, browser: Chrome) -> None:
    look(browser, report, "phone")
    recommended = read_report_data(Exports.open(known_exports)).recommended
    heading = browser.find_element(By.TAG_NAME, "h1")
    assert heading.text == f"Ship {recommended}"
    figures = browser.find_element(By.CLASS_NAME, "key-figures")
    assert figures.location["y"] + figures.size["height"] < WINDOWS["phone"][1]
    assert "µs" in figures.text
    assert "KB" in figures.text


def test_everything_that_is_known_is_shown(report: Path, known_exports: Path, browser: Chrome) -> None:
    look(browser, report)
    facts = read_report_data(Exports.open(known_exports))
    headings = [heading.text for heading in browser.find_elements(By.TAG_NAME, "h2")]
    assert headings == [
        "The artifacts",
        "What else it costs",
        "Is it still the same model?",
        "The model",
        "Where it comes from",
    ]
    # Trade-off, distributions and training curves.
    assert len(browser.find_elements(By.CSS_SELECTOR, "figure svg")) == 3
    rows = browser.find_elements(By.CSS_SELECTOR, "section:first-of-type tbody tr")
    assert {row.find_element(By.TAG_NAME, "th").text for row in rows} == {name for name, _ in facts.models()}
    assert facts.golden is not None
    cells = browser.find_elements(By.CSS_SELECTOR, ".confusion td")
    assert sum(int(cell.text or 0) for cell in cells) == len(facts.golden.labels)
    page = report.read_text()
    assert all(artifact.sha256 in page for artifact in facts.manifest.artifacts)
    assert "edgemnist train --recipe baseline --hidden 8" in page


def test_every_flip_is_shown_with_its_picture(report: Path, known_exports: Path, browser: Chrome) -> None:
    look(browser, report)
    facts = read_report_data(Exports.open(known_exports))
    assert facts.verified is not None
    for parity in facts.verified.artifacts:
        galleries = [
            one
            for one in browser.find_elements(By.TAG_NAME, "details")
            if one.find_element(By.TAG_NAME, "summary").text.startswith(f"{parity.name}:")
        ]
        assert len(galleries) == bool(parity.flipped)
        for gallery in galleries:
            pictures = gallery.find_elements(By.TAG_NAME, "img")
            assert len(pictures) == len(parity.flipped[:60])
            assert all(browser.execute_script("return arguments[0].naturalWidth", one) == 28 for one in pictures)


def test_it_needs_no_network_and_no_script_and_every_part_has_its_own_id(report: Path) -> None:
    page = report.read_text()
    assert "<script" not in page
    links = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links), links
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_pictures_have_words_and_tables_have_heads(report: Path, browser: Chrome) -> None:
    look(browser, report)
    for drawing in browser.find_elements(By.TAG_NAME, "svg"):
        assert drawing.get_attribute("role") == "img"
        assert len(drawing.get_attribute("aria-label") or "") > 20
    assert all(image.get_attribute("alt") for image in browser.find_elements(By.TAG_NAME, "img"))
    for table in browser.find_elements(By.TAG_NAME, "table"):
        assert table.find_elements(By.CSS_SELECTOR, "th[scope]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str, report: Path, browser: Chrome) -> None:
    look(browser, report, "desktop", scheme)
    script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim()"
    colors = {
        name: browser.execute_script(script, f"--{name}")
        for name in ("surface", "raised", "ink", "muted", "good", "bad", "series-1", "series-2", "series-3")
    }
    for name in ("ink", "muted", "good", "bad"):
        for ground in ("surface", "raised"):
            assert contrast(colors[name], colors[ground]) >= AA, (name, ground)
    for number in (1, 2, 3):
        # WCAG 2 asks 3:1 of what is no text.
        assert contrast(colors[f"series-{number}"], colors["surface"]) >= 3
    # The drawings take the colours of the page.
    label = browser.find_element(By.CSS_SELECTOR, "figure svg text").value_of_css_property("fill")
    shown = "#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", label)[:3]))
    assert shown in {colors["muted"], colors["ink"]}


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours such as #1b1f24, as WCAG 2 defines it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    shares = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_nobody_has_found_out_yet_is_asked_for(exports: Path, browser: Chrome) -> None:
    for name in ("training.json", "verify.json", "bench.json"):
        (exports / name).unlink(missing_ok=True)
    result = write_report(Exports.open(exports))
    # The model is there, and a training would replace it.
    assert result.missing == [f"edgemnist {words} --exports {exports}" for words in ("verify", "bench")]
    look(browser, Path(result.file), "phone")
    assert console(browser) == []
    assert browser.find_element(By.TAG_NAME, "h1").text == "Not measured yet"
    assert "edgemnist bench" in browser.find_element(By.CLASS_NAME, "note").text
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
