"""`python -m edgemnist.field.samples DIR`, for `--on`: prints the samples of a board, or takes the labels that follow.

With a file of labels as a second argument, each is added to the store, once; with `--classes` the names of the model's
classes are printed instead.
"""

import sys
from pathlib import Path

import msgspec

from edgemnist.field.samples import CLASSES, decode_samples
from edgemnist.field.samples.store import SampleStore
from edgemnist.ground.boards import answer_desk


def main(directory: str, labels: str | None = None) -> bytes:
    """Do what is asked, and return the samples as JSON."""
    with SampleStore.open(Path.home() / Path(directory).expanduser()) as store:
        if labels == CLASSES:
            return msgspec.json.encode(store.labels)
        if labels is not None:
            store.merge(decode_samples(Path(labels).read_bytes(), labels))
        return msgspec.json.encode(store.samples())


if __name__ == "__main__":
    sys.exit(answer_desk(lambda: main(*sys.argv[1:])))
