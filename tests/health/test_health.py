"""What is said about a model from its counts and samples, and how the command says it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.drift import FILE, Record, Window
from edgemnist.drift.monitor import Tally
from edgemnist.health.run import Place, assess, estimated, evidence_of, labelled, mean_of, mixture_evidence
from edgemnist.samples import DOUBTFUL, NOT_A_DIGIT, UNIFORM, Label, Sample
from edgemnist.samples.store import SampleStore
from tests.conftest import run_edgemnist
from tests.drift.making import LAST_DAY, add, after_a_week, answering, bolder, images
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
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.870, abs=0.002)
    assert found.interval.high == pytest.approx(0.923, abs=0.002)
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


def test_labels_count_on_the_even_draw_only() -> None:
    record = after_a_week().record
    samples = [
        *(drawn(3, "3") for _ in range(9)),
        drawn(3, "8"),
        drawn(3, "8", reason=DOUBTFUL),
        drawn(3, NOT_A_DIGIT),
        drawn(3, "8", answer=None),
        drawn(3, "8", artifact="another"),
        drawn(3, None),
    ]
    found = labelled(samples, record)
    assert found is not None
    assert (found.images, found.right, found.accuracy) == (10, 9, 0.9)
    assert labelled([drawn(3, None)], record) is None


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
    result = assess([Place(name="samples", host="pi", record=changed().record, samples=[early, *late])])
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
    assert assess([Place(name="samples", record=after_a_week().record)]).passed


@pytest.mark.parametrize(
    ("log10", "told"), [(None, ""), (-0.04, "10^0"), (0.0, "10^0"), (-1.2, "10^-1"), (11.6, "10^12")]
)
def test_evidence_is_a_power_of_ten(log10: float | None, told: str) -> None:
    assert evidence_of(log10) == told


def test_a_board_that_has_answered_nothing_is_well() -> None:
    result = assess([Place(name="samples", record=Tally(answering()).record)])
    assert result.passed
    assert result.lately is None
    assert result.first is None
    assert result.golden is not None
    assert result.golden.accuracy == 0.997
    assert all(value is None or math.isfinite(value) for one in result.quantities for value in (one.golden, one.lately))


def test_exit_1_is_an_alarm_and_the_crops_are_shown(tmp_path: Path) -> None:
    place = tmp_path / "samples"
    with SampleStore.open(place, create=True) as store:
        for one in bolder(images()[:20]):
            store.add(drawn(1, None, image=one))
    (place / FILE).write_bytes(changed().record.encode())
    done = run_edgemnist("health", "--sheet", "changed.png", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Changed: " in done.stdout
    assert "█" in done.stdout
    assert (tmp_path / "changed.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "well.json").write_bytes(after_a_week().record.encode())
    well = run_edgemnist("health", "--samples", "well.json", "--json", cwd=tmp_path)
    assert well.returncode == 0
    assert json.loads(well.stdout)["passed"]


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        (b"", "health.json is damaged"),
        (
            b'{"application": "edgemnist-health", "version": 7}',
            "health.json has version 7, and this edgemnist reads up to 1",
        ),
        (b'{"one": 1}', "health.json has no counts of answers"),
        (after_a_week(520).record.encode().replace(b'"images":500', b'"images":501'), "health.json was changed after"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_sentence(contents: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "health.json").write_bytes(contents)
    done = run_edgemnist("health", "--samples", "health.json", cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())


def test_counts_of_two_models_are_told_in_one_sentence(tmp_path: Path) -> None:
    record = after_a_week(520).record
    (tmp_path / "a.json").write_bytes(record.encode())
    (tmp_path / "b.json").write_bytes(msgspec.structs.replace(record, sha256="0" * 64).encode())
    done = run_edgemnist("health", "--samples", "a.json", "--samples", "b.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "b.json has counts of a different model from a.json" in " ".join(done.stderr.split())
