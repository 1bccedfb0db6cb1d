"""A meter over MQTT, where Home Assistant finds it. Needs paho-mqtt."""

import io
import os
import re
import ssl
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Final
from urllib.parse import unquote

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edgemnist import __version__
from edgemnist.digits.results import MeterReading
from edgemnist.digits.watch.meter import KINDS, Meter
from edgemnist.digits.watch.sources import read_source
from edgemnist.errors import SourceError, UsageError, check_range, reason_of
from edgemnist.ground.formatting import count
from edgemnist.ground.progress import Reporter
from edgemnist.ground.storage import sha256

PASSWORD: Final = "EDGEMNIST_MQTT_PASSWORD"  # noqa: S105 - the name of the variable
_Place = tuple[str, str, str, int, str]
_URL: Final = re.compile(r"(mqtts?)://(?:([^@/]*)@)?([^@/:[\]]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?(?:/(.*))?")
_NO_TOPIC: Final = re.compile(r"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff]|^\$|.{1000}")
"""Wildcards, control characters, what is no Unicode, the broker's own topics, and more than brokers like."""
MOST_WAITING: Final = 10_000
"""Readings that wait for a broker that is away: the oldest beyond are dropped."""
EVERY_S, DRAIN_S, DELAYS_S = 60.0, 5.0, (1, 8)
"""Time between two of a value that stays, for what waits at the end, and until another try: at first, and at most."""
DISCOVERY_FILE: Final = Path(__file__).with_name("discovery.json")


def publisher_at(url: str) -> "partial[Publisher]":
    """Return what publishes at `mqtts://user@host:port/base`. Raises UsageError for all else, passwords included."""
    found = _URL.fullmatch(url)
    scheme, user, host, port, path = found.groups(default="") if found else ("",) * 5
    try:
        host.encode("idna")
    except UnicodeError:
        host = ""
    if not host:
        raise UsageError("--mqtt is not the URL of a broker", hint="Write it as: mqtts://user@host/base")
    if ":" in user:
        hint = f"Put it into a file, and name that with --mqtt-password, or into ${PASSWORD}."
        raise UsageError("A password must not stand in --mqtt: everybody on the machine can read it", hint=hint)
    if _NO_TOPIC.search(base := unquote(path).strip("/") or "edgemnist"):
        hint = "Leave out wildcards (+ and #), control characters and a $ in front."
        raise UsageError(f"--mqtt names a topic that nothing can be published to: {base[:80]!r}", hint=hint)
    number = int(port or ("8883" if scheme == "mqtts" else "1883"))
    check_range("--mqtt: the port", number, least=1, most=65_535)
    return partial(Publisher, (scheme, unquote(user), host.strip("[]"), number, base))


class Publisher(AbstractContextManager["Publisher"]):
    """Publishes what a meter has counted, in its order. What a broker that is away misses is kept for it, and told."""

    def __init__(self, at: _Place, password: Path | None, meter: Meter, *, once: bool, reporter: Reporter) -> None:
        """Raises UsageError for a password without a user. What reads `once` is never offline; it fails instead."""
        scheme, self._user, host, port, self._base = at
        self._name = f"{scheme}://{host}:{port}/{self._base}"
        secret = read_source(password, "password", "password") if password else os.environ.get(PASSWORD)
        if secret and not self._user:
            raise UsageError(f"There is a password for {self._name}, but no user", hint="Write mqtts://user@host/base.")
        self._meter, self._once, self._reporter = meter, once, reporter
        # Held around what follows, and not around calls of paho, which has locks of its own.
        self._changed, self._waiting = Condition(), deque[MeterReading]()
        self._online, self._trouble, self._dropped, self._news, self._alarm = False, "", 0, object(), "None"
        # By its name a broker knows one that has come back, and says its last will before this one speaks.
        self._id = f"edgemnist_{sha256(self._base.encode())[:12]}"
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._id)
        client.username_pw_set(self._user or None, secret)
        if scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        if not once:
            client.will_set(f"{self._base}/status", "offline", qos=1, retain=True)
        client.reconnect_delay_set(*DELAYS_S)
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_disconnect, client.on_message = self._on_disconnect, self._on_message
        client.connect_async(host, port)
        client.loop_start()
        Thread(target=self._work, daemon=True, name="mqtt").start()
        meter.publish, reporter.alarm = self.send, self.alarm

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._trouble, DRAIN_S)
        if not self._once:
            self._say("status", "offline")
        self._client.disconnect()
        with self._changed:
            self._changed.wait_for(lambda: not self._online, DRAIN_S)
        if left := len(self._waiting):
            told = f"{self._name} has not got {count(left, 'reading')}: it {self._trouble or 'took too long'}"
            if kind is None and self._once:
                raise SourceError(told, hint="The latest value is kept, and published at the next start.")
            self._reporter.notice(f"{told}.")

    def send(self, reading: MeterReading) -> None:
        """Publish a reading where it says something new. Never waits."""
        taken = 0 if reading.taken is None else reading.taken.timestamp()
        if (news := (reading.value, reading.held, taken // EVERY_S)) == self._news:
            return
        self._news = news
        with self._changed:
            self._waiting.append(reading)
            if len(self._waiting) > MOST_WAITING:
                # The first may be on its way.
                del self._waiting[1]
                self._dropped += 1
                if self._dropped == 1:
                    self._reporter.notice(f"{self._name} is to get {MOST_WAITING:,} readings: the oldest are dropped.")
            self._changed.notify_all()

    def alarm(self, changed: Sequence[str] | None) -> None:
        """Publish whether something has changed beyond chance; None where nobody knows."""
        self._alarm = "None" if changed is None else "ON" if changed else "OFF"
        self._say("alarm", self._alarm)

    def _say(self, name: str, payload: str | bytes, *, retain: bool = True) -> None:
        """Publish what is said again after each connection, or is asked for again."""
        self._client.publish(f"{self._base}/{name}", payload, retain=retain)

    def _work(self) -> None:
        """Publish one reading after the other, so that none that is sent again follows a later one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting and self._online)
                reading = self._waiting[0]
            age = reading.taken and round(time.time() - reading.taken.timestamp())
            payload = msgspec.json.encode({**msgspec.structs.asdict(reading), "age": age})
            sent = self._client.publish(f"{self._base}/state", payload, qos=1, retain=True)
            # What waits for a connection has not failed: paho sends until the broker says that it has it.
            sent.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
            sent.wait_for_publish()
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()

    def _set(self, trouble: str, *, online: bool = False) -> None:
        with self._changed:
            was, self._trouble, self._online = self._trouble, trouble, online
            self._changed.notify_all()
        if trouble and trouble != was:
            self._reporter.notice(f"{self._name} {trouble}; readings are kept for it.")

    def _on_connect(self, _client: paho.Client, _data: object, _flags: object, why: ReasonCode, _more: object) -> None:
        if why.is_failure:
            self._set(f"refuses {self._user or 'who gives no user'}: {str(why).lower()}")
            return
        self._client.subscribe(f"{self._base}/picture/get")
        self._client.publish(f"homeassistant/device/{self._id}/config", self._discovery(), retain=True)
        self._say("status", "online")
        self._say("alarm", self._alarm)
        lost, self._dropped = self._dropped, 0
        if self._trouble:
            self._reporter.notice(f"{self._name} is back{f', but for {lost:,} readings' if lost else ''}.")
        self._set("", online=True)

    def _on_connect_fail(self, *_: object) -> None:
        error = sys.exception()  # This is called where it is handled.
        self._set(f"cannot be reached: {reason_of(error) if isinstance(error, OSError) else error}")

    def _on_disconnect(self, _client: paho.Client, _data: object, _flags: object, why: ReasonCode, *_: object) -> None:
        ended = "has ended the connection" if self._online else self._trouble or "does not answer as a broker does"
        self._set(ended if why.is_failure else "")

    def _on_message(self, *_: object) -> None:
        """Answer who asks for a picture."""
        if picture := self._meter.picture:
            picture.convert("L").save(stream := io.BytesIO(), format="JPEG")
            self._say("picture", stream.getvalue(), retain=False)

    def _discovery(self) -> str:
        base, config = self._base, self._meter.config
        words = {"ID": self._id, "NAME": base.rpartition("/")[2], "KIND": config.kind, "UNIT": KINDS[config.kind][0]}
        words |= {"BASE": base, "VERSION": __version__}
        filled = {word: msgspec.json.encode(text)[1:-1].decode() for word, text in words.items()}
        return re.sub("|".join(filled), lambda word: filled[word[0]], DISCOVERY_FILE.read_text(encoding="utf-8"))
