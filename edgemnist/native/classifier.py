"""The engine in C as runtimes: the bits of the NumPy reference, at the speed of the processor.

It answers for a `.tflite` file from its shared library, and for a C file of `edgemnist export --format c` as that was
written: compiled on this machine and called.
"""

from __future__ import annotations

import ctypes
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgemnist.errors import ArtifactError, UnknownNameError, temporary_files_failed
from edgemnist.native import WARNINGS, CompilerError, compile_c
from edgemnist.native.amalgamation import is_own
from edgemnist.native.library import Call, Kernel, Library, PreparedModel, Single, aligned, open_library
from edgemnist.native.network import Network, read_network
from edgemnist.runtimes import C_SOURCE, read_model
from edgemnist.runtimes.interface import SINGLE, ChunkedClassifier, Steps
from edgemnist.runtimes.pixels import Numbers, dequantize_scores
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
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
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


_OPTIONS: Final = ("-O3", "-shared", *WARNINGS, "-Werror")


@dataclass(frozen=True)
class _Functions:
    """What a compiled file offers."""

    classify: Any
    classes: int
    scale: float
    zero_point: int
    labels: tuple[str, ...]


class CompiledClassifier(ChunkedClassifier):
    """The C file of a network, as a microcontroller runs it, on this machine.

    The file is compiled when it is loaded, without a warning or not at all, so it takes a C compiler. Calls from
    several threads take turns, because the functions of the file keep their memory between calls.

    A C file may be any program. Only the engine's own code is compiled, with whatever network.
    """

    def __init__(self, source: bytes, path: Path, *, labels: Sequence[str] | None = None) -> None:
        """`source` is the contents of a C file, `path` its name in messages."""
        if not is_own(source):
            raise ArtifactError(
                f"{path} is not compiled: its code or its numbers are not those that this version of edgemnist writes, "
                "so it might do anything",
                hint="Make it again with: edgemnist export --format c",
            )
        self._functions = _compiled(source, path)
        self._lock = threading.Lock()
        output = Numbers(np.dtype(np.uint8), self._functions.scale, self._functions.zero_point)
        self._decoded = dequantize_scores(output)
        self._set_up(path, self._functions.labels if labels is None else labels)

    @classmethod
    def load(
        cls, path: Path, *, threads: int = 1, labels: Sequence[str] | None = None, input_range: str | None = None
    ) -> CompiledClassifier:
        """Compile a C file; see `Classifier.load`.

        One thread executes it, whatever `threads` is, and what its pixels mean is part of it. Raises ArtifactError,
        too, where the compiler fails, with its first error, and for a file with other code than edgemnist writes.
        """
        del threads, input_range
        return cls(read_model(path, C_SOURCE), path, labels=labels)

    def _scores(self, images: Images) -> Probabilities:
        images = np.ascontiguousarray(images)
        scores = np.empty((len(images), self._functions.classes), dtype=np.uint8)
        classify = self._functions.classify
        first, step = images.ctypes.data, images[0].size
        target, row = scores.ctypes.data, self._functions.classes
        with self._lock:
            for index in range(len(images)):
                classify(ctypes.c_void_p(first + index * step), ctypes.c_void_p(target + index * row))
        return self._decoded.take(scores)


def _compiled(source: bytes, path: Path) -> _Functions:
    """Compile a C file in a directory of its own, and load what comes out."""
    with tempfile.TemporaryDirectory(prefix="edgemnist-c-", ignore_cleanup_errors=True) as directory:
        # What is compiled is what was looked at, whatever happens to the original.
        copy, made = Path(directory) / "classifier.c", Path(directory) / "classifier.so"
        try:
            copy.write_bytes(source)
        except OSError as error:
            raise temporary_files_failed(error) from error
        try:
            compile_c([copy], made, options=_OPTIONS)
            library = ctypes.CDLL(str(made))
            classify = library.edgemnist_classify
            count = int(ctypes.c_int.in_dll(library, "edgemnist_class_count").value)
            scale = float(ctypes.c_float.in_dll(library, "edgemnist_score_scale").value)
            zero_point = int(ctypes.c_int.in_dll(library, "edgemnist_score_zero_point").value)
            names = (ctypes.c_char_p * count).in_dll(library, "edgemnist_labels")
        except CompilerError as error:
            raise ArtifactError(f"{path} cannot be compiled: {error}") from error
        except (OSError, AttributeError, ValueError) as error:
            raise ArtifactError(
                f"{path} is not a classifier written by edgemnist: {error}",
                hint="Make one with: edgemnist export --format c",
            ) from error
    return _Functions(classify, count, scale, zero_point, tuple((name or b"").decode() for name in names))
