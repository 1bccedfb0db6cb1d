"""`kill -9` in the middle of `edgemnist learn`: no label is lost, and the new directory is whole or not there."""

import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.field.learn.run import LEARN_FILE, TEMPORARY_PREFIX
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.storage import ABANDONED_AFTER_S, JOURNAL_FILE
from edgemnist.model.exports import Exports
from edgemnist.model.exports.manifest import MANIFEST_FILE, MODEL_FILE, read_manifest
from tests.conftest import OLD_EXPORTS
from tests.killing import Program, state_of
from tests.learn.test_learn import field, fill
from tests.sweeping import swept

pytestmark = pytest.mark.all

STAYS, LEAVES = 20, 4
"""Labels of one who stays, and of one whose labels are to be forgotten."""
KILLS = (8, 18)
"""Some, and those of a sweep."""
ARTIFACT = "tflite-int8"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Samples, and an export directory with the weights of its int8 artifact only, which are read without Keras."""
    images, labels = field()
    count = STAYS + LEAVES
    fill(tmp_path / "samples", images[:count], labels[:count], ["ann"] * STAYS + ["eve"] * LEAVES)
    exports = Path(shutil.copytree(OLD_EXPORTS, tmp_path / "exports"))
    manifest = read_manifest(exports)
    artifacts = [one for one in manifest.artifacts if one.name == ARTIFACT]
    (exports / MANIFEST_FILE).write_bytes(msgspec.structs.replace(manifest, artifacts=artifacts).encode())
    (exports / MODEL_FILE).unlink()
    return tmp_path


def writers(directory: Path) -> list[str]:
    with SampleStore.open(directory) as store:
        return [label.writer for one in store.samples() for label in one.labels]


def is_whole(out: Path) -> bool:
    made = Exports.open(out)
    assert json.loads((out / LEARN_FILE).read_bytes())["passed"]
    assert len(made.read_golden().images) == 200
    return [(one.name, one.status) for one in made.artifacts] == [(ARTIFACT, "current")]


@pytest.mark.parametrize("kills", swept(KILLS, kept=KILLS[:1]))
def test_killed_at_any_step_it_loses_no_label_and_writes_all_or_nothing(
    kills: int, place: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = Path(shutil.copytree(place, tmp_path_factory.mktemp("before") / "place"))
    exports = state_of(place / "exports")
    samples, out = place / "samples", place / "learned"
    words = ["learn", "--samples", samples, "--exports", place / "exports", "--out", out, "--forget", "eve"]
    asked: dict[str, Any] = {
        "words": [*map(str, words), "--json"],
        "environment": {"EDGEMNIST_CACHE": str(cache), "EDGEMNIST_OFFLINE": "1"},
    }

    def begin() -> None:
        shutil.rmtree(place)
        shutil.copytree(before, place)

    with Program(place, "-m", "tests.killing", "tests.learn.quick") as program:
        # That a new model loads is tried once, in a process of its own, and remembered.
        for _ in range(2):
            begin()
            counted = program.run(**asked)
            assert counted["code"] == 0, counted["said"]
        steps = counted["steps"]
        assert is_whole(out)
        forgotten = steps.index("SQL COMMIT") + 1
        renamed = steps.index(next(step for step in steps if step.startswith("os.rename") and str(out) in step)) + 1
        rng = random.Random(16)
        chosen = {forgotten, forgotten + 1, renamed, renamed + 1}
        chosen |= set(rng.sample(sorted(set(range(1, len(steps) + 1)) - chosen), kills - len(chosen)))

        known: set[tuple[bool, ...]] = set()
        for number in sorted(chosen):
            where = f"step {number} of {len(steps)}, {steps[number - 1]}"
            begin()
            killed = program.run(**asked, limit=number)
            assert killed["code"] == -9, f"{where}: {killed['said']}"
            expected = ["ann"] * STAYS + ["eve"] * (LEAVES if number <= forgotten else 0)
            assert sorted(writers(samples)) == expected, where
            assert state_of(place / "exports") == exports, where
            assert out.exists() == (number > renamed), where
            assert not out.exists() or is_whole(out), where
            left = [path for path in place.iterdir() if path.name not in {"samples", "exports", "learned"}]
            assert all(path.name.startswith(TEMPORARY_PREFIX) for path in left), where

            # From the same state the same follows.
            state = (number > forgotten, out.exists(), bool(left), any((path / JOURNAL_FILE).exists() for path in left))
            if state in known:
                continue
            known.add(state)
            for path in left:
                os.utime(path, (0, time.time() - ABANDONED_AFTER_S - 1))
            again = program.run(**asked)
            assert (again["code"], out.exists() and is_whole(out)) == (2 if number > renamed else 0, True), again[
                "said"
            ]
            assert sorted(writers(samples)) == ["ann"] * STAYS, where
            assert {path.name for path in place.iterdir()} == {"samples", "exports", "learned"}, where
    assert len(known) >= 4
