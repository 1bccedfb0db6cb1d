"""What the commands share: the two streams that reach the user, results on stdout, progress and notices on stderr.

TensorFlow, XLA and the converters write to the file descriptors 1 and 2 from C++, past Python. So the consoles here
write to copies of those descriptors, and `quiet_libraries` sends the originals nowhere while a library is at work.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar
from urllib.parse import quote

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgemnist.errors import DeployError, EdgemnistError, ReaderGoneError, StorageError
from edgemnist.ground.formatting import percent
from edgemnist.ground.progress import Reporter, Task
from edgemnist.ground.results import Result

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PageT = TypeVar("PageT")


def command_app() -> typer.Typer:
    """Return the Typer application of one command, to which its function is added."""
    return typer.Typer(
        add_completion=False, rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]}
    )


def show(result: Result, page: Callable[[], RenderableType], *, json: bool, host: str = "") -> None:
    """Print a result on stdout: as one JSON document, or as the page that `page` draws; `host` is as in `drawn`.

    Raises StorageError where it cannot be written: the reader has gone, or the disk is full.
    """
    if json:
        out().print(result.to_json(), soft_wrap=True)
    else:
        # A table may be wider than the terminal, which then breaks its lines and loses nothing.
        out().print(drawn(host, page), crop=False)


def show_listening(result: Result, sentence: str, address: str | None, token: str | None, *, json: bool) -> None:
    """Say that a page can be opened; on a terminal with a link, token included, if other devices find an `address`."""
    if json:
        out().print(result.to_json(), soft_wrap=True)
        return

    err().print(Text(f"{sentence} Stop it with Ctrl-C."), soft_wrap=True)
    if address is not None and err().is_terminal:
        # Behind the #, it reaches no server and no log.
        link = f"{address}#token={quote(token)}" if token else address
        err().print(Text(f"On a phone in the same network, open {link}"), soft_wrap=True)


def drawn(host: str, page: Callable[[], PageT]) -> PageT:
    """Return the page, or the picture, of a result; `host` is the board that sent it, if one did.

    Raises DeployError where the parts of its answer contradict one another, as a label without a probability does.
    """
    try:
        return page()
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, StopIteration, TypeError, ValueError) as error:
        if not host:
            raise
        raise DeployError(
            f"{host} sent an answer that contradicts itself ({type(error).__name__})", hint="See all of it with --json."
        ) from error


def as_text(page: RenderableType) -> str:
    """Return a page as plain text, for what is no terminal."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    _console(stream).print(page, crop=False)
    stream.seek(0)
    return stream.read().rstrip()


@cache
def out() -> Console:
    """Return the console for results."""
    return _console(_text(_Results(os.dup(1), "wb"), sys.__stdout__))


@cache
def err() -> Console:
    """Return the console for progress and notices."""
    return _console(_text(_Notices(os.dup(2), "wb"), sys.__stderr__))


class _Complete(io.FileIO):
    """A stream that takes all of what it is given: the system may take a part, where a disk is full or a pipe busy."""

    def write(self, data: Any) -> int:  # noqa: ANN401 - of bytes; Python 3.12 has a name for it
        left = memoryview(data)
        while left:
            # None is what a pipe answers that must not be waited for.
            if written := super().write(left):
                left = left[written:]
            else:
                select.select([], [self], [])
        return len(data)


class _Results(_Complete):
    def write(self, data: Any) -> int:  # noqa: ANN401 - as above
        try:
            return super().write(data)
        except OSError as error:
            kind = ReaderGoneError if isinstance(error, BrokenPipeError) else StorageError
            raise kind(f"The result cannot be written to stdout: {error.strerror}") from error


class _Notices(_Complete):
    def write(self, data: Any) -> int:  # noqa: ANN401 - as above
        # Nobody can be told that there is nobody to tell, and the work goes on.
        with contextlib.suppress(OSError):
            super().write(data)
        return len(data)


def _text(raw: io.FileIO, stream: TextIO | None) -> io.TextIOWrapper:
    # Pictures and bars are drawn with characters that a terminal without UTF-8 cannot show: replaced, not a traceback.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # FileIO is not buffered, so that nothing is left to be written, and to fail, when the process ends.
    return io.TextIOWrapper(raw, encoding=encoding, errors="replace", write_through=True)


class _Console(Console):
    """A console whose terminal obeys nothing that stands in a text: the name of a file may hold anything."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is drawn, without control characters in their text."""
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                yield segment._replace(text=_CONTROL.sub("\N{REPLACEMENT CHARACTER}", segment.text))
            else:
                yield segment


_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""All of C0 and C1 but tab and newline, and what turns the direction of a line (Bidi_Control) or breaks it."""


def _console(file: io.TextIOWrapper) -> Console:
    # What looks like markup, or like an emoji, is a part of a name: of a file, a class, or what a board answers.
    return _Console(file=file, markup=False, emoji=False, highlight=False, soft_wrap=not file.isatty())


def prepare_streams() -> None:
    """Make the standard streams fit for use, before anything is written or opened. Raises StorageError without stdout.

    The number of a closed stream would go to the first file that is opened, and Typer writes help to `sys.stdout`.
    A second command in one process, as in a test, gets consoles for the streams that it finds.
    """
    out.cache_clear()
    err.cache_clear()
    # Some shells and containers say 0 where they do not know the width, and nothing would be printed.
    if not os.environ.get("COLUMNS", "").strip("0"):
        os.environ.pop("COLUMNS", None)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is None:
            # The lowest free number, which is that of the stream. A process that is started inherits it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stderr = _text(_Notices(2, "wb", closefd=False), sys.stderr)
    if sys.stdout is None:
        raise StorageError("The result has nowhere to go: stdout is closed")
    sys.stdout = _text(_Results(1, "wb", closefd=False), sys.stdout)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep the chatter of libraries, C++ included, away from the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    out(), err()
    sys.stdout.flush()
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, contextlib.ExitStack() as stack:  # noqa: PTH123 - no file
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(nowhere.fileno(), descriptor)
        yield


_BAR: Final = 20
_WIDE: Final = 120
"""Columns of a bar, and of a terminal in which it is twice as long."""
_STEADY_S: Final = 600.0
"""Seconds whose steps tell how long the rest takes: one may take a minute, such as the training of a network."""


class TerminalReporter(Reporter):
    """Draws bars where stderr is a terminal; elsewhere notices are written, and the tasks that are asked for."""

    def __init__(self, lines: Collection[str] = ()) -> None:
        """`lines` are tasks whose every step is worth a line where no bar can be drawn, by their description."""
        self._lines = frozenset(lines)

    def notice(self, message: str) -> None:
        """Write one line."""
        err().print(Text.assemble(("note:", "yellow"), f" {message}"))

    @contextlib.contextmanager
    def task(self, description: str, total: float | None = None) -> Iterator[Task]:
        """Draw a bar with the time left."""
        if not err().is_terminal:
            yield _Lines(description, total) if description in self._lines else Task()
            return
        # Redirected streams would carry what libraries print past `quiet_libraries`, to the terminal.
        with _progress(transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
            yield _Bar(progress, progress.add_task(description, total=total, detail=""))


def _progress(**options: Any) -> Progress:  # noqa: ANN401 - those of rich
    """Return what draws a bar in one line: where that is too short, the details are cut, and not the time left."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as Drawn

    class Detail(ProgressColumn):
        def render(self, task: Drawn) -> Text:
            return Text(task.fields["detail"], no_wrap=True, overflow="ellipsis")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(_BAR if err().width < _WIDE else 2 * _BAR),
        Detail(),
        TimeRemainingColumn(),
        console=err(),
        speed_estimate_period=_STEADY_S,
        **options,
    )


class _Bar(Task):
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, completed: float, detail: str = "") -> None:
        self._progress.update(self._task, completed=completed, detail=detail)


class _Lines(Task):
    def __init__(self, description: str, total: float | None) -> None:
        self._description = description
        self._total = total

    def update(self, completed: float, detail: str = "") -> None:
        share = f" {percent(completed / self._total, 0)}" if self._total else ""
        err().print(f"{self._description}{share}: {detail}" if detail else f"{self._description}{share}")


def show_error(error: EdgemnistError) -> None:
    """Print the message and the hint on stderr."""
    stop = "" if error.message.endswith("?") else "."
    err().print(Text.assemble(("error:", "bold red"), f" {error.message}{stop}"))
    if error.hint:
        err().print(f"       {error.hint}")


def show_interrupted() -> None:
    """Print that the user stopped the command."""
    err().print(Text("interrupted", "bold"))
