"""`python -m edgemnist.samples DIR`, for `--on`: prints the samples of a board, or takes the labels that follow.

With a file of labels as a second argument, each is added to the store, once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgemnist.errors import EdgemnistError
from edgemnist.samples import decode_sent, encode_sent
from edgemnist.samples.store import SampleStore


def main(directory: str, labels: str | None = None) -> int:
    """Do what is asked, and answer on stdout."""
    try:
        with SampleStore.open(Path.home() / Path(directory).expanduser()) as store:
            if labels is not None:
                store.merge(decode_sent(Path(labels).read_bytes(), labels))
            sys.stdout.write(encode_sent(store.sent()).decode())
    except EdgemnistError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)  # noqa: T201 - for the other side
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
