"""LiteRT's memory is kept between calls only where it stays in its place."""

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes.litert import LiteRTClassifier

STAYS = (0, 0)


@pytest.mark.parametrize(
    "moves",
    [[STAYS, (0, 1), (0, 1)], [STAYS, (1, 0), (1, 0)], [STAYS, STAYS, (0, 1)], [STAYS, STAYS, (1, 0)], [STAYS] * 9],
    ids=str,
)
def test_memory_that_moves_at_the_first_or_the_second_call_is_not_kept(
    moves: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reference_directory() / "tflite-int8.tflite"
    image = np.arange(784, dtype=np.uint8).reshape(1, 28, 28)
    expected = LiteRTClassifier.load(path).predict_proba(image)
    real, left = LiteRTClassifier._memory, iter(moves)

    def moving(classifier: LiteRTClassifier) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
        """Return memory that lies a byte further, where it has moved."""
        source, target = real(classifier)
        across, down = next(left)
        return source.reshape(-1)[across:] if across else source, target[:, down:]

    monkeypatch.setattr(LiteRTClassifier, "_memory", moving)
    classifier = LiteRTClassifier.load(path)
    assert (classifier.steps() is None) is (moves[-1] != STAYS)
    assert np.array_equal(classifier.predict_proba(image), expected)
