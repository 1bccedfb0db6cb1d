"""Broken requests for the running service."""

from __future__ import annotations

import os
import random
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgemnist.exports import reference_directory
from tests.fuzz.mutations import broken
from tests.serve.service import Service, png, serving, seven

if TYPE_CHECKING:
    from tests.fuzz.run import Tally

REQUESTS: Final = 1500
PATIENCE_S: Final = 20
"""For an answer, on a machine that does other things as well."""


def _requests() -> list[bytes]:
    picture = png(seven())
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    listed = b'{"images": ["iVBORw0KGgo="]}'
    return [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/artifacts?x=%20 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nCookie: a=b\r\n\r\n",
        head % (b"image/png", len(picture)) + picture,
        head % (b"application/json", len(listed)) + listed,
        b"POST /v1/read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]


def fuzz_service(seed: int, count: int, tally: Tally) -> Tally:
    """Send broken requests one after the other. A fault: no answer in time, a 500, or an end."""
    with serving(reference_directory(), "--rate", "0") as service:
        service.ask("/v1/predict", png(seven()))
        before, wholes = service.memory(), _requests()
        cpu = _cpu_s(service)
        for index in range(count):
            rng = random.Random(f"{seed} HTTP {index}")
            answer = _answer(service, broken(rng.choice(wholes), rng))
            tally.inputs += 1
            tally.refused += answer.startswith(b"HTTP/1.1 4")
            if answer.startswith(b"HTTP/1.1 5") or answer == b"late":
                tally.faults.append(f"input {index}: {answer[:60]!r}")
            cpu, last = _cpu_s(service), cpu
            tally.slowest_s = max(tally.slowest_s, cpu - last)
            tally.most_bytes = max(tally.most_bytes, service.memory() - before)
        if service.ask("/healthz").status != 200:
            tally.faults.append("the service is not well")
    return tally


def _answer(service: Service, request: bytes) -> bytes:
    with socket.create_connection(service.address, timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            end, found = time.monotonic() + PATIENCE_S, b""
            while chunk := connection.recv(65536):
                found += chunk
                if time.monotonic() > end:
                    return b"late"
        except TimeoutError:
            return b"late"
        except OSError:
            return b""
        return found


def _cpu_s(service: Service) -> float:
    """Return the seconds of the processor that the service's own process has taken."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
