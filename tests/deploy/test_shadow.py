"""A release in the shadow on a board: it changes nothing, takes over when told to, and gives way again."""

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import BundleError, DeployError
from edgemnist.field.review.run import review_on
from edgemnist.field.samples import Label
from edgemnist.field.samples.store import SampleStore
from edgemnist.field.shadow import ShadowTally, write_tally
from edgemnist.fleet.bundle import pack
from edgemnist.fleet.bundle.pack import WheelsConfig
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, doctor_on, releases_on, rollback_on
from edgemnist.fleet.release.run import PromoteConfig, promote_on
from edgemnist.ground.results.boards import BoardResult
from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.answering import answering, ask, load
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, make_key
from tests.needs import require
from tests.notices import Notices
from tests.patience import PATIENCE_S
from tests.samples.making import sample_of
from tests.serve.service import png, seven
from tests.shapes.made import INT8, LABELS, make_exports, sample

SHADOW = DeployConfig(retries=0, shadow=True)


def at_once(board: LoopbackBoard, beside: str = "", release: str = "") -> PromoteConfig:
    """Let one answer speak for the release in the shadow."""
    write_tally(board.root, ShadowTally(release=release, beside=beside, compared=1))
    return PromoteConfig(samples=str(board.root), least=1)


def shadow(board: LoopbackBoard, bundle: LocalBundle) -> str:
    result = deploy_to(board.target, bundle, SHADOW, lambda _: None)
    assert result.fault is None, result.fault
    assert result.status == "shadow"
    assert result.release is not None
    return result.release


def test_a_release_in_the_shadow_serves_only_after_its_promotion_and_rollback_goes_back(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    name = shadow(board, new_bundle)
    assert board.serves() == old
    listed = [(row.release, row.current, row.shadow) for row in releases_on(board.target).releases]
    assert listed == [(f"1-{old}", True, False), (name, False, True)]
    result = promote_on(board.target, at_once(board, f"1-{old}", name))
    assert (result.passed, result.release, result.previous) == (True, name, f"1-{old}")
    assert not os.path.lexists(board.store.shadow_link)
    assert rollback_on(board.target, None, 5.0).release == f"1-{old}"
    # It can be dropped, too, and then there is none to promote.
    shadow(board, new_bundle)
    result = promote_on(board.target, at_once(board), drop=True)
    assert (result.dropped, result.previous, board.serves()) == (True, f"1-{old}", old)
    with pytest.raises(DeployError, match="No release answers beside the one that serves"):
        promote_on(board.target, at_once(board))


def test_the_old_serves_without_evidence(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str, tmp_path: Path
) -> None:
    samples = tmp_path / "samples"
    name = shadow(board, new_bundle)
    words = ("release", "promote", "--to", "board", "--root", str(board.root), "--ssh-config", str(board.ssh_config))
    done = run_edgemnist(*words, "--samples", str(samples), "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert (document["passed"], document["release"], document["previous"]) == (False, name, None)
    assert "It has answered 0 inputs in the shadow" in document["reasons"][0]
    assert document["verdict"]["outcome"] == "unknown"
    assert {len(document["verdict"]["rests_on"][name]) for name in ("artifact", "model")} == {64}
    done = run_edgemnist(*words, "--samples", str(samples), cwd=tmp_path)
    assert (done.returncode, "Unknown. It has answered 0 inputs" in " ".join(done.stdout.split())) == (1, True)
    assert board.serves() == old
    # Labels of what both get wrong speak for neither, and enough answers alike for the new one.
    with SampleStore.open(samples, create=True) as store:
        store.add(sample_of(1, labels=(Label("2", "ann", "2026-11-26T00:00:00.000Z", settles=False),)))
    write_tally(samples, ShadowTally(release=name, beside=f"1-{old}", compared=200, differing=2))
    done = run_edgemnist(*words, "--samples", str(samples), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"is serving {name}" in " ".join(done.stdout.split())
    assert board.store.current() == board.store.releases()[-1]


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
    # The packages are on the board already, so this bundle has to bring none; nor an engine for this processor.
    engines = pack.board_engines
    monkeypatch.setattr(pack, "fetch_wheels", lambda *_, **_pins: [])
    monkeypatch.setattr(pack, "board_engines", lambda *_: engines())
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


OLD = "fc2c256"
"""The last commit before the export directory and the board's part got their present layout."""


@pytest.fixture(scope="module")
def old_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old version's own tree, with the reference artifacts that it had."""
    git = ["git", "-C", str(REPOSITORY), "archive", OLD, "edgemnist", "exports", "pyproject.toml"]
    done = subprocess.run(git, check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"the history does not go back to {OLD}: git fetch --unshallow")
    target = tmp_path_factory.mktemp("old-code")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    return target


@pytest.fixture(scope="module")
def old_exports(old_code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export directory with results, all of them by the old version."""
    work = tmp_path_factory.mktemp("old-exports")
    shutil.copytree(old_code / "exports" / "reference", work / "exports")
    timed = ("--samples", "20", "--seconds", "0.01", "--rounds", "1")
    for words in (("verify",), ("bench", *timed), ("bench", "tflite-int8", "--duty-cycle", "100/s", *timed)):
        old_edgemnist(old_code, *words, cwd=work)
    return work / "exports"


def old_edgemnist(code: Path, *words: str | Path, cwd: Path) -> str:
    """Run the old version's command line; return its stdout."""
    environment = {**os.environ, "PYTHONPATH": str(code), "EDGEMNIST_OFFLINE": "1"}
    command = [sys.executable, "-m", "edgemnist", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.all
def test_a_release_of_the_old_version_is_updated_and_rolled_back_by_the_new_one(
    old_code: Path, old_exports: Path, new_board: Callable[[str], LoopbackBoard], installed: Path, tmp_path: Path
) -> None:
    board = new_board("board")
    # The old package needs an environment of its own; those of the other tests must not be pruned with it.
    board.store.venvs.unlink()
    board.store.venvs.mkdir()
    there = ("--to", "board", "--root", board.root, "--ssh-config", board.ssh_config)
    old_edgemnist(old_code, "bundle", "tflite-int8", "--exports", old_exports, "--output", "old.zip", cwd=tmp_path)
    old_edgemnist(old_code, "deploy", "old.zip", *there, cwd=tmp_path)

    (first,) = releases_on(board.target).releases
    assert (first.current, first.problems, first.artifacts) == (True, [], ["tflite-int8"])
    checks = {check.name: check for check in doctor_on(board.target).findings}
    assert checks["tflite-int8"].level.value == "ok"
    for words in (("verify",), ("predict", "--index", "0"), ("verify", "tflite-int8", "--max-flips", "0.5")):
        done = run_edgemnist(*words, "--on", "board", "--json", cwd=tmp_path, env=board.environment)
        assert done.returncode == 0, done.stderr
    for venv in installed.iterdir():
        shutil.copytree(venv, board.store.venvs / venv.name, symlinks=True, copy_function=os.link)
    new = bundled(Path(shutil.copytree(old_exports, tmp_path / "exports")), serve=False)
    result = deploy_to(board.target, new, DeployConfig(retries=0), lambda _: None)
    assert result.fault is None
    assert result.previous == first.release
    assert "install" not in {step.name for step in result.steps}
    assert board.serves() == new.record.identity()[:12]
    assert [row.problems for row in releases_on(board.target).releases] == [[], []]
    assert rollback_on(board.target, None, 10.0).release == first.release
    assert board.serves() == first.release.partition("-")[2]
    board.everything_is_whole()
    assert rollback_on(board.target, result.release, 10.0).previous == first.release
