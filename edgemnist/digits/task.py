"""The task of digits, as MNIST has them: what everything is for where nothing else is said.

Whoever looks up a task imports this first, on boards too: what it names is imported when it is used.
"""

from typing import Final

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.registry import Entry
from edgemnist.ground.results import FORMER_NAMES
from edgemnist.model.task import PREPARERS, REFUSERS, TASKS, Preparer, TaskEntry

DIGITS: Final = tuple("0123456789")
"""Names of the ten digits; other classes may have them too, see `recognize`."""
DIGIT: Final = "digit"
NO_DIGIT: Final = "no-digit"
SEVERAL: Final = "several"
Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the picture; x to the right, y down."""

TASKS.add(
    "digits",
    TaskEntry(
        summary="Digits, white on black as MNIST has them",
        input=InputSpec(shape=(28, 28)),
        labels=DIGITS,
        preparer="digit",
        refuser="likeness",
        recognizer="edgemnist.digits.recognize:reads_digits",
        training="edgemnist.digits.training:for_digits",
        noun="digit",
        meaning="white digit on black",
        default=True,
    ),
)
PREPARERS.add(
    "digit",
    Preparer(
        target="edgemnist.digits.images:prepare_digit",
        summary="Bringing a digit to MNIST's form",
        code="edgemnist.digits.native:CODE",
    ),
)
REFUSERS.add("likeness", Entry(target="edgemnist.digits.predict.refusal:assess", summary="Telling digits from others"))
FORMER_NAMES.add("not-a-digit", DIGITS)
