"""`edgemnist serve --collect`: what is kept while it answers, and corrections from the page and from programs."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from edgemnist.drift import read_record
from edgemnist.exports import Exports, reference_directory
from edgemnist.samples import CORRECTION, NOT_A_DIGIT, UNIFORM, Sample
from edgemnist.samples.store import SampleStore
from tests.browser import WINDOWS, console, draw
from tests.conftest import run_edgemnist
from tests.serve.service import TOKEN, Answer, Service, png, serving, seven
from tests.serve.test_page import SEVEN, open_page, text, wait_for_status


def stored(directory: Path) -> list[Sample]:
    with SampleStore.open(directory) as store:
        return store.samples()


def correct(service: Service, image: Any, label: str, **headers: str) -> Answer:
    body = json.dumps({"image": np.asarray(image).tolist(), "label": label}).encode()
    return service.ask("/v1/corrections", body, kind="application/json", **headers)


@pytest.fixture
def image() -> Any:
    """An evaluation image that is a 7, uint8 [28, 28]."""
    golden = Exports.open("reference").read_golden()
    return golden.images[list(golden.labels).index(7)]


def test_answers_are_kept_unless_the_client_does_not_want_it(tmp_path: Path) -> None:
    with serving(reference_directory(), "--collect", str(tmp_path / "samples")) as service:
        assert service.ask("/healthz").document["collects"]
        assert service.ask("/v1/predict?collect=false", png(seven())).status == 200
        shown = service.ask("/v1/predict?show=true", png(seven())).document["predictions"][0]
        assert service.ask("/v1/predict?collect=maybe", png(seven())).status == 400
    (sample,) = stored(tmp_path / "samples")
    assert sample.image.tolist() == shown["image"]
    assert (sample.answer, sample.confidence, sample.reason) == ("7", shown["confidence"], UNIFORM)
    answered = Exports.open("reference").best().model.name
    assert (sample.source, sample.artifact, sample.release) == ("serve", answered, None)


def test_without_the_option_nothing_is_kept_and_nothing_can_be_corrected(service: Service, image: Any) -> None:
    assert not service.ask("/healthz").document["collects"]
    assert correct(service, image, "1").status == 404
    assert "/v1/corrections" not in service.ask("/openapi.json").document["paths"]


def test_a_correction_is_kept_with_what_the_model_itself_answers(tmp_path: Path, image: Any) -> None:
    with serving(reference_directory(), "--collect", str(tmp_path / "samples")) as service:
        answer = correct(service, image, "1")
        assert (answer.status, answer.document["answer"]) == (200, "7")
        assert correct(service, image, NOT_A_DIGIT).status == 200
    first, second = stored(tmp_path / "samples")
    assert (first.reason, first.answer, first.label, first.labels[0].writer) == (
        CORRECTION,
        "7",
        "1",
        "client 127.0.0.1",
    )
    assert second.label == NOT_A_DIGIT
    assert np.array_equal(first.image, image)


def test_corrections_of_one_client_are_bounded_and_told(tmp_path: Path, image: Any) -> None:
    options = ("--collect", str(tmp_path / "samples"), "--collect-max", "20", "--rate", "0")
    with serving(reference_directory(), *options) as service:
        answers = [correct(service, image, "1") for _ in range(12)]
        assert Counter(one.status for one in answers) == {200: 4, 429: 8}
        assert answers[-1].document["error"] == "too-many-corrections"
        assert service.ask("/v1/predict", png(seven())).status == 200
    assert Counter(one.reason for one in stored(tmp_path / "samples")) == {CORRECTION: 4, UNIFORM: 1}


def test_a_hundred_corrections_a_second_are_too_many(tmp_path: Path, image: Any) -> None:
    with serving(reference_directory(), "--collect", str(tmp_path / "samples"), "--rate", "5") as service:
        statuses = [correct(service, image, "1").status for _ in range(40)]
    assert 429 in statuses
    assert len(stored(tmp_path / "samples")) == statuses.count(200) < 40


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (json.dumps({"image": [[0] * 28] * 28, "label": "?"}).encode().replace(b"?", b"\xff"), "application/json", 400),
        (b'{"image": [], "label": "1"}', "application/json", 400),
        (json.dumps({"image": [[0] * 28] * 27, "label": "1"}).encode(), "application/json", 400),
        (json.dumps({"image": [[256] * 28] * 28, "label": "1"}).encode(), "application/json", 400),
        (json.dumps({"image": [[0] * 28] * 28, "label": "ten"}).encode(), "application/json", 400),
        (json.dumps({"image": [[0] * 28] * 28, "label": "1", "writer": "eve"}).encode(), "application/json", 400),
        (json.dumps({"image": [[0] * 28] * 28, "label": "1"}).encode(), "image/png", 415),
        (b" " * 2**25, "application/json", 413),
    ],
)
def test_what_is_no_correction_is_refused(body: bytes, kind: str, status: int, collecting: Service) -> None:
    answer = collecting.ask("/v1/corrections", body, kind=kind)
    assert answer.status == status
    assert answer.document["message"]


@pytest.fixture(scope="module")
def collecting(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that keeps samples."""
    place = tmp_path_factory.mktemp("samples")
    with serving(reference_directory(), "--rate", "0", "--collect", str(place), "--collect-max", "5000") as service:
        yield service


def test_answers_are_counted_for_health_and_prometheus(tmp_path: Path) -> None:
    with serving(reference_directory(), "--health", str(tmp_path / "health.json")) as service:
        for _ in range(3):
            assert service.ask("/v1/predict", png(seven())).status == 200
        # What the pen has not finished is not counted.
        assert service.ask("/v1/predict?collect=false", png(seven())).status == 200
        for _ in range(200):
            metrics = service.ask("/metrics").body.decode()
            if "edgemnist_health_images 3.0" in metrics:
                break
            time.sleep(0.05)
        assert "edgemnist_health_images 3.0" in metrics
        assert "edgemnist_health_alarm 0.0" in metrics
        assert 'edgemnist_health_evidence{quantity="doubtful share, golden pack"}' in metrics
    record = read_record(tmp_path / "health.json")
    assert record.lately.classes[7] == 3
    with serving(reference_directory()) as service:
        assert "edgemnist_health" not in service.ask("/metrics").body.decode()


def test_strangers_correct_nothing(tmp_path: Path, image: Any) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    options = ("--collect", str(tmp_path / "samples"), "--token-file", str(token))
    with serving(reference_directory(), *options) as service:
        assert correct(service, image, "1").status == 401
        assert correct(service, image, "1", authorization=f"Bearer {TOKEN}").status == 200
    with serving(reference_directory(), "--collect", str(tmp_path / "others")) as service:
        assert correct(service, image, "1", host="evil.example").status == 421
    assert stored(tmp_path / "others") == []


def test_a_disk_that_takes_nothing_costs_no_answer(tmp_path: Path, image: Any) -> None:
    (tmp_path / "samples").write_text("a file in its place")
    with serving(reference_directory(), "--collect", str(tmp_path / "samples")) as service:
        assert service.ask("/v1/predict", png(seven())).document["predictions"][0]["digit"] == 7
        refused = correct(service, image, "1")
        assert (refused.status, refused.document["error"]) == (503, "unusable-samples")
        assert not service.ask("/healthz").document["collects"]


def test_the_document_says_what_a_correction_is(collecting: Service, tmp_path: Path) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{collecting.url}openapi.json"]
    options = ["--checks", checks, "--max-examples", "15", "--seed", "1", "--include-path", "/v1/corrections"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, check=False, capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr


def test_the_unit_may_write_where_samples_are_kept_and_nowhere_else(tmp_path: Path) -> None:
    home = run_edgemnist("serve", "--systemd", "--collect", "/home/pi/samples", "--collect-max", "50", cwd=tmp_path)
    assert "--collect /home/pi/samples" in home.stdout
    assert "--collect-max 50" in home.stdout
    assert "BindPaths=/home/pi/samples" in home.stdout
    assert "ReadWritePaths=/home/pi/samples" in home.stdout
    relative = run_edgemnist("serve", "--systemd", "--collect", "samples", cwd=tmp_path)
    assert f"--collect {tmp_path}/samples" in relative.stdout
    assert "--health" not in home.stdout
    counted = run_edgemnist("serve", "--systemd", "--health", "/var/counts/health.json", cwd=tmp_path)
    assert "--health /var/counts/health.json" in counted.stdout
    assert "ReadWritePaths=/var/counts" in counted.stdout
    plain = run_edgemnist("serve", "--systemd", cwd=tmp_path)
    assert "ReadWritePaths" not in plain.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("window", "scheme"), list(itertools.product(WINDOWS, ("light", "dark"))))
def test_a_thumb_says_what_a_drawing_is(window: str, scheme: str, tmp_path: Path, browser: Chrome) -> None:
    with serving(reference_directory(), "--rate", "0", "--collect", str(tmp_path / "samples")) as service:
        open_page(browser, service, window, scheme)
        assert not browser.find_element(By.ID, "correct").is_displayed()
        draw(browser, SEVEN)
        wait_for_status(browser, "Read as 7")
        buttons = browser.find_elements(By.CSS_SELECTOR, "#correct-keys button")
        # Not the answer itself.
        assert [one.text for one in buttons] == [*"012345689", "not a digit"]
        assert min(one.size["height"] for one in buttons) >= 44
        found = Axe().run(browser)
        assert found["violations"] == []
        buttons[1].click()
        wait_for_status(browser, "Kept as 1")
        assert "Kept as 1" in text(browser, "correct-words")
        # What was drawn is kept once, however often the pen stopped, and the next drawing can be corrected, too.
        browser.find_element(By.ID, "clear").click()
        WebDriverWait(browser, 10, 0.05).until(lambda _: not browser.find_element(By.ID, "correct").is_displayed())
        draw(browser, SEVEN)
        wait_for_status(browser, "Read as 7")
        browser.find_element(By.CSS_SELECTOR, "#correct-keys .none").click()
        wait_for_status(browser, "Kept as not a digit")
        assert console(browser) == []
    assert [one.label for one in stored(tmp_path / "samples")] == ["1", NOT_A_DIGIT]


@pytest.mark.slow
def test_the_page_asks_for_no_correction_where_none_is_kept(service: Service, browser: Chrome) -> None:
    open_page(browser, service)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as")
    assert not browser.find_element(By.ID, "correct").is_displayed()
