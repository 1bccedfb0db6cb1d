"""The classic Keras script, as tutorials have it: what a user would write instead of `edgemnist train`.

    python benchmarks/training/classic.py MNIST

It reads the four gzipped IDX files of a directory, trains for five epochs, and prints the seconds of `fit` and the test
accuracy as JSON.
"""

import gzip
import json
import sys
import time
from pathlib import Path

import keras
import numpy as np

directory = Path(sys.argv[1])


def idx(name: str, header: int) -> np.ndarray:
    """Return the contents of an IDX file, flat, without its header."""
    return np.frombuffer(gzip.decompress((directory / name).read_bytes()), np.uint8, offset=header)


x_train = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / np.float32(255)
y_train = idx("train-labels-idx1-ubyte.gz", 8)
x_test = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / np.float32(255)
y_test = idx("t10k-labels-idx1-ubyte.gz", 8)

model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
start = time.perf_counter()
model.fit(x_train, y_train, epochs=5, batch_size=128, verbose=0)
seconds = time.perf_counter() - start
_, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(json.dumps({"seconds": seconds, "accuracy": float(accuracy)}))
