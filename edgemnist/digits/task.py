"""The task of digits, as MNIST has them: what everything is for where nothing else is said.

Whoever looks up a task imports this first, on boards too: what it names is imported when it is used.
"""

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.registry import Entry
from edgemnist.model.task import PREPARERS, REFUSERS, TASKS, TaskEntry

TASKS.add(
    "digits",
    TaskEntry(
        summary="Digits, white on black as MNIST has them",
        input=InputSpec(shape=(28, 28)),
        labels=tuple("0123456789"),
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
    "digit", Entry(target="edgemnist.digits.images:prepare_digit", summary="Bringing a digit to MNIST's form")
)
REFUSERS.add(
    "likeness", Entry(target="edgemnist.digits.predict.refusal:assess", summary="Telling digits from all else")
)
