"""How much something looks like a digit at all: what a classifier of ten digits cannot say of a letter.

A softmax over ten digits gives a letter to the digit that is least unlike it, often with confidence. So a second, small
network (784 inputs, one hidden layer, one output) estimates the probability that an image is a digit. It was trained by
`benchmarks/vision/train_likeness.py` and comes with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images

WEIGHTS_FILE: Final = Path(__file__).with_name("likeness.npz")

Floats = npt.NDArray[np.float32]


def digit_likeness(images: Images) -> Floats:
    """Return the probability that each image, uint8 [N, 28, 28], is a digit: float32 [N]."""
    weights, bias, out_weights, out_bias = _weights()
    hidden = np.maximum(images.reshape(len(images), -1).astype(np.float32) @ weights + bias, 0)
    logits = (hidden @ out_weights + out_bias)[:, 0]
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), dtype=np.float32)


def save_weights(
    path: Path, weights: Sequence[npt.NDArray[np.float64]], biases: Sequence[npt.NDArray[np.float64]]
) -> None:
    """Store the weights of a trained network, whose inputs were pixels / 255, in half precision."""
    np.savez_compressed(
        path,
        weights=weights[0].astype(np.float16),
        bias=biases[0].astype(np.float16),
        out_weights=weights[1].astype(np.float16),
        out_bias=biases[1].astype(np.float16),
    )


@cache
def _weights() -> tuple[Floats, Floats, Floats, Floats]:
    with np.load(WEIGHTS_FILE, allow_pickle=False) as stored:
        weights, bias, out_weights, out_bias = (
            stored[name].astype(np.float32) for name in ("weights", "bias", "out_weights", "out_bias")
        )
    # Pixels come as 0 to 255: the scale goes into the weights once instead of into every image.
    return weights / 255, bias, out_weights, out_bias
