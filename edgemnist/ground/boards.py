"""What commands ask of the boards that `--on` names: the command line hands them over, whoever logs in to them.

A thread works on each board of a fleet, and one thread may ask another to stop.
"""

import contextlib
import itertools
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from edgemnist.errors import EdgemnistError
from edgemnist.ground.results.bench import BenchResult
from edgemnist.ground.results.boards import BenchOnBoard, Fault

_LISTEN_S = 0.2
_Result = TypeVar("_Result")

EXPORTS: Final = "{exports}"
"""Stands for the export directory of the current release in the words of a command."""


class Stop:
    """Asks the work on one board to end as soon as it safely can.

    The work says with `by` what ends it at the moment: cutting the line, or asking the board.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._ways: list[Callable[[], None]] = []

    @property
    def asked(self) -> bool:
        """Whether the work is to end."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask the work to end, in the way that is right at the moment."""
        self._end(slice(-1, None))

    def insist(self) -> None:
        """End the waiting at once, whatever becomes of the work."""
        self._end(slice(1))

    def _end(self, which: slice) -> None:
        with self._lock:
            self._asked.set()
            ways = self._ways[which]
        for way in ways:
            way()

    def leave(self) -> None:
        """End all of the waiting at once, on however many boards."""
        self._end(slice(None))

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the work is to end; return whether it is."""
        return self._asked.wait(seconds)

    @contextlib.contextmanager
    def by(self, way: Callable[[], None]) -> Iterator[None]:
        """Let `way` end what happens in the body; it is called from another thread, or at once where asked before."""
        with self._lock:
            self._ways.append(way)
            asked = self.asked
        try:
            if asked:
                way()
            yield
        finally:
            with self._lock:
                self._ways.remove(way)


class Answer(NamedTuple):
    """What a command printed on a board: a result of the kind that was asked for, and the release that ran it."""

    result: Any
    release: str


class Board(Protocol):
    """A board that runs commands; each call logs in, and raises DeployError where that or the command fails.

    `fleet.deploy.target.BoardAddress` is one; this wing cannot import it.
    """

    @property
    def name(self) -> str:
        """The board's address, as it was given."""

    @property
    def words(self) -> str:
        """What follows `--on` to name it, quoted for a shell."""

    @property
    def root(self) -> str:
        """Where edgemnist is on the board."""

    def answer(
        self,
        words: Sequence[str],
        kind: type[Any],
        files: Mapping[str, bytes] | None = None,
        stop: Stop | None = None,
        *,
        partial: bool = False,
    ) -> Answer:
        """Run `edgemnist WORDS --json` with the current release of a board, in a directory that holds `files`.

        With `partial`, a command that failed for a part of its input has an answer all the same.
        """

    def ask_module(self, words: Sequence[str], files: Mapping[str, bytes] | None = None) -> str:
        """Run `python -m WORDS` in the current release of a board, and return what it prints."""

    def read(self, text: str, kind: type[_Result]) -> _Result:
        """Return a JSON document that the board printed, without anything that a terminal would obey."""

    def throttled(self, stop: Stop | None = None) -> list[str]:
        """Return what its firmware says of clock and voltage."""


def answer_desk(work: Callable[[], str | bytes]) -> int:
    """Print what a module answers to `Board.ask_module`, on the board, and return the exit code."""
    try:
        answer = work()
    except EdgemnistError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        return error.exit_code
    sys.stdout.write(answer if isinstance(answer, str) else answer.decode())
    return 0


def in_parallel(most: int, work: Callable[..., _Result], *arguments: Sequence[Any]) -> list[_Result]:
    """Call `work` for each of the arguments, `most` at the same time; return the results in their order."""
    with ThreadPoolExecutor(max_workers=most) as pool:
        running = [pool.submit(work, *each) for each in zip(*arguments, strict=True)]
        # A signal that comes just before a wait begins is handled after that wait.
        while wait(running, _LISTEN_S).not_done:
            pass
        return [future.result() for future in running]


@contextlib.contextmanager
def on_ctrl_c(*ways: Callable[[], None]) -> Iterator[None]:
    """Let each Ctrl-C call the next of some functions, the last one again and again, instead of raising in the body.

    Only where Python's own handler is there: a command that runs in the background may be told to ignore it.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    coming = itertools.chain(ways, itertools.repeat(ways[-1]))
    signal.signal(signal.SIGINT, lambda *_: next(coming)())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def measure_on(boards: Sequence[Board], words: Sequence[str]) -> list[BenchOnBoard]:
    """Run `edgemnist WORDS` on several boards at once; each measures alone on its own processor.

    What goes wrong on one of several boards is in its row; on a single one it is raised. Ctrl-C leaves them all.
    """
    stop = Stop()

    def measure(board: Board) -> BenchOnBoard:
        try:
            result, release = board.answer(words, BenchResult, stop=stop)
            return BenchOnBoard(host=board.name, release=release, throttled=board.throttled(stop), result=result)
        except Exception as error:
            # One board must not cost the results of the others.
            if len(boards) == 1 and not stop.asked:
                raise
            return BenchOnBoard(host=board.name, fault=Fault.of(error))

    with on_ctrl_c(stop.leave):
        rows = in_parallel(len(boards), measure, boards)
    if stop.asked:
        raise KeyboardInterrupt
    return rows
