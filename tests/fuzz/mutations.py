"""How input is broken: bits, bytes, numbers, pieces, and the values of JSON documents."""

import copy
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any, Final

NUMBERS: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF)
"""Edges of what lengths and offsets are stored in."""
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, -1, 0, 2**31, 2**63, 1e308, -0.5, float("nan"), float("inf")),
    *("", "\x1b[31m", "\ud800", "../../etc/passwd", "x" * 10_000, [], {}, [[]], {"": None}, [0] * 1000),
)
MOST: Final = 5
"""Changes of one input."""


def bits(data: bytearray, rng: random.Random) -> None:
    """Flip one."""
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def head(data: bytearray, rng: random.Random) -> None:
    """Replace a byte among the first ones, where formats say what follows."""
    data[rng.randrange(min(len(data), 512))] = rng.randrange(256)


def number(data: bytearray, rng: random.Random) -> None:
    """Write a number of 2, 4 or 8 bytes over what is there."""
    size, code = rng.choice(((2, "H"), (4, "I"), (8, "Q")))
    at = rng.randrange(len(data))
    value = rng.choice(NUMBERS) & (256**size - 1)
    data[at : at + size] = struct.pack(rng.choice("<>") + code, value)[: len(data) - at]


def cut(data: bytearray, rng: random.Random) -> None:
    """Leave a piece out, or all that follows."""
    at = rng.randrange(len(data))
    del data[at : rng.choice((len(data), at + 1 + rng.randrange(64)))]


def double(data: bytearray, rng: random.Random) -> None:
    """Insert a piece once more, elsewhere."""
    at = rng.randrange(len(data))
    data[rng.randrange(len(data)) : 0] = data[at : at + 1 + rng.randrange(256)]


def noise(data: bytearray, rng: random.Random) -> None:
    """Write random bytes over a piece."""
    at = rng.randrange(len(data))
    size = min(1 + rng.randrange(32), len(data) - at)
    data[at : at + size] = rng.randbytes(size)


BYTES: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (bits, head, number, cut, double, noise)


def broken(whole: bytes, rng: random.Random) -> bytes:
    """Return a file with a few changes."""
    data = bytearray(whole)
    for _ in range(1 + rng.randrange(MOST)):
        if data:
            rng.choice(BYTES)(data, rng)
    return bytes(data)


def repacked(whole: bytes, rng: random.Random) -> bytes:
    """Return an archive with a broken member under a right checksum, a member less, or any other change."""
    if rng.random() < 0.3:
        return broken(whole, rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        chosen = rng.choice(source.namelist())
        for name in source.namelist():
            data = source.read(name)
            if name != chosen:
                target.writestr(name, data)
            elif rng.random() < 0.95:
                target.writestr(name, _broken_member(name, data, rng))
    return stream.getvalue()


def _broken_member(name: str, data: bytes, rng: random.Random) -> bytes:
    if name.endswith(".json"):
        return broken_json(data, rng)
    if name.endswith(".npy") and rng.random() < 0.5:
        # What an array says of itself: a shape of another size, another type of its values.
        digits = [at for at, byte in enumerate(data[10:128], 10) if chr(byte).isalnum()]
        changed = bytearray(data)
        changed[rng.choice(digits)] = ord(rng.choice("0123456789fiubOSU"))
        return bytes(changed)
    return broken(data, rng)


def broken_json(whole: bytes, rng: random.Random) -> bytes:
    """Return a document with a few other values, deep nesting, or broken bytes."""
    kind = rng.random()
    if kind < 0.4:
        return broken(whole, rng)
    if kind < 0.43:
        depth = rng.choice((1000, 100_000))
        return rng.choice((b"[", b'{"a":')) * depth
    document = json.loads(whole)
    for _ in range(1 + rng.randrange(MOST)):
        change(document, rng)
    return json.dumps(document).encode()


def change(node: Any, rng: random.Random) -> None:
    """Replace, remove or add a value somewhere in a document."""
    places = list(node.keys() if isinstance(node, dict) else range(len(node)))
    if not places:
        return
    place = rng.choice(places)
    if isinstance(node[place], dict | list) and node[place] and rng.random() < 0.8:
        change(node[place], rng)
    elif rng.random() < 0.2:
        del node[place]
    elif isinstance(node, dict) and rng.random() < 0.1:
        node[f"{place}x"] = node.pop(place)
    else:
        node[place] = copy.deepcopy(rng.choice(VALUES))
