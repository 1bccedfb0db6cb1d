"""The engine in C of `edgemnist.native`: the bits of the NumPy reference, at the speed of the processor."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgemnist.errors import ArtifactError, UnknownNameError
from edgemnist.native.library import Call, Kernel, Library, PreparedModel, Single, aligned, open_library
from edgemnist.native.network import Network, read_network
from edgemnist.runtimes.interface import SINGLE, ChunkedClassifier, Steps
from edgemnist.runtimes.pixels import dequantize_scores
from edgemnist.runtimes.tflite import read_graph_file

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from edgemnist.arrays import Images, Probabilities


class NativeClassifier(ChunkedClassifier):
    """A full-int8 `.tflite` file, executed by the native engine.

    Every answer equals the integer runtime's in every bit, whichever kernel computes it. Blank parts of an image are
    skipped, so the time of a call depends on its ink.
    """

    def __init__(
        self,
        network: Network,
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        kernel: str | None = None,
    ) -> None:
        """`path` names the model in messages; `kernel` is one of `kernel_names()`, the fastest by default."""
        self._library = open_library()
        self._kernel = _kernel(self._library, kernel)
        self._model = PreparedModel(network, self._kernel)
        self._classes = network.classes
        # From bit patterns to distances from the lowest number, which the engine answers with.
        self._decoded = np.roll(dequantize_scores(network.output), np.iinfo(network.output.dtype).min)
        self._pool = _pool(threads) if threads > 1 else None
        self._threads = threads
        self._image = aligned(SINGLE[1] * SINGLE[2]).reshape(SINGLE)
        self._one_answer = np.empty((1, self._classes), dtype=np.float32)
        call = self._prepare(self._image, self._one_answer)
        self._single = Single(call, super().predict_proba)
        self._single.kept = call.kept
        self._set_up(path, labels)
        if self._library.is_direct and not self._has_logits:
            # What boards are asked for most, without a line of Python.
            self.predict_proba = self._library.single(self._single)  # type: ignore[assignment, method-assign]

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
    ) -> NativeClassifier:
        """Read a full-int8 TFLite file; see `Classifier.load`.

        Raises ArtifactError, too, where the file is not a chain of convolutions and pooling, then dense layers, with
        ReLU, softmax and requantization, all in 8 bits, and where the native library cannot be loaded.
        """
        return cls(read_network_file(path, input_range), path, threads=threads, labels=labels)

    @property
    def kernel(self) -> str:
        """The name of the kernel that computes, such as `avx2`."""
        return str(self._kernel.name, "ascii")

    def steps(self) -> Steps:
        """Return the steps of a call with a single image; see `Classifier.steps`."""
        image, reference = self._image, ctypes.byref(self._single)
        return Steps(
            prepare=lambda images: image.__setitem__(..., images),
            invoke=partial(self._library.answer, reference),
            finish=self._one_answer.copy,
        )

    def _prepare(self, images: Images, answers: Probabilities) -> Call:
        """Return a call of the library that answers `images`, in order in memory; it keeps alive what it points to."""
        count = len(images)
        scores = np.empty((count, self._classes), dtype=np.uint8)
        scratch = aligned(self._kernel.scratch_bytes(ctypes.addressof(self._model.structure)))
        call = Call(
            kernel=ctypes.addressof(self._kernel),
            model=ctypes.addressof(self._model.structure),
            decoded=self._decoded.ctypes.data,
            images=images.ctypes.data,
            count=count,
            scores=scores.ctypes.data,
            answers=answers.ctypes.data,
            scratch=scratch.ctypes.data,
        )
        call.kept = (self._kernel, self._model, self._decoded, images, scores, answers, scratch)
        return call

    def _scores(self, images: Images) -> Probabilities:
        answers = np.empty((len(images), self._classes), dtype=np.float32)
        images = np.ascontiguousarray(images)
        if self._pool is None:
            self._answer_part(images, answers)
            return answers
        part = -(-len(images) // self._threads)
        starts = range(0, len(images), part)
        list(self._pool.map(lambda at: self._answer_part(images[at : at + part], answers[at : at + part]), starts))
        return answers

    def _answer_part(self, images: Images, answers: Probabilities) -> None:
        self._library.answer(ctypes.byref(self._prepare(images, answers)))


def kernel_names() -> tuple[str, ...]:
    """Return the kernels that this processor can run, the fastest first."""
    return tuple(kernel.name.decode() for kernel in open_library().kernels)


def read_network_file(path: Path, input_range: str | None = None) -> Network:
    """Read a full-int8 TFLite file for the engine; see `quantize_pixels` for `input_range`.

    Raises ArtifactError where it is damaged, or cannot be computed in integers.
    """
    graph = read_graph_file(path)
    try:
        return read_network(graph, input_range)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise ArtifactError(
            f"{path} cannot be computed in integers: {error}",
            hint="The native runtime takes full-int8 TFLite files of dense layers, convolutions and pooling, such as "
            "tflite-int8.",
        ) from error


def _pool(threads: int) -> ThreadPoolExecutor:
    # Imported where several threads are asked for: it takes longer than everything else here.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, "edgemnist-native")


def _kernel(library: Library, name: str | None) -> Kernel:
    if name is None:
        return library.kernels[0]
    for kernel in library.kernels:
        if kernel.name.decode() == name:
            return kernel
    raise UnknownNameError("kernel", name, kernel_names())
