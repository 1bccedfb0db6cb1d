"""What a client that means harm may try: it costs a bounded amount of memory and time, and nobody else waits."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.serve import attacks
from edgemnist.errors import ImageError
from edgemnist.exports import reference_directory
from edgemnist.images.decode import decode_image
from tests.serve.service import Service, limited, png, seven

pytestmark = pytest.mark.slow

MEMORY = 200_000_000


@pytest.fixture(scope="module")
def patient() -> Iterator[Service]:
    """A service that gives a picture one second."""
    with limited(reference_directory(), rate=0, work_timeout_s=1, concurrency=2) as running:
        running.ask("/v1/predict", png(seven()))
        yield running


SLOW = {
    "scans": attacks.scans(2000),
    "ppm": b"P5\n" + b"#\n" * (8 * 2**20 - 1000) + b"28 28 255\n" + bytes(784),
    "gif": attacks.gif_comments(3_000_000),
    "segments": attacks.jpeg_segments(4_000_000),
    "chunks": attacks.png_chunks(1_300_000),
}


@pytest.mark.parametrize("kind", SLOW)
def test_pictures_that_decode_too_slowly_are_refused_in_time(kind: str, patient: Service) -> None:
    for path in ("/v1/predict", "/v1/read"):
        started = time.monotonic()
        with patient.watched() as most:
            answers = patient.ask_all(path, [SLOW[kind]] * 4)
        # Time and memory are both limited, and which ends first depends on the machine. There is no room for all four.
        refused = [answer for answer in answers if answer.status != 503]
        assert refused
        assert {answer.status for answer in refused} <= {413, 422}
        messages = [answer.document["message"] for answer in refused]
        assert kind == "ppm" or all(re.search("more than 1 seconds|too much memory", one) for one in messages)
        assert time.monotonic() - started < 30
        assert most[0] < MEMORY
    assert patient.ask("/v1/predict", png(seven())).document["predictions"][0]["digit"] == 7


def test_work_ends_when_its_client_leaves() -> None:
    # Comments take no memory, whose limit would end the work as well; so many take 20 seconds.
    endless = b"P5\n" + b"#\n" * (48 * 2**20) + b"28 28 255\n" + bytes(784)
    room = {"max_bytes": 2**27, "max_held_bytes": 2**29}
    with limited(reference_directory(), rate=0, work_timeout_s=60, concurrency=1, waiting=1, **room) as service:
        with contextlib.ExitStack() as clients:
            for _ in range(2):
                connection = http.client.HTTPConnection(*service.address, timeout=30)
                clients.enter_context(contextlib.closing(connection))
                connection.request("POST", "/v1/read", endless, {"content-type": "image/x-portable-graymap"})
            # Whoever leaves before the work has begun leaves no work behind.
            for _ in range(600):
                if "edgemnist_large_pictures 2.0" in service.ask("/metrics").body.decode():
                    break
                time.sleep(0.1)
            else:
                pytest.fail("the pictures are not worked on")
        started = time.monotonic()
        # With the two that nobody waits for, no place would be left for a minute.
        answer = service.ask("/v1/read", png(seven()))
        while answer.status == 503:
            time.sleep(0.1)
            answer = service.ask("/v1/read", png(seven()))
            assert time.monotonic() - started < 10
        assert answer.status == 200, answer.document
        assert answer.document["numbers"][0]["text"] == "7"


@pytest.mark.parametrize("make", [attacks.tile_bomb, attacks.column])
def test_a_few_bytes_that_decode_to_gigabytes_are_refused(make: object, patient: Service) -> None:
    assert callable(make)
    picture = make()
    with patient.watched() as most:
        for path in ("/v1/predict", "/v1/read"):
            answer = patient.ask(path, picture)
            assert answer.status in {413, 422}
            assert "limit" in answer.document["message"]
    assert most[0] < MEMORY
    # As `predict`, `read`, `data` and `watch` open pictures.
    with pytest.raises(ImageError, match="limit"):
        decode_image(io.BytesIO(picture), "it")


def test_a_tile_that_is_allowed_is_counted(patient: Service) -> None:
    """Not 4×4 pixels, but 5,800 × 5,800: more than a request may have, and less than a picture may have."""
    answer = patient.ask("/v1/predict", attacks.tile_bomb(5808))
    assert (answer.status, answer.document["error"]) == (413, "too-large")


def test_requests_that_are_sent_ahead_are_answered_up_to_a_limit(patient: Service) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with patient.connect() as connection:
        connection.sendall(request * 10)
        received = b""
        while received.count(b"HTTP/1.1 200 ") < 10:
            received += connection.recv(65536)
    with patient.watched() as most, contextlib.ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(socket.create_connection(patient.address, timeout=5))
            with contextlib.suppress(OSError):
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * (8 * 2**20 // 18))
            connection.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass
        time.sleep(0.5)
    assert most[0] < MEMORY
    assert patient.ask("/healthz").status == 200


def test_a_client_that_does_not_read_its_answer_is_hung_up_on() -> None:
    with limited(reference_directory(), rate=0, stall_timeout_s=1) as service:
        body = json.dumps({"images": [_base64(png(seven()))] * 200}).encode()
        head = "POST /v1/predict?show=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(service.address)
        with connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            for _ in range(100):
                time.sleep(0.1)
                if "edgemnist_requests_in_flight 1.0" in service.ask("/metrics").body.decode():
                    break
            else:
                pytest.fail("the answer still waits for its client")


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def test_one_client_cannot_hold_all_connections() -> None:
    limits = {"max_connections": 40, "max_connections_of_client": 30}
    with limited(reference_directory(), rate=0, **limits) as service, contextlib.ExitStack() as stack:
        mine = [stack.enter_context(service.connect()) for _ in range(35)]
        refused = 0
        for connection in mine:
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                refused += b"HTTP/1.1 503 " in connection.recv(4096)
        assert refused == 5
        other = http.client.HTTPConnection(*service.address, timeout=5, source_address=("127.0.0.2", 0))
        with contextlib.closing(other):
            other.request("GET", "/healthz")
            assert other.getresponse().status == 200


@pytest.mark.parametrize("make", [lambda: attacks.png_chunks(5000), attacks.speckles])
def test_drawings_that_take_long_do_not_hold_up_the_event_loop(make: object, patient: Service) -> None:
    assert callable(make)
    drawing, waits = make(), []
    with ThreadPoolExecutor(8) as clients:
        jobs = [clients.submit(patient.ask, "/v1/predict", drawing) for _ in range(24)]
        while not all(job.done() for job in jobs):
            started = time.monotonic()
            assert patient.ask("/healthz").status == 200
            waits.append(time.monotonic() - started)
    assert {job.result().status for job in jobs} <= {200, 422}
    # On the event loop, one of these drawings takes longer than all of these answers do in their middle.
    assert sorted(waits)[len(waits) // 2] < 0.05


def test_processes_that_are_killed_are_started_again() -> None:
    with limited(reference_directory(), rate=0) as service:
        assert service.ask("/v1/predict", png(seven())).status == 200
        for _ in range(3):
            for pid in service.processes()[1:]:
                if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
            for _ in range(2):
                assert service.ask("/v1/predict", png(seven())).document["predictions"][0]["digit"] == 7
