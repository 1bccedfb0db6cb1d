"""Which images an int8 artifact takes its activation ranges from: all, or those with which the fewest labels flip.

Minimum and maximum over all calibration images make every step of int8 as wide as the most extreme image requires.
Without the most extreme ones the steps are finer, and values beyond the range are clipped. The training images decide
which of the two costs less: the evaluation images must not be used to choose.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images, Labels, batches
from edgemnist.export.interface import ArtifactSpec, Exporter
from edgemnist.export.model import KerasSource
from edgemnist.formats import FORMATS

PERCENTILES: Final = (99.5, 98.0, 95.0, 90.0, 80.0)
"""Images whose activations go beyond this percentile of all are left out."""
BATCH_SIZE: Final = 1_000


def fewest_flips(
    target: ArtifactSpec, exporter: Callable[[Images], Exporter], source: KerasSource, train: Images, indices: Labels
) -> Labels:
    """Return those of the calibration images, indices int64 [K] into `train`, with which the artifact flips fewest.

    `train` are the training images, uint8 [N, 28, 28], on which the flips against the Keras model are counted; of sets
    with as many flips the one with the smaller mean difference of the probabilities is taken, and then the larger set.
    """
    wanted = source.answers(train)
    best: tuple[tuple[int, float], Labels] | None = None
    for chosen in _candidates(source, train, indices):
        data = exporter(train[chosen]).convert(source.model, target.quantization)
        answers = _answers(data, target, train, source.input_range)
        flips = int(np.count_nonzero(answers.argmax(axis=1) != wanted.argmax(axis=1)))
        cost = flips, float(np.abs(answers - wanted).mean())
        if best is None or cost < best[0]:
            best = cost, chosen
    if best is None:
        raise ValueError("there is one candidate at least: all images")
    return best[1]


def _candidates(source: KerasSource, train: Images, indices: Labels) -> Iterator[Labels]:
    """Yield all indices, then ever fewer, leaving out the images whose activations are most extreme."""
    yield indices
    extremes = _extremes(source, train[indices])
    for percentile in PERCENTILES:
        kept = indices[(extremes <= np.percentile(extremes, percentile, axis=0)).all(axis=1)]
        if 0 < len(kept) < len(indices):
            yield kept


def _extremes(source: KerasSource, images: Images) -> npt.NDArray[np.float32]:
    """Return the largest absolute activation of each layer for each image, float32 [N, layers]."""
    import keras

    model = source.original
    outputs = [layer.output for layer in model.layers]
    if (last := _before_softmax(model)) is not None:
        outputs[-1] = last
    values = keras.Model(model.inputs[0], outputs)(source.pixels(images))
    largest = [np.abs(np.asarray(value)).reshape(len(images), -1).max(axis=1) for value in values]
    return np.stack(largest, axis=1).astype(np.float32)


def _before_softmax(model: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the inputs of a last dense layer's softmax, whose range int8 has to cover; None for any other end."""
    import keras

    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax:
        return None
    scores = keras.ops.matmul(last.input, last.kernel)
    return scores if last.bias is None else scores + last.bias


def _answers(data: bytes, target: ArtifactSpec, images: Images, input_range: str) -> npt.NDArray[np.float32]:
    from edgemnist.runtimes import load

    with tempfile.TemporaryDirectory(prefix="edgemnist-") as directory:
        path = Path(directory) / f"candidate{FORMATS[target.format].suffix}"
        path.write_bytes(data)
        classifier = load(path, input_range=input_range)
        return np.concatenate([classifier.predict_proba(batch) for batch in batches(images, BATCH_SIZE)])
