"""How much something looks like the digit that it was read as: what a classifier of ten digits cannot say of a letter.

A softmax over ten digits gives a letter to the digit that is least unlike it, often with confidence. So a second
opinion comes from a small convolutional network that knows an eleventh class: everything else. NumPy evaluates it. It
comes with the package; `edgemnist train-likeness` made it, and `likeness.json` records how.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import Images
from edgemnist.errors import ArtifactError
from edgemnist.read.provenance import RECORD_FILE, REINSTALL, WEIGHTS_FILE, LikenessRecord, read_record
from edgemnist.storage import sha256

KERNELS: Final = (5, 3)
"""Sides of the kernels of the convolutions; two dense layers follow."""
STRIDE: Final = 2
CHUNK: Final = 64
"""So many images at a time need 4 MB at most, however full a page is."""
ON_ONE_THREAD: Final = 2**18
"""OpenBLAS multiplies on several threads if there are more products than this. They wait for one another, which on a
busy machine takes a hundred times as long as the product itself."""
ROWS: Final = 8
"""With fewer rows at a time, to fetch the weights takes longer than to multiply."""

Floats = npt.NDArray[np.float32]


class LikenessNetwork:
    """The network with one set of weights."""

    def __init__(self, data: bytes) -> None:
        """`data` is what `weights_bytes` returned."""
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            values = [stored[name].astype(np.float32) for name in sorted(stored.files)]
        layers = [
            (weights.reshape(-1, weights.shape[-1]), bias)
            for weights, bias in zip(values[0::2], values[1::2], strict=True)
        ]
        # Pixels come as 0 to 255: the scale goes into the weights once instead of into every image.
        layers[0] = layers[0][0] / np.float32(255), layers[0][1]
        self._layers = [(_blocks(weights), bias) for weights, bias in layers]

    def digit_likeness(self, images: Images) -> Floats:
        """Return the probability that each image, uint8 [N, 28, 28], is each of the ten digits: float32 [N, 10].

        What is missing to 1 is the probability that it is no digit at all.
        """
        parts = [self._likeness(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        return np.concatenate(parts) if parts else np.empty((0, 10), dtype=np.float32)

    def _likeness(self, images: Images) -> Floats:
        *convolutions, (hidden_weights, hidden_bias), (out_weights, out_bias) = self._layers
        values = images[..., None].astype(np.float32)
        for (weights, bias), kernel in zip(convolutions, KERNELS, strict=True):
            values = _convolve(values, weights, bias, kernel)
        hidden = _multiply(values.reshape(len(images), -1), hidden_weights)
        hidden += hidden_bias
        np.maximum(hidden, 0, out=hidden)
        logits = _multiply(hidden, out_weights)
        logits += out_bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return np.asarray(odds[:, :-1] / odds.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def shipped_network(weights: Path = WEIGHTS_FILE, record: Path = RECORD_FILE) -> LikenessNetwork:
    """Return the network that comes with the package.

    Raises ArtifactError if a file of it is missing, damaged, or not the recorded one.
    """
    recorded = read_record(record, LikenessRecord)
    try:
        data = weights.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{weights} cannot be read: {error.strerror}", hint=REINSTALL) from error
    if sha256(data) != recorded.sha256:
        raise ArtifactError(f"{weights} is damaged: its SHA-256 is not the recorded one", hint=REINSTALL)
    return LikenessNetwork(data)


def _convolve(values: Floats, weights: Floats, bias: Floats, kernel: int) -> Floats:
    """Return the rectified convolution of float32 [N, h, w, channels] with `_blocks` of [kernel·kernel·channels, out].

    As matrix products, for which the patches under the kernel are laid out in rows (im2col).
    """
    count, side = len(values), (values.shape[1] - kernel) // STRIDE + 1
    reach = STRIDE * (side - 1) + 1
    patches = [values[:, y : y + reach : STRIDE, x : x + reach : STRIDE] for y in range(kernel) for x in range(kernel)]
    out = _multiply(np.concatenate(patches, axis=3).reshape(count * side * side, -1), weights)
    out += bias
    np.maximum(out, 0, out=out)
    return out.reshape(count, side, side, -1)


def _multiply(rows: Floats, blocks: Floats) -> Floats:
    """Return the product of float32 [n, in] and `_blocks`, in portions for which one thread is enough."""
    count, inputs, columns = blocks.shape
    # Two at least: a product with a single row is another routine, which takes several threads much sooner.
    step = max(2, min(len(rows), ON_ONE_THREAD // (inputs * columns)))
    padded = np.concatenate([rows, np.zeros((-len(rows) % step, inputs), dtype=np.float32)])
    product = padded.reshape(-1, 1, step, inputs) @ blocks
    return product.transpose(0, 2, 1, 3).reshape(len(padded), count * columns)[: len(rows)]


def _blocks(weights: Floats) -> Floats:
    """Return float32 [in, out] as [blocks, in, columns], as many columns each as `ROWS` rows leave to one thread."""
    inputs, outputs = weights.shape
    fitting = [columns for columns in range(1, outputs + 1) if ROWS * inputs * columns <= ON_ONE_THREAD]
    columns = max(columns for columns in fitting if outputs % columns == 0)
    return np.ascontiguousarray(weights.reshape(inputs, -1, columns).transpose(1, 0, 2))


def weights_bytes(layers: Sequence[npt.NDArray[np.float64]]) -> bytes:
    """Return kernels, [h, w, in, out] or [in, out], and biases, [out], in turn, as an NPZ file in half precision.

    The network's inputs are pixels / 255. The same weights give the same bytes.
    """
    halves: dict[str, Any] = {f"{index:02}": values.astype(np.float16) for index, values in enumerate(layers)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **halves)
    return stream.getvalue()
