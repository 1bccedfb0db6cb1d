"""`python -m edgemnist.drift PLACE`, for `health --on`: prints the counts of a directory of samples, or of a file."""

from __future__ import annotations

import sys
from pathlib import Path

from edgemnist.drift import read_place
from edgemnist.errors import EdgemnistError


def main(place: str) -> int:
    """Print the file as it is, after checking that it is whole."""
    try:
        record = read_place(Path.home() / Path(place).expanduser())
    except EdgemnistError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)  # noqa: T201 - for the other side
        return error.exit_code
    sys.stdout.write(record.encode().decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
