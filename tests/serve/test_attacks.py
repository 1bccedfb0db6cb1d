"""What a client that means harm may try: it costs a bounded amount of memory and time, and nobody else waits."""

import base64
import contextlib
import http.client
import io
import json
import re
import select
import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks.serve import attacks
from edgemnist.errors import ImageError
from edgemnist.ground.pictures import decode_image
from edgemnist.model.exports import reference_directory
from tests.patience import PATIENCE_S, comes_true
from tests.serve.service import Service, limited, png, seven

pytestmark = pytest.mark.all

MEMORY = 200_000_000


@pytest.fixture(scope="module")
def patient() -> Iterator[Service]:
    """A service that gives a picture one second."""
    with limited(reference_directory(), rate=0, work_timeout_s=1, wait_timeout_s=PATIENCE_S, concurrency=2) as running:
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
        with patient.watched() as most:
            answers = patient.ask_all(path, [SLOW[kind]] * 4)
        # Time and memory are both limited, and which ends first depends on the machine. There is no room for all four.
        refused = [answer for answer in answers if answer.status != 503]
        assert refused
        assert {answer.status for answer in refused} <= {413, 422}
        messages = [answer.document["message"] for answer in refused]
        assert kind == "ppm" or all(re.search("more than 1 seconds|too much memory", one) for one in messages)
        assert most[0] < MEMORY
    assert patient.ask("/v1/predict", png(seven())).document["predictions"][0]["digit"] == 7


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
            connection.settimeout(PATIENCE_S)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass
        time.sleep(0.5)
    assert most[0] < MEMORY
    assert patient.ask("/healthz").status == 200


def test_a_client_that_does_not_read_its_answer_is_hung_up_on() -> None:
    with limited(reference_directory(), rate=0, header_timeout_s=1) as service:
        body = json.dumps({"images": [base64.b64encode(png(seven())).decode()] * 200}).encode()
        head = "POST /v1/predict?show=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(service.address)
        with connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert comes_true(lambda: "edgemnist_requests_in_flight 1.0" in service.ask("/metrics").body.decode())


def test_one_client_cannot_hold_all_connections() -> None:
    limits = {"max_connections": 40, "max_connections_of_client": 30, "header_timeout_s": 3600}
    with limited(reference_directory(), rate=0, **limits) as service, contextlib.ExitStack() as stack:
        mine = [stack.enter_context(service.connect()) for _ in range(35)]
        assert comes_true(lambda: len(select.select(mine, [], [], 0)[0]) >= 5)
        refused = [connection.recv(4096) for connection in select.select(mine, [], [], 0)[0]]
        assert [answer.partition(b" S")[0] for answer in refused] == [b"HTTP/1.1 503"] * 5
        other = http.client.HTTPConnection(*service.address, timeout=PATIENCE_S, source_address=("127.0.0.2", 0))
        with contextlib.closing(other):
            other.request("GET", "/healthz")
            assert other.getresponse().status == 200
