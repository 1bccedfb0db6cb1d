"""`--meter` and `--mqtt`: what a meter cannot have counted is held back, and no broker misses what it has counted."""

import json
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image

from edgemnist.digits.results import MeterReading, ReadDigit, WatchNumber, WatchReading, WatchTimes
from edgemnist.digits.watch import mqtt
from edgemnist.digits.watch.meter import Meter, MeterConfig
from edgemnist.digits.watch.mqtt import Publisher, publisher_at
from edgemnist.errors import SourceError
from tests.messages import Told
from tests.notices import Notices
from tests.patience import comes_true

NOON, BOX = 1.8e9, (1, 2, 30, 20)
SHAPE, FAR = "it is not 5 digits and 3 decimals", "it cannot have come so far from 04096.123, with 5 m³ an hour at most"
BACK = "a meter does not run backwards, and 04096.123 was before"
TIMES = WatchTimes(find=0, normalize=0, classify=0, arrange=0, wait=0, total=0)
NOTHING = WatchReading(
    timestamp="", source="", frame=0, numbers=[], confidence=0.8, dropped=0, skipped=0, milliseconds=TIMES
)


def seen(meter: Meter, text: str, hours: float) -> MeterReading:
    """Return what a meter makes of numbers with spaces between, of which a 9 is the least certain digit."""
    shown = [WatchNumber(text=one, confidence=0.8, line=0, box=BOX) for one in text.split()]
    figures = [int(one) for one in text if one.isdecimal()]
    digits = [ReadDigit(digit=one, confidence=1 - one / 10, runner_up=7, box=BOX, line=0) for one in figures]
    read = meter.seen(msgspec.structs.replace(NOTHING, numbers=shown), digits, NOON + 3600 * hours)
    assert read.meter is not None
    assert all(one.box == (11, 12, 30, 20) for one in read.numbers)
    return read.meter


def meter(place: Path, words: str = "water:5.3@10,10,100,20", source: str = "0") -> tuple[Meter, Notices]:
    notices = Notices()
    return Meter(MeterConfig.parse(words), source, place / "meter.json", notices), notices


@pytest.mark.parametrize(
    ("texts", "hours", "value", "held"),
    [
        (("04096123", "04096.124", "04096,125", "04096 126"), 0, 4096.126, None),
        (("04096123", "04101.123"), 1, 4101.123, None),
        (("04096123", "04101126"), 1, 4096.123, FAR),
        (("04096123", "04096125"), -5, 4096.123, FAR),
        (("04096123", "04096122"), 9, 4096.123, BACK),
        *((("04096123", text), 1, 4096.123, SHAPE) for text in ("0409612", "040961234", "0409.6124", "04096?24", "")),
    ],
)
def test_what_cannot_be_is_held_back_and_told_and_the_latest_that_can_outlives_a_restart(
    texts: list[str], hours: float, value: float, held: str | None, tmp_path: Path
) -> None:
    counted, notices = meter(tmp_path)
    for number, text in enumerate([*texts, texts[-1]]):
        read = seen(counted, text, hours * (number > 0))
    assert (read.value, read.held) == (value, held)
    assert notices.heard.count(", is held back: ") <= (held is not None)
    assert seen(meter(tmp_path)[0], "00000 000", 9).value == value


def test_a_value_is_of_one_meter_and_a_meter_is_described(tmp_path: Path, told: Told) -> None:
    assert seen(meter(tmp_path)[0], "04096123", 0).runner_up == "04076.123"
    for words, source in (("gas:5.3", "0"), ("water:4.4", "0"), ("water:5.3", "1")):
        with told():
            meter(tmp_path, words, source)
    for words in (
        "5.3",
        "watr:5.3",
        "water:0.3",
        "water:5.9",
        "water:5/0",
        "water:5@1,2,0,4",
        f"gas:5@{'9' * 60},2,3,4",
    ):
        with told():
            MeterConfig.parse(words)
    assert MeterConfig.parse("gas:5/20@1,2,3,4") == ("gas", 5, 0, 20.0, (1, 2, 3, 4))


END = 510
OPTIONS = """user root|listener {port} 127.0.0.1|password_file {place}/passwords|persistence true
autosave_interval 1|autosave_on_changes true|persistence_location {place}/|cafile {place}/ca.crt
certfile {place}/it.crt|keyfile {place}/it.key
""".replace("|", "\n")


def run(words: str, place: Path) -> None:
    subprocess.run(words.split(), cwd=place, check=True, capture_output=True)


class Broker:
    """Debian's mosquitto, with the user `pi`, TLS from a CA of its own, and listeners that outlive a crash."""

    def __init__(self, place: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.name, self._place = f"mqtts://127.0.0.1:{self.port}/haus/Wasserzähler", place
        (place / "conf").write_text(OPTIONS.format(port=self.port, place=place))
        (place / "names").write_text("subjectAltName=IP:127.0.0.1")
        run("openssl req -newkey rsa:2048 -nodes -subj /CN=home -x509 -keyout ca.key -out ca.crt", place)
        run("openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout it.key -out it.csr", place)
        run("openssl x509 -req -in it.csr -CA ca.crt -CAkey ca.key -extfile names -out it.crt", place)

    def start(self, password: str = "sesame") -> None:
        """End it at once, if it runs, and start it with a password."""
        self.end()
        run(f"mosquitto_passwd -c -b passwords pi {password}", self._place)
        self._process = subprocess.Popen(["mosquitto", "-c", self._place / "conf"], stderr=subprocess.DEVNULL)

    def end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def listen(self, name: str) -> list[tuple[str, bytes]]:
        """Return what is said from now on, and what is retained, as it comes."""
        said: list[tuple[str, bytes]] = []
        client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        client.username_pw_set("pi", "sesame")
        client.tls_set_context(ssl.create_default_context(cafile=str(self._place / "ca.crt")))
        client.reconnect_delay_set(0.02, 0.02)
        client.on_connect = lambda *_: client.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: said.append(("subscribed", b""))
        client.on_message = lambda _client, _data, message: said.append((message.topic, message.payload))
        client.connect_async("127.0.0.1", self.port)
        client.loop_start()
        assert comes_true(lambda: ("subscribed", b"") in said)
        return said


@pytest.fixture(autouse=True)
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "DELAYS_S", (0.02, 0.02))
    monkeypatch.setenv("EDGEMNIST_MQTT_PASSWORD", "sesame")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))


def publishing(url: str, place: Path, *, once: bool = False) -> tuple[Publisher, Notices]:
    counted, notices = meter(place, "water:5.3")
    counted.cut(Image.new("L", (40, 20), 99))
    return publisher_at(url.replace("127", "pi@127", 1))(None, counted, once=once, reporter=notices), notices


def send(publisher: Publisher, first: int, end: int) -> None:
    for value in range(first, end):
        publisher.send(MeterReading(unit="m³", value=value))


# paho leaves a socket to the garbage collector where the broker is killed in the middle of a handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.all
@pytest.mark.needs("mosquitto", "openssl")
def test_a_broker_that_refuses_or_is_killed_misses_nothing_that_home_assistant_needs(
    tmp_path: Path,
) -> None:
    broker = Broker(tmp_path)

    def at(topic: str) -> list[bytes]:
        return [payload for place, payload in said if place.endswith(topic)]

    def values() -> list[float]:
        return [json.loads(payload)["value"] for payload in at("/state")]

    broker.start()
    said = broker.listen("listener")
    assert comes_true((tmp_path / "mosquitto.db").exists)
    broker.end()
    publisher, notices = publishing(broker.name, tmp_path)
    with publisher:
        send(publisher, 0, 10)
        assert comes_true(lambda: "cannot be reached: Connection refused" in notices.heard)
        broker.start("open sesame")
        assert comes_true(lambda: f"{broker.name} refuses pi: not authorized; readings" in notices.heard)
        for last in range(19, END, 10):
            broker.start()
            send(publisher, last - 9, last + 1)
            assert comes_true(lambda: last - 9 in values())  # noqa: B023 - called at once
        broker.start()
        assert comes_true(lambda: END - 1 in values())
        assert set(values()) == set(range(END))
        for changed, word in (([], b"OFF"), (["doubtful"], b"ON"), (None, b"None")):
            notices.alarm(changed)
            assert comes_true(lambda: at("/alarm")[-1] == word)  # noqa: B023 - called at once
        publisher._client.publish("haus/Wasserzähler/picture/get")
        assert comes_true(lambda: at("/picture") and at("/picture")[0].startswith(b"\xff\xd8\xff"))
        publisher._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # it is connected
        assert comes_true(lambda: at("/status")[-2:] == [b"offline", b"online"])
    found = json.loads(at("/config")[0])
    wanted = {"device_class": "water", "state_class": "total_increasing", "state_topic": "haus/Wasserzähler/state"}
    assert found["components"]["value"].items() >= wanted.items()
    assert len({one["unique_id"] for one in found["components"].values()}) == 7
    broker.end()
    assert f"{broker.name} is back." in notices.messages
    assert "sesame" not in notices.heard


@pytest.mark.parametrize("garbage", [b"", b"HTTP/1.1 400\r\n\r\n" * 9, b"\x20\x02\0\x63", b"\x20\x00", b"\xff" * 9])
def test_a_broker_that_answers_garbage_is_told_and_tried_again_and_the_oldest_readings_are_dropped(
    garbage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "MOST_WAITING", 3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        publisher, notices = publishing(f"mqtt://127.0.0.1:{server.getsockname()[1]}", tmp_path, once=True)
        send(publisher, 0, 9)
        for _ in range(3):
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1000)
                connection.sendall(garbage)
        assert [one.value for one in publisher._waiting] == [0, 7, 8]
        assert comes_true(lambda: len(notices.messages) > 1)
    with pytest.raises(SourceError, match="has not got 3 readings: it "):
        publisher.__exit__(None)
    assert notices.heard.count("the oldest are dropped") == 1


def test_what_is_wrong_with_a_url_is_told_without_its_password(tmp_path: Path, told: Told) -> None:
    wrong = (
        "http://b/x",
        "mqtts://me:secret@b/x",
        "mqtt://b/haus/+",
        "mqtt://b/a#b",
        "mqtt://b/%00",
        "mqtt://b/$SYS/x",
    )
    for url in (*wrong, "mqtt://b:99999/x", f"mqtt://{'a' * 64}/x", "mqtt://a..b/x"):
        with told():
            publisher_at(url)
    with told():
        publishing("mqtt://b/x", tmp_path)
    assert publisher_at("mqtts://me@[::1]/家/水道 1/").args == (("mqtts", "me", "::1", 8883, "家/水道 1"),)
