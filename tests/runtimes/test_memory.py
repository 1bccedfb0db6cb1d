"""The runtimes answer in memory of their own, for any number of callers and images, and survive damaged files."""

import gc
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.digits.read.strips import WEIGHTS_FILE
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.exports import reference_directory
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest
from edgemnist.model.runtimes import load
from edgemnist.model.runtimes.litert import LiteRTClassifier
from tests.conftest import allocates_less_than


@pytest.fixture
def int8(made_exports: Path) -> Path:
    return made_exports / "tflite-int8.tflite"


def test_the_direct_call_gives_exactly_what_the_interpreter_gives(int8: Path, made_exports: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    bare = Interpreter(model_path=str(int8), num_threads=1)
    bare.allocate_tensors()
    source, target = bare.get_input_details()[0], bare.get_output_details()[0]
    scale, zero_point = target["quantization"]
    classifier = load(int8)
    for image in read_golden(made_exports, read_manifest(made_exports)).images[:200]:
        bare.set_tensor(source["index"], (image[None] ^ 0x80).view(np.int8))
        bare.invoke()
        scores = scale * (bare.get_tensor(target["index"]).astype(np.float32) - zero_point)
        assert np.array_equal(classifier.predict_proba(image[None]), scores.astype(np.float32))


NATIVE = pytest.param("tflite-int8.tflite", "native", marks=pytest.mark.needs("engine"))


@pytest.mark.parametrize(
    ("file", "runtime"),
    [("tflite-int8.tflite", "litert"), ("tflite-float32.tflite", "litert"), ("onnx-int8.onnx", None), NATIVE],
)
@pytest.mark.parametrize("inner", [1, 3])
def test_threads_get_their_own_answers(file: str, runtime: str | None, inner: int, made_exports: Path) -> None:
    classifier = load(made_exports / file, runtime=runtime, threads=inner)
    pictures = read_golden(made_exports, read_manifest(made_exports)).images[:400]
    alone = np.concatenate([classifier.predict_proba(picture[None]) for picture in pictures])
    answers = np.empty_like(alone)

    def work(first: int) -> None:
        for index in range(first, len(pictures), 4):
            answers[index] = classifier.predict_proba(pictures[index : index + 1])[0]
            classifier.predict_proba(pictures[index : index + 3])

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(answers, alone)


@pytest.mark.parametrize(("file", "runtime"), [("tflite-int8.tflite", "litert"), ("onnx-int8.onnx", None), NATIVE])
def test_a_method_that_is_kept_keeps_the_model(file: str, runtime: str | None, made_exports: Path) -> None:
    """The memory that calls write to belongs to the runtime, which must not go before the last caller."""
    picture = np.zeros((1, 28, 28), dtype=np.uint8)
    predict_proba = load(made_exports / file, runtime=runtime).predict_proba
    before = predict_proba(picture)
    gc.collect()
    others = [load(made_exports / file, runtime=runtime) for _ in range(5)]
    assert np.array_equal(predict_proba(picture), before)
    assert len(others) == 5


@pytest.mark.parametrize("file", ["tflite-int8.tflite", "tflite-float32.tflite", "onnx-float32.onnx"])
def test_memory_does_not_grow_with_the_number_of_images(file: str, made_exports: Path) -> None:
    classifier = load(made_exports / file)
    peaks = []
    for count in (2_000, 20_000):
        many = np.zeros((count, 28, 28), dtype=np.uint8)
        classifier.predict_proba(many[:1000])
        tracemalloc.start()
        classifier.predict_proba(many)
        peaks.append(tracemalloc.get_traced_memory()[1] - count * 10 * 4)
        tracemalloc.stop()
    assert peaks[1] <= peaks[0] + 200_000


def test_without_the_engine_a_large_network_takes_few_inputs_at_a_time() -> None:
    network = load(WEIGHTS_FILE, runtime="integer", spec=InputSpec.of_range((32, 128)), numbers=True)
    tiles = np.random.default_rng(0).integers(0, 256, (64, 32, 128), dtype=np.uint8)
    with allocates_less_than(32 << 20):  # all 64 together take 135 MB
        answers = network.answer(tiles)
    assert np.array_equal(answers, np.concatenate([network.answer(tile[None]) for tile in tiles]))


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
    assert (classifier._one is None) is (moves[-1] != STAYS)
    assert np.array_equal(classifier.predict_proba(image), expected)
