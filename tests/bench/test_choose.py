"""What is shipped, and what is said of it: figures of verify and bench on the left, the decision on the right.

An interval is written `(~)`: tests/bench/test_ratios.py is about its ends.
"""

import re

import msgspec
import pytest

from edgemnist.ground.results.bench import KERAS, Latency
from edgemnist.ground.results.verdict import UNKNOWN, Verdict
from edgemnist.ground.results.verify import ArtifactParity
from edgemnist.model.exports.choose import choose
from tests.bench.machine import latency, parity

A, B, C = (parity(name) for name in ("a-int8", "b-int8", "c-int8"))
MISSED = parity("b-int8", passed=False)
UNSURE = msgspec.structs.replace(B, passed=False, verdict=Verdict(outcome=UNKNOWN, reasons=["36 images are too few"]))
INTEGER = msgspec.structs.replace(parity("a-int8@integer"), runtime="integer")
LOSS = {"accuracy_drop_points": 0.5, "mcnemar_p": 0.001, "significant_loss": True}

ROWS: list[tuple[str, list[ArtifactParity], list[Latency], str | None, str, str]] = [
    (
        "the fastest that passed, and how sure that is",
        [A, B, C], [latency("c-int8", 90), latency("b-int8", 31), latency("a-int8", 1)],
        "a-int8", "Ship a-int8: 31× (~) as fast as b-int8", "",
    ),
    (
        "of two that cannot be told apart, the smaller file",
        [A, B], [latency("a-int8", 1.0), latency("b-int8", 1.01, 100_000)],
        "b-int8", "Ship b-int8: alike in speed with a-int8, 0.99× (~) as fast, and the smaller file", "",
    ),
    (
        "at the same size, the one ahead",
        [A, B], [latency("b-int8", 1.01), latency("a-int8", 1.0)],
        "a-int8", "alike in speed with b-int8, 1.01× (~) as fast, and slightly ahead", "",
    ),
    (
        "of three",
        [A, B, C], [latency("b-int8", 1.01), latency("a-int8", 1.0), latency("c-int8", 1.02)],
        "a-int8", "alike in speed with b-int8 and c-int8", "",
    ),
    (
        "a small file that is surely slower stays",
        [A, B], [latency("a-int8", 1.0), latency("b-int8", 1.5, 100_000)], "a-int8", "1.50× (~)", "",
    ),
    (
        "what missed its gate is never shipped, however fast",
        [A, MISSED], [latency("a-int8", 9.0), latency("b-int8", 1.0)],
        "a-int8", "the only model that passed its gate and was measured", "b-int8 cannot be shipped: it is wrong",
    ),
    (
        "and nor is what is not known to have passed; the reason is one line",
        [A, UNSURE, parity("d-int8", passed=False)], [latency("a-int8", 9.0), latency("b-int8", 1.0)],
        "a-int8", "the only model", "d-int8 cannot be shipped: it is wrong; nor can b-int8, which has not passed",
    ),
    (
        "an artifact that lost accuracy beyond chance",
        [A, msgspec.structs.replace(B, **LOSS)], [latency("a-int8", 9.0), latency("b-int8", 1.0)],
        "a-int8", "the only model", "b-int8 cannot be shipped: 0.50 points less accurate",
    ),
    ("none passed", [MISSED], [latency("b-int8", 1)], None, "Nothing to ship: no model passed its gate", "it is wrong"),
    ("none is known to", [UNSURE], [latency("b-int8", 1)], None, "Not known what to ship", "36 images are too few"),
    (
        "nothing verified: the times and ratios are there all the same",
        [], [latency("a-int8", 1.0), latency("b-int8", 3.1), latency(KERAS, 0.1)],
        None, "a-int8 is the fastest: 3.1× (~) as fast as b-int8, but nothing has been verified", "",
    ),
    ("Keras alone", [], [latency(KERAS, 1.0)], None, "keras is the fastest, but nothing has been verified", ""),
    ("another file of that name", [A], [latency("a-int8", 1.0, sha256="other")], None, "has been measured", ""),
    (
        "Keras is no candidate, and what a single one is compared with",
        [A], [latency("a-int8", 1), latency(KERAS, 85)], "a-int8", "Ship a-int8: 85× (~) as fast as keras", "",
    ),
    (
        "a runtime that is asked for by name is not for a board",
        [INTEGER, A], [latency("a-int8@integer", 0.1, runtime="integer"), latency("a-int8", 6.1)], "a-int8", "only", "",
    ),
    (
        "a busy machine widens the interval, and there is an answer",
        [A, B], [latency("a-int8", 1.0, waited=0.9), latency("b-int8", 31.0, waited=0.9)],
        "a-int8", "Ship a-int8: 31× (~) as fast as b-int8", "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "times", "name", "sentence", "excluded"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_is_shipped(
    rows: list[ArtifactParity], times: list[Latency], name: str | None, sentence: str, excluded: str
) -> None:
    found = choose(rows, times)
    assert found.name == name
    assert sentence in re.sub(r"\([\d.]+ to [\d.]+\)", "(~)", found.sentence)
    assert excluded in found.excluded
    assert bool(excluded) == bool(found.excluded)
