"""What a client that means harm can do to the service: how much memory, and how long another client waits.

    python -m benchmarks.serve.attacks                  writes attacks.json, in about two minutes
    python -m benchmarks.serve.attacks --server NAME    prints what another server does, see benchmarks.serve.servers

Each attack runs for a while from 127.0.0.1, on as many connections as it says. Meanwhile a client at 127.0.0.2 asks
/healthz on a new connection, 20 times a second. Memory is that of all processes of the service; what they share counts
once. Attackers, client and service share the processor, so that `nothing`, where nobody attacks, stands beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import multiprocessing
import os
import platform
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from edgemnist.model.exports import reference_directory

SECONDS: Final = 8.0
RATE: Final = 20.0
"""Of the other client's requests, a second."""
RESULT: Final = Path(__file__).with_name("attacks.json")
Address = tuple[str, int]


@dataclass(frozen=True)
class Attack:
    """Something that is done again and again, on several connections at once."""

    connections: int
    once: Callable[[Address], None]


def processes(pid: int) -> list[int]:
    """Return the number of a process, and those of all that it has started."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def memory(pid: int) -> int:
    """Return the bytes that a process and its children have in memory: proportional set size, and files in memory."""
    total = 0
    bodies: dict[int, int] = {}
    for one in processes(pid):
        with contextlib.suppress(OSError, IndexError):
            total += 1024 * int(Path(f"/proc/{one}/smaps_rollup").read_text().partition("Pss:")[2].split()[0])
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{one}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(file.readlink()).startswith("/memfd:"):
                        found = file.stat()
                        bodies[found.st_ino] = 512 * found.st_blocks
    return total + sum(bodies.values())


def post(path: str, body: bytes, *, leave: bool = False) -> Callable[[Address], None]:
    """Return what sends a picture, and waits for the answer or leaves at once."""

    def once(address: Address) -> None:
        connection = http.client.HTTPConnection(*address, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {"content-type": "image/png"})
            if not leave:
                connection.getresponse().read()

    return once


def pipelined(address: Address) -> None:
    """Send 8 MB of requests, and read nothing."""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * (8 * 2**20 // 18))
        time.sleep(2)


def held(address: Address) -> None:
    """Hold connections: this many for each of the attack's threads."""
    with contextlib.ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(socket.create_connection(address, timeout=5))
        time.sleep(2)


def tile_bomb(side: int = 46_336) -> bytes:
    """Return a TIFF of 16×16 pixels whose tile is said to have `side`² of them."""
    data = zlib.compress(bytes(256))
    tags = [
        (256, 3, 16), (257, 3, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
        (322, 4, side), (323, 4, side), (324, 4, 8 + 2 + 10 * 12 + 4), (325, 4, len(data)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


def column() -> bytes:
    """Return a PNG of 1×33,554,432 pixels in 65 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 2**25, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(2**26), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def scans(count: int) -> bytes:
    """Return a progressive JPEG with the first of its scans so many times."""
    stream = io.BytesIO()
    Image.new("L", (2000, 2000), 255).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    first = whole.index(b"\xff\xda")
    following = min(at for marker in (b"\xff\xc4", b"\xff\xda") if (at := whole.find(marker, first + 2)) > 0)
    return whole[:first] + whole[first:following] * count + whole[following:]


def saved(kind: str) -> bytes:
    """Return a small picture of a format."""
    stream = io.BytesIO()
    Image.new("L", (28, 28), 255).save(stream, kind)
    return stream.getvalue()


def gif_comments(count: int) -> bytes:
    """Return a GIF with so many comments."""
    whole = saved("GIF")
    at = whole.index(b",", 13 + 3 * 2 ** ((whole[10] & 7) + 1))
    return whole[:at] + b"!\xfe\x01x\x00" * count + whole[at:]


def jpeg_segments(count: int) -> bytes:
    """Return a JPEG with so many empty APP15 segments."""
    whole = saved("JPEG")
    return whole[:2] + b"\xff\xef\x00\x02" * count + whole[2:]


def png_chunks(count: int) -> bytes:
    """Return a PNG with so many empty chunks."""
    whole = saved("PNG")
    at = whole.index(b"IDAT") - 4
    return whole[:at] + (struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))) * count + whole[at:]


def speckles(side: int = 362) -> bytes:
    """Return a PNG of 1 bit with as many pieces of ink as fit."""
    pixels = np.zeros((side, side), dtype=bool)
    pixels[::2, ::2] = np.random.default_rng(0).random(pixels[::2, ::2].shape) < 0.9
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def attacks() -> dict[str, Attack]:
    """Return the attacks by name, in the order of the table."""
    ppm = b"P5\n" + b"#\n" * (8 * 2**20 - 1000) + b"28 28 255\n" + bytes(784)
    predict, read = "/v1/predict", "/v1/read"
    return {
        "nothing": Attack(0, lambda _: None),
        "pipelined requests, never read": Attack(4, pipelined),
        "a TIFF with a tile of 46,336²": Attack(4, post(predict, tile_bomb())),
        "1×33,554,432 pixels": Attack(4, post(predict, column())),
        "a JPEG with 2,000 scans": Attack(4, post(predict, scans(2000))),
        "16 MB of PPM comments": Attack(4, post(read, ppm)),
        "3 million GIF comments": Attack(4, post(predict, gif_comments(3_000_000))),
        "4 million JPEG segments": Attack(4, post(read, jpeg_segments(4_000_000))),
        "4 million JPEG segments, and leaving": Attack(4, post(read, jpeg_segments(4_000_000), leave=True)),
        "drawings with 5,000 chunks": Attack(16, post(predict, png_chunks(5000))),
        "drawings of 29,000 pieces": Attack(16, post(predict, speckles())),
        "640 connections held": Attack(8, held),
    }


@contextlib.contextmanager
def service(server: str = "") -> Iterator[tuple[subprocess.Popen[bytes], Address]]:
    """Run the service with its default limits, in its own server or another one."""
    program = ["benchmarks.serve.servers", server] if server else ["edgemnist", "serve"]
    command = [sys.executable, "-m", *program, "--exports", str(reference_directory()), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout  # noqa: S101 - it was asked for
        text = b""
        while not text.endswith(b"}\n"):
            text += process.stdout.readline()
        host, port = json.loads(text)["url"].split("/")[2].split(":")
        try:
            yield process, (host, int(port))
        finally:
            process.terminate()


def measure(attack: Attack, server: str = "", seconds: float = SECONDS) -> dict[str, Any]:
    """Return what the other client sees during an attack, and the most memory that the service has."""
    waits: list[float] = []
    failed = most = 0
    over = threading.Event()

    def attacker(address: Address) -> None:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                attack.once(address)

    def attackers(address: Address) -> None:
        with ThreadPoolExecutor(max(1, attack.connections)) as pool:
            list(pool.map(attacker, [address] * attack.connections))

    def other(address: Address) -> None:
        nonlocal failed
        while not over.wait(1 / RATE):
            started = time.perf_counter()
            connection = http.client.HTTPConnection(*address, timeout=20, source_address=("127.0.0.2", 0))
            try:
                with contextlib.closing(connection):
                    connection.request("GET", "/healthz")
                    failed += connection.getresponse().status != http.HTTPStatus.OK
            except OSError:
                failed += 1
            waits.append(time.perf_counter() - started)

    with service(server) as (process, address):
        http.client.HTTPConnection(*address).connect()
        time.sleep(2)
        before = memory(process.pid)
        # In a process of their own: the other client is not to wait for them, but for the service.
        against = multiprocessing.get_context("fork").Process(target=attackers, args=(address,), daemon=True)
        against.start()
        asking = threading.Thread(target=other, args=(address,), daemon=True)
        asking.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            most = max(most, memory(process.pid))
            time.sleep(0.05)
        over.set()
        asking.join(20)
        against.kill()
        against.join()
    waits = waits or [seconds]
    return {
        "before_mb": round(before / 1e6),
        "peak_mb": round(most / 1e6),
        "healthz_p50_ms": round(1e3 * float(np.percentile(waits, 50)), 1),
        "healthz_p99_ms": round(1e3 * float(np.percentile(waits, 99)), 1),
        "asked": len(waits),
        "failed": failed,
    }


def main() -> None:
    """Measure each attack, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="")
    server = parser.parse_args().server
    random.seed(0)
    rows = {}
    for name, attack in attacks().items():
        rows[name] = measure(attack, server)
        sys.stderr.write(f"{name}: {rows[name]}\n")
    if server:
        return
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    RESULT.write_text(
        json.dumps({"seconds": SECONDS, "machine": machine, "attacks": rows}, indent=1, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main()
