"""`edgemnist predict --collect`: what was misread is there to be reviewed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemnist.field.samples import UNIFORM
from edgemnist.field.samples.store import SampleStore
from edgemnist.model.exports import Exports
from tests.conftest import run_edgemnist


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Thirty evaluation images, as files."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(Exports.open("reference").read_golden().images[:30]):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


def test_a_batch_is_kept_by_its_rules_pixel_for_pixel(pictures: Path, tmp_path: Path) -> None:
    words = ("--exports", "reference", "--collect", "samples", "--collect-max", "10", "--json")
    done = run_edgemnist("predict", pictures, *words, "--index", "31", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    best = Exports.open("reference").best().model.name
    answers = {one["source"]: one for one in json.loads(done.stdout)["predictions"]}
    with SampleStore.open(tmp_path / "samples") as store:
        found = store.samples()
        assert store.seen() <= 30
    # The even draw of a limit of ten is two; of the others none is doubtful enough.
    assert [one.reason for one in found if one.reason == UNIFORM] == [UNIFORM] * 2
    assert all(one.confidence < 0.9 or one.reason == UNIFORM for one in found)
    for one in found:
        assert np.array_equal(one.image, np.asarray(Image.open(one.source)))
        assert one.answer == str(answers[one.source]["digit"])
        assert one.confidence == pytest.approx(answers[one.source]["confidence"])
        assert (one.artifact, one.release) == (best, None)
