"""Whether a model reads digits: ten classes called 0 to 9 may be digits, or anything, such as Fashion-MNIST's clothes.

Nothing that is recorded can say it. IDX files have no names, a folder called `3` may hold a signature, and a file from
elsewhere has no record. So the model is asked: it is shown digits of the reference that comes with the package.
"""

from functools import cache
from typing import Final

import numpy as np

from edgemnist.errors import EdgemnistError, UsageError
from edgemnist.ground.arrays import Images, Labels
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import default_task, task_of

SHOWN: Final = 50
MOST_NAMED: Final = 3
"""Classes that a message names."""
LEAST_READ: Final = 0.5
"""Share of the digits that a model gets right at least if it reads digits. One of ten other classes gets a tenth on
average: of 50, it gets half by chance once in 10^12 times."""


def reads_digits(classifier: Classifier) -> bool:
    """Return whether a classifier with the labels of digits reads them; False where it cannot be found out."""
    try:
        images, labels = _digits()
        return bool(np.mean(classifier.predict(images) == labels) >= LEAST_READ)
    except EdgemnistError:
        return False


def require_digits(classifier: Classifier, name: str, command: str) -> None:
    """Raise UsageError where a classifier, called `name`, is known to be for something else than digits.

    One of digits' shape of which nothing is recorded is taken at its word.
    """
    if task_of(classifier).name in {"", default_task().name}:
        return
    labels = classifier.labels
    others = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    answers = f"answers {', '.join(labels[:MOST_NAMED])}{others}" if labels else "answers with numbers"
    raise UsageError(f"`{command}` is for digits, and {name} {answers}", hint="Use: edgemnist predict")


@cache
def _digits() -> tuple[Images, Labels]:
    """Return digits of the reference, uint8 [N, 28, 28], and what they are, int64 [N]."""
    golden = Exports.open(reference_directory()).read_golden()
    return golden.images[:SHOWN], golden.labels[:SHOWN]
