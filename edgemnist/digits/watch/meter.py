"""A meter: what it cannot have counted is held back, and told."""

import contextlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
from PIL import Image

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.results import MeterReading, ReadDigit, WatchReading
from edgemnist.digits.task import Box
from edgemnist.digits.watch.sources import redacted
from edgemnist.errors import ImageError, SourceError, StorageError, UnknownNameError, UsageError
from edgemnist.ground.formatting import percent
from edgemnist.ground.progress import Reporter
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.storage import write_file

KINDS: Final = {"water": ("m³", 5.0), "gas": ("m³", 10.0), "energy": ("kWh", 50.0)}
"""By Home Assistant's device classes: the unit, and most of it an hour in a household. It is 5 for water if Q3 is 4
m³/h (ISO 4064-1), 10 for gas with a G6 (EN 1359), and 43 for three phases of 63 A at 230 V."""
_FORM = re.compile(r"(?=.{1,60}$)(\w+):([1-9])(?:\.([0-6]))?(?:/([1-9]\d*))?(?:@(\d+),(\d+),([1-9]\d*),([1-9]\d*))?")


class MeterConfig(NamedTuple):
    """What a meter counts, its digits before and after the point, most units an hour, and its place in a picture."""

    kind: str
    whole: int
    decimals: int
    rate: float
    place: Box | None

    @classmethod
    def parse(cls, words: str) -> Self:
        """Return what `KIND:WHOLE.DECIMALS/RATE@X,Y,W,H` says. Raises UsageError for anything else."""
        found = _FORM.fullmatch(words)
        if found is None:
            hint = "Write its kind, its digits before and after the point, and its place: water:5.3@120,80,400,90"
            raise UsageError(f"--meter {words!r} does not describe a meter", hint=hint)
        kind, whole, decimals, rate, *place = found.groups()
        if kind not in KINDS:
            raise UnknownNameError("kind of meter", kind, KINDS)
        box = msgspec.convert(place, Box, strict=False) if place[0] else None
        return cls(kind, int(whole), int(decimals or 0), float(rate or KINDS[kind][1]), box)


class Meter:
    """Takes what frames show in turn; `publish` is given each reading, and `picture` is the meter in the latest frame.

    `file` keeps the value for the next start. Raises UsageError for one with anything else, or that of another meter.
    """

    def __init__(self, config: MeterConfig, source: str, file: Path, reporter: Reporter) -> None:
        self.config, self._file, self._reporter = config, file, reporter
        self._names = f"{config.kind}:{config.whole}.{config.decimals}", redacted(source)
        self._latest, self._told = MeterReading(unit=KINDS[config.kind][0]), object()
        self.publish: Callable[[MeterReading], None] = lambda _: None
        self.picture: Image.Image | None = None
        if file.exists():
            with contextlib.suppress(*UNREADABLE):
                *names, self._latest = msgspec.json.decode(file.read_bytes(), type=tuple[str, str, MeterReading])
            if self._latest.value is None or tuple(names) != self._names:
                of, hint = " in ".join(self._names), "Name another file with --meter-state, or delete this one."
                raise UsageError(f"{file} does not hold a value of {of}", hint=hint)

    def cut(self, picture: Grey | Image.Image) -> Grey | Image.Image:
        """Return the meter's place in a picture. Raises ImageError, or SourceError for a camera's, without it."""
        page = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        left, top, width, height = self.config.place or (0, 0, *page.size)
        if left + width > page.width or top + height > page.height:
            error = ImageError if page is picture else SourceError
            raise error(f"The place of --meter is not within its {page.width}×{page.height} pixels")
        self.picture = page.crop((left, top, left + width, top + height))
        return self.picture if page is picture else np.array(self.picture)

    def seen(self, reading: WatchReading, digits: Sequence[ReadDigit], taken: float) -> WatchReading:
        """Return a reading with the meter. `taken` is in seconds since the epoch, and `digits` are of this frame."""
        config, (left, top, _, _) = self.config, self.config.place or (0, 0, 0, 0)
        replace = msgspec.structs.replace
        numbers = [replace(one, box=(one.box[0] + left, one.box[1] + top, *one.box[2:])) for one in reading.numbers]
        text = "".join(one.text for one in numbers).replace(" ", "?")
        if shown := re.fullmatch(rf"(\d{{{config.whole}}})[.,]?(\d{{{config.decimals}}})", text):
            text = ".".join(filter(None, shown.groups()))
            held = self._impossible(float(text), taken)
        else:
            held = f"it is not {config.whole} digits and {config.decimals} decimals"
        other, sure, before = _runner_up(text, digits), reading.confidence, self._latest
        told = f"{text or 'Nothing'}{f' ({percent(sure, 0)})' if sure else ''}{f', or else {other},' if other else ''}"
        if held is None:
            at = datetime.fromtimestamp(taken, UTC)
            meter = replace(before, value=float(text), confidence=sure, taken=at, text=text, runner_up=other)
            self._latest = meter
            if before.value is None:
                self._reporter.notice(f"{told} is where the meter starts: if that is wrong, delete {self._file}.")
            if before.value != meter.value:
                try:
                    write_file(self._file, msgspec.json.encode((*self._names, meter)))
                    self._told = object()
                except StorageError as error:
                    self._tell(error.message, f"The value is not kept for the next start: {error.message}.")
        else:
            meter = replace(before, text=text, runner_up=other, held=held)
            self._tell((text, held), f"{told} is held back: {held}.")
        self.publish(meter)
        return replace(reading, numbers=numbers, meter=meter)

    def _impossible(self, value: float, taken: float) -> str | None:
        """Return why a meter cannot have come to a value since the latest."""
        before, config = self._latest, self.config
        if before.value is None or before.taken is None:
            return None
        grown, seconds = value - before.value, max(0.0, taken - before.taken.timestamp())
        if round(grown * 10**config.decimals) < 0:
            return f"a meter does not run backwards, and {before.text} was before"
        # Between two frames it may count on, however slowly it does.
        if grown > config.rate * seconds / 3600 + 1.5 / 10**config.decimals:
            return f"it cannot have come so far from {before.text}, with {config.rate:g} {before.unit} an hour at most"
        return None

    def _tell(self, what: object, words: str) -> None:
        if what != self._told:
            self._reporter.notice(words)
        self._told = what


def _runner_up(text: str, digits: Sequence[ReadDigit]) -> str | None:
    """Return a text with what its least certain digit may also be; None where this frame shows other digits."""
    places = [place for place, character in enumerate(text) if character.isdecimal()]
    if not places or [str(one.digit) for one in digits] != [text[place] for place in places]:
        return None
    place, least = min(zip(places, digits, strict=True), key=lambda entry: entry[1].confidence)
    return f"{text[:place]}{least.runner_up}{text[place + 1 :]}"
