"""`edgemnist watch`: its options, and what it prints: lines of JSON for programs, what changes for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.text import Text

from edgemnist.errors import ReaderGoneError, UsageError
from edgemnist.ground.console import TerminalReporter, command_app, options, out, quiet_libraries
from edgemnist.ground.console.options import flag, option
from edgemnist.ground.formatting import percent
from edgemnist.ground.registry import Entry, Package

if TYPE_CHECKING:
    from edgemnist.digits.results import WatchReading

app = command_app()
_METER: Final = "Read a meter (water, gas, energy) of 5 digits and 3 decimals in its place: water:5.3@X,Y,WIDTH,HEIGHT."
_PAHO = (Package("paho-mqtt", "paho"),)
MQTT = Entry(target="edgemnist.digits.watch.mqtt:publisher_at", summary="--mqtt", requires=_PAHO, extra="mqtt")


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
    source_file: Path | None = option(
        "--source-file FILE", "The same, from a file: this keeps the password in a URL secret."
    ),
    min_confidence: options.MinConfidence = None,
    steady: int = option("--steady N", "Frames that must agree on a number; 1 trusts every frame.", 3),
    every: bool = flag("--every", "Read every frame, whether or not anything changed."),
    once: bool = flag("--once", "Read the pictures that are in the directory now, and exit."),
    give_up: float = option("--give-up SECONDS", "Give up when the source has been gone for this long.", 60),
    meter: str | None = option("--meter METER", _METER, panel="Meter"),
    meter_state: Path = option("--meter-state FILE", "Keeps its value for later.", "meter.json", panel="Meter"),
    mqtt: str | None = option("--mqtt URL", "Publish it, as mqtts://user@host/base.", panel="Meter"),
    mqtt_password: Path | None = option(
        "--mqtt-password FILE", "Its file, else $EDGEMNIST_MQTT_PASSWORD.", panel="Meter"
    ),
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
    from edgemnist.digits.watch.meter import Meter, MeterConfig
    from edgemnist.digits.watch.sources import WatchConfig

    given = [one for one in (source, source_file) if one is not None]
    if not given:
        raise UsageError("No source was given", hint="Give a camera's number, a URL, a video or a directory.")
    if len(given) > 1:
        raise UsageError("SOURCE and --source-file mean the same: use only one of them")
    config = WatchConfig(
        read=ReadConfig(min_confidence=DEFAULT_MIN_CONFIDENCE if min_confidence is None else min_confidence),
        steady=steady,
        every=every,
        once=once,
        give_up_s=give_up,
    )
    counted = None if meter is None else MeterConfig.parse(meter)
    if counted is None:
        options.refuse(context, "meter_state", "mqtt", "mqtt_password", reason="Without --meter")
    publisher = None if mqtt is None else MQTT.load()(mqtt)
    from edgemnist.model.answers import Answering, observed, observing

    observers = observing(collect, collect_max, counts=True, health=health)
    reporter = TerminalReporter()
    if systemd:
        from edgemnist.digits.watch.sources import watch_unit
        from edgemnist.model.exports import find_exports

        here = {"source", "source_file", "systemd", "once", "artifact", "exports", "json"}
        words = options.given_words(context, without=here | {"collect", "health", "meter_state", "mqtt_password"})
        found, state = find_exports(exports, reporter), None if counted is None else meter_state
        kept = {"collect": collect, "health": health, "state": state, "password": mqtt_password}
        print_text(watch_unit(given[0], words, exports=found, artifact=artifact, **kept))
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
    counter = None if counted is None else Meter(counted, watched, meter_state, reporter)
    with stopped_by_signals() as stop, ExitStack() as stack:
        # Only while it loads: what libraries write is kept in a file, which must not grow for months.
        with quiet_libraries():
            opened = open_for_answers(exports, artifact, reporter)
            model, labels = model_for(opened, artifact, reporter)
            classifier = model.load(threads=threads, labels=labels)
            require_digits(classifier, model.name, "watch")
        answering = Answering(model=model, classifier=classifier, exports=opened, reporter=reporter)
        if publisher is not None:
            stack.enter_context(publisher(mqtt_password, counter, once=once, reporter=reporter))
        try:
            with observed(observers, answering) as publish:
                work = partial(watch_source, watched, classifier, config, emit=printer(json=json), stop=stop)
                work(publish=publish, meter=counter, reporter=reporter)
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
        if reading.meter is not None:
            rows = [] if reading.meter.held else [f"{reading.meter.text} {reading.meter.unit}"]
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
