"""Checkpoints: the state of a training after an epoch, from which it goes on to the same weights, bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgemnist.errors import TrainingError
from edgemnist.progress import Reporter
from edgemnist.results.train import Epoch
from edgemnist.storage import write_file

if TYPE_CHECKING:
    import tensorflow as tf

    from edgemnist.train.loop import Fitted, State

LISTS = ("weights", "slots", "averages", "limits")
"""The fields of a state that are lists of tensors."""


def digest(*values: object) -> str:
    """Return a short hash of settings, by their `repr`: other settings, another hash."""
    return hashlib.sha256("\n".join(map(repr, values)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training."""

    path: Path
    identity: Mapping[str, str]
    """Everything that the weights depend on, by what a person calls it: only the same training can go on."""

    def save(self, fitted: Fitted) -> None:
        """Write the file, atomically. Raises StorageError where that is impossible."""
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
        """Return the training so far, or None where there is no file.

        Raises TrainingError where the file is damaged, or belongs to another training.
        """
        from edgemnist.train.loop import Fitted

        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                # Read in full here, so that a damaged part shows now.
                arrays = {name: file[name] for name in file.files}
            identity = msgspec.json.decode(arrays["identity"].tobytes(), type=dict[str, str])
            history = msgspec.json.decode(arrays["history"].tobytes(), type=tuple[Epoch, ...])
            state = _state(arrays)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
            raise TrainingError(
                f"{self.path} is damaged, or no checkpoint",
                hint="Train without --resume to start from the beginning.",
            ) from error
        self._check(identity)
        return Fitted(state, history)

    def usable(self, reporter: Reporter) -> bool:
        """Return whether there is a training to go on with; a file that is of no use is told of and deleted."""
        try:
            return self.load() is not None
        except TrainingError as error:
            reporter.notice(f"{error.message}; it is given up, and this training starts from the beginning")
            # What cannot be deleted, such as a directory, is told of when the next checkpoint takes its place.
            with contextlib.suppress(OSError):
                self.remove()
            return False

    def remove(self) -> None:
        """Delete the file, where there is one."""
        self.path.unlink(missing_ok=True)

    def _check(self, identity: Mapping[str, str]) -> None:
        for what, wanted in self.identity.items():
            found = identity.get(what, "unknown")
            if found != wanted:
                raise TrainingError(
                    f"{self.path} belongs to another training: its {what} is {found}, and here it is {wanted}",
                    hint="Name the options of that training, or train without --resume to start from the beginning.",
                )


def _state(arrays: Mapping[str, Any]) -> State:
    import tensorflow as tf

    from edgemnist.train.loop import State

    def tensors(name: str) -> list[tf.Tensor]:
        count = sum(key.startswith(f"{name}_") for key in arrays)
        return [tf.constant(arrays[f"{name}_{place}"]) for place in range(count)]

    return State(step=tf.constant(arrays["step"]), **{name: tensors(name) for name in LISTS})


def _bytes(value: object) -> Any:  # noqa: ANN401 - uint8 [N]
    return np.frombuffer(msgspec.json.encode(value), np.uint8)
