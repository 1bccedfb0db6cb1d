"""LiteRT's memory is kept between calls only where it stays in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.exports import reference_directory
from edgemnist.runtimes import litert


class MovingSession:
    """A session whose tensors lie at these addresses, one pair for each time that it is asked."""

    def __init__(self, addresses: Iterable[tuple[int, int]]) -> None:
        self._addresses: Iterator[tuple[int, int]] = iter(addresses)
        self.interpreter = SimpleNamespace(invoke=lambda: None, _interpreter=SimpleNamespace(Invoke=lambda: None))
        self.input, self.output = "input", "output"

    def addresses(self) -> tuple[int, int]:
        """Return where the tensors lie this time."""
        return next(self._addresses)

    def view(self, tensor: str) -> npt.NDArray[np.uint8]:
        """Return some memory of a tensor's shape."""
        return np.zeros((1, 28, 28) if tensor == "input" else (1, 10), np.uint8)


@pytest.mark.parametrize(
    "addresses",
    [
        [(1, 2), (1, 3), (1, 3)],
        [(1, 2), (3, 2), (3, 2)],
        [(1, 2), (1, 2), (1, 3)],
        [(1, 2), (1, 2), (3, 2)],
    ],
)
def test_memory_that_moves_at_the_first_or_the_second_call_is_not_kept(addresses: list[tuple[int, int]]) -> None:
    assert litert._direct_access(MovingSession(addresses)) is None  # type: ignore[arg-type]  # has what is used of it


def test_memory_that_stays_is_kept() -> None:
    assert litert._direct_access(MovingSession([(1, 2)] * 3)) is not None  # type: ignore[arg-type]


def test_a_model_whose_memory_moves_is_answered_through_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    path = reference_directory() / "tflite-int8.tflite"
    image = np.arange(784, dtype=np.uint8).reshape(1, 28, 28)
    expected = litert.LiteRTClassifier.load(path).predict_proba(image)
    real = litert._Session.addresses
    calls = iter(range(100))

    def moving(session: litert._Session) -> tuple[int, int]:
        first, second = real(session)
        return first, second + next(calls)

    monkeypatch.setattr(litert._Session, "addresses", moving)
    monkeypatch.setattr(litert, "_direct_call", lambda *_: pytest.fail("memory that moves was kept"))
    assert np.array_equal(litert.LiteRTClassifier.load(path).predict_proba(image), expected)
