"""Keras on TensorFlow: what the artifacts are compared with, in answers and in speed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgemnist.arrays import Images, Probabilities
from edgemnist.errors import ArtifactError, ModelError
from edgemnist.runtimes.chunked import ChunkedClassifier
from edgemnist.runtimes.files import KERAS, KERAS_H5, read_model
from edgemnist.runtimes.kerasfile import check_model, decode_keras_model
from edgemnist.runtimes.pixels import Numbers, encoder


class KerasClassifier(ChunkedClassifier):
    """Answers with `model(x)`.

    TensorFlow has one pool of threads for the whole process: `threads` counts where a Keras model is the first thing
    that TensorFlow does in it, and has no effect later.
    """

    def __init__(self, model: Any, path: Path, *, labels: Sequence[str] | None = None) -> None:  # noqa: ANN401
        """`model` is a Keras model, `path` its name in messages. Raises ModelError for one that is no classifier."""
        check_model(model, path)
        self._model = model
        self._shape = tuple(model.inputs[0].shape[1:])
        self._encode = encoder(Numbers(np.dtype(np.float32)))
        self._set_up(path, labels)

    @classmethod
    def load(cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None) -> KerasClassifier:
        """Read a Keras model file; see `Classifier.load`."""
        import tensorflow as tf

        data = read_model(path, KERAS, KERAS_H5)
        # Refused once TensorFlow has started its threads.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        try:
            return cls(decode_keras_model(data, path), path, labels=labels)
        except ModelError as error:
            raise ArtifactError(error.message, hint=error.hint) from error

    def _scores(self, images: Images) -> Probabilities:
        pixels = np.empty(images.shape, dtype=np.float32)
        self._encode(images, pixels)
        return self._infer(pixels.reshape(len(images), *self._shape))

    def _infer(self, pixels: Probabilities) -> Probabilities:
        """Return the model's answer to pixels, float32 [N, ...], 0 to 1."""
        return np.array(self._model(pixels, training=False), dtype=np.float32)


class KerasPredictClassifier(KerasClassifier):
    """Answers with `model.predict`, as most scripts do."""

    def _infer(self, pixels: Probabilities) -> Probabilities:
        return np.array(self._model.predict(pixels, verbose=0), dtype=np.float32)
