"""How soon the service answers one drawn digit while 50 clients draw, and whether its memory stays flat.

    python -m benchmarks.serve.load              what is committed as load.json, in about two minutes
    python -m benchmarks.serve.load --memory     100,000 requests, added to load.json

Server and clients share the processor. A client is a connection that is kept open; it sends a drawing as the page sends
it (112×112 RGBA PNG, another one each time), and draws on while it waits. `paced`: each client sends so many drawings a
second, at random moments, and a latency counts from the moment at which the drawing was due, so that a slow answer
cannot hide the wait of those behind it. `closed`: each client sends the next drawing at once, which only shows how many
are answered a second: the latency is then the number of clients by the throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from edgemnist.model.exports import reference_directory

CLIENTS: Final = 50
RATES: Final = (1.0, 2.0, 3.0, 4.0)
"""Drawings a second of each client."""
SECONDS: Final = 15.0
REQUESTS: Final = 100_000
RESULT: Final = Path(__file__).with_name("load.json")
STROKES: Final = {
    0: [(14, 6), (9, 9), (8, 15), (10, 21), (14, 22), (18, 20), (20, 14), (18, 8), (14, 6)],
    1: [(14, 6), (14, 22)],
    2: [(9, 9), (13, 6), (18, 8), (17, 13), (9, 22), (20, 22)],
    3: [(9, 7), (15, 6), (18, 10), (13, 13), (18, 17), (15, 22), (9, 21)],
    5: [(19, 6), (10, 6), (10, 13), (16, 13), (18, 18), (14, 22), (9, 21)],
    7: [(8, 7), (20, 7), (15, 14), (12, 22)],
    9: [(18, 10), (14, 6), (10, 9), (12, 13), (18, 11), (17, 22)],
}
"""Points of a stroke, in 28ths of the picture."""


@dataclass
class Tally:
    """What the clients of one run have seen."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    """Answers that were no success, or another digit than the one that was drawn."""


class Client(asyncio.Protocol):
    """One connection, on which one request is under way at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._length = -1
        self._done: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        self._received += data
        if self._length < 0:
            head, found, _ = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            start = head.index(b"content-length: ") + 16
            self._length = len(head) + 4 + int(head[start : start + 10].split(b"\r")[0])
        if len(self._received) >= self._length and self._done is not None:
            self._done.set_result(self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("hung up"))

    async def ask(self, request: bytes) -> bytes:
        """Send a request, and return the answer with its header."""
        self._received, self._length = b"", -1
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[attr-defined]  # a socket's transport
        return await self._done


def drawing(digit: int, rng: random.Random) -> bytes:
    """Return a PNG of a drawn digit, a little different each time."""
    scale = 16.0
    shake = [((x + rng.gauss(0, 0.3)) * scale, (y + rng.gauss(0, 0.3)) * scale) for x, y in STROKES[digit]]
    large = Image.new("L", (448, 448), 255)
    ImageDraw.Draw(large).line(shake, fill=0, width=round(2 * scale), joint="curve")
    stream = io.BytesIO()
    large.resize((112, 112), Image.Resampling.BOX).convert("RGBA").save(stream, "PNG")
    return stream.getvalue()


def requests(count: int) -> list[tuple[int, bytes]]:
    """Return digits, and the requests that have them read."""
    rng = random.Random(0)  # noqa: S311 - drawings, not secrets
    made = []
    for index in range(count):
        digit = list(STROKES)[index % len(STROKES)]
        body = drawing(digit, rng)
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(body)}"
        made.append((digit, head.encode() + b"\r\n\r\n" + body))
    return made


async def run(port: int, pool: list[tuple[int, bytes]], *, rate: float, seconds: float, most: int = 0) -> Tally:
    """Let all clients draw; `rate` 0 is without a pause, until `most` requests are answered or the time is over."""
    tally, loop = Tally(), asyncio.get_running_loop()
    begin = loop.time() + 0.1

    async def client(number: int) -> None:
        _, protocol = await loop.create_connection(Client, "127.0.0.1", port)
        rng = random.Random(number)  # noqa: S311
        due = begin + (rng.expovariate(rate) if rate else 0)
        turn = number
        while due < begin + seconds and (not most or len(tally.seconds) < most):
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            digit, request = pool[turn % len(pool)]
            turn += CLIENTS + 1
            answer = await protocol.ask(request)
            tally.seconds.append(loop.time() - due)
            if not answer.startswith(b"HTTP/1.1 200 ") or f'"digit":{digit},'.encode() not in answer:
                tally.wrong += 1
            due = due + rng.expovariate(rate) if rate else loop.time()

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return tally


@contextlib.contextmanager
def service() -> Iterator[tuple[int, int]]:
    """Run the service; gives its port and its process."""
    command = [sys.executable, "-m", "edgemnist", "serve", "--port", "0", "--rate", "0", "--json"]
    process = subprocess.Popen([*command, "--exports", str(reference_directory())], stdout=subprocess.PIPE)
    try:
        if process.stdout is None:
            raise RuntimeError("the service has no output")
        text = b""
        while not text.endswith(b"\n}\n"):
            text += process.stdout.readline()
        yield int(json.loads(text)["url"].rstrip("/").rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait()


def rss_mb(pid: int) -> float:
    """Return the memory of a process in megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def summary(tally: Tally, seconds: float) -> dict[str, Any]:
    """Return the figures of a run."""
    p50, p90, p99, most = np.percentile(np.array(tally.seconds) * 1e3, [50, 90, 99, 100])
    return {
        "requests": len(tally.seconds),
        "wrong": tally.wrong,
        "answers_per_s": round(len(tally.seconds) / seconds, 1),
        "p50_ms": round(float(p50), 2),
        "p90_ms": round(float(p90), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(float(most), 2),
    }


def start_seconds() -> float:
    """Return the seconds from the start of the process to its first answer."""
    pool = requests(1)
    started = time.perf_counter()
    with service() as (port, _):
        asyncio.run(first(port, pool[0][1]))
        return time.perf_counter() - started


async def first(port: int, request: bytes) -> bytes:
    """Return the first answer."""
    _, protocol = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    return await protocol.ask(request)


def latency(figures: dict[str, Any]) -> None:
    """Measure what clients wait for."""
    pool = requests(700)
    starts = sorted(start_seconds() for _ in range(7))
    figures["start_to_first_answer_s"] = {"median": round(starts[3], 2), "max": round(starts[-1], 2)}
    with service() as (port, _):
        asyncio.run(run(port, pool, rate=2, seconds=3))
        figures["paced"] = [
            {
                "drawings_per_s_of_a_client": rate,
                **summary(asyncio.run(run(port, pool, rate=rate, seconds=SECONDS)), SECONDS),
            }
            for rate in RATES
        ]
        figures["closed"] = summary(asyncio.run(run(port, pool, rate=0, seconds=SECONDS)), SECONDS)


def memory(figures: dict[str, Any]) -> None:
    """Watch the memory over many requests."""
    pool = requests(700)
    with service() as (port, pid):
        points = {}
        wrong = 0
        for step in range(11):
            wrong += asyncio.run(run(port, pool, rate=0, seconds=3600, most=REQUESTS // 10 if step else 1000)).wrong
            points[step * (REQUESTS // 10) or 1000] = round(rss_mb(pid), 1)
            print(step, points)
        figures["memory"] = {"requests": REQUESTS, "wrong": wrong, "rss_mb_after": points}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    figures["host"] = {"machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version()}
    figures["clients"] = CLIENTS
    (memory if options.memory else latency)(figures)
    # The other half of the figures may have been measured meanwhile.
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    text = json.dumps({**known, **figures}, indent=2)
    print(text)
    RESULT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
