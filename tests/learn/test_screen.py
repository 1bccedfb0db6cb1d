"""What `edgemnist learn` prints."""

from __future__ import annotations

import io

from rich.console import Console

from edgemnist.learn.cli import SHOWN, learn_page
from edgemnist.results.samples import Contradiction, LearnResult, Paired

SAME = Paired(
    images=100, before=90, after=90, before_interval=None, after_interval=None, fixed=0, broken=0, p_value=1.0
)


def lines_of(per_writer: dict[str, int], contradictions: list[Contradiction]) -> list[list[str]]:
    result = LearnResult(
        passed=False,
        reasons=["It is not better."],
        exports="exports",
        out=None,
        labels=["0", "1"],
        per_class={"0": 50, "1": 50},
        per_writer=per_writer,
        not_a_digit=0,
        disputed=0,
        forgotten=None,
        held_out=SAME,
        golden=SAME,
        int8_loss=None,
        share=1.0,
        contradictions=contradictions,
        seconds=1.0,
    )
    stream = io.StringIO()
    Console(file=stream, width=100).print(learn_page(result))
    return [line.split() for line in stream.getvalue().splitlines()]


def test_the_labels_of_each_writer_are_told_apart() -> None:
    wrong = [Contradiction(sample=number, label="1", neighbours="7", writers=["eve"]) for number in range(3)]
    lines = lines_of({"ann": 20, "eve": 80}, wrong)
    begin = lines.index(["writer", "labels", "contradicting"])
    assert lines[begin + 2 : begin + 4] == [["eve", "80", "3"], ["ann", "20", "0"]]
    many = lines_of({f"client-{number}": number for number in range(1, SHOWN + 3)}, [])
    assert ["client-12", "12", "0"] in many
    assert ["2", "more"] in many
    assert ["client-2", "2", "0"] not in many
    # Nothing to tell apart.
    assert ["writer", "labels", "contradicting"] not in lines_of({"ann": 100}, [])
