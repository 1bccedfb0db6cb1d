"""What one hidden activation that is rounded to its other side can do to a probability.

    python benchmarks/verify/hidden_step.py exports [more export directories]

Takes the weights of each `tflite-float32` artifact, a chain of dense layers with ReLU, and moves every activation of
its last hidden layer by one of its 255 steps, up and down, on each image of the golden pack. `HIDDEN_STEP` in
`edgemnist/pipeline/verify/reference.py` was chosen from the largest change of a probability that this prints.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edgemnist.model.exports import Exports
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.tflite import read_graph

ARTIFACT = "tflite-float32"
LEVELS = 255
"""Steps from 0 to an image's largest activation, as runtimes choose them while they run."""


def largest_change(exports: Exports) -> float:
    """Return the largest change of a probability that one step of one activation makes."""
    graph = read_graph(exports.model(ARTIFACT).path.read_bytes())
    images = exports.read_golden().images
    values = images.reshape(len(images), -1).astype(np.float32) / 255
    layers = [
        tuple(graph.tensors[index].real() for index in one.inputs[1:3])
        for one in graph.operators
        if one.kind == "FULLY_CONNECTED"
    ]
    for weights, bias in layers[:-1]:
        values = np.maximum(values @ weights.T + bias, 0)
    weights, bias = layers[-1]
    logits = values @ weights.T + bias
    before, steps = softmax(logits), values.max(axis=1, keepdims=True) / LEVELS
    largest = 0.0
    for unit, column in enumerate(weights.T):
        # A unit that its ReLU keeps at 0 is exactly 0 on every processor.
        live = values[:, unit] > 0
        for step in (steps[live], -steps[live]):
            change = np.abs(softmax(logits[live] + step * column) - before[live])
            largest = max(largest, float(change.max(initial=0)))
    return largest


def main() -> None:
    """Print the largest change for each directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, nargs="+")
    for directory in parser.parse_args().exports:
        print(f"{directory}: {largest_change(Exports.open(directory)):.2g}")


if __name__ == "__main__":
    main()
