"""What models of other shapes meet in the field: samples, their review, and counts."""

import json
import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import EdgemnistError, SamplesError, StorageError
from edgemnist.field.drift import decode_record
from edgemnist.field.drift.monitor import Tally, no_counts
from edgemnist.field.health.run import places_here, report_on
from edgemnist.field.review.transfer import export_labelled, import_labelled
from edgemnist.field.samples import classes_of, decode_samples, now
from edgemnist.field.samples.collector import Collector
from edgemnist.field.samples.store import FILE, SampleStore
from edgemnist.model.exports import Exports
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.pipeline.data.sources import find_dataset
from tests.conftest import Run
from tests.notices import Notices
from tests.shapes import SPECS
from tests.shapes.made import LABELS, NAME, make_exports, sample

EACH = pytest.mark.parametrize("name", [name for name in SPECS if name != "digit"])


@EACH
def test_a_store_keeps_what_a_model_was_given_and_nothing_else(name: str, tmp_path: Path) -> None:
    spec, image = SPECS[name], SPECS[name].random(1)[0]
    notices = Notices()
    # The minus of a zero would make another sample of the same input.
    zeros = np.zeros(spec.shape, np.float32 if spec.dtype == "float32" else np.uint8)
    with Collector(tmp_path, artifact=NAME, spec=spec, labels=LABELS, patient=True, reporter=notices) as collector:
        for one in (image, -zeros if spec.dtype == "float32" else zeros):
            collector.offer(one, source="here", answer=LABELS[1], confidence=0.1)
    with SampleStore.open(tmp_path) as store:
        kept, zero = store.samples()
        assert (store.spec.shape, store.spec.dtype, store.labels) == (spec.shape, spec.dtype, list(LABELS))
        assert classes_of([kept], store.labels) == list(LABELS)
    np.testing.assert_array_equal(kept.image, image)
    assert kept.image.dtype == spec.dtype
    assert zero.pixels == zeros.tobytes()
    assert decode_samples(msgspec.json.encode([kept, zero]), "here") == [kept, zero]
    other = SPECS["grey" if name != "grey" else "row"]
    with Collector(tmp_path, artifact=NAME, spec=other, patient=True, reporter=notices) as collector:
        for seed in range(3):
            collector.offer(other.random(1, seed)[0], source="here", answer=None, confidence=0.1)
    (said, missed) = notices.messages
    assert f"has samples of {spec.words()}, and the model takes {other.words()}" in said
    assert missed == "3 samples were not kept."
    with SampleStore.open(tmp_path) as store:
        assert len(store.samples()) == 2
        with pytest.raises(SamplesError, match="and these are"):
            store.merge([sample(other)])


def test_a_store_of_digits_is_what_it_was_and_a_newer_one_says_so(tmp_path: Path) -> None:
    for name, version in (("digit", 1), ("meter", 2)):
        with SampleStore.open(tmp_path / name, create=True, spec=SPECS[name]) as store:
            store.add(sample(SPECS[name]))
        with sqlite3.connect(tmp_path / name / FILE) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    # An earlier version reads no fields but its own.
    assert {"shape", "dtype"}.isdisjoint(json.loads(msgspec.json.encode(sample(SPECS["digit"]))))


@pytest.mark.parametrize(
    ("field", "value"),
    [("shape", [3, 3]), ("shape", []), ("shape", [1 << 30, 2]), ("dtype", "int64"), ("image", "AAAA"), ("shape", None)],
)
def test_a_sample_of_another_size_is_no_sample(field: str, value: object) -> None:
    document = json.loads(msgspec.json.encode([sample(SPECS["row"])]))
    document[0][field] = value
    with pytest.raises(StorageError, match="samples of board cannot be read"):
        decode_samples(json.dumps(document), "board")


@pytest.mark.parametrize("name", ["meter", "grey", "row", "spectrogram"])
def test_labelled_samples_become_a_data_set_and_are_imported_from_it(name: str, tmp_path: Path) -> None:
    spec, chosen = SPECS[name], LABELS[:2]
    samples = [sample(spec, seed, chosen[seed % 2]) for seed in range(20)]
    assert export_labelled(samples, tmp_path / "out") == 20
    data = tmp_path / "out" if spec.is_picture else tmp_path / "out" / "x.npy"
    dataset = find_dataset(data)
    assert (dataset.task.input.shape, set(dataset.labels)) == (spec.shape, set(chosen))
    with SampleStore.open(tmp_path / "new", create=True, spec=spec) as store:
        assert import_labelled(store, data, "bob") == 20
        found = {one.pixels: one.label for one in store.samples()}
    assert found == {one.pixels: one.label for one in samples}
    with SampleStore.open(tmp_path / "other", create=True, spec=SPECS["long"]) as store, pytest.raises(EdgemnistError):
        import_labelled(store, data, "bob")


def counted(exports: Exports, classifier: Classifier, shown: int, confidence: float) -> Tally:
    """Return the counts of a model after as many inputs, answered with this confidence."""
    tally = Tally(no_counts(exports.model(NAME), classifier, exports, None))
    inputs = exports.task.input.random(shown, seed=5)
    tally.add(inputs, [confidence] * shown, [index % len(LABELS) for index in range(shown)], now())
    return tally


@EACH
def test_answers_are_counted_for_all_and_ink_for_digits_only(name: str, tmp_path: Path) -> None:
    exports = make_exports(tmp_path / "made", name)
    classifier = exports.load(NAME)
    tally = counted(exports, classifier, 300, 0.99)
    record = decode_record(tally.record.encode(), "here")
    assert (record.with_ink, record.lately.ink, record.lately.images) == (False, [], 300)
    assert (record.golden is not None, record.golden_errors) == (True, 0)
    (tmp_path / "health.json").write_bytes(record.encode())
    report = report_on(places_here([tmp_path / "health.json"]))
    assert [one.name for one in report.quantities] == ["doubtful share", "refused share"]
    assert report.classes.labels == list(LABELS)


def test_a_picture_is_collected_reviewed_and_counted_by_the_commands(edgemnist: Run, tmp_path: Path) -> None:
    exports = make_exports(tmp_path / "made", "meter")
    (tmp_path / "pictures").mkdir()
    for index, image in enumerate(exports.read_golden().images[:5]):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{index}.png")
    done = edgemnist("predict", "pictures", "--exports", "made", "--collect", "samples")
    assert done.returncode == 0, done.stderr
    with SampleStore.open(tmp_path / "samples") as store:
        samples = store.samples()
        assert [one.spec.shape for one in samples] == [(32, 20, 3)] * 5
        for one in samples:
            store.label(one.id, LABELS[2], "ada")
    done = edgemnist("review", "samples", "--export", "labelled")
    assert done.returncode == 0, done.stderr
    (first, *others) = sorted((tmp_path / "labelled" / LABELS[2]).glob("*.png"))
    assert len(others) == 4
    with Image.open(first) as picture:
        np.testing.assert_array_equal(np.asarray(picture), samples[0].image)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "red").mkdir()
    Image.new("RGB", (50, 60), (200, 0, 0)).save(tmp_path / "one" / "red" / "a.png")
    assert edgemnist("review", "samples", "--import", "one").returncode == 0
    with SampleStore.open(tmp_path / "samples") as store:
        (imported,) = (one for one in store.samples() if one.label == "red")
        assert imported.image.shape == (32, 20, 3)
