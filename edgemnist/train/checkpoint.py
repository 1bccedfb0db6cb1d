"""Training that can be interrupted: checkpoints of whole epochs, from which it continues to the same weights."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import tensorflow as tf

from edgemnist.data.dataset import Split
from edgemnist.errors import TrainingError
from edgemnist.exports.golden import check_size
from edgemnist.formatting import count, percent
from edgemnist.progress import Reporter
from edgemnist.results.pipeline import Epoch
from edgemnist.storage import write_file
from edgemnist.train.checks import question_progress
from edgemnist.train.loop import DataSchedule, Fitted, State, fit
from edgemnist.train.recipes import Plan

if TYPE_CHECKING:
    from edgemnist.train.loop import Forward
    from edgemnist.train.model import Weights

LISTS = ("weights", "slots", "averages", "limits")
"""The fields of a state that are lists of tensors."""
FRESH = "Train without --resume to start from the beginning."
INTERVAL_S = 1.0
"""Time between two checkpoints: writing one durably may take as long as an epoch of a small data set."""
MAX_BYTES = 1 << 32
"""Most bytes of arrays in a checkpoint: ten times those of the largest network with its averages and two slots."""


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training, and the one that it replaced, which is kept until one that went as far is replaced."""

    path: Path
    identity: Mapping[str, str]
    """Everything that the weights depend on, by its name in messages: only the same training can continue."""

    @property
    def previous(self) -> Path:
        """Where the checkpoint that this one replaced, of another or an earlier training, is kept."""
        return self.path.with_name(f"previous-{self.path.name}")

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
        """Return the training so far, from this file or the previous one, whichever went further; None without a file.

        Raises TrainingError if the file is damaged or belongs to another training, and the previous one is of no use.
        """
        earlier = self._earlier()
        try:
            latest = self._read(self.path)
        except TrainingError:
            if earlier is None:
                raise
            return earlier
        return max(latest, earlier, key=lambda fitted: len(fitted.history) if fitted else 0)

    def usable(self, reporter: Reporter) -> bool:
        """Return whether a training can continue from here; a file of no use is set aside, with a notice."""
        try:
            return self.load() is not None
        except TrainingError as error:
            reporter.notice(f"{error.message}. This training starts from the beginning.")
            # What cannot be moved is reported when the next checkpoint takes its place.
            with contextlib.suppress(TrainingError):
                self.set_aside()
            return False

    def set_aside(self) -> str:
        """Keep the file as the previous one, unless that went further, and return a sentence that says so.

        It is empty without a file. Raises TrainingError if it cannot be kept.
        """
        epochs, before = (self._epochs(path) for path in (self.path, self.previous))
        if before > epochs and self.path.exists():
            return (
                f"The checkpoint of an interrupted training ({count(epochs, 'epoch')}) is replaced; "
                f"{self.previous} ({before:,}) is kept instead."
            )
        try:
            self.path.replace(self.previous)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be kept: {error.strerror}", hint="Move it elsewhere.") from error
        return (
            f"The checkpoint of an interrupted training was kept as {self.previous}. "
            "To continue that training, repeat its options with --resume."
        )

    def remove(self) -> None:
        """Delete the files of this training, which is finished; a previous one of another training stays."""
        self.path.unlink(missing_ok=True)
        if self._earlier() is not None:
            self.previous.unlink(missing_ok=True)

    def _earlier(self) -> Fitted | None:
        # It mostly is of another training, and nobody asks for that.
        with contextlib.suppress(TrainingError):
            return self._read(self.previous)
        return None

    def _epochs(self, path: Path) -> int:
        """Return how many epochs a training, whichever it is, has done; 0 if its file is of no use."""
        with contextlib.suppress(TrainingError):
            found = self._read(path, of_any=True)
            return len(found.history) if found else 0
        return 0

    def _read(self, path: Path, *, of_any: bool = False) -> Fitted | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrainingError(f"{path} cannot be read: {error.strerror}", hint=FRESH) from error
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
            raise TrainingError(f"{path} is damaged or not a checkpoint", hint=FRESH) from error
        for what, wanted in () if of_any else self.identity.items():
            found = identity.get(what, "unknown")
            if found != wanted:
                raise TrainingError(
                    f"{path} belongs to another training: its {what} is {found}, not {wanted}",
                    hint=f"Repeat the options of that training. {FRESH}",
                )
        return Fitted(state, history)


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
    resume: bool,
    reporter: Reporter,
) -> FitResult:
    """Train, or continue from a checkpoint, with a notice. `name` is shown in the progress; the rest is as for `fit`.

    On KeyboardInterrupt the result holds the last full epoch; before the end of the first one there is nothing to keep,
    and the interruption is passed on. Without `resume` an earlier checkpoint is set aside when this one replaces it.
    Raises TrainingError if the loss is not a number, or if the checkpoint is damaged or belongs to another training.
    """
    resumed = checkpoint.load() if resume else None
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
                if resumed is None and last.epoch == 1 and (kept := checkpoint.set_aside()):
                    reporter.notice(kept)
                if time.monotonic() - saved_at >= INTERVAL_S:
                    checkpoint.save(fitted)
                    saved, saved_at = fitted, time.monotonic()
                task.update(last.epoch, f"epoch {last.epoch}  loss {last.loss:.4f}  accuracy {percent(last.accuracy)}")
                question_progress(last, train, plan.batch_size, reporter)
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
