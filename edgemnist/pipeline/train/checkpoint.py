"""Training that can be interrupted: checkpoints of whole epochs, from which it continues to the same weights."""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf

from edgemnist.errors import TrainingError
from edgemnist.ground.formatting import percent
from edgemnist.ground.progress import Reporter
from edgemnist.ground.results.pipeline import Epoch
from edgemnist.ground.storage import write_file
from edgemnist.model.exports.golden import check_size
from edgemnist.pipeline.data.dataset import Split
from edgemnist.pipeline.train.loop import DataSchedule, Fitted, Forward, State, fit
from edgemnist.pipeline.train.model import Weights
from edgemnist.pipeline.train.recipes import Plan

LISTS = ("weights", "slots", "averages", "limits")
"""The fields of a state that are lists of tensors."""
FRESH = "Train without --resume to start from the beginning."
INTERVAL_S = 1.0
"""Time between two checkpoints: writing one durably may take as long as an epoch of a small data set."""
MAX_BYTES = 1 << 32
"""Most bytes of arrays in a checkpoint: ten times those of the largest network with its averages and two slots."""


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training."""

    path: Path
    identity: Mapping[str, str]
    """Everything that the weights depend on, by its name in messages: only the same training can continue."""

    def save(self, fitted: Fitted) -> None:
        """Write the file, atomically. Raises StorageError if that is impossible."""
        state = fitted.state
        arrays: dict[str, Any] = {
            f"{name}_{place}": np.asarray(tensor) for name in LISTS for place, tensor in enumerate(getattr(state, name))
        }
        stream = io.BytesIO()
        arrays["identity"], arrays["history"] = _bytes(dict(self.identity)), _bytes(fitted.history)
        arrays["step"] = np.asarray(state.step)
        np.savez(stream, allow_pickle=False, **arrays)
        write_file(self.path, stream.getvalue())

    def load(self) -> Fitted | None:
        """Return the training so far; None without a file.

        Raises TrainingError if the file is damaged or belongs to another training.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be read: {error.strerror}", hint=FRESH) from error
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                check_size(file.zip, MAX_BYTES)
                # Read completely, so that a damaged part shows now.
                arrays = {name: file[name] for name in file.files}
            identity = msgspec.json.decode(arrays["identity"].tobytes(), type=dict[str, str])
            history = msgspec.json.decode(arrays["history"].tobytes(), type=tuple[Epoch, ...])
            state = State(step=tf.constant(arrays["step"]), **{name: _tensors(arrays, name) for name in LISTS})
        except Exception as error:
            # NumPy and zipfile raise a dozen kinds, depending on which byte is wrong.
            raise TrainingError(f"{self.path} is damaged or not a checkpoint", hint=FRESH) from error
        for what, wanted in self.identity.items():
            found = identity.get(what, "unknown")
            if found != wanted:
                raise TrainingError(
                    f"{self.path} belongs to another training: its {what} is {found}, not {wanted}",
                    hint=f"Repeat the options of that training. {FRESH}",
                )
        return Fitted(state, history)

    def load_if_usable(self, reporter: Reporter) -> Fitted | None:
        """Return the training so far; None, with a notice, where `load` would raise."""
        try:
            return self.load()
        except TrainingError as error:
            reporter.notice(f"{error.message}. This training starts from the beginning.")
            return None

    def set_aside(self, reporter: Reporter) -> None:
        """Keep the file of another training under another name, with a notice; nothing without a file."""
        previous = self.path.with_name(f"previous-{self.path.name}")
        try:
            self.path.replace(previous)
        except FileNotFoundError:
            return
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be kept: {error.strerror}", hint="Move it elsewhere.") from error
        reporter.notice(
            f"The checkpoint of an interrupted training was kept as {previous}. To continue that training, rename it "
            f"to {self.path.name} and repeat its options with --resume."
        )


def _tensors(arrays: Mapping[str, Any], name: str) -> list[tf.Tensor]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [tf.constant(arrays[f"{name}_{place}"]) for place in range(count)]


def _bytes(value: object) -> Any:  # noqa: ANN401 - uint8 [N]
    return np.frombuffer(msgspec.json.encode(value), np.uint8)


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a training went."""

    weights: Weights
    """The weights to keep."""
    history: tuple[Epoch, ...]
    interrupted: bool
    seconds: float
    """Of all epochs and of compiling, including those before an interruption."""
    temperature: float | None = None
    """Temperature that the logits were divided by, once that is done."""


def fit_resumably(
    forward: Forward,
    weights: Weights,
    train: Split,
    plan: Plan,
    checkpoint: Checkpoint,
    *,
    name: str,
    schedule: DataSchedule | None = None,
    resume: bool | None,
    reporter: Reporter,
) -> FitResult:
    """Train, or continue from a checkpoint, with a notice. `name` is shown in the progress; the rest is as for `fit`.

    With `resume` the checkpoint must be of this training if there is one; with None it is continued from only if it is.
    Otherwise it is set aside when the first one of this training replaces it.

    On KeyboardInterrupt the result holds the last full epoch; before the end of the first one there is nothing to keep,
    and the interruption is passed on. Raises TrainingError if the loss is not a number, and what `Checkpoint.load`
    raises.
    """
    resumed = checkpoint.load() if resume else None
    if resume is None:
        resumed = checkpoint.load_if_usable(reporter)
    if resumed is not None:
        reporter.notice(f"Continuing after epoch {len(resumed.history)} of {plan.epochs}.")
    before = sum(epoch.seconds for epoch in resumed.history) if resumed else 0.0
    started, fitted, interrupted = time.perf_counter(), resumed, False
    saved, saved_at = resumed, -INTERVAL_S
    with reporter.task(name, total=plan.epochs) as task:
        task.update(len(resumed.history) if resumed else 0, "compiling")
        try:
            epochs = fit(forward, weights, train, plan, schedule=schedule, resumed=resumed)
            for fitted in epochs:
                last = fitted.history[-1]
                if resumed is None and last.epoch == 1:
                    checkpoint.set_aside(reporter)
                if time.monotonic() - saved_at >= INTERVAL_S:
                    checkpoint.save(fitted)
                    saved, saved_at = fitted, time.monotonic()
                task.update(last.epoch, f"epoch {last.epoch}  loss {last.loss:.4f}  accuracy {percent(last.accuracy)}")
        except KeyboardInterrupt:
            if fitted is None:
                raise
            interrupted = True
    if interrupted and fitted is not None and fitted is not saved:
        checkpoint.save(fitted)
    if fitted is None:
        raise ValueError("a training has at least one epoch")
    return FitResult(
        weights=fitted.state.trained(),
        history=fitted.history,
        interrupted=interrupted,
        seconds=before + time.perf_counter() - started,
    )
