"""`python -m edgemnist.field.drift PLACE`, for `health --on`: prints the counts of samples, or of a file."""

import sys
from pathlib import Path

from edgemnist.field.drift import read_place
from edgemnist.ground.boards import answer_desk

if __name__ == "__main__":
    place = Path.home() / Path(sys.argv[1]).expanduser()
    sys.exit(answer_desk(lambda: read_place(place).encode()))
