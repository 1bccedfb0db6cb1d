"""The release in the shadow is asked beside the answering: within its budget, and without harm to anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemnist.agent.store import Store
from edgemnist.errors import StorageError
from edgemnist.exports import Exports, reference_directory
from edgemnist.samples import DISAGREEMENT
from edgemnist.samples.collector import Collector
from edgemnist.samples.quota import Quota
from edgemnist.samples.store import SampleStore
from edgemnist.shadow import FILE, ShadowTally, read_tally, write_tally
from edgemnist.shadow import runner as module
from edgemnist.shadow.__main__ import evidence
from edgemnist.shadow.runner import Shadow
from tests.notices import Notices

OLD, NEW = "1-aaaaaaaaaaaa", "2-bbbbbbbbbbbb"
PACK = Exports.open("reference").read_golden()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board with a release that serves and one in the shadow."""
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    for name in (OLD, NEW):
        release = tmp_path / "board" / "releases" / name
        release.mkdir(parents=True)
        (release / "exports").mkdir()
        for file in reference_directory().iterdir():
            (release / "exports" / file.name).symlink_to(file)
    store = Store(tmp_path / "board")
    store.switch(OLD)
    store.set_shadow(NEW)
    return store.root


def collecting(root: Path) -> Collector:
    return Collector(root / "samples", quota=Quota(500), artifact="tflite-int8", patient=True)


def shadowing(root: Path, collector: Collector, notices: Notices | None = None, *, budget: float = 1.0) -> Shadow:
    exports = root / "current" / "exports"
    return Shadow(exports, collector, root / "samples", budget=budget, reporter=notices or Notices())


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ask(shadow: Shadow, number: int, answer: str | None = None) -> None:
    label = str(int(PACK.labels[number]))
    shadow.offer(PACK.images[number], answer=answer or label, confidence=0.99, source="serve")


def test_only_disagreements_are_kept_and_all_are_counted(root: Path) -> None:
    with collecting(root) as collector:
        collector._reservoir.seen = collector._reservoir._skip = 10**6
        with shadowing(root, collector) as shadow:
            until(lambda: shadow._loaded)
            for number in range(40):
                ask(shadow, number, "nine" if number == 7 else None)
        tally = read_tally(root / "samples")
    assert tally is not None
    assert (tally.release, tally.beside, tally.compared, tally.differing) == (NEW, OLD, 40, 1)
    assert tally.cpu_s > 0
    with SampleStore.open(root / "samples") as store:
        (kept,) = store.samples()
    assert (kept.reason, kept.answer) == (DISAGREEMENT, "nine")
    assert kept.image.tobytes() == PACK.images[7].tobytes()
    # Another process goes on from there.
    with collecting(root) as collector, shadowing(root, collector) as shadow:
        until(lambda: shadow._loaded)
        ask(shadow, 1)
    again = read_tally(root / "samples")
    assert again is not None
    assert again.compared == 41


def test_what_the_budget_does_not_allow_is_skipped_and_counted(root: Path) -> None:
    with collecting(root) as collector, shadowing(root, collector, budget=0.0) as shadow:
        until(lambda: shadow._loaded)
        shadow._allowance.take(module.BURST_S)
        for number in range(10):
            ask(shadow, number)
    tally = read_tally(root / "samples")
    assert tally is not None
    assert (tally.compared, tally.skipped) == (0, 10)


def test_an_allowance_fills_at_its_share_up_to_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [100.0]
    monkeypatch.setattr("edgemnist.shadow.runner.time.monotonic", lambda: at[0])
    allowance = module._Allowance(0.1)
    allowance.take(module.BURST_S + 0.1)
    assert not allowance.has_some()
    at[0] += 0.9
    assert not allowance.has_some()
    at[0] += 0.2
    assert allowance.has_some()
    at[0] += 3_600
    assert allowance.has_some()
    allowance.take(module.BURST_S)
    assert not allowance.has_some()


def test_a_shadow_comes_and_goes_while_the_service_runs(root: Path) -> None:
    store = Store(root)
    store.set_shadow(None)
    with collecting(root) as collector, shadowing(root, collector) as shadow:
        ask(shadow, 0)
        assert shadow._loaded is None
        store.set_shadow(NEW)
        until(lambda: shadow._loaded)
        # The release that serves is no shadow of itself.
        store.set_shadow(OLD)
        until(lambda: shadow._loaded is None)
        time.sleep(0.2)
        assert shadow._loaded is None


def test_a_shadow_that_cannot_answer_costs_one_notice(root: Path) -> None:
    (root / "releases" / NEW / "exports" / "manifest.json").unlink()
    notices = Notices()
    with collecting(root) as collector, shadowing(root, collector, notices) as shadow:
        until(lambda: notices.messages)
        time.sleep(0.1)
        ask(shadow, 0)
    assert len(notices.messages) == 1
    assert f"Release {NEW} does not answer in the shadow" in notices.messages[0]


def test_counts_that_cannot_be_read_are_told(root: Path) -> None:
    (root / "samples").mkdir()
    (root / "samples" / FILE).write_bytes(b'{"version": 1}')
    with pytest.raises(StorageError, match=r"shadow\.json is damaged or of another version: .*release") as caught:
        read_tally(root / "samples")
    assert caught.value.hint == "Move it away: counting then starts from zero."
    notices = Notices()
    with collecting(root) as collector, shadowing(root, collector, notices):
        until(lambda: notices.messages)
    assert (root / "samples" / FILE).read_bytes() == b'{"version": 1}'


def test_a_directory_in_the_place_of_the_counts_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageError) as caught:
        read_tally(tmp_path)
    assert caught.value.message == f"{tmp_path / FILE} cannot be read: Is a directory"


def test_the_evidence_is_what_both_answer_to_the_samples_with_a_label(root: Path) -> None:
    with collecting(root) as collector:
        for number in range(20):
            # The labels of two are wrong, so neither release answers them right.
            label = str((int(PACK.labels[number]) + (number < 2)) % 10)
            collector.correct(PACK.images[number], label, writer="ann", source="s", answer="1", confidence=0.9)
        collector._reservoir.seen = collector._reservoir._skip = 10**6
        collector.offer(PACK.images[30], source="s", answer="1", confidence=0.9, reason=DISAGREEMENT)
    write_tally(root / "samples", ShadowTally(release=NEW, beside=OLD, compared=5))
    found = evidence(root / "current" / "exports", root / "shadow" / "exports", root / "samples")
    assert found.release == NEW
    assert found.tally is not None
    assert (found.tally.compared, found.images, found.before, found.after) == (5, 20, 18, 18)
    assert (found.fixed, found.broken, found.unlabelled) == (0, 0, 1)
    # Counts of another release say nothing about this one.
    write_tally(root / "samples", ShadowTally(release=OLD, beside=NEW, compared=5))
    assert evidence(root / "current" / "exports", root / "shadow" / "exports", root / "samples").tally is None
    Store(root).set_shadow(None)
    assert evidence(root / "current" / "exports", root / "shadow" / "exports", root / "samples").release is None
