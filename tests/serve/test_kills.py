"""`kill -9` of a service that keeps samples: every correction that it has answered is stored."""

import itertools
import random
import shutil
from pathlib import Path

import pytest

from edgemnist.field.samples.store import SampleStore
from edgemnist.model.exports import Exports
from tests.deploy.loopback import free_port
from tests.killing import Program, answered_until_it_is_gone
from tests.sweeping import swept

pytestmark = pytest.mark.all

KILLS = (4, 12)
"""A few, and those of a sweep."""
STARTED = 25
"""Steps until it answers."""
CORRECTING = 60
"""It is killed at one of its first steps after that: ten corrections or so."""


@pytest.mark.parametrize("kills", swept(KILLS, kept=KILLS[:1]))
def test_what_a_killed_service_has_answered_is_stored(kills: int, tmp_path: Path) -> None:
    rng = random.Random(0)
    image = Exports.open("reference").read_golden().images[0].tolist()
    samples = tmp_path / "samples"
    given = 0
    with Program(tmp_path, "-m", "tests.killing", "edgemnist.app", "edgemnist.serve.routes") as program:
        for _ in range(kills):
            shutil.rmtree(samples, ignore_errors=True)
            port = free_port()
            words = ["serve", "--exports", "reference", "--port", str(port), "--rate", "0", "--collect", str(samples)]
            program.start(limit=STARTED + rng.randrange(CORRECTING), words=words)
            asked = (("/v1/corrections", {"image": image, "label": str(number % 10)}) for number in itertools.count())
            answered = [body["label"] for body in answered_until_it_is_gone(program, port, asked)]
            killed = program.ended()
            assert killed["code"] == -9, killed["said"]
            with SampleStore.open(samples, create=True) as store:
                found = [one.label for one in store.samples()]
            # Perhaps one more, which it did not live to answer.
            assert found[: len(answered)] == answered
            assert len(found) <= len(answered) + 1
            given += len(answered)
    assert given > kills
