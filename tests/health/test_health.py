"""What is said about a model from its counts and samples."""

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist import __version__
from edgemnist.field.drift import Record, Window
from edgemnist.field.drift.monitor import Tally
from edgemnist.field.health.cli import evidence_of, health_page
from edgemnist.field.health.learnt import learnt_by
from edgemnist.field.health.run import (
    LEAST,
    Place,
    estimated,
    judge_counts,
    labelled,
    mean_of,
    mixture_evidence,
    places_here,
    report_on,
)
from edgemnist.field.samples import CORRECTION, DOUBTFUL, NONE_OF_THESE, UNIFORM, Label, Sample
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.arrays import Images, image_hashes
from edgemnist.ground.results.boards import Fault
from edgemnist.ground.results.samples import BoardHealth, HealthReport
from edgemnist.ground.results.verdict import MISSED, PASSED, UNKNOWN, Basis
from edgemnist.model.answers import HEALTH_FILE
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.manifest import MANIFEST_FILE, read_manifest
from edgemnist.model.exports.questions import learnt_record
from tests.conftest import run_edgemnist
from tests.drift.making import FIRST_DAY, LAST_DAY, add, after_a_week, answering, bolder, images
from tests.messages import Told
from tests.render.test_narrow import lines_of
from tests.samples.making import sample_of

NEVER = Window.empty(10)


def changed() -> Tally:
    tally = after_a_week()
    add(tally, bolder(images()[600:800]))
    return tally


def drawn(digit: int, label: str | None, **fields: object) -> Sample:
    given = () if label is None else (Label(label, "ann", LAST_DAY, settles=False),)
    usual = {"reason": UNIFORM, "artifact": answering().artifact, "labels": given, "at": LAST_DAY}
    return sample_of(digit, **{**usual, **fields})


def window(answered: int, confidence: float) -> Window:
    return msgspec.structs.replace(NEVER, images=answered, confidence=answered * confidence)


def record_of(golden_errors: int, golden_confidence: float) -> Record:
    record = Tally(answering()).record
    return msgspec.structs.replace(record, golden=window(1_000, golden_confidence), golden_errors=golden_errors)


def test_the_estimate_is_the_mean_confidence_of_a_calibrated_model() -> None:
    found = estimated(record_of(10, 0.99), window(500, 0.9))
    assert found is not None
    assert found.images == 500
    assert found.accuracy == pytest.approx(0.9)
    # Nothing bounds how far it is from the truth.
    assert found.interval is None
    assert estimated(record_of(10, 0.99), NEVER) is None


def test_a_model_that_was_too_sure_on_its_golden_pack_is_believed_less() -> None:
    # It promised 10 errors and made 54: five times as much doubt.
    found = estimated(record_of(54, 0.99), window(500, 0.98))
    assert found is not None
    assert found.accuracy == pytest.approx(0.9)
    # One that was not sure enough is not believed more.
    modest = estimated(record_of(0, 0.9), window(500, 0.98))
    assert modest is not None
    assert modest.accuracy == pytest.approx(0.98)


def of(samples: Sequence[Sample], record: Record | None = None, learnt: Sequence[Images] = ()) -> Place:
    hashes = frozenset(f"{one:016x}" for one in image_hashes(np.stack(learnt))) if len(learnt) else frozenset[str]()
    return Place(name="samples", record=record or after_a_week().record, samples=samples, learnt=hashes)


def test_labels_count_on_the_even_draw_of_this_very_model_only() -> None:
    some = images()
    counting = [drawn(3, "3", image=some[0]), drawn(3, "8", image=some[1])]
    others = [
        drawn(3, "8", image=some[2], reason=DOUBTFUL),
        drawn(3, NONE_OF_THESE, image=some[3]),
        drawn(3, "8", image=some[4], answer=None),
        drawn(3, None, image=some[7]),
        # Answered by another model, by another release, and before this model answered.
        drawn(3, "8", image=some[5], artifact="another"),
        drawn(3, "8", image=some[6], release="1-0123456789ab"),
        drawn(3, "8", image=some[8], at="2026-10-01T00:00:00.000Z"),
    ]
    assert {one.label for one in labelled(of([*counting, *others]))} == {"3", "8"}
    found = report_on([of([*counting, *others])]).labelled
    assert found is not None
    assert (found.images, found.right, found.accuracy) == (2, 1, 0.5)
    assert report_on([of(others)]).labelled is None


def test_after_a_deployment_the_answers_of_the_old_release_are_not_credited_to_the_new_one() -> None:
    old = [drawn(3, "3", image=one, release="1-0123456789ab") for one in images()[:100]]
    new = [drawn(3, "8", image=one, release="2-0123456789ab") for one in images()[100:200]]
    record = msgspec.structs.replace(after_a_week().record, release="2-0123456789ab")
    result = report_on([of([*old, *new], record)])
    assert result.labelled is not None
    assert (result.labelled.images, result.labelled.right, result.state) == (100, 0, "harm")


def test_after_another_model_of_the_same_name_only_what_came_since_counts() -> None:
    record = msgspec.structs.replace(after_a_week().record, resumed="2026-11-08T10:00:00.000Z")
    times = ["2026-11-08T09:59:59.999Z"] * 10 + ["2026-11-08T10:00:00.000Z"] * 5
    samples = [drawn(3, "8", image=one, at=at) for one, at in zip(images(), times, strict=False)]
    assert len(labelled(of(samples, record))) == 5


def test_what_a_model_has_learnt_from_does_not_judge_it_and_a_picture_counts_once() -> None:
    some = images()
    samples = [drawn(3, "3", image=one) for one in some[:6]]
    assert len(labelled(of(samples))) == 6
    assert len(labelled(of(samples, learnt=[*some[:2]]))) == 4
    # A picture that had a label before this model came may be one that it has learnt from.
    earlier = drawn(3, "3", image=some[2], at="2026-10-01T00:00:00.000Z", reason=CORRECTION)
    assert len(labelled(of([*samples, earlier], learnt=[*some[:2]]))) == 3
    # The same picture again, and one with two names.
    again = [drawn(3, "3", image=some[3]), drawn(3, "8", image=some[4])]
    assert len(labelled(of([*samples, *again]))) == 5


def test_another_mixture_of_classes_is_told_from_chance() -> None:
    even, odd = [50] * 10, [95, 5] * 5
    same, other = mixture_evidence(even, even), mixture_evidence(even, odd)
    assert same is not None
    assert other is not None
    assert same < 0
    assert other > 20
    assert mixture_evidence([0] * 10, even) == pytest.approx(0)


def test_means_of_ink_are_those_of_the_bins() -> None:
    record = after_a_week().record
    assert mean_of(3, record.first) == pytest.approx(14, abs=0.2)
    assert mean_of(0, NEVER) is None


def test_an_alarm_names_what_changed_and_shows_the_samples_that_have_it() -> None:
    bold, plain = bolder(images()[:20]), images()[20:40]
    late = [drawn(1, None, image=one) for one in [*plain, *bold]]
    early = drawn(1, None, image=np.full((28, 28), 255, np.uint8), at="2026-01-01T00:00:00.000Z")
    result = report_on([Place(name="samples", host="pi", record=changed().record, samples=[early, *late])])
    assert not result.passed
    assert result.changed[0] in {"stroke width, higher", "contrast, higher"}
    assert result.evidence is not None
    assert result.evidence >= 5
    shown = [one.image for one in result.samples]
    assert len(shown) == 12
    assert sum(image in {one.tobytes() for one in bold} for image in shown) >= 10
    assert early.image.tobytes() not in shown
    rows = {one.name: one for one in result.quantities}
    width = rows["stroke width"]
    assert width.first is not None
    assert width.lately is not None
    assert width.lately > width.first
    assert report_on([Place(name="samples", record=after_a_week().record)]).passed


@pytest.mark.parametrize(
    ("log10", "told"), [(None, ""), (-0.04, "10^0"), (0.0, "10^0"), (-1.2, "10^-1"), (11.6, "10^12")]
)
def test_evidence_is_a_power_of_ten(log10: float | None, told: str) -> None:
    assert evidence_of(log10) == told


def test_a_board_that_has_answered_nothing_is_unknown() -> None:
    result = report_on([Place(name="samples", record=Tally(answering()).record)])
    assert (result.state, result.verdict.outcome, result.passed) == ("unknown", UNKNOWN, False)
    assert result.reasons == ["Nothing has been answered yet: 100 are needed."]
    assert result.lately is None
    assert result.first is None
    assert result.golden is not None
    assert result.golden.accuracy == 0.997
    assert all(value is None or math.isfinite(value) for one in result.quantities for value in (one.golden, one.lately))


def quiet(answers: Sequence[int] = range(10), count: int = 1_000) -> Record:
    """Return counts of sure answers to nothing out of the ordinary, with these classes in turn, -1 for a refusal."""
    tally = Tally(answering())
    for start in range(0, count, 50):
        batch = images()[start % 1_000 :][: min(50, count - start)]
        day = FIRST_DAY if start < count / 2 else LAST_DAY
        given = [answers[number % len(answers)] for number in range(start, start + len(batch))]
        tally.add(batch, [0.99] * len(batch), given, day)
    return tally.record


EIGHTS = [8] * 19 + [3]
OUTCOME = {"unchanged": PASSED, "harmless": PASSED, "harm": MISSED, "unknown": UNKNOWN}


def test_what_is_bad_from_the_first_day_on_or_not_known_does_not_pass(told: Told) -> None:
    even = range(10)
    several: list[tuple[Sequence[int], int, list[bool], str]] = [
        *(
            (even, 1_000, right, "unchanged")
            for right in ([], [True] * 99 + [False], [True] * 92 + [False] * 8, [False])
        ),
        # Wrong from the first day on, so no change shows it.
        *((even, 1_000, right, "harm") for right in ([False] * 100, [True] * 87 + [False] * 13)),
        *((answers, 1_000, [], "harm") for answers in ([-1], [-1, -1, 3])),
        *((answers, 1_000, [], "unchanged") for answers in ([-1, 3, 4], [8] * 9 + [3])),
        *((answers, 1_000, [], "unknown") for answers in ([8], EIGHTS)),
        # Labels say that there are eights only.
        *(([8], 1_000, [True] * right, verdict) for right, verdict in ((100, "unchanged"), (10, "unknown"))),
        *((even, count, [], verdict) for count, verdict in ((LEAST - 1, "unknown"), (LEAST, "unchanged"))),
    ]
    for answers, count, right, verdict in several:
        found = judge_counts(quiet(answers, count), right, [])
        assert found.state == verdict, found.reasons
        assert found.verdict.outcome == OUTCOME[verdict]
        assert bool(found.reasons) == (verdict != "unchanged")
        told.says(*found.reasons)


def test_a_few_answers_alike_are_not_called_stuck(told: Told) -> None:
    for answered in (1, 19, 20):
        told.says(*judge_counts(quiet([8] * answered + [-1] * (1_000 - answered), 1_000), [], []).reasons)


def test_without_a_golden_pack_what_is_mostly_wrong_does_not_pass() -> None:
    record = msgspec.structs.replace(quiet(), golden=None, golden_errors=0)
    bad = judge_counts(record, [True] * 40 + [False] * 60, [])
    assert bad.reasons == ["Only 40 of 100 answers with a label are right."]
    assert judge_counts(record, [True] * 60 + [False] * 40, []).state == "unchanged"
    # Nothing says that eights alone are what it should see.
    stuck = msgspec.structs.replace(quiet([8]), golden=None, golden_errors=0)
    assert judge_counts(stuck, [], []).state == "unknown"
    # And nothing shows that a change is harmless.
    drifted = msgspec.structs.replace(after_alarm(after_a_week(), 0.99).record, golden=None, golden_errors=0)
    assert judge_counts(drifted, [], [True] * 100).state == "unknown"
    # Before its first week is over, there is nothing at all to compare with.
    early = msgspec.structs.replace(record, first_complete=False, evidence={})
    assert judge_counts(early, [], []).reasons == [
        "Its first week is not complete, and without a golden pack there is nothing to compare with."
    ]


def after_alarm(tally: Tally, confidence: float, count: int = 200, way: Callable[[Images], Images] = bolder) -> Tally:
    """Go on with images that look different, and of which the model is this sure."""
    add(tally, way(images()[600 : 600 + count]), confidence=confidence)
    return tally


def test_a_change_is_harm_harmless_or_unknown(told: Told) -> None:
    for confidence, right, verdict in (
        # No worse by its own word, which is none.
        *(
            (confidence, [], verdict)
            for confidence, verdict in ((0.99, "unknown"), (0.981, "unknown"), (0.979, "harm"))
        ),
        (0.5, [], "harm"),
        # Labels are surer than confidence, in both directions.
        *((0.99, right, "harmless") for right in ([True] * 100, [True] * 99 + [False])),
        # Where confidence has fallen, they have to outweigh it.
        *((0.9, [True] * right, verdict) for right, verdict in ((100, "harm"), (200, "harmless"))),
        *((0.99, [True] * right + [False] * wrong, "unknown") for right, wrong in ((40, 0), (97, 3), (980, 20))),
        (0.9, [True] * 97 + [False] * 3, "harm"),
        (0.99, [True] * 80 + [False] * 20, "harm"),
    ):
        found = judge_counts(after_alarm(after_a_week(), confidence).record, [], right)
        assert (found.state, bool(found.changed)) == (verdict, True), found.reasons
        assert found.verdict.outcome == OUTCOME[verdict]
        told.says(*found.reasons)


def test_labels_say_nothing_about_refusals() -> None:
    tally = after_a_week()
    for one in images()[600:800]:
        tally.add(one[None], [0.99], [1 if one.sum() % 3 else -1], LAST_DAY)
    record = tally.record
    assert "refused share" in judge_counts(record, [], []).changed
    assert judge_counts(record, [], [True] * 100).state == "unknown"


def test_after_an_alarm_only_what_came_since_counts_as_lately() -> None:
    tally = after_alarm(after_a_week(), 0.5, 30)
    before = tally.record.recent
    assert before.images < 30
    changed_, little = judge_counts(tally.record, [], []).reasons
    assert changed_.startswith("Changed: ")
    assert little == "Too little has been answered since then to say whether that harms."
    after_alarm(tally, 0.5, 150)
    assert tally.record.recent.confidence == pytest.approx(tally.record.recent.answered * 0.5)
    # Another process goes on in the same alarm.
    again = Tally(tally.record)
    after_alarm(again, 0.5, 10)
    assert again.record.recent.images == tally.record.recent.images + 10
    # Labels from before it prove nothing.
    samples = [drawn(1, "1", image=one, at=FIRST_DAY) for one in images()[:200]]
    record = msgspec.structs.replace(
        again.record, lately=msgspec.structs.replace(again.record.lately, since="2026-11-08T10:00:00.000Z")
    )
    assert report_on([of(samples, record)]).state == "harm"
    since = [drawn(1, "1", image=one, at="2026-11-08T11:00:00.000Z") for one in images()[:200]]
    assert report_on([of(since, record)]).state == "harmless"


def test_the_health_of_a_fleet_is_that_of_its_worst_board_whatever_the_order() -> None:
    bad = Place(name="bad", host="bad", record=after_alarm(after_a_week(), 0.5).record)
    doubled = drawn(1, "1", image=images()[0])
    places = [
        bad,
        Place(name="new", host="new", record=quiet(count=20)),
        Place(name="one", host="one", record=quiet(), samples=[doubled, drawn(1, "2", image=images()[1])]),
        Place(name="two", host="two", record=quiet(), samples=[doubled]),
    ]
    first, *others = {report_on(list(order)).to_json() for order in permutations(places)}
    assert not others
    result = report_on(places)
    assert (result.state, result.verdict.outcome, result.passed) == ("harm", MISSED, False)
    basis = Basis(artifact=bad.record.sha256, edgemnist=__version__, images=result.verdict.rests_on.images)  # type: ignore[union-attr]  # known to be there
    assert result.verdict.rests_on == basis
    assert basis.images == sum(one.images for one in result.boards)
    assert [(one.host, one.state) for one in result.boards] == [
        ("bad", "harm"),
        ("new", "unknown"),
        ("one", "unchanged"),
        ("two", "unchanged"),
    ]
    assert [one.verdict.outcome for one in result.boards if one.verdict] == [MISSED, UNKNOWN, PASSED, PASSED]
    assert [one.partition(":")[0] for one in result.reasons] == ["bad", "bad", "new"]
    assert sorted(result.verdict.reasons) == sorted(result.reasons)
    assert result.labelled is not None
    assert result.labelled.images == 2
    assert result.evidence is not None
    alone = report_on([bad]).evidence
    assert alone is not None
    assert result.evidence >= alone
    assert report_on(places[2:]).passed
    assert first
    # Two directories of one host are two.
    twice = report_on([bad, Place(name="bad", host="bad", record=quiet())])
    assert (twice.state, len(twice.boards)) == ("harm", 2)


def test_a_board_that_is_away_leaves_its_fleet_unknown() -> None:
    away = BoardHealth(host="away", fault=Fault(type="DeployError", message="It is gone", hint="", exit_code=2))
    result = report_on([Place(name="one", host="one", record=quiet())], [away])
    assert (result.state, result.verdict.outcome, result.passed) == ("unknown", UNKNOWN, False)
    assert result.verdict.reasons == ["away: It is gone"]
    # The same host, and another directory there.
    twice = report_on([Place(name="away", host="away", record=quiet())], [away])
    assert (twice.state, twice.verdict.reasons) == ("unknown", ["away, 2: It is gone"])


def test_labels_of_many_boards_show_what_those_of_each_do_not() -> None:
    # One of ten is wrong on each board: that may be chance, and is none on twenty boards.
    places = []
    for board in range(20):
        some = images()[10 * board : 10 * board + 10]
        samples = [drawn(1, "1" if number else "2", image=one) for number, one in enumerate(some)]
        places.append(Place(name=f"board{board:02}", host="", record=quiet(), samples=samples))
    assert report_on(places[:1]).passed
    result = report_on(places)
    assert {one.state for one in result.boards} == {"unchanged"}
    assert (result.state, result.passed) == ("harm", False)
    assert result.reasons == [
        "all boards: Only 180 of 200 answers with a label are right, and 99.7 % on the golden pack."
    ]


def test_the_golden_pack_of_a_fleet_is_one_or_unknown() -> None:
    record = quiet()
    assert record.golden is not None
    ink = [list(reversed(bins)) for bins in record.golden.ink]
    golden = msgspec.structs.replace(record.golden, ink=ink)
    other = msgspec.structs.replace(record, golden=golden, golden_errors=500)
    # Another runtime may get one more wrong.
    same = msgspec.structs.replace(record, golden_errors=4)
    none = msgspec.structs.replace(record, golden=None, golden_errors=0)

    def fleet(*records: Record) -> HealthReport:
        return report_on([Place(name=f"board{number}", record=one) for number, one in enumerate(records)])

    for records in ((same, record), (record, same), (none, record)):
        found = fleet(*records).golden
        assert found is not None
        assert (found.images, found.right) == (1_000, 997)
    assert fleet(none, record, same).passed
    for records in ((record, other), (other, record)):
        result = fleet(*records)
        assert (result.golden, result.state, result.verdict.outcome) == (None, "unknown", UNKNOWN)
        assert result.reasons == [
            "golden packs: the boards have different ones, so how good the model is on its own is unknown."
        ]


@pytest.mark.parametrize(
    ("missed", "state"), [([0, 0], "unchanged"), ([500, 500], "unchanged"), ([0, 1_001], "unknown")]
)
def test_what_came_too_fast_to_be_counted_is_told_and_most_of_all_is_unknown(missed: list[int], state: str) -> None:
    record = msgspec.structs.replace(quiet(), uncounted=missed)
    result = report_on([Place(name="samples", record=record)])
    assert (result.uncounted, result.state) == (sum(missed), state)
    both = report_on([Place(name=name, record=record) for name in "ab"])
    assert (both.uncounted, both.state) == (2 * sum(missed), state)
    if state == "unknown":
        assert result.reasons == ["1,001 of the 2,001 latest inputs came too fast to be counted."]


def test_exit_1_is_an_alarm_without_labels_and_the_crops_are_shown(tmp_path: Path) -> None:
    place = tmp_path / "samples"
    with SampleStore.open(place, create=True) as store:
        for one in bolder(images()[:20]):
            store.add(drawn(1, None, image=one))
    (place / HEALTH_FILE).write_bytes(changed().record.encode())
    done = run_edgemnist("health", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    words = " ".join(done.stdout.split())
    assert "Unknown. Changed: " in words
    assert "label samples of the even draw. Next: edgemnist review" in words
    assert "█" in done.stdout
    (tmp_path / "well.json").write_bytes(after_a_week().record.encode())
    well = run_edgemnist("health", "--samples", "well.json", "--json", cwd=tmp_path)
    assert well.returncode == 0
    assert json.loads(well.stdout)["passed"]


@pytest.mark.parametrize(("days", "told"), [(6.9, False), (40.1, True)])
def test_counts_of_a_service_that_has_stopped_are_said_to_be_old(days: float, *, told: bool) -> None:
    until = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    result = msgspec.structs.replace(report_on([of([], quiet())]), until=until)
    assert ("The latest input was counted 40 days ago." in lines_of(health_page(result), 80)) is told


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """The reference, which has learnt from ten images."""
    made = tmp_path / "exports"
    made.mkdir()
    for file in reference_directory().iterdir():
        (made / file.name).write_bytes(file.read_bytes())
    manifest = read_manifest(made)
    learnt = learnt_record(manifest.artifacts[0].model_sha256, images()[:10])
    (made / MANIFEST_FILE).write_bytes(msgspec.structs.replace(manifest, learnt=learnt).encode())
    return made


def test_only_a_record_of_this_very_file_counts(exports: Path, tmp_path: Path) -> None:
    manifest = read_manifest(exports)
    sha256 = manifest.artifacts[0].sha256
    assert len(learnt_by(exports, sha256)) == 10
    assert learnt_by(exports, "0" * 64) == frozenset()
    assert learnt_by(tmp_path / "nowhere", sha256) == frozenset()
    other = learnt_record("f" * 64, images()[:10])
    (exports / MANIFEST_FILE).write_bytes(msgspec.structs.replace(manifest, learnt=other).encode())
    assert learnt_by(exports, sha256) == frozenset()


@pytest.mark.usefixtures("exports")
def test_what_the_model_has_learnt_from_does_not_judge_it_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    samples = tmp_path / "samples"
    with SampleStore.open(samples, create=True) as store:
        for one in images()[5:20]:
            store.add(drawn(3, "3", image=one))
    (samples / "health.json").write_bytes(after_a_week(520).record.encode())
    (place,) = places_here([samples])
    assert len(labelled(place)) == 10
