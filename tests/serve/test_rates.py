"""What one client may ask for, counted without a service."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request

from edgemnist.serve.config import Limits
from edgemnist.serve.limits import (
    MAX_CLIENTS,
    Body,
    BodyMemory,
    GoneError,
    Memory,
    MemoryFile,
    RateLimiter,
    content_type,
    network_of,
)
from edgemnist.serve.refusals import RefusedError


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_client_may_ask_twice_as_often_at_once_and_then_at_its_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(10, clock)
    assert [limiter.wait("192.0.2.1") for _ in range(20)] == [0] * 20
    assert limiter.wait("192.0.2.1") == pytest.approx(0.1)
    assert limiter.wait("192.0.2.2") == 0
    clock.now = 0.11
    assert limiter.wait("192.0.2.1") == 0
    assert limiter.wait("192.0.2.1") > 0
    clock.now = 60
    assert [limiter.wait("192.0.2.1") > 0 for _ in range(21)] == [False] * 20 + [True]


def test_a_network_that_one_host_has_to_itself_is_one_client_and_memory_is_bounded() -> None:
    limiter = RateLimiter(1, Clock())
    addresses = [f"2001:db8::{number:x}" for number in range(3)]
    assert [limiter.wait(address) > 0 for address in addresses] == [False, False, True]
    assert limiter.wait("2001:db8:0:1::1") == 0
    assert limiter.wait("::ffff:192.0.2.1") == 0
    for number in range(MAX_CLIENTS + 10):
        limiter.wait(str(number))
    assert len(limiter._buckets) == MAX_CLIENTS


def test_bodies_in_memory_are_counted_and_given_back() -> None:
    bodies = BodyMemory(100)
    bodies.take(60)
    with pytest.raises(RefusedError, match=r"^The service has no memory for another body at the moment$"):
        bodies.take(41)
    assert bodies.bytes == 60
    bodies.give_back(60)
    bodies.take(100)


def test_pictures_wait_for_memory_and_the_largest_gets_all_of_it() -> None:
    memory = Memory(100)
    order: list[str] = []

    def second() -> None:
        with memory.reserve(1000):
            order.append("second")

    with memory.reserve(60):
        thread = threading.Thread(target=second)
        thread.start()
        with memory.reserve(40):
            thread.join(0.1)
            order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_rate_of_nothing_allows_everything_and_one_below_a_request_a_second_one_at_once() -> None:
    assert [RateLimiter(0, Clock()).wait("a") for _ in range(3)] == [0, 0, 0]
    clock = Clock()
    slow = RateLimiter(0.25, clock)
    assert slow.wait("a") == 0
    assert slow.wait("a") == 4
    clock.now = 3
    assert slow.wait("a") == 1
    clock.now = 4
    assert slow.wait("a") == 0


def test_the_client_that_was_silent_for_longest_is_forgotten_first() -> None:
    clock = Clock()
    limiter = RateLimiter(0.5, clock)
    for name in ("first", "second", *map(str, range(MAX_CLIENTS - 2)), "first"):
        limiter.wait(name)
    limiter.wait("one more")
    assert limiter.wait("first") > 0
    # Forgotten, it is a new one, which evicts the oldest in its turn.
    assert limiter.wait("second") == 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("no: address", "no: address"),
    ],
)
def test_what_counts_as_one_client(address: str, client: str) -> None:
    assert network_of(address) == client


def test_memory_is_free_again_after_a_picture_that_failed() -> None:
    memory = Memory(100)
    with pytest.raises(ValueError, match="broken"), memory.reserve(100):
        raise ValueError("broken")
    with memory.reserve(100):
        assert memory._free == 0
    assert memory._free == memory.limit == 100


def request(messages: Iterable[dict[str, Any]] = (), /, **headers: str) -> Request:
    """Return a request whose body arrives in these messages, and then not for long."""
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        for message in left:
            return message
        await asyncio.sleep(0.5)
        raise AssertionError("Nobody gave up.")

    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": fields}, receive)


LIMITS = Limits(max_bytes=1024)


def parts(*data: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": part, "more_body": index < len(data) - 1} for index, part in enumerate(data)
    ]


def received(asked: Request, memory: BodyMemory | None = None, limits: Limits = LIMITS) -> bytes:
    """Return the body of a request, by limits of 1,024 bytes."""
    memory = memory or BodyMemory(4096)

    async def read() -> bytes:
        with Body(asked, limits, memory) as body:
            found = await body.read()
            assert memory.bytes == found.size
            return found.read()

    try:
        return asyncio.run(read())
    finally:
        assert memory.bytes == 0


def test_a_body_is_all_its_parts_and_its_memory_is_given_back() -> None:
    assert received(request(parts(b"one", b"", b"two"))) == b"onetwo"
    # A message without a field has an empty body, and is the last.
    assert received(request([{"type": "http.request"}])) == b""
    assert received(request(parts(bytes(1000), bytes(24)), content_length="1024")) == bytes(1024)


@pytest.mark.parametrize(
    "asked",
    [
        request(parts(bytes(1000), bytes(25))),
        request(content_length="1025"),
        request(content_length="9" * 5000),
        request(content_length="0" * 5000 + "1025"),
    ],
    ids=["in parts", "announced", "absurd", "long"],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_in_memory(asked: Request) -> None:
    with pytest.raises(RefusedError) as refused:
        received(asked)
    assert refused.value.status == 413
    assert refused.value.document.message == "The body has more than 1,024 bytes, which is the limit"
    assert refused.value.document.hint == "Scale the picture down, or send fewer at once."


@pytest.mark.parametrize("length", ["", "-1", "x", "000000000000001024"])
def test_a_length_that_is_none_is_not_relied_on(length: str) -> None:
    assert received(request(parts(b"one"), content_length=length)) == b"one"


@pytest.mark.parametrize("limits", [replace(LIMITS, stall_timeout_s=0.01), replace(LIMITS, body_timeout_s=0.01)])
def test_a_body_that_does_not_arrive_is_given_up(limits: Limits) -> None:
    begun = [{"type": "http.request", "body": b"one", "more_body": True}]
    with pytest.raises(RefusedError, match=r"^The body did not arrive in time$") as refused:
        received(request(begun), limits=limits)
    assert refused.value.status == 408


def test_a_client_that_went_away_or_finds_no_memory_leaves_nothing() -> None:
    with pytest.raises(GoneError):
        received(request([{"type": "http.request", "body": b"one", "more_body": True}, {"type": "http.disconnect"}]))
    with pytest.raises(RefusedError) as refused:
        received(request(parts(b"one", b"two")), BodyMemory(5))
    assert refused.value.status == 503


def test_a_body_is_emptied_though_somebody_still_refers_to_it() -> None:
    async def leak() -> MemoryFile:
        with Body(request(parts(b"one")), Limits(), BodyMemory(100)) as body:
            found = await body.read()
            assert (found.size, found.read()) == (3, b"one")
        return found

    kept = asyncio.run(leak())
    assert (kept.size, kept.read(), os.fstat(kept.descriptor).st_size) == (0, b"", 0)


def test_a_body_has_one_open_file_as_long_as_somebody_refers_to_it() -> None:
    body = MemoryFile()
    descriptor = body.descriptor
    body.append(b"")
    body.append(bytes(100_000))
    assert os.fstat(descriptor).st_size == body.size == 100_000
    del body
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_body_is_whole_though_the_system_writes_a_part_of_it_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    body = MemoryFile()
    body.append(b"abcdefgh")
    assert (body.size, body.read()) == (8, b"abcdefgh")


def test_without_room_or_files_the_client_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "memfd_create", none_left, raising=False)
    with pytest.raises(RefusedError) as refused:
        received(request(parts(b"one")))
    assert refused.value.status == 503


def test_elsewhere_than_on_linux_a_body_is_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert received(request(parts(b"one", b"two"))) == b"onetwo"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("image/png", "image/png"),
        (" IMAGE/JPEG ; q=1", "image/jpeg"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/json; charset=utf-8", "application/json"),
    ],
)
def test_a_picture_is_known_by_its_type_without_parameters(header: str, kind: str) -> None:
    assert content_type(request(content_type=header), batches=True) == kind


@pytest.mark.parametrize(
    ("headers", "batches", "said", "hint"),
    [
        ({}, False, "The request has no Content-Type", "image/png or image/jpeg."),
        ({"content_type": "application/json"}, False, "A body of type 'application/json' is not a picture", "jpeg."),
        (
            {"content_type": "text/plain"},
            True,
            "A body of type 'text/plain' is not a picture",
            'image/png or image/jpeg, or application/json such as {"images": ["<Base64>"]}.',
        ),
    ],
)
def test_what_is_no_picture_is_refused_with_what_to_send(
    headers: dict[str, str],
    batches: bool,  # noqa: FBT001 - a parameter of the test
    said: str,
    hint: str,
) -> None:
    with pytest.raises(RefusedError) as refused:
        content_type(request(**headers), batches=batches)
    assert (refused.value.status, refused.value.document.message) == (415, said)
    assert refused.value.document.hint.startswith("Send the bytes of a picture file with Content-Type: ")
    assert refused.value.document.hint.endswith(hint)
