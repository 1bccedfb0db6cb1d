"""Too much, too often, too slow, too many: told, and over within a time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgemnist.serve.refusals import RefusedError
from edgemnist.serve.workers import Threads
from tests.serve.service import TOKEN, Service, everything, png, serving, seven, together


def test_so_many_jobs_run_and_so_many_wait_and_the_next_is_refused() -> None:
    async def fill() -> None:
        pool = Threads("test", concurrency=2, waiting=3)
        release = threading.Event()
        running = threading.Semaphore(0)

        def work() -> int:
            running.release()
            release.wait(10)
            return 7

        jobs = [asyncio.create_task(pool.run(work)) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as refused:
            await pool.run(work)
        assert refused.value.status == 503
        assert running.acquire(timeout=5)
        assert running.acquire(timeout=5)
        assert not running.acquire(timeout=0.1)
        assert pool.jobs == 5
        release.set()
        assert await asyncio.gather(*jobs) == [7] * 5
        await asyncio.sleep(0.01)
        assert pool.jobs == 0
        assert await pool.run(work) == 7
        assert pool.close(5)

    asyncio.run(fill())


@pytest.fixture(scope="module")
def small(made_exports: Path) -> Iterator[Service]:
    """A service that allows little, and wants a token."""
    options = ("--max-bytes", "20000", "--max-pixels", "20000", "--rate", "5", "--token", TOKEN)
    with serving(made_exports, "--host", "0.0.0.0", *options) as running:
        yield running


def test_a_client_that_asks_too_often_is_told_how_long_to_wait(small: Service) -> None:
    answers = [small.ask("/openapi.json") for _ in range(15)]
    refused = [one for one in answers if one.status == 429]
    assert 3 <= len(refused) <= 6
    assert refused[0].document["error"] == "too-many-requests"
    assert refused[0].headers["retry-after"] == "1"
    # Whoever looks after it can always ask.
    assert all(small.ask("/healthz").status == 200 for _ in range(5))
    time.sleep(2)


def test_without_the_token_nothing_is_answered_but_the_page(small: Service, drawing: bytes) -> None:
    for header in ({}, {"authorization": "Bearer 0123456789abcdee"}, {"authorization": TOKEN}):
        answer = small.ask("/v1/predict", drawing, **header)
        assert (answer.status, answer.document["error"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert small.ask("/metrics").status == 401
    time.sleep(2)
    assert small.ask("/", host="pi.example").status == 200
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert small.ask("/v1/predict", drawing, authorization=f"{scheme} {TOKEN}").status == 200
    time.sleep(2)


def test_whoever_guesses_tokens_at_the_metrics_is_slowed_down(small: Service) -> None:
    guesses = [small.ask("/metrics", authorization=f"Bearer {number:016}").status for number in range(15)]
    assert guesses.count(429) >= 3
    assert guesses.count(401) >= 5
    # Whoever has the token can always ask.
    assert all(small.ask("/metrics", authorization=f"Bearer {TOKEN}").status == 200 for _ in range(5))
    time.sleep(2)


@pytest.mark.parametrize("prefix", ["0123456789", TOKEN[:-1], TOKEN + "0", ""])
def test_a_part_of_the_token_is_not_the_token(prefix: str, small: Service) -> None:
    assert small.ask("/v1/artifacts", authorization=f"Bearer {prefix}").status in {401, 429}
    time.sleep(0.3)


@pytest.mark.parametrize("digits", ["9" * 4300, "9" * 25, "0" * 4300 + "20001"])
def test_a_length_of_many_digits_is_refused(digits: str, small: Service) -> None:
    with small.connect() as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}Content-Length: {digits}\r\n\r\n".encode())
        # Whoever may still be sending what was announced is given some time.
        received = connection.recv(1000)
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))


def test_a_length_counts_by_its_value_however_many_zeros_it_begins_with(small: Service) -> None:
    with small.connect() as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}Connection: close\r\nContent-Length: {'0' * 4300}1\r\n\r\nx".encode())
        received = everything(connection)
    assert received.startswith(b"HTTP/1.1 422 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"] == "unreadable-picture"


@pytest.mark.parametrize(
    "body", ["Content-Length: 1\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"]
)
def test_a_body_behind_an_upgrade_is_not_taken_for_an_empty_one(body: str, small: Service) -> None:
    with small.connect() as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n"
        # As Java's own client asks by default.
        connection.sendall(f"{head}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{body}".encode())
        received = everything(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"has a body and asks for another protocol" in received


@pytest.mark.parametrize("encoding", ["gzip", "identity, br", "GZIP"])
def test_a_body_that_was_compressed_on_its_way_is_refused_with_what_to_send(encoding: str, small: Service) -> None:
    refused = small.ask("/v1/predict", png(seven()), authorization=f"Bearer {TOKEN}", content_encoding=encoding)
    assert (refused.status, refused.document["error"]) == (415, "unsupported-type")
    assert refused.document["hint"] == "Send it uncompressed, without a Content-Encoding header."
    taken = small.ask("/v1/predict", png(seven()), authorization=f"Bearer {TOKEN}", content_encoding="identity")
    assert taken.status == 200


@pytest.mark.parametrize(
    "twice", ["Host: x\r\nHost: localhost", "Host: x\r\nHost: x", "Host: x\r\nContent-Length: 1\r\nContent-Length: 2"]
)
def test_a_header_that_counts_once_is_not_taken_twice(twice: str, small: Service) -> None:
    with small.connect() as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\n{twice}\r\nConnection: close\r\n\r\n".encode())
        received = everything(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"] == "malformed"


def test_an_upgrade_without_a_body_is_ignored(small: Service) -> None:
    with small.connect() as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(small: Service) -> None:
    answer = small.ask("/v1/predict", bytes(20_001), authorization=f"Bearer {TOKEN}")
    assert (answer.status, answer.document["error"]) == (413, "too-large")
    assert "20,000 bytes" in answer.document["message"]


def test_a_body_that_turns_out_too_large_is_refused_while_it_comes(small: Service) -> None:
    with small.connect() as connection:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        connection.sendall(b"2711\r\n" + bytes(10_001) + b"\r\n")
        received = everything(connection)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"] == "too-large"


REQUEST = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def silent(service: Service) -> None:
    """Say nothing at all."""
    with service.connect() as connection:
        assert everything(connection) == b""


def slow_header(service: Service) -> None:
    """Send a header line by line, for ever."""
    with service.connect() as connection, contextlib.suppress(BrokenPipeError):
        connection.sendall(REQUEST)
        connection.settimeout(0.5)
        received = b""
        while not received:
            connection.sendall(b"X: y\r\n")
            with contextlib.suppress(TimeoutError):
                received = connection.recv(4096)
        assert received.startswith(b"HTTP/1.1 408 ")


def stalled_body(service: Service) -> None:
    """Begin a body and leave it."""
    with service.connect() as connection:
        connection.sendall(REQUEST + b"Content-Length: 1000\r\n\r\nabc")
        received = everything(connection)
        assert received.startswith(b"HTTP/1.1 408 ")
        assert b"too-slow" in received


def half_a_second_request(service: Service) -> None:
    """Ask properly, and then half."""
    with service.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        assert b"HTTP/1.1 408 " in everything(connection)


def refused_and_never_finished(service: Service) -> None:
    """Begin a body that nobody wants, and do not end it."""
    with service.connect() as connection:
        connection.sendall(REQUEST.replace(b"image/png", b"text/plain") + b"Content-Length: 100000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 415 ")
        connection.sendall(b"x")
        everything(connection)


def test_slow_clients_are_hung_up_on_and_hold_up_nobody(service: Service, drawing: bytes) -> None:
    def others(service: Service) -> None:
        waited = []
        for _ in range(20):
            started = time.monotonic()
            assert service.ask("/v1/predict", drawing).status == 200
            waited.append(time.monotonic() - started)
            time.sleep(0.1)
        # One answer may be late because the machine is busy, but not half of them.
        assert sorted(waited)[10] < 3

    # All at the same time, since each waits for the service to lose its patience.
    clients = [*[silent] * 20, *[slow_header] * 5, *[stalled_body] * 5, half_a_second_request]
    started = time.monotonic()
    together(*(functools.partial(client, service) for client in (*clients, refused_and_never_finished, others)))
    assert 4 < time.monotonic() - started < 60


@pytest.mark.parametrize("path", [b"/v1/predict", b"/nothing"], ids=["a body that is read", "one that is thrown away"])
@pytest.mark.parametrize(
    ("begun", "unit"),
    [
        (b"1\r\nx\r\n0\r\n", b"a: b\r\n" * 1000),
        (b"1\r\nx\r\n0\r\na: ", b"b" * 6000),
        (b"1;a=", b"b" * 6000),
        (b"", b"1\r\nx\r\n" * 1000),
    ],
    ids=["trailers", "a long trailer", "a chunk extension", "chunks of a byte"],
)
def test_framing_without_an_end_is_hung_up_on(begun: bytes, unit: bytes, path: bytes, service: Service) -> None:
    refused = False
    with service.connect() as connection:
        connection.sendall(REQUEST.replace(b"/v1/predict", path) + b"Transfer-Encoding: chunked\r\n\r\n" + begun)
        for _ in range(1000):
            try:
                connection.sendall(unit)
            except OSError:
                refused = True
                break
    assert refused
    assert service.ask("/healthz").status == 200


def test_a_body_in_small_chunks_is_taken(service: Service) -> None:
    picture = png(seven())
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (picture[i : i + 7] for i in range(0, len(picture), 7))
    )
    with service.connect() as connection:
        connection.sendall(
            REQUEST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\na: b\r\n\r\n"
        )
        assert everything(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000, 431),
        (b"GET /" + b"y" * 20_000, 431),
        (b"POST /v1/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (REQUEST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 400),
        (REQUEST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
    ids=["words", "bytes", "TLS", "a long header", "a long path", "a negative length", "smuggled", "no chunk"],
)
def test_what_is_no_http_is_told_so_and_hung_up_on(sent: bytes, status: int, service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(sent)
        received = everything(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-security-policy: default-src 'none'" in head
    assert json.loads(body)["message"]
    assert service.ask("/healthz").status == 200
