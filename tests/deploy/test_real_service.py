"""`edgemnist serve` itself on a board: from a bundle of its own, through a switch of the release, and back."""

import urllib.request
from collections.abc import Iterator

import pytest

from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, rollback_on
from tests.conftest import REPOSITORY
from tests.deploy.answering import answering, ask, load
from tests.deploy.loopback import LoopbackBoard
from tests.patience import PATIENCE_S
from tests.serve.service import png, seven

DRAWING = png(seven())


@pytest.fixture
def address(board: LoopbackBoard) -> Iterator[str]:
    """Where the service answers from the board's current release."""
    with answering(board.root, timeout_s=PATIENCE_S) as address:
        yield address


def test_the_service_goes_over_to_a_new_release_and_back_and_no_request_fails(
    board: LoopbackBoard, address: str, new_bundle: LocalBundle, old: str, new: str
) -> None:
    def one() -> tuple[int, str]:
        digit = ask(f"{address}/v1/predict", DRAWING)["predictions"][0]["digit"]
        return digit, ask(f"{address}/healthz")["release"]

    assert ask(f"{address}/healthz")["release"] == f"1-{old}"
    with load(4, one) as (answers, failures):
        result = deploy_to(board.target, new_bundle, DeployConfig(retries=0), lambda _: None)
        assert result.fault is None
        assert ask(f"{address}/healthz")["release"] == f"2-{new}"
        names = [one["name"] for one in ask(f"{address}/v1/artifacts")["artifacts"]]
        assert names == ["tflite-int8", "tflite-dynamic"]
        rollback_on(board.target, None, 5.0)
        assert ask(f"{address}/healthz")["release"] == f"1-{old}"
    assert failures == []
    assert {digit for digit, _ in answers} == {7}
    # Each release answered while it served, and nobody was turned away in between.
    assert {release for _, release in answers} == {f"1-{old}", f"2-{new}"}
    assert len(answers) > 10


def test_page_and_reading_come_with_the_bundle(address: str) -> None:
    for path in ("/", "/style.css", "/app.js", "/draw.js"):
        with urllib.request.urlopen(f"{address}{path}", timeout=PATIENCE_S) as response:
            assert len(response.read()) > 500
    page = REPOSITORY / "tests" / "read" / "pages" / "everything.jpg"
    assert len(ask(f"{address}/v1/read", page.read_bytes())["digits"]) > 10
