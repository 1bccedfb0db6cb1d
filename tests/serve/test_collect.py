"""`edgemnist serve --collect`: what is kept while it answers, and corrections from the page and from programs."""

import itertools
import json
import random
import re
import shutil
import stat
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_core_python.selenium import Axe
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from edgemnist.field.drift import read_record
from edgemnist.field.samples import CORRECTION, NONE_OF_THESE, UNIFORM
from edgemnist.field.samples.store import FILE, SampleStore
from edgemnist.model.answers import command_unit
from edgemnist.model.exports import Exports, reference_directory
from tests.browser import WINDOWS, console, draw, text, until
from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.loopback import free_port
from tests.killing import Program, answered_until_it_is_gone
from tests.patience import comes_true
from tests.samples.making import stored
from tests.serve.service import Answer, Service, png, serving, seven
from tests.serve.test_page import SEVEN, open_page, wait_for_status
from tests.sweeping import swept


def correct(service: Service, image: Any, label: str, **headers: str) -> Answer:
    body = json.dumps({"image": np.asarray(image).tolist(), "label": label}).encode()
    return service.ask("/v1/corrections", body, kind="application/json", **headers)


@pytest.fixture
def image() -> Any:
    """An evaluation image that is a 7, uint8 [28, 28]."""
    golden = Exports.open("reference").read_golden()
    return golden.images[list(golden.labels).index(7)]


def test_answers_and_corrections_are_kept_and_those_of_one_client_are_bounded(tmp_path: Path, image: Any) -> None:
    options = ("--collect", str(tmp_path / "samples"), "--collect-max", "20", "--rate", "0")
    with serving(reference_directory(), *options) as service:
        assert service.ask("/healthz").document["collects"]
        # Nothing is kept that the client does not want to be kept.
        assert service.ask("/v1/predict?collect=false", png(seven())).status == 200
        assert service.ask("/v1/predict?collect=maybe", png(seven())).status == 400
        # Nor what another model than the one that is judged by it has answered.
        assert service.ask("/v1/predict?artifact=tflite-int8@integer", png(seven().rotate(5))).status == 200
        shown = service.ask("/v1/predict?show=true", png(seven())).document["predictions"][0]
        answers = [correct(service, image, label) for label in ("1", "not-a-digit", *"1" * 10)]
        assert Counter(one.status for one in answers) == {200: 4, 429: 8}
        assert answers[0].document["answer"] == "7"
        assert answers[-1].document["error"] == "too-many-corrections"
    sample, first, second, *others = stored(tmp_path / "samples")
    assert sample.image.tolist() == shown["image"]
    assert (sample.answer, sample.confidence, sample.reason) == ("7", shown["confidence"], UNIFORM)
    answered = Exports.open("reference").best().model.name
    assert (sample.source, sample.artifact, sample.release) == ("serve", answered, None)
    # With what the model itself answers.
    given = (first.reason, first.answer, first.label, first.labels[0].writer)
    assert given == (CORRECTION, "7", "1", "client 127.0.0.1")
    assert np.array_equal(first.image, image)
    assert (second.label, len(others)) == (NONE_OF_THESE, 2)


def test_without_the_option_nothing_is_kept_and_nothing_can_be_corrected(service: Service, image: Any) -> None:
    assert not service.ask("/healthz").document["collects"]
    assert correct(service, image, "1").status == 404
    assert "/v1/corrections" not in service.ask("/openapi.json").document["paths"]


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


def test_answers_are_counted_for_health_and_prometheus(tmp_path: Path) -> None:
    with serving(reference_directory(), "--health", str(tmp_path / "health.json")) as service:
        for _ in range(3):
            assert service.ask("/v1/predict", png(seven())).status == 200
        # A camera that sees nothing more is to be noticed.
        for nothing in (png(Image.new("L", (99, 99), 255)), b"no picture"):
            assert service.ask("/v1/predict", nothing).status == 422
            assert service.ask("/v1/predict?collect=false", nothing).status == 422
        # What the pen has not finished is not counted.
        assert service.ask("/v1/predict?collect=false", png(seven())).status == 200
        assert comes_true(lambda: "edgemnist_health_images 5.0" in service.ask("/metrics").body.decode())
        metrics = service.ask("/metrics").body.decode()
        assert "edgemnist_health_alarm 0.0" in metrics
        assert 'edgemnist_health_evidence{quantity="doubtful share, golden pack"}' in metrics
        dashboard = (REPOSITORY / "docs/examples/grafana.json").read_text(encoding="utf-8")
        asked = {f"\n{name}" for name in re.findall(r"\b(?:edgemnist|process)_\w+", dashboard)}
        asked |= {f'{label}="' for labels in re.findall(r"by \((.*?)\)", dashboard) for label in labels.split(", ")}
        assert (len(asked) > 15, [one for one in asked if one not in metrics]) == (True, [])
    record = read_record(tmp_path / "health.json")
    assert record.lately.classes[7] == 3
    assert record.lately.refused == 2
    with serving(reference_directory()) as service:
        assert "edgemnist_health" not in service.ask("/metrics").body.decode()


def test_a_full_disk_costs_no_answer_and_one_with_room_again_no_restart(tmp_path: Path, image: Any) -> None:
    place = tmp_path / "samples"
    place.write_text("a file in its place")
    with serving(reference_directory(), "--collect", str(place), "--rate", "0") as service:
        assert service.ask("/v1/predict", png(seven())).document["predictions"][0]["digit"] == 7
        refused = correct(service, image, "1")
        assert (refused.status, refused.document["error"]) == (503, "unusable-samples")
        assert not service.ask("/healthz").document["collects"]
        place.unlink()
        statuses = [503]
        while statuses[-1] == 503:
            time.sleep(0.05)
            statuses.append(correct(service, image, "1").status)
        assert statuses[-1] == 200
        assert service.ask("/healthz").document["collects"]
        # And if somebody deletes it.
        shutil.rmtree(place)
        assert correct(service, image, "2").status == 200
        assert [one.label for one in stored(place)] == ["2"]
        assert stat.S_IMODE((place / FILE).stat().st_mode) == 0o600


def test_the_unit_may_write_where_samples_are_kept_and_nowhere_else(tmp_path: Path) -> None:
    words = ("--collect", "samples", "--collect-max", "50", "--health", "/var/counts/health.json")
    both = run_edgemnist("serve", "--systemd", *words, cwd=tmp_path).stdout
    assert f"--collect {tmp_path}/samples --health /var/counts/health.json" in both
    assert "--collect-max 50" in both
    writes = [f"{tmp_path}/samples", "/var/counts"]
    assert [line.partition("=")[2] for line in both.splitlines() if line.startswith("ReadWritePaths")] == writes
    plain = command_unit("edgemnist", "", ["serve"], exports=tmp_path, artifact=None, collect=None, health=None)
    assert plain.writes == []


@pytest.mark.all
@pytest.mark.parametrize(("window", "scheme"), list(itertools.product(WINDOWS, ("light", "dark"))))
def test_a_thumb_says_what_a_drawing_is(window: str, scheme: str, tmp_path: Path, browser: Chrome) -> None:
    with serving(reference_directory(), "--rate", "0", "--collect", str(tmp_path / "samples")) as service:
        open_page(browser, service, window, scheme)
        assert not browser.find_element(By.ID, "correct").is_displayed()
        draw(browser, SEVEN)
        wait_for_status(browser, "Read as 7")
        buttons = browser.find_elements(By.CSS_SELECTOR, "#correct-keys button")
        # Not the answer itself.
        assert [one.text for one in buttons] == [*"012345689", "none of these"]
        assert min(one.size["height"] for one in buttons) >= 44
        found = Axe().run(browser)
        assert found["violations"] == []
        buttons[1].click()
        wait_for_status(browser, "Kept as 1")
        assert "Kept as 1" in text(browser, "correct-words")
        # What was drawn is kept once, however often the pen stopped, and the next drawing can be corrected, too.
        browser.find_element(By.ID, "clear").click()
        until(browser, lambda: not browser.find_element(By.ID, "correct").is_displayed())
        draw(browser, [(0, -0.3), (0, 0.3)])
        draw(browser, [(-0.3, 0), (0.3, 0)])
        wait_for_status(browser, "but this looks like no digit")
        # What was refused may be what was answered.
        assert len(browser.find_elements(By.CSS_SELECTOR, "#correct-keys button")) == 11
        browser.find_element(By.CSS_SELECTOR, "#correct-keys .none").click()
        wait_for_status(browser, "Kept as none of these")
        assert console(browser) == []
    assert [one.label for one in stored(tmp_path / "samples")] == ["1", NONE_OF_THESE]


@pytest.mark.all
def test_the_page_asks_for_no_correction_where_none_is_kept(service: Service, browser: Chrome) -> None:
    open_page(browser, service)
    draw(browser, SEVEN)
    wait_for_status(browser, "Read as")
    assert not browser.find_element(By.ID, "correct").is_displayed()


STARTED, CORRECTING = 25, 60
"""Steps until it answers, and those after that at which it is killed: ten corrections or so."""


@pytest.mark.all
@pytest.mark.parametrize("kills", swept((4, 12), kept=(4,)))
def test_what_a_killed_service_has_answered_is_stored(kills: int, tmp_path: Path, image: Any) -> None:
    rng, pixels = random.Random(0), image.tolist()
    samples = tmp_path / "samples"
    given = 0
    with Program(tmp_path, "-m", "tests.killing", "edgemnist.app", "edgemnist.serve.routes") as program:
        for _ in range(kills):
            shutil.rmtree(samples, ignore_errors=True)
            port = free_port()
            words = ["serve", "--exports", "reference", "--port", str(port), "--rate", "0", "--collect", str(samples)]
            program.start(limit=STARTED + rng.randrange(CORRECTING), words=words)
            asked = (("/v1/corrections", {"image": pixels, "label": str(number % 10)}) for number in itertools.count())
            answered = [body["label"] for body in answered_until_it_is_gone(program, port, asked)]
            killed = program.ended()
            assert killed["code"] == -9, killed["said"]
            with SampleStore.open(samples, create=True) as store:
                found = [one.label for one in store.samples()]
            # Perhaps one more, which it did not live to answer.
            assert found[: len(answered)] == answered
            assert len(found) <= len(answered) + 1
            given += len(answered)
    assert given > kills
