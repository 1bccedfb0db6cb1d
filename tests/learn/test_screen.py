"""What `edgemnist learn` prints."""

import io
from typing import Any

from rich.console import Console

from edgemnist.field.learn.cli import SHOWN, learn_page
from edgemnist.ground.results.samples import Contradiction, LearnResult, LeftOut, Paired

SAME = Paired(
    images=100, before=90, after=90, before_interval=None, after_interval=None, fixed=0, broken=0, p_value=1.0
)


def result_of(**fields: Any) -> LearnResult:
    """Return a result that missed the gate."""
    usual: dict[str, Any] = {
        "passed": False,
        "reasons": ["It is not better."],
        "exports": "exports",
        "out": None,
        "labels": ["0", "1"],
        "per_class": {"0": 50, "1": 50},
        "per_writer": {"ann": 100},
        "not_a_digit": 0,
        "disputed": 0,
        "left_out": LeftOut(),
        "forgotten": None,
        "held_out": SAME,
        "golden": SAME,
        "int8_loss": None,
        "contradictions": [],
        "doubted": 0,
        "found": 0.84,
        "seconds": 1.0,
    }
    return LearnResult(**{**usual, **fields})


def page_of(**fields: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=100).print(learn_page(result_of(**fields), "edgemnist review kept"))
    return stream.getvalue()


def test_the_labels_of_each_writer_are_told_apart() -> None:
    wrong = [Contradiction(sample=number, label="1", neighbours="7", writers=["eve"]) for number in range(3)]
    page = page_of(per_writer={"ann": 20, "eve": 80}, contradictions=wrong, doubted=3)
    lines = [line.split() for line in page.splitlines()]
    begin = lines.index(["writer", "labels", "look", "wrong"])
    assert lines[begin + 2 : begin + 4] == [["eve", "80", "3"], ["ann", "20", "0"]]
    many = page_of(per_writer={f"client-{number}": number for number in range(1, SHOWN + 3)})
    lines = [line.split() for line in many.splitlines()]
    assert ["client-12", "12", "0"] in lines
    assert ["2", "more"] in lines
    assert ["client-2", "2", "0"] not in lines
    # Nothing to tell apart.
    assert "look wrong" not in page_of()


def test_what_became_of_the_samples_is_said_as_it_is() -> None:
    read = Paired(
        images=500, before=89, after=136, before_interval=None, after_interval=None, fixed=60, broken=13, p_value=1e-7
    )
    left_out = LeftOut(unconfirmed=96, duplicates=1)
    page = " ".join(page_of(held_out=read, left_out=left_out, doubted=2).split())
    assert "It reads 27 % of samples that it has not learnt from" in page
    assert "Left out: 96 corrected by clients, and confirmed by nobody, 1 with the same pixels as another." in page
    assert "Of 10 labels changed at random, 8 would have been named." in page
    assert page.endswith("exports stays as it is. Next: edgemnist review kept")
    assert page_of().endswith("exports stays as it is.\n")


def test_of_many_labels_that_look_wrong_the_rest_is_counted() -> None:
    wrong = [Contradiction(sample=number, label="1", neighbours="7", writers=["eve"]) for number in range(SHOWN + 1)]
    assert "1 more" in page_of(contradictions=wrong, doubted=SHOWN + 1)
    assert "1 more" not in page_of(contradictions=wrong[:SHOWN], doubted=SHOWN)
