"""What one client may ask for, counted without a service."""

import asyncio
import errno
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from edgemnist.ground.web.bodies import MAX_CLIENTS, Bodies, RateLimiter, content_type, network_of
from edgemnist.ground.web.config import Limits
from edgemnist.ground.web.refusals import RefusedError


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
    assert [RateLimiter(0, clock).wait("a") for _ in range(3)] == [0, 0, 0]
    # Below a request a second, one at once.
    slow = RateLimiter(0.25, clock)
    assert [slow.wait("a") for _ in range(2)] == [0, 4]
    clock.now = 64
    assert slow.wait("a") == 0


def test_the_client_that_was_silent_for_longest_is_forgotten_first() -> None:
    limiter = RateLimiter(0.5, Clock())
    for name in ("first", "second", *map(str, range(MAX_CLIENTS - 2)), "first"):
        limiter.wait(name)
    limiter.wait("one more")
    assert len(limiter._buckets) == MAX_CLIENTS
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


LIMITS = Limits(max_bytes=1024, max_held_bytes=4096)


def parts(*data: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": part, "more_body": index < len(data) - 1} for index, part in enumerate(data)
    ]


def received(asked: Request, limits: Limits = LIMITS) -> bytes:
    """Return the body of a request."""
    bodies = Bodies(limits)

    async def read() -> bytes:
        async with bodies.receive(asked) as body:
            data = body.read()
            assert bodies.bytes == len(data)
        assert body.closed
        return data

    try:
        return asyncio.run(read())
    finally:
        assert bodies.bytes == 0


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


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    begun = [{"type": "http.request", "body": b"one", "more_body": True}]
    with pytest.raises(RefusedError, match=r"^The body did not arrive in time$") as refused:
        received(request(begun), replace(LIMITS, body_timeout_s=0.01))
    assert refused.value.status == 408


def test_a_client_that_went_away_leaves_nothing() -> None:
    with pytest.raises(ClientDisconnect):
        received(request([{"type": "http.request", "body": b"one", "more_body": True}, {"type": "http.disconnect"}]))


def test_without_room_or_files_the_client_may_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    said = r"^The service has no memory for another body at the moment$"
    with pytest.raises(RefusedError, match=said) as full:
        received(request(parts(b"one", b"two")), replace(LIMITS, max_held_bytes=5))
    monkeypatch.setattr(os, "memfd_create", none_left, raising=False)
    with pytest.raises(RefusedError, match=said) as none:
        received(request(parts(b"one")))
    assert (full.value.status, none.value.status) == (503, 503)
    # Elsewhere than on Linux it is a temporary file.
    monkeypatch.delattr(os, "memfd_create")
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
