"""Too much, too often, too slow, too many: told, and over within a time."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgemnist.ground.web.bodies import memory_file
from edgemnist.ground.web.refusals import RefusedError
from edgemnist.model.exports import Exports, reference_directory
from edgemnist.model.runtimes.interface import Classifier
from edgemnist.model.task import default_task
from edgemnist.serve import workers
from edgemnist.serve.config import PictureLimits
from edgemnist.serve.jobs import Normalized, PredictJob
from edgemnist.serve.workers import Lane, Memory
from tests.patience import PATIENCE_S, comes_true
from tests.serve.service import TOKEN, Service, everything, limited, png, serving, seven


@pytest.fixture(scope="module")
def small(made_exports: Path) -> Iterator[Service]:
    """A service that allows little, and wants a token."""
    options = ("--max-bytes", "20000", "--max-pixels", "20000", "--token", TOKEN)
    with serving(made_exports, "--host", "0.0.0.0", *options) as running:
        yield running


def test_without_the_token_nothing_is_answered_but_the_page(small: Service, drawing: bytes) -> None:
    assert small.ask("/v1/predict", drawing, authorization="Bearer 0123456789abcdee").status == 401
    assert small.ask("/", host="pi.example").status == 200
    assert small.ask("/v1/predict", drawing, authorization=f"Bearer {TOKEN}").status == 200


REQUEST = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def hung_up_on(service: Service, first: bytes, answered: bytes, then: bytes, told: bytes) -> None:
    """Send something, read an answer, send some more, and see what comes until the end."""
    with service.connect() as connection:
        connection.sendall(first)
        if answered:
            assert connection.recv(65536).startswith(answered)
        connection.sendall(then)
        received = everything(connection)
        assert told in received if first else received == b""


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


SLOW = {
    "silent": (b"", b"", b"", b""),
    "half a body": (REQUEST + b"Content-Length: 1000\r\n\r\nabc", b"", b"", b"too-slow"),
    "half a second request": (HEALTH, b"HTTP/1.1 200 ", HEALTH[:25], b"HTTP/1.1 408 "),
    "a refused body": (
        REQUEST.replace(b"image/png", b"text/plain") + b"Content-Length: 1000\r\n\r\n", b"HTTP/1.1 415 ", b"x", b""
    ),
}  # fmt: skip


def test_slow_clients_are_hung_up_on(made_exports: Path) -> None:
    # All at the same time, since each waits for the service to lose its patience.
    with (
        limited(made_exports, rate=0, header_timeout_s=2, body_timeout_s=2) as service,
        ThreadPoolExecutor(5 * len(SLOW) + 5) as clients,
    ):
        asked = [clients.submit(hung_up_on, service, *what) for what in SLOW.values() for _ in range(5)]
        asked += [clients.submit(slow_header, service) for _ in range(5)]
        for client in asked:
            client.result()


def test_slow_clients_hold_up_nobody(service: Service, drawing: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for begun in (b"", REQUEST, REQUEST + b"Content-Length: 1000\r\n\r\nabc") * 10:
            stack.enter_context(service.connect()).sendall(begun)
        assert service.ask("/v1/predict", drawing).status == 200


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


ASK = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: image/png\r\n".encode()
LAST = ASK + b"Connection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
# As Java's own client asks by default.
UPGRADE = ASK + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
LAST_HEALTH = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n"
RAW = {
    "words": (b"hello\r\n\r\n", 400, "malformed"),
    "bytes": (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "malformed"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed"),
    "a long header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000, 431, "too-large"),
    "a long path": (b"GET /" + b"y" * 20_000, 431, "too-large"),
    "a negative length": (ASK + b"Content-Length: -1\r\n\r\n", 400, "malformed"),
    "an absurd length": (ASK + b"Content-Length: " + b"9" * 4300 + b"\r\n\r\n", 400, "malformed"),
    "smuggled": (ASK + b"Content-Length: 1\r\n" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n", 400, "malformed"),
    "no chunk": (ASK + CHUNKED + b"zz\r\n", 400, "malformed"),
    "a body behind an upgrade": (UPGRADE + b"Content-Length: 1\r\n\r\nx", 400, "malformed"),
    "chunks behind an upgrade": (UPGRADE + CHUNKED + b"1\r\nx\r\n0\r\n\r\n", 400, "malformed"),
    "an upgrade": (LAST_HEALTH + b"Host: x\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", 200, None),
    "two hosts": (LAST_HEALTH + b"Host: x\r\nHost: localhost\r\n\r\n", 400, "malformed"),
    "two lengths": (LAST_HEALTH + b"Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed"),
    "zeros before a length": (LAST + b"Content-Length: " + b"0" * 4300 + b"1\r\n\r\nx", 422, "unreadable-picture"),
    "zeros before too much": (LAST + b"Content-Length: " + b"0" * 4300 + b"20001\r\n\r\n", 413, "too-large"),
    "a large body": (LAST + b"Content-Length: 20001\r\n\r\n", 413, "too-large"),
    "a body that turns out large": (
        LAST + CHUNKED + (b"2711\r\n" + bytes(10_001) + b"\r\n") * 2, 413, "too-large"
    ),
    "gzip": (LAST + b"Content-Encoding: identity, GZIP\r\nContent-Length: 1\r\n\r\nx", 415, "unsupported-type"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "error"), RAW.values(), ids=RAW)
def test_improper_requests_are_told_and_cut_off(sent: bytes, status: int, error: str | None, small: Service) -> None:
    with small.connect() as connection:
        connection.sendall(sent)
        received = everything(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-security-policy: default-src 'none'" in head
    document = json.loads(body)
    assert document.get("error") == error
    assert error is None or document["message"]
    assert small.ask("/healthz").status == 200


@pytest.mark.parametrize("opened", [True, False])
def test_processes_for_pictures_start_when_the_page_is_opened_or_a_picture_comes(*, opened: bool) -> None:
    with serving(reference_directory()) as service:
        assert service.ask("/healthz").status == 200
        assert len(service.processes()) == 1
        assert service.memory() < 60e6
        answer = service.ask("/") if opened else service.ask("/v1/predict", png(seven()))
        assert answer.status == 200
        assert comes_true(lambda: len(service.processes()) > 1)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Exports.open(reference_directory()).load()


def played(classifier: Classifier, play: Callable[[Lane, Callable[[], Any]], Any]) -> None:
    """Play something with a lane, and what has it read a 7."""
    limits = PictureLimits()

    async def run() -> None:
        lane = Lane(1, 4, limits, Memory(limits.decoded_bytes))

        async def read() -> None:
            with memory_file() as body:
                body.write(png(seven()))
                body.flush()
                job = PredictJob(batch=False, task=default_task(), max_pixels=limits.max_pixels)
                assert isinstance(await lane.run(job, body, classifier), Normalized)

        await play(lane, read)
        lane._rest()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_an_idle_process_ends_and_is_back_in_time(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.05)

    async def play(lane: Lane, read: Callable[[], Any]) -> None:
        for _ in range(2):
            await read()
            (worker,) = lane._idle
            await worker.ended()
            assert not worker.process.is_alive()

    played(classifier, play)


def test_a_process_that_was_killed_is_replaced_and_one_that_does_not_start_is_told(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(lane: Lane, read: Callable[[], Any]) -> None:
        await read()
        (worker,) = lane._idle
        assert worker.process.pid
        os.kill(worker.process.pid, signal.SIGKILL)
        await worker.ended()
        await read()
        assert lane._idle != [worker]
        lane._rest()

        def fail(_: object) -> None:
            raise BrokenPipeError

        monkeypatch.setattr(workers, "Worker", fail)
        with pytest.raises(RefusedError) as refused:
            await read()
        assert refused.value.status == 503

    played(classifier, play)


def test_pictures_wait_for_memory_and_the_largest_gets_all_of_it() -> None:
    async def play() -> None:
        memory = Memory(100)
        order: list[str] = []

        async def second() -> None:
            async with memory.reserve(1000):
                order.append("second")

        async with memory.reserve(60):
            waiting = asyncio.create_task(second())
            async with memory.reserve(40):
                await asyncio.sleep(0.01)
                order.append("first")
        await waiting
        assert order == ["first", "second"]
        # It is free again after a picture that failed.
        with pytest.raises(ValueError, match="broken"):
            async with memory.reserve(100):
                raise ValueError("broken")
        async with memory.reserve(100):
            pass

    asyncio.run(asyncio.wait_for(play(), PATIENCE_S))
