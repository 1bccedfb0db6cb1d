"""Whose block of calls is timed when: in turns, in another place of the order each round, in fresh processes."""

import contextlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, TypeVar

import msgspec

from edgemnist.board.machine import busy_cpus, choose_cpus, read_conditions, usable_cpus
from edgemnist.ground.progress import Reporter
from edgemnist.pipeline.bench.figures import disturbances
from edgemnist.pipeline.bench.process import Process
from edgemnist.pipeline.bench.worker import Ask, Open, Opened, Timed

T = TypeVar("T")

SEED: Final = 0
ROUNDS: Final = 48
"""Rounds, if time allows: the bootstrap of a median rests on dozens."""
MOST_STARTS: Final = 12
"""Times that each model gets a fresh process, at the most."""
STARTING: Final = 0.3
"""Share of the time that may go into starting processes."""
ALONE: Final = 0.2
"""Share of the time in which they are started one after the other, so that their cold starts are known."""
BATCHES: Final = 0.1
"""Share of the time for batches."""
SHORTEST_NS: Final = 3_000_000
LONGEST_NS: Final = 50_000_000
"""Of a block: a scheduler lets other processes run for as long as the one, and many rounds tell more than long ones."""
OVERHEAD: Final = 1.5
"""What a block takes, with the fixed work and the calls that are not timed, over what is timed of it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """For how long all models are measured together, and how."""

    threads: int
    batch_size: int
    seconds: float
    calls: int
    """Timed calls of each block, at the least."""


@dataclass(kw_only=True)
class Subject:
    """A model that is measured, and what was measured."""

    name: str
    """What errors call it."""
    request: Open
    once: bool = False
    """Whether it is too slow to start for more than one process."""
    needed: bool = True
    """Whether to wait for it, however long it takes to open."""
    opened: list[Opened] = field(default_factory=list)
    cold_start: int | None = None
    """Nanoseconds; None where it was not started alone."""
    blocks: list[Timed] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    """The rounds in which a fresh process took over."""
    batch: Timed | None = None


def in_turns(subjects: Sequence[T], number: int) -> list[T]:
    """Return subjects in the order of a round: each has another place in each of as many rounds as there are subjects.

    So a machine that slows down as it warms up slows down all alike. The order is drawn with a fixed seed.
    """
    order = list(subjects)
    random.Random(SEED).shuffle(order)  # noqa: S311 - an order, no secret
    turn = number % len(order)
    return order[turn:] + order[:turn]


def measure(subjects: Sequence[Subject], plan: Plan, reporter: Reporter) -> list[str]:
    """Measure all subjects, and return in words what disturbed the machine.

    It takes `plan.seconds`, or as long as a round does. Raises MeasurementError where a process cannot measure.
    """
    began = monotonic()
    deadline = began + plan.seconds
    found: list[str] = []
    starts, number = 1, 0
    with reporter.task("Measuring", plan.seconds) as task:
        while number < starts:
            taking_part = [one for one in subjects if number == 0 or not one.once]
            cpus = choose_cpus(plan.threads, usable_cpus(), busy=busy_cpus())
            with contextlib.ExitStack() as stack:
                task.update(monotonic() - began, "starting")
                processes, took = _start(stack, taking_part, plan, cpus, began)
                if number == 0 and not all(one.once for one in subjects):
                    starts = max(1, min(MOST_STARTS, int(STARTING * plan.seconds / took)))
                before = read_conditions(cpus)
                end = monotonic() + (deadline - monotonic()) / (starts - number)
                for done in _rounds(processes, plan, cpus, end, -(-ROUNDS // starts), batches=number == 0):
                    task.update(monotonic() - began, f"round {done}")
                found += disturbances(before, read_conditions(cpus))
            number += 1
    return list(dict.fromkeys(found))


def _start(
    stack: contextlib.ExitStack, subjects: Sequence[Subject], plan: Plan, cpus: list[int], began: float
) -> tuple[list[tuple[Subject, Process]], float]:
    """Start a process for each subject; return those that are open, and in how many seconds others than `once` were.

    They start one after the other as long as that takes no more than its share of the time, and then all at once.
    """
    everywhere, starting, took = usable_cpus(), monotonic(), 0.0
    alone: list[Process] = []
    started: list[tuple[Subject, Process]] = []
    # What starts slowly comes last, beside others.
    for place, one in enumerate(sorted(subjects, key=lambda one: one.once)):
        by_itself = not (one.once or one.opened) and monotonic() - began <= ALONE * plan.seconds
        first = place * plan.threads
        own = cpus if by_itself else [everywhere[(first + each) % len(everywhere)] for each in range(plan.threads)]
        process = stack.enter_context(Process(one.name, msgspec.structs.replace(one.request, cpus=sorted(own))))
        started.append((one, process))
        if by_itself:
            process.is_open()
            alone.append(process)
    ready = []
    for one, process in started:
        half = began + plan.seconds / 2 - monotonic()
        if one.needed or process.is_open(max(0.0, half)):
            opened, cold_start = process.opened()
            one.opened.append(opened)
            one.cold_start = cold_start if process in alone else one.cold_start
            one.starts.append(len(one.blocks))
            took = took if one.once else monotonic() - starting
            ready.append((one, process))
        else:
            process.close()
    return ready, took


def _rounds(
    processes: Sequence[tuple[Subject, Process]], plan: Plan, cpus: list[int], end: float, rounds: int, *, batches: bool
) -> Iterator[int]:
    """Time rounds until `end`, about as many as `rounds` and at least one; yield how many there were after each."""
    left = max(0.0, end - monotonic())
    share = BATCHES * left / len(processes) if batches else 0.0
    end -= share * len(processes)
    nanoseconds = int(1e9 * (left - share * len(processes)) / (rounds * len(processes) * OVERHEAD))
    nanoseconds = min(max(nanoseconds, SHORTEST_NS), LONGEST_NS) if plan.seconds else 0
    first = max(len(one.blocks) for one, _ in processes)
    for number in itertools.count():
        for one, process in in_turns(processes, first + number):
            one.blocks.append(process.time(Ask(cpus=cpus, nanoseconds=nanoseconds, calls=plan.calls)))
        yield first + number + 1
        if monotonic() >= end:
            break
    for one, process in processes:
        needed = plan.batch_size * one.blocks[-1].typical / 1e9
        if needed <= share and batches:
            more = Ask(cpus=cpus, batch_size=plan.batch_size, nanoseconds=int(1e9 * share / 2), calls=1)
            one.batch = process.time(more)
