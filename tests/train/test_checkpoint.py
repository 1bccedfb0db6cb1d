"""A training that was cut short goes on to the same model, and a checkpoint that cannot be used is refused."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemnist.errors import TrainingError
from edgemnist.ground.results import read_result
from edgemnist.ground.results.pipeline import TrainResult
from edgemnist.ground.storage import sha256
from edgemnist.model.exports.manifest import read_manifest, read_recorded
from edgemnist.pipeline.data.dataset import Dataset
from edgemnist.pipeline.train.distillation import Teachers
from edgemnist.pipeline.train.recipes import TrainConfig
from edgemnist.pipeline.train.run import CHECKPOINT_FILE, train
from tests.notices import Listener
from tests.patience import PATIENCE_S
from tests.processes import command_line

pytestmark = pytest.mark.usefixtures("no_pictures")
SMALL = TrainConfig(recipe="standard", hidden=(32,), epochs=6, seed=4)


@pytest.mark.usefixtures("quick_best")
@pytest.mark.parametrize(
    ("recipe", "hidden", "stops"), [("baseline", (32,), (1, 4)), ("standard", (32, 16), (3,)), ("best", (32,), (8,))]
)
def test_a_resumed_training_ends_in_the_same_model_bit_for_bit(
    recipe: str, hidden: tuple[int, ...], stops: tuple[int, ...], dataset: Dataset, tmp_path: Path
) -> None:
    """The recipe `best` is stopped after noise has set in, and before rounding does."""
    config = TrainConfig(recipe=recipe, hidden=hidden, epochs=9, seed=1)
    teachers = Teachers(tmp_path)
    whole = train(dataset, config, tmp_path / "whole", teachers=teachers)
    for stop in stops:
        place = tmp_path / str(stop)
        cut = train(dataset, config, place, Listener(interrupt_after=stop), teachers=teachers)
        assert (cut.interrupted, cut.epochs, cut.planned_epochs) == (True, stop, 9)
        assert cut.teacher_seed == (1 if recipe == "best" else None)
        listener = Listener()
        resumed = train(dataset, config, place, listener, resume=True, teachers=teachers)
        assert listener.messages == [f"Continuing after epoch {stop} of 9."]
        assert listener.updates[0][0] == stop
        assert resumed.sha256 == whole.sha256
        assert [epoch.loss for epoch in resumed.history] == [epoch.loss for epoch in whole.history]
        assert not resumed.interrupted
        assert not (place / CHECKPOINT_FILE).exists()


@pytest.mark.all
def test_a_killed_command_goes_on_with_resume(edgemnist_json: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """SIGKILL at a moment that nobody chose, twice."""
    command = ["train", "--recipe", "standard", "--hidden", "16", "--epochs", "40", "--offline", "--seed", "9"]
    for _ in range(2):
        process = subprocess.Popen(
            [*command_line(), *command, "--resume"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        checkpoint, first = tmp_path / "exports" / CHECKPOINT_FILE, None
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            # It has been written twice, so an epoch has been trained since this process began.
            if checkpoint.exists():
                first = first or checkpoint.stat().st_mtime_ns
                if checkpoint.stat().st_mtime_ns != first:
                    break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        # A process that was forked for it dies with it, and is gone once nobody can write any more.
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "exports" / "model.keras").exists()
    resumed = edgemnist_json(*command, "--resume")
    whole = edgemnist_json(*command, "--exports", "whole")
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["epochs"] == 40


@pytest.fixture(scope="module")
def cut_short(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a model of two epochs and its checkpoint. Read only."""
    directory = tmp_path_factory.mktemp("interrupted")
    train(dataset, SMALL, directory, Listener(interrupt_after=2))
    return directory


@pytest.fixture
def interrupted(cut_short: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to break."""
    return Path(shutil.copytree(cut_short, tmp_path / "exports"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "baseline"}, "its recipe is standard, not baseline"),
        ({"hidden": (16,)}, "its network is 784-32-10, not 784-16-10"),
        ({"epochs": 7}, "its number of epochs is 6, not 7"),
        ({"seed": 5}, "its seed is 4, not 5"),
        ({"batch_size": 100}, "its batch size is 256, not 100"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_with_what_differs(
    change: dict[str, Any], message: str, interrupted: Path, dataset: Dataset
) -> None:
    before = (interrupted / "model.keras").read_bytes()
    with pytest.raises(TrainingError, match=message):
        train(dataset, replace(SMALL, **change), interrupted, resume=True)
    assert (interrupted / "model.keras").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut in half", "empty", "one bit", "no checkpoint at all"])
def test_a_damaged_checkpoint_is_refused_and_the_last_model_kept(
    damage: str, interrupted: Path, dataset: Dataset
) -> None:
    checkpoint = interrupted / CHECKPOINT_FILE
    data = bytearray(checkpoint.read_bytes())
    if damage == "one bit":
        data[len(data) // 2] ^= 4
    whole = bytes(data)
    kept = {"cut in half": whole[: len(whole) // 2], "empty": b"", "one bit": whole}.get(damage, b"weights" * 1000)
    checkpoint.write_bytes(kept)
    with pytest.raises(TrainingError, match="is damaged or not a checkpoint") as failure:
        train(dataset, SMALL, interrupted, resume=True)
    assert "without --resume" in failure.value.hint
    result = read_result(TrainResult, (interrupted / "training.json").read_bytes())
    assert result.epochs == 2
    manifest = read_manifest(interrupted)
    assert manifest.model is not None
    read_recorded(interrupted, manifest.model)


@pytest.mark.parametrize(
    ("spoil", "seed", "told"),
    [
        (False, 4, "Continuing after epoch 2 of 6."),
        (True, 4, "is damaged or not a checkpoint. This training starts from the beginning."),
        (False, 5, "its seed is 4, not 5. This training starts from the beginning."),
    ],
)
def test_where_resuming_is_only_tried_a_checkpoint_of_no_use_is_kept_and_the_training_begins(
    *, spoil: bool, seed: int, told: str, interrupted: Path, dataset: Dataset
) -> None:
    checkpoint, listener = interrupted / CHECKPOINT_FILE, Listener()
    data = checkpoint.read_bytes()[: 1_000 if spoil else None]
    checkpoint.write_bytes(data)
    result = train(dataset, replace(SMALL, seed=seed), interrupted, listener, resume=None)
    assert (result.epochs, result.interrupted) == (6, False)
    assert told in listener.heard
    kept = interrupted / f"previous-{CHECKPOINT_FILE}"
    assert (kept.read_bytes() if kept.exists() else None) == (None if "Continuing" in told else data)


def test_without_resume_the_checkpoint_of_another_training_is_kept_and_can_still_be_resumed(
    interrupted: Path, dataset: Dataset, tmp_path: Path
) -> None:
    whole = train(dataset, SMALL, tmp_path / "whole")
    listener = Listener(interrupt_after=1)
    train(dataset, replace(SMALL, seed=5), interrupted, listener)
    previous = interrupted / f"previous-{CHECKPOINT_FILE}"
    assert str(previous) in listener.heard
    previous.replace(interrupted / CHECKPOINT_FILE)
    again = Listener()
    resumed = train(dataset, SMALL, interrupted, again, resume=True)
    assert "Continuing after epoch 2 of 6." in again.messages
    assert resumed.sha256 == whole.sha256


def test_an_unfinished_model_never_replaces_a_finished_one(dataset: Dataset, tmp_path: Path) -> None:
    finished = train(dataset, SMALL, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    listener, other = Listener(interrupt_after=2), replace(SMALL, seed=5)
    with pytest.raises(KeyboardInterrupt):
        train(dataset, other, tmp_path, listener)
    assert "is still the earlier, finished model" in listener.messages[-1]
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.pop(CHECKPOINT_FILE)
    assert after == before
    # It continues, and once it is finished the model before it is kept.
    assert not train(dataset, other, tmp_path, resume=True).interrupted
    assert sha256((tmp_path / "previous.keras").read_bytes()) == finished.sha256


def test_resume_without_a_checkpoint_starts_from_the_beginning_and_says_so(dataset: Dataset, tmp_path: Path) -> None:
    listener = Listener()
    assert train(dataset, SMALL, tmp_path, listener, resume=True).epochs == 6
    assert [notice for notice in listener.messages if "has no checkpoint" in notice]
