"""What a model has learnt from, as its export directory says."""

from pathlib import Path

import msgspec
import pytest

from edgemnist.field.health.learnt import learnt_by
from edgemnist.field.health.run import labelled, places_here
from edgemnist.field.samples.store import SampleStore
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.manifest import MANIFEST_FILE, read_manifest
from edgemnist.model.exports.questions import learnt_record
from tests.drift.making import after_a_week, images
from tests.health.test_health import drawn


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


@pytest.mark.parametrize("named", [True, False])
def test_what_the_model_has_learnt_from_does_not_judge_it_here(
    named: bool,  # noqa: FBT001 - a case
    exports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = tmp_path / "samples"
    with SampleStore.open(samples, create=True) as store:
        for one in images()[5:20]:
            store.add(drawn(3, "3", image=one))
    (samples / "health.json").write_bytes(after_a_week(520).record.encode())
    (place,) = places_here([samples], exports if named else None)
    assert len(labelled(place)) == 10
