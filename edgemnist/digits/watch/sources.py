"""What can be watched: a picture, a directory, a camera or a stream, each of which gives frames."""

import contextlib
import os
import re
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Event, Thread
from typing import ClassVar, Final

from PIL import Image

from edgemnist.digits.images.grey import Grey
from edgemnist.digits.read.likeness import ReadConfig
from edgemnist.errors import ImageError, SourceError, UsageError, check_range
from edgemnist.ground.pictures import SUFFIXES, open_image
from edgemnist.ground.progress import Reporter
from edgemnist.ground.systemd import service_unit
from edgemnist.model.answers import command_unit

PICAMERA: Final = "picamera"
URL: Final = re.compile(r"(rtsps?|https?|rtmp|udp|tcp|srt)://", re.IGNORECASE)
CREDENTIALS: Final = re.compile(
    r"(?<=://)[^/]*@|[?&;][^=&;]*(?:token|key|auth|pass|pwd|secret|sig|session|user|credential)[^=&;]*=", re.IGNORECASE
)
"""User and password of a URL, which may have an @ of its own, or a parameter that by its name is one or a token."""
_SHOWN: Final = re.compile(
    r"(\w[\w+.-]*://)(?:[^/]*@)?([^/?#@:]*(?::\d*)?|\[[^]/?#@]*\](?::\d*)?)((?:/[^?#@]*)?)(?:[?#].*)?"
)

Stamp = tuple[int, int]
"""Size in bytes, and time of the last change in nanoseconds."""
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 8.0
"""A source that is away is tried again after a pause that doubles each time."""
LOOK_S: Final = 0.25
"""How often a reader that waits for a frame looks whether to stop."""


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Options of watching. Raises UsageError for values out of range."""

    read: ReadConfig = field(default_factory=ReadConfig)
    steady: int = 3
    """A number counts when so many of the latest `2 × steady - 1` frames agree on it; 1 believes each frame."""
    every: bool = False
    """Read every frame, whether or not anything changed."""
    once: bool = False
    """Read what is in the directory now, and end."""
    give_up_s: float = 60.0
    """A source that has been away for that long is given up."""
    stall_s: float = 5.0
    """A live source that sends nothing for that long is opened again."""
    poll_s: float = 0.25
    """How often a directory is looked at."""

    def __post_init__(self) -> None:
        check_range("--steady", self.steady, least=1)
        check_range("--give-up", self.give_up_s, least=0)
        check_range("stall_s", self.stall_s, above=0)
        check_range("poll_s", self.poll_s, above=0)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a source."""

    picture: Grey | Image.Image
    """uint8 [h, w] grey levels, or a picture from a file."""
    arrived: float
    """Seconds since the epoch."""
    source: str
    index: int
    """From 0; frames that were dropped count."""
    position: float | None = None
    """Seconds from the start of a video file."""
    dropped: int = 0
    """Frames since the one before that were not handed on, because they came too fast."""
    taken: float | None = None
    """Seconds since the epoch: of a file, when it was last changed."""


@dataclass(frozen=True)
class Source(ABC):
    """Where frames come from."""

    name: str
    """As it may be printed."""
    config: WatchConfig
    connected: ClassVar[bool]
    """Whether a frame has to do with the one before it: one scene, seen again."""

    @abstractmethod
    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give frames until the source ends or `stop` is set, which ends it within a second.

        Raises SourceError where the source cannot be read, or was away for too long.
        """


class PictureSource(Source):
    """A picture file: it is believed at once, since there is no other frame to agree with it."""

    connected = False

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the picture. Raises ImageError where it cannot be read."""
        del stop, reporter
        taken = Path(self.name).stat().st_mtime
        yield Frame(picture=open_image(Path(self.name)), arrived=time.time(), source=self.name, index=0, taken=taken)


class DirectorySource(Source):
    """Every picture once, those that are there first, and again when it changes."""

    connected = False

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the pictures, oldest first. One that cannot be read is named in a notice, and passed over.

        A directory that goes away, as one in the network does, is waited for; what was read is not read again when it
        is back.
        """
        known: dict[str, Stamp] = {}
        """What each file was like when it was read."""
        before: dict[str, Stamp] = {}
        index = 0
        while not stop.is_set():
            present = self._wait_for_pictures(stop, reporter)
            known = {name: stamp for name, stamp in known.items() if name in present}
            for name, stamp in sorted(present.items(), key=lambda entry: (entry[1][1], entry[0])):
                # A file that is still growing is not a picture yet.
                complete = self.config.once or before.get(name) == stamp
                if stop.is_set() or known.get(name) == stamp or not complete:
                    continue
                known[name] = stamp
                path = Path(self.name, name)
                try:
                    picture = open_image(path)
                except ImageError as error:
                    reporter.notice(f"{error.message}.")
                    continue
                yield Frame(picture=picture, arrived=time.time(), source=str(path), index=index, taken=stamp[1] / 1e9)
                index += 1
            if self.config.once:
                return
            before = present
            stop.wait(self.config.poll_s)

    def _wait_for_pictures(self, stop: Event, reporter: Reporter) -> dict[str, Stamp]:
        """Return the pictures of the directory as soon as it is there: at once, unless it has gone away."""
        away_since: float | None = None
        while not stop.is_set():
            try:
                present = self._pictures()
            except OSError as error:
                reason = error.strerror or error
                if self.config.once:
                    raise SourceError(f"{self.name} cannot be watched: {reason}") from error
                if away_since is None:
                    away_since = time.monotonic()
                    reporter.notice(f"{self.name} cannot be watched: {reason}; trying again.")
                if time.monotonic() - away_since >= self.config.give_up_s:
                    raise SourceError(
                        f"{self.name} could not be watched for {self.config.give_up_s:g} s: {reason}",
                        hint="Check that it is still mounted, and that you may read it.",
                    ) from error
                stop.wait(self.config.poll_s)
                continue
            if away_since is not None:
                reporter.notice(f"{self.name} is back.")
            return present
        return {}

    def _pictures(self) -> dict[str, Stamp]:
        """Return the pictures of the directory; hidden files are somebody's temporary ones.

        Raises OSError where the directory cannot be read.
        """
        stamps: dict[str, Stamp] = {}
        with os.scandir(self.name) as entries:
            for entry in entries:
                if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                    continue
                # What was removed a moment ago, or is a link to itself, is no picture.
                with contextlib.suppress(OSError):
                    if entry.is_file():
                        state = entry.stat()
                        stamps[entry.name] = state.st_size, state.st_mtime_ns
        return stamps


@dataclass(frozen=True)
class LiveSource(Source):
    """Grabs in a thread of its own, and hands on the latest frame only."""

    connected = True
    grab: Callable[[], Generator[Grey]]
    """Opens the source, gives its frames, uint8 [h, w], as they come, and ends where it is away."""

    def frames(self, stop: Event, reporter: Reporter) -> Iterator[Frame]:
        """Give the latest frame whenever the one before is done with."""
        latest: deque[tuple[int, float, Grey]] = deque(maxlen=1)
        filled, closing = Event(), Event()
        thread = Thread(target=self._pump, args=(latest, filled, stop, closing, reporter), daemon=True, name="grabber")
        thread.start()
        silent_since, after = time.monotonic(), 0
        try:
            while not stop.is_set():
                if latest:
                    index, arrived, picture = latest.pop()
                    yield Frame(picture=picture, arrived=arrived, source=self.name, index=index, dropped=index - after)
                    silent_since, after = time.monotonic(), index + 1
                # A driver that hangs comes to no end by itself.
                elif not thread.is_alive() or time.monotonic() - silent_since >= self.config.give_up_s:
                    raise SourceError(
                        f"{self.name} has given no picture for {self.config.give_up_s:g} s",
                        hint="Check that it is plugged in, switched on and not in use by another program.",
                    )
                else:
                    filled.wait(LOOK_S)
                    filled.clear()
        finally:
            closing.set()
            # A driver that hangs is left behind: the thread is a daemon.
            thread.join(1)

    def _pump(
        self, latest: deque[tuple[int, float, Grey]], filled: Event, stop: Event, closing: Event, reporter: Reporter
    ) -> None:
        last_seen, delay, told, index = time.monotonic(), FIRST_DELAY_S, False, 0
        while not (stop.is_set() or closing.is_set()):
            seen = False
            with contextlib.closing(self.grab()) as pictures:
                for picture in pictures:
                    if told:
                        reporter.notice(f"{self.name} is back.")
                    seen, told, delay, last_seen = True, False, FIRST_DELAY_S, time.monotonic()
                    latest.append((index, time.time(), picture))
                    filled.set()
                    index += 1
                    if stop.is_set() or closing.is_set():
                        return
            if time.monotonic() - last_seen >= self.config.give_up_s:
                return
            if not seen and not told:
                told = True
                reporter.notice(f"{self.name} gives no picture; trying again.")
            closing.wait(delay)
            delay = min(2 * delay, LONGEST_DELAY_S)


def redacted(source: str) -> str:
    """Return a source as it may be printed and logged: of a URL no user, password, parameters or fragment."""
    scheme, found, _ = source.partition("://")
    if not found:
        return source
    shown = _SHOWN.fullmatch(source)
    # Whatever is formed otherwise may have its secret anywhere.
    return "".join(shown.groups()) if shown else f"{scheme}://…"


def read_source(file: str | Path, what: str = "source", content: str = "URL of the camera") -> str:
    """Return the first line of a file, which keeps a URL or a password secret; a string is the source itself.

    Raises UsageError where the file cannot be read, or is empty.
    """
    if isinstance(file, str):
        return file
    try:
        source = file.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"The {what} file {file} cannot be read: {reason}") from error
    if not source:
        raise UsageError(f"The {what} file {file} is empty", hint=f"Write the {content} into it.")
    return source


SOURCE, MQTT = "source", "mqtt"
"""Names of the secrets."""


def watch_unit(
    source: str | Path,
    options: Sequence[str],
    *,
    exports: Path,
    artifact: str | None = None,
    collect: Path | None = None,
    health: Path | None = None,
    state: Path | None = None,
    password: Path | None = None,
) -> str:
    """Return the unit that runs `edgemnist watch` on a source, as the present user.

    A `Path` is a file that keeps a URL: systemd reads it later, and perhaps only root may read it now. `exports` is
    where the artifacts are, and `artifact` the model that answers, where one was named. `collect`, `health` and the
    `state` of a meter are what it writes, and `password` is a file for the broker of `--mqtt`.

    Raises UsageError for a URL with a password, which would have to stand in the unit, where everybody can read it.
    """
    is_stream = isinstance(source, Path) or bool(URL.match(source))
    devices = _devices(source)
    named, reads = _named(source)
    secrets = {SOURCE: source if isinstance(source, Path) else None, MQTT: password}
    named += ["--meter-state", str(state.absolute())] if state else []
    named += ["--mqtt-password", f"%d/{MQTT}"] if password else []
    return service_unit(
        command_unit(
            "edgemnist-watch",
            f"edgemnist watch {'a stream' if is_stream else source}",
            ["watch", *named, *options],
            exports=exports,
            artifact=artifact,
            collect=collect,
            health=health,
            reads=reads,
            state=state,
            network=is_stream or "--mqtt" in options,
            devices=devices,
            groups=("video",) if devices else (),
            credentials=[(name, PurePosixPath(file.absolute())) for name, file in secrets.items() if file],
        )
    )


def _named(source: str | Path) -> tuple[list[str], list[Path]]:
    """Return the words that name the source, and where it is."""
    if isinstance(source, Path):
        return ["--source-file", f"%d/{SOURCE}"], []
    if CREDENTIALS.search(source):
        raise UsageError(
            "A password or token in a URL must not be written into a unit: everybody on the machine can read it",
            hint="Put the URL into a file that only root can read, and name that with --source-file.",
        )
    path = Path(source)
    return ([str(path.absolute())], [path]) if path.exists() else ([source], [])


def _devices(source: str | Path) -> tuple[str, ...]:
    """Return the devices that a camera is: libcamera speaks to the sensor, the image processor and their memory."""
    if source == PICAMERA:
        return "char-video4linux", "char-media", "char-dma_heap"
    is_camera = isinstance(source, str) and (source.isdecimal() or source.startswith("/dev/"))
    return ("char-video4linux",) if is_camera else ()
