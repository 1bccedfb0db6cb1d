"""The switch to a bundle of another shape, to a signed one, and below a service that answers meanwhile."""

import json
import platform
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import BundleError
from edgemnist.field.review.run import review_on
from edgemnist.field.samples.store import SampleStore
from edgemnist.fleet.bundle import pack
from edgemnist.fleet.bundle.pack import WheelsConfig
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, doctor_on, releases_on, rollback_on
from edgemnist.ground.results.boards import BoardResult
from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.answering import answering, ask, load
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, make_key
from tests.needs import require
from tests.notices import Notices
from tests.patience import PATIENCE_S
from tests.serve.service import png, seven
from tests.shapes.made import INT8, LABELS, make_exports, sample


@pytest.mark.parametrize("name", ["meter", "row", "numbers"])
def test_a_board_of_digits_gets_another_shape_and_back(
    name: str, board: LoopbackBoard, old: str, tmp_path: Path
) -> None:
    numbers = name == "numbers"
    exports = make_exports(tmp_path / "made", "long" if numbers else name, numbers=numbers, int8=True)
    golden, bundle = exports.read_golden(), bundled(exports.directory)
    result = deploy_to(board.target, bundle, DeployConfig(retries=0), lambda _: None)
    assert result.fault is None, result.fault
    assert result.selftest is not None
    assert {row.replay.verdict for row in result.selftest.artifacts if row.replay} == {"identical"}
    assert board.serves() == bundle.record.identity()[:12]
    checks = {check.name: check for check in doctor_on(board.target).findings}
    assert checks[INT8].level.value == "ok"
    file = tmp_path / ("x.png" if name == "meter" else "x.npy")
    if name == "meter":
        Image.fromarray(golden.images[0]).save(file)
    else:
        np.save(file, golden.images[:2])
    done = run_edgemnist("predict", file.name, "--on", "board", "--json", cwd=tmp_path, env=board.environment)
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)["predictions"]
    assert (first["source"], len(others)) == (("x.png", 0) if name == "meter" else ("x.npy[0]", 1))
    if numbers:
        np.testing.assert_array_equal(np.array(first["values"], np.float32), golden.probabilities[0].ravel())
    else:
        assert first["answer"] == LABELS[int(golden.probabilities[0].argmax())]
    if not numbers:
        samples, spec = tmp_path / "samples", exports.task.input
        with SampleStore.open(samples, create=True, spec=spec, labels=LABELS) as store:
            store.add(sample(spec))

        def label(copy: SampleStore) -> None:
            assert copy.labels == list(LABELS)
            copy.label(copy.samples()[0].id, LABELS[3], "ada")

        assert review_on(board.target, str(samples), label, Notices()) == 1
        with SampleStore.open(samples) as store:
            assert [one.label for one in store.samples()] == [LABELS[3]]
    assert rollback_on(board.target, None, 10.0).previous == result.release
    assert board.serves() == old


def deploy(board: LoopbackBoard, bundle: LocalBundle) -> BoardResult:
    return deploy_to(board.target, bundle, DeployConfig(retries=0), lambda _: None)


def test_a_board_that_requires_signatures_takes_what_is_signed_by_one_of_them_and_nothing_else(
    board: LoopbackBoard,
    made_exports: Path,
    new_bundle: LocalBundle,
    old: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The packages are on the board already, so this bundle has to bring none.
    monkeypatch.setattr(pack, "fetch_wheels", lambda *_, **_pins: [])
    wheels = WheelsConfig(machine=platform.machine(), pythons=(f"3.{sys.version_info[1]}",))
    mine, other = make_key(tmp_path / "mine"), make_key(tmp_path / "other")
    board.store.allowed_signers.write_text(f"me@here {mine.with_suffix('.pub').read_text()}")
    exports = small_exports(made_exports, tmp_path / "signed", ["tflite-int8", "tflite-dynamic"])
    for bundle, said, sent in (
        (new_bundle, "accepts only signed bundles", False),
        (bundled(exports, key=other, wheels=wheels), "does not trust", True),
    ):
        result = deploy(board, bundle)
        assert result.fault is not None
        assert (result.fault.type, said in result.fault.message) == ("BundleError", True)
        assert ("transfer" in {step.name for step in result.steps}) == sent
        assert board.serves() == old
        # It will never be taken.
        assert not any(path.stat().st_size for path in board.store.incoming.iterdir())
    signed = bundled(exports, key=mine, wheels=wheels)
    for status in ("deployed", "unchanged"):
        result = deploy(board, signed)
        assert (result.fault, result.status, result.release) == (None, status, f"2-{signed.record.identity()[:12]}")
    assert [(row.signed, row.current) for row in releases_on(board.target).releases] == [(False, False), (True, True)]
    with pytest.raises(BundleError, match="not signed"):
        rollback_on(board.target, None, 10.0)


DRAWING = png(seven())


@pytest.fixture
def address(board: LoopbackBoard, installed: Path) -> Iterator[str]:
    """Where the service answers from the board's current release."""
    require("systemd", "root")
    with answering(board.root, installed) as address:
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
