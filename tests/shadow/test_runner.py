"""The release in the shadow is asked beside the answering: within its budget, and without harm to anything."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.board.agent.store import DEPLOYED_FILE, Store
from edgemnist.field.samples import CORRECTION, DISAGREEMENT, NONE_OF_THESE, Label, Sample
from edgemnist.field.samples.collector import Collector
from edgemnist.field.samples.store import Quota, SampleStore
from edgemnist.field.shadow import FILE, Evidence, ShadowTally, read_tally, write_tally
from edgemnist.field.shadow import runner as module
from edgemnist.field.shadow.__main__ import evidence
from edgemnist.field.shadow.runner import Shadow
from edgemnist.model.answers import Answer
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.exports.manifest import MANIFEST_FILE, read_manifest
from edgemnist.model.exports.questions import learnt_record
from tests.messages import Told
from tests.notices import Notices
from tests.patience import comes_true
from tests.samples.making import sample_of

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
        (release / DEPLOYED_FILE).write_text(json.dumps({"deployed_at": DEPLOYED}))
    store = Store(tmp_path / "board")
    store.switch(OLD)
    store.set_shadow(NEW)
    return store.root


def collecting(root: Path) -> Collector:
    return Collector(root / "samples", quota=Quota(500), artifact="tflite-int8", patient=True)


def shadowing(root: Path, collector: Collector, notices: Notices | None = None, *, budget: float = 1.0) -> Shadow:
    exports = root / "current" / "exports"
    return Shadow(exports, collector, root / "samples", budget=budget, reporter=notices or Notices())


def ask(shadow: Shadow, number: int, answer: str | None = None) -> None:
    index, image = int(PACK.labels[number]), PACK.images[number]
    label = answer or str(index)
    shadow.observe([Answer(image=image, source="serve", index=index, label=label, confidence=0.99, probability=0.99)])


def test_only_disagreements_are_kept_and_all_are_counted(root: Path) -> None:
    with collecting(root) as collector:
        collector._seen = 10**12
        with shadowing(root, collector) as shadow:
            assert comes_true(lambda: shadow._loaded)
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
        assert comes_true(lambda: shadow._loaded)
        ask(shadow, 1)
    again = read_tally(root / "samples")
    assert again is not None
    assert again.compared == 41


def test_what_serve_is_told_to_answer_with_answers_in_the_shadow_and_is_judged(root: Path) -> None:
    notices = Notices()
    exports = root / "current" / "exports"
    for artifact, loaded in (("tflite-int8@integer", True), ("onnx-int8", False)):
        with (
            collecting(root) as collector,
            Shadow(exports, collector, root / "samples", artifact=artifact, reporter=notices) as shadow,
        ):
            assert comes_true(lambda: shadow._loaded or notices.messages)
            assert (shadow._loaded is not None) is loaded
            if shadow._loaded is not None:
                assert type(shadow._loaded.classifier).__name__ == "IntegerClassifier"
            ask(shadow, 1)
        if loaded:
            found = evidence_of(root)
            assert found.tally == ShadowTally(
                release=NEW, beside=OLD, artifact=artifact, compared=1, cpu_s=found.tally.cpu_s if found.tally else 0
            )
    # After the switch, the service could not answer with it.
    assert len(notices.messages) == 1
    assert "onnx-int8" in notices.messages[0]


def test_what_the_budget_does_not_allow_is_skipped_and_counted(root: Path) -> None:
    with collecting(root) as collector, shadowing(root, collector, budget=0.0) as shadow:
        assert comes_true(lambda: shadow._loaded)
        shadow._allowance.take(module.BURST_S)
        for number in range(10):
            ask(shadow, number)
    tally = read_tally(root / "samples")
    assert tally is not None
    assert (tally.compared, tally.skipped) == (0, 10)


def test_a_shadow_comes_and_goes_while_the_service_runs(root: Path) -> None:
    store = Store(root)
    store.set_shadow(None)
    with collecting(root) as collector, shadowing(root, collector) as shadow:
        ask(shadow, 0)
        assert shadow._loaded is None
        store.set_shadow(NEW)
        assert comes_true(lambda: shadow._loaded)
        # The release that serves is no shadow of itself.
        store.set_shadow(OLD)
        assert comes_true(lambda: shadow._loaded is None)
        time.sleep(0.2)
        assert shadow._loaded is None


def test_a_shadow_that_cannot_answer_costs_one_notice(root: Path) -> None:
    (root / "releases" / NEW / "exports" / "manifest.json").unlink()
    notices = Notices()
    with collecting(root) as collector, shadowing(root, collector, notices) as shadow:
        assert comes_true(lambda: notices.messages)
        time.sleep(0.1)
        ask(shadow, 0)
    assert len(notices.messages) == 1
    assert f"Release {NEW} does not answer in the shadow" in notices.messages[0]


def test_counts_that_cannot_be_read_are_told(root: Path, tmp_path: Path, told: Told) -> None:
    (root / "samples").mkdir()
    (root / "samples" / FILE).write_bytes(b'{"version": 1}')
    (tmp_path / "other" / FILE).mkdir(parents=True)
    for place in (root / "samples", tmp_path / "other"):
        with told():
            read_tally(place)
    notices = Notices()
    with collecting(root) as collector, shadowing(root, collector, notices):
        assert comes_true(lambda: notices.messages)
    assert (root / "samples" / FILE).read_bytes() == b'{"version": 1}'


DEPLOYED = "2026-11-20T12:00:00Z"
BEFORE, SINCE = "2026-11-20T11:59:59.999Z", "2026-11-20T12:00:01.000Z"


def labelled(number: int, at: str, label: str = "", **fields: Any) -> Sample:
    right = str(int(PACK.labels[number]))
    given = (Label(label or right, "ann", at, settles=False),)
    return sample_of(1, **{"image": PACK.images[number], "at": at, "labels": given, "answer": right, **fields})


def keep(root: Path, *samples: Sample) -> None:
    with SampleStore.open(root / "samples", create=True) as store:
        for one in samples:
            store.add(one)


def record(root: Path, release: str, *numbers: int, model: str = "") -> None:
    """Write down that a release has learnt from images of the pack."""
    exports = root / "releases" / release / "exports"
    manifest = read_manifest(exports)
    (exports / MANIFEST_FILE).unlink()
    learnt = learnt_record(model or manifest.artifacts[0].model_sha256, PACK.images[list(numbers)])
    (exports / MANIFEST_FILE).write_bytes(msgspec.structs.replace(manifest, learnt=learnt).encode())


def evidence_of(root: Path) -> Evidence:
    return evidence(root / "current" / "exports", root / "shadow" / "exports", root / "samples")


def test_the_evidence_is_what_both_answer_to_the_samples_with_a_label(root: Path) -> None:
    # The labels of two are wrong, so neither release answers them right.
    wrong = [str((int(PACK.labels[number]) + 1) % 10) for number in range(2)]
    keep(root, *(labelled(number, SINCE, wrong[number] if number < 2 else "") for number in range(20)))
    keep(root, sample_of(1, image=PACK.images[30], reason=DISAGREEMENT))
    write_tally(root / "samples", ShadowTally(release=NEW, beside=OLD, compared=5))
    found = evidence_of(root)
    assert found.release == NEW
    assert found.tally is not None
    assert (found.tally.compared, found.images, found.before, found.after) == (5, 20, 18, 18)
    assert (found.fixed, found.broken, found.unlabelled, found.left_out) == (0, 0, 1, 0)
    # Counts of another release say nothing about this one, nor do those beside one that serves no longer.
    for pair in ((OLD, NEW), (NEW, "0-cccccccccccc")):
        write_tally(root / "samples", ShadowTally(release=pair[0], beside=pair[1], compared=5))
        assert evidence_of(root).tally is None
    Store(root).set_shadow(None)
    assert evidence_of(root).release is None


def test_what_a_release_has_learnt_from_does_not_judge_it(root: Path) -> None:
    keep(root, *(labelled(number, BEFORE) for number in range(10)))
    record(root, NEW, 0, 1, 2, 3)
    # One that serves is not to be preferred for what it has learnt, either.
    record(root, OLD, 3, 4)
    found = evidence_of(root)
    assert (found.images, found.left_out) == (5, 5)


def test_without_a_record_only_what_came_later_judges_a_release(root: Path) -> None:
    # That of another model says nothing about this one.
    record(root, NEW, 0, model="f" * 64)
    keep(root, *(labelled(number, BEFORE) for number in range(4)), *(labelled(number, SINCE) for number in (4, 5)))
    assert (evidence_of(root).images, evidence_of(root).left_out) == (2, 4)
    (root / "releases" / NEW / DEPLOYED_FILE).unlink()
    assert (evidence_of(root).images, evidence_of(root).left_out) == (0, 6)


def test_a_picture_that_was_kept_twice_counts_once_and_one_with_two_names_does_not(root: Path) -> None:
    keep(
        root,
        labelled(0, SINCE),
        labelled(0, SINCE, reason=CORRECTION),
        labelled(1, SINCE),
        labelled(1, SINCE, str((int(PACK.labels[1]) + 1) % 10)),
        labelled(2, SINCE, NONE_OF_THESE),
    )
    found = evidence_of(root)
    assert (found.images, found.after, found.left_out) == (1, 1, 0)
