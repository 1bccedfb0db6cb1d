"""`edgemnist watch`: its options, and what it prints: lines of JSON for programs, what changes for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.text import Text

from edgemnist.errors import ReaderGoneError, UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, out, quiet_libraries
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.formatting import percent

if TYPE_CHECKING:
    from edgemnist.ground.results.pictures import WatchReading

app = command_app()


@app.command(epilog="Example: edgemnist watch 0 · edgemnist watch rtsp://camera/stream · edgemnist watch scans --once")
def watch(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A camera's number, `picamera`, an RTSP or HTTP URL, a video or picture file, or a directory.",
            show_default=False,
        ),
    ] = None,
    *,
    source_option: str | None = option("--source SOURCE", "The same, as an option."),
    source_file: Path | None = option(
        "--source-file FILE", "The same, from a file: this keeps the password in a URL secret."
    ),
    min_confidence: options.MinConfidence = None,
    steady: int = option("--steady N", "Frames that must agree on a number; 1 trusts every frame.", 3),
    every: bool = flag("--every", "Read every frame, whether or not anything changed."),
    once: bool = flag("--once", "Read the pictures that are in the directory now, and exit."),
    give_up: float = option("--give-up SECONDS", "Give up when the source has been gone for this long.", 60),
    systemd: bool = flag("--systemd", "Print a hardened systemd unit for this command, and exit."),
    artifact: options.Model = None,
    threads: options.Threads = 1,
    collect: options.Collect = None,
    collect_max: options.CollectMax = None,
    health: options.Health = None,
    exports: options.Exports = None,
    json: bool = flag("--json", "Print lines of JSON on a terminal too; elsewhere this is the default."),
) -> None:
    """Read the numbers that a camera, a stream, a video or a directory shows, as they change.

    A terminal shows the numbers whenever they change; a pipe or a file gets a line of JSON for each frame.

    Frames that come too fast are dropped, those that show nothing new are skipped, and a camera that goes away is
    opened again. SIGTERM and Ctrl-C end it with exit code 0.
    """
    options.limit_numpy_threads()
    from edgemnist.digits.read.likeness import DEFAULT_MIN_CONFIDENCE, ReadConfig
    from edgemnist.digits.watch.sources import WatchConfig

    given = [one for one in (source, source_option, source_file) if one is not None]
    if not given:
        raise UsageError("No source was given", hint="Give a camera's number, a URL, a video or a directory.")
    if len(given) > 1:
        raise UsageError("SOURCE, --source and --source-file mean the same: use only one of them")
    config = WatchConfig(
        read=ReadConfig(min_confidence=DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence),
        steady=steady,
        every=every,
        once=once,
        give_up_s=give_up,
    )
    from edgemnist.model.answers import Answering, observed, observing

    observers = observing(collect, collect_max, counts=True, health=health)
    reporter = TerminalReporter()
    if systemd:
        from edgemnist.digits.watch.sources import watch_unit
        from edgemnist.model.exports import find_exports

        here = {"source", "source_option", "source_file", "systemd", "once", "artifact", "exports", "json"}
        words = options.given_words(context, without=here | {"collect", "health"})
        found = find_exports(exports, reporter)
        print_text(watch_unit(given[0], words, exports=found, artifact=artifact, collect=collect, health=health))
        return

    from edgemnist.digits.read.page import FINDER
    from edgemnist.model.exports import model_for, open_for_answers

    # Before what is imported next, which needs OpenCV.
    FINDER.load()
    from edgemnist.digits.recognize import require_digits
    from edgemnist.digits.watch.run import stopped_by_signals
    from edgemnist.digits.watch.run import watch as watch_source
    from edgemnist.digits.watch.sources import read_source

    watched = read_source(given[0])
    with stopped_by_signals() as stop:
        # Only while it loads: what libraries write is kept in a file, which must not grow for months.
        with quiet_libraries():
            opened = open_for_answers(exports, artifact, reporter)
            model, labels = model_for(opened, artifact, reporter)
            classifier = model.load(threads=threads, labels=labels)
            require_digits(classifier, model.name, "watch")
        answering = Answering(model=model, classifier=classifier, exports=opened, reporter=reporter)
        try:
            with observed(observers, answering) as publish:
                emit = printer(json=json)
                watch_source(watched, classifier, config, emit=emit, stop=stop, publish=publish, reporter=reporter)
        except ReaderGoneError:
            return


def printer(*, json: bool) -> Callable[[WatchReading], None]:
    """Return what prints readings: as JSON where that was asked for, or where stdout is not a terminal."""
    if json or not out().is_terminal:
        # One line each; it raises ReaderGoneError where nobody reads any more.
        return lambda reading: print_text(msgspec.json.encode(reading).decode() + "\n")
    return _Changes().print


def print_text(text: str) -> None:
    """Write a text as it is."""
    out().file.write(text)


class _Changes:
    """Prints the numbers of a frame where they are others than before, as they stand on the page."""

    def __init__(self) -> None:
        self._before: tuple[str, list[str]] | None = None

    def print(self, reading: WatchReading) -> None:
        rows = [
            "  ".join(number.text for number in line)
            for _, line in groupby(reading.numbers, key=lambda number: number.line)
        ]
        if self._before == (reading.source, rows):
            return
        new_source = self._before is None or self._before[0] != reading.source
        self._before = reading.source, rows
        time = datetime.fromisoformat(reading.timestamp).astimezone().strftime("%H:%M:%S")
        certain = "" if reading.confidence is None else f"  {percent(reading.confidence, 1)}"
        remark = f"{certain}  {reading.milliseconds.total:,.0f} ms{f'  {reading.source}' if new_source else ''}"
        out().print(
            Text.assemble(f"{time}  ", (rows[0] if rows else "nothing", "bold" if rows else "dim"), (remark, "dim"))
        )
        for row in rows[1:]:
            out().print(Text.assemble(" " * (len(time) + 2), (row, "bold")))
