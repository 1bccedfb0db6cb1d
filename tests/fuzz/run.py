"""One parser's inputs, read in processes with limits."""

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from tests.fuzz.parsers import PARSERS, workplace

CPU_S: Final = 2.0
MEMORY: Final = 300 * 10**6
WARM_UP: Final = 3
"""Whole inputs that are read before anything is measured: imports are not the input's fault."""


@dataclass
class Tally:
    """What came of one parser."""

    inputs: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    """Of the processor."""
    most_bytes: int = 0
    """Of memory that it took beside what it had before."""
    faults: list[str] = field(default_factory=list)


def work(name: str, seed: int, start: int, count: int, pipe: Connection) -> None:
    """Read inputs `start` to `count`, and report each before and after it was read."""
    parser = PARSERS[name]
    # What C libraries say of broken input is of no interest here.
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    with workplace() as directory:
        wholes = parser.wholes(directory)
        for index in range(WARM_UP):
            with contextlib.suppress(*parser.told):
                parser.parse(wholes[index % len(wholes)], directory / "input")
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        before = _peak()
        data_bytes = _data_bytes()
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes + MEMORY, resource.RLIM_INFINITY))
        for index in range(start, count):
            rng = random.Random(f"{seed} {name} {index}")
            data = parser.mutate(rng.choice(wholes), rng)
            pipe.send(index)
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, CPU_S)
            fault, refused = "", False
            try:
                parser.parse(data, directory / "input")
            except parser.told:
                refused = True
            except MemoryError:
                fault = "wants more than 300 MB"
            except Exception as error:  # noqa: BLE001 - what is looked for
                last = traceback.extract_tb(error.__traceback__)[-1]
                fault = f"{type(error).__name__}: {str(error)[:80]} ({Path(last.filename).name}:{last.lineno})"
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send((refused, time.process_time() - began, _peak() - before, fault))
    pipe.send(None)


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _data_bytes() -> int:
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0])


def fuzz(name: str, seed: int, count: int) -> Tally:
    """Break a parser's input this many times, in processes that are replaced where they end."""
    context, tally, start = multiprocessing.get_context("spawn"), Tally(), 0
    while start < count:
        pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(name, seed, start, count, theirs), daemon=True)
        process.start()
        theirs.close()
        index = start
        try:
            while (message := pipe.recv()) is not None:
                if isinstance(message, int):
                    index = message
                    continue
                refused, seconds, size, fault = message
                tally.inputs += 1
                tally.refused += refused
                tally.slowest_s = max(tally.slowest_s, seconds)
                tally.most_bytes = max(tally.most_bytes, size)
                if fault:
                    tally.faults.append(f"input {index}: {fault}")
            start = count
        except EOFError:
            process.join()
            slow = process.exitcode == -signal.SIGPROF
            why = f"more than {CPU_S:g} s" if slow else f"ends the process with {process.exitcode}"
            tally.inputs += 1
            tally.faults.append(f"input {index}: {why}")
            start = index + 1
        process.join()
    return tally
