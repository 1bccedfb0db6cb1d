"""The store under processes: they are killed, write at once, or are the other side of a connection."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from edgemnist.samples.store import SampleStore
from tests.samples.making import sample_of

KEEPS_AND_LABELS = """
import sys
from pathlib import Path
from edgemnist.samples import decode_sent, encode_sent
from edgemnist.samples import UNIFORM
from edgemnist.samples.store import SampleStore
from tests.samples.making import sample_of
from tests.samples.making import sample_of

store = SampleStore.open(Path(sys.argv[1]), create=True)
print("open", flush=True)
for number in range(100_000):
    kept = store.add(sample_of(number % 10))
    store.label(kept, str(number % 10), "ann")
    print(kept, flush=True)
"""


def test_killed_at_any_time_it_has_all_that_it_had_said(tmp_path: Path) -> None:
    rng = random.Random(0)
    for round_ in range(12):
        directory = tmp_path / str(round_)
        command = [sys.executable, "-c", KEEPS_AND_LABELS, str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "open\n"
            said = [int(worker.stdout.readline()) for _ in range(rng.randrange(1, 30))]
            worker.send_signal(signal.SIGKILL)
            said += [int(line) for line in worker.stdout if line.endswith("\n")]
        with SampleStore.open(directory) as store:
            found = store.samples()
        assert [one.id for one in found if one.label == one.answer][: len(said)] == said
        # At most the one that was under way, perhaps before its label.
        assert len(found) <= len(said) + 1


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    SampleStore.open(tmp_path, create=True).close()
    script = (
        "import sys; from pathlib import Path; from edgemnist.samples.store import SampleStore;"
        "from tests.samples.making import sample_of\n"
        "with SampleStore.open(Path(sys.argv[1])) as store:\n"
        "    for number in range(60): store.add(sample_of(number % 10))"
    )
    workers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    with SampleStore.open(tmp_path) as store:
        assert len(store.samples()) == 120


def test_the_boards_side_prints_samples_and_takes_labels_all_or_none(tmp_path: Path) -> None:
    with SampleStore.open(tmp_path / "samples", create=True) as store:
        store.add(sample_of(1))
    command = [sys.executable, "-m", "edgemnist.samples", str(tmp_path / "samples")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (one,) = json.loads(printed)
    (tmp_path / "labels.json").write_text(json.dumps([{**one, "labels": [["6", "ann", "2026-11-26", False]]}]))
    subprocess.run([*command, str(tmp_path / "labels.json")], capture_output=True, check=True)
    (tmp_path / "labels.json").write_text(json.dumps([{**one, "labels": [["7", "bob", "2026", False]]}, {}]))
    done = subprocess.run([*command, str(tmp_path / "labels.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    with SampleStore.open(tmp_path / "samples") as store:
        (found,) = store.samples()
    assert [(label.label, label.writer) for label in found.labels] == [("6", "ann")]
    gone = subprocess.run([*command[:-1], str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert gone.returncode == 2
    assert "has no samples" in gone.stderr
