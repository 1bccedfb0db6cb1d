"""The engine in C as runtimes: from its shared library for `.tflite` files, and as C files that are compiled here."""

from __future__ import annotations

import ctypes
import re
import tempfile
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, UnknownNameError, temporary_files_failed
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.storage import sha256
from edgemnist.model.native import WARNINGS, CompilerError, compile_c
from edgemnist.model.native.library import MOST_DIMENSIONS, Call, PreparedModel, Single, aligned, open_library
from edgemnist.model.native.network import Network, read_network
from edgemnist.model.runtimes import C_SOURCE
from edgemnist.model.runtimes.integer import REFERENCE, Rounding, not_in_integers, quantized_reals
from edgemnist.model.runtimes.interface import ChunkedClassifier, Options, not_a_classifier
from edgemnist.model.runtimes.pixels import Numbers, decoder, dequantize_scores, encoder
from edgemnist.model.runtimes.tflite import read_graph_file

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from edgemnist.ground.arrays import Images, Probabilities


_Array: TypeAlias = tuple[np.dtype[Any], tuple[int, ...]]
"""The dtype of an array, and its shape without the first axis."""


class NativeClassifier(ChunkedClassifier):
    """A full-int8 `.tflite` file, executed by the native engine: the integer runtime's bits, whichever kernel computes.

    Blank parts of an image are skipped, so the time of a call depends on its ink.
    """

    def __init__(self, network: Network, path: Path, *, kernel: str | None = None, **options: Unpack[Options]) -> None:
        """`path` names the model in messages; `kernel` is one of `kernel_names()`, the fastest by default."""
        self._library = open_library()
        named = {known.name.decode(): known for known in self._library.kernels}
        if kernel is not None and kernel not in named:
            raise UnknownNameError("kernel", kernel, named)
        self._kernel = self._library.kernels[0] if kernel is None else named[kernel]
        super().__init__(network, path, **options)

    def _take(self, source: Network, spec: InputSpec | None) -> Callable[[], str]:
        del spec
        network, threads = source, self._threads
        try:
            self._model = PreparedModel(network, self._kernel)
        except ValueError as error:
            raise not_in_integers(self._file, error, "native") from error
        self.spec, self.guesses, self._classes = network.spec, network.guesses, network.classes
        self._real = network.held if network.real_input else None
        self._tensor = self._reads = (np.dtype(np.float32) if self._real else network.held.dtype, network.shape)
        self._decode = decoder(network.output) if network.real_output else None
        self._made, self._output = network.answer, network.output
        same = np.arange(256, dtype=np.uint8) if network.level_map is None else network.level_map
        self._level_map = same if network.maps_pixels else None
        self._shape = (network.classes,) if self._is_numbers is False else network.answer
        held = Numbers(np.dtype(np.float32)) if self._real else network.held
        self._write = encoder(held, network.spec) if network.takes_levels else None
        # From the lowest number of its type on, as the engine has all of them.
        self._from = np.uint8(network.held.lowest & 0xFF)
        self._pool = _pool(threads) if threads > 1 else None
        self._image = aligned(self.spec.size).reshape(self.spec.single)
        self._one_answer = np.empty((1, self._classes), dtype=np.float32)
        call = self._prepare(self._model, self._image, np.empty((1, self._classes), np.uint8), self._one_answer)
        self._single = self._one_input(
            call, (np.dtype(self.spec.dtype), self.spec.shape), (np.dtype(np.float32), self._shape), super().answer
        )
        if network.takes_levels and not self._real:
            self._quantize_in_place(network)
        return lambda: network.last

    def _one_input(self, call: Call, taken: _Array, made: _Array, otherwise: Callable[[Any], Any]) -> Single:
        """Return a call with one input at a time, whose arrays have a first axis of 1 beside their shapes."""
        sizes = [1 + len(shape) for _, shape in (taken, made)]
        shapes = [(1, *shape, *[0] * MOST_DIMENSIONS)[:MOST_DIMENSIONS] for _, shape in (taken, made)]
        single = Single(call, otherwise, id(taken[0]), *sizes, *shapes, made=made[0].num)
        single.kept = (*call.kept, taken[0])
        return single

    def _quantize_in_place(self, network: Network) -> None:
        """Have the library bring the numbers of a single input to levels, by the rule of `encoder`."""
        held, single = network.held, self._single
        factors = [
            np.resize(np.asarray(values, np.float32), self.spec.size) for values in (self.spec.scale, self.spec.offset)
        ]
        single.levels = self._image.ctypes.data
        single.scales, single.offsets = (values.ctypes.data for values in factors)
        single.input_step, single.input_zero_point = held.scale or 1, held.zero_point - held.lowest
        single.kept = (*single.kept, *factors)

    def _one_tensor(self) -> Single:
        """Return a call with the file's input tensor of one input, which makes its output tensor."""
        levels, nothing = aligned(self.spec.size), np.empty(0, np.float32)
        call = self._prepare(self._level_model, levels, nothing.view(np.uint8), nothing)
        single = self._one_input(call, self._tensor, (self._output.dtype, self._made), super().run)
        single.levels = levels.ctypes.data
        single.lowest, single.made_lowest = self._from, self._output.lowest & 0xFF
        return single

    def _fix_memory(self) -> None:
        shapes = (self.spec.shape, self._tensor[1], self._shape, self._made)
        if not self._library.is_direct or 1 + max(map(len, shapes)) > MOST_DIMENSIONS:
            return
        # What boards are asked for most, without a line of Python. mypy takes a method for no attribute.
        if not self._real and self._decode is None:
            self.run = self._library.single(self._one_tensor())  # type: ignore[assignment, method-assign]
        if self._probabilities is None and not (self._real and self._write):
            self.answer = self._library.single(self._single)  # type: ignore[assignment, method-assign]
            if not self.answers_numbers:
                self.predict_proba = self.answer  # type: ignore[assignment, method-assign]

    @classmethod
    def load(cls, path: Path, *, rounding: Rounding = REFERENCE, **options: Unpack[Options]) -> Self:
        """Read a full-int8 TFLite file; see `Classifier.load`.

        Raises ArtifactError, too, where the file has operators that the engine does not take, or others than in 8 bits,
        and where the native library cannot be loaded.
        """
        return cls(read_network_file(path, options.get("spec"), rounding), path, **options)

    @property
    def kernel(self) -> str:
        """The name of the kernel that computes, such as `avx2`."""
        return str(self._kernel.name, "ascii")

    def _prepare(self, model: PreparedModel, images: Images, scores: Images, answers: Probabilities) -> Call:
        """Return a call of the library that answers `images`, in order in memory; it keeps alive what it points to."""
        scratch = aligned(self._kernel.scratch_bytes(ctypes.addressof(model.structure)))
        call = Call(
            kernel=ctypes.addressof(self._kernel),
            model=ctypes.addressof(model.structure),
            images=images.ctypes.data,
            count=len(images),
            scores=scores.ctypes.data,
            answers=answers.ctypes.data,
            scratch=scratch.ctypes.data,
            step=self._output.scale or 1,
            zero=(self._output.zero_point if self._output.scale else 0) - self._output.lowest,
        )
        call.kept = (self._kernel, model, images, scores, answers, scratch)
        return call

    def _levels(self, inputs: npt.NDArray[Any]) -> Images:
        """Return inputs as the engine takes them, uint8 [N, ...]."""
        if self._write is None:
            return inputs
        written = np.empty(inputs.shape, np.float32 if self._real else np.uint8)
        self._write(inputs, written)
        return self._levels_of(written)

    def _levels_of(self, tensor: npt.NDArray[Any]) -> Images:
        """Return distances from the lowest number, of those of the file's input tensor, uint8 [N, ...]."""
        if self._real:
            return (quantized_reals(self._real, tensor) - self._real.lowest).astype(np.uint8)
        return tensor.view(np.uint8) ^ self._from

    def _scores(self, images: npt.NDArray[Any]) -> Probabilities:
        answers = np.empty((len(images), self._classes), dtype=np.float32)
        images = np.ascontiguousarray(self._levels(images))
        if self._pool is None:
            self._answer_part(images, answers)
            return answers.reshape(-1, *self._shape)
        part = -(-len(images) // self._threads)
        starts = range(0, len(images), part)
        list(self._pool.map(lambda at: self._answer_part(images[at : at + part], answers[at : at + part]), starts))
        return answers.reshape(-1, *self._shape)

    def _answer_part(self, images: Images, answers: Probabilities) -> None:
        scores = np.empty((len(images), self._classes), dtype=np.uint8)
        self._library.answer(ctypes.byref(self._prepare(self._model, images, scores, answers)))

    @cached_property
    def _level_model(self) -> PreparedModel:
        """What takes distances from the lowest number of the input tensor."""
        return self._model if self._level_map is None else self._model.with_map(self._level_map)

    def _run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        levels = self._levels_of(tensor)
        answers = np.empty((len(levels), self._classes), dtype=np.float32)
        scores = np.empty(answers.shape, dtype=np.uint8)
        self._library.answer(ctypes.byref(self._prepare(self._level_model, levels, scores, answers)))
        scores ^= np.uint8(self._output.lowest & 0xFF)
        made = scores.view(self._output.dtype) if self._decode is None else self._decode(scores)
        return made.reshape(-1, *self._made)


def kernel_names() -> tuple[str, ...]:
    """Return the kernels that this processor can run, the fastest first."""
    return tuple(kernel.name.decode() for kernel in open_library().kernels)


def read_network_file(path: Path, spec: InputSpec | None = None, rounding: Rounding = REFERENCE) -> Network:
    """Read a full-int8 TFLite file for the engine; see `read_network` for `spec` and `rounding`.

    Raises ArtifactError where it is damaged, or cannot be computed in integers.
    """
    graph = read_graph_file(path)
    try:
        return read_network(graph, spec, rounding)
    except (ValueError, ArithmeticError, LookupError) as error:
        raise not_in_integers(path, error, "native") from error


def _pool(threads: int) -> ThreadPoolExecutor:
    # Imported where several threads are asked for: it takes longer than everything else here.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads, "edgemnist-native")


def twin_of(path: Path, tflite_sha256: str) -> Path | None:
    """Return the TFLite file with this SHA-256 beside a C file or a page, or None if there is none."""
    return next((file for file in path.parent.glob("*.tflite") if sha256(file.read_bytes()) == tflite_sha256), None)


def require_origin(source: bytes, path: Path) -> None:
    """Raise ArtifactError unless a C file is, byte for byte, what this edgemnist writes for the TFLite file beside it.

    A C file may be any program.
    """
    from edgemnist.model.native.amalgamation import c_source, origin_of

    origin = origin_of(source)
    twin = twin_of(path, origin.tflite_sha256) if origin else None
    if origin and twin:
        spec = None if origin.task is None else origin.task.input
        if c_source(read_network_file(twin, spec, Rounding(origin.rounding)), origin).encode() == source:
            return
    reason = (
        "it is not what this version of edgemnist writes for the TFLite file beside it"
        if twin
        else ("the TFLite file that it was made from is not beside it")
    )
    raise ArtifactError(
        f"{path} is not compiled: {reason}, so it might do anything",
        hint="Name its export directory with --exports, whose manifest records its hash, or make it again with: "
        "edgemnist export --format c",
    )


class CompiledClassifier(ChunkedClassifier):
    """The C file of a network, as a microcontroller runs it, on this machine.

    The file is compiled when it is loaded, without a warning or not at all, so it takes a C compiler. Calls from
    several threads take turns, because the functions of the file keep their memory between calls.

    A C file may be any program: `runtimes.load` compiles a stranger's only if `require_origin` passes it.
    """

    formats = (C_SOURCE,)

    def _take(self, source: bytes, spec: InputSpec | None) -> Callable[[], str]:
        """Compile a C file, which one thread executes. Raises ArtifactError where the compiler fails."""
        from edgemnist.model.native.amalgamation import origin_of

        self._lock, library = threading.Lock(), _compiled(source, self._file)
        try:
            inputs, self._classes = (
                int(found[1]) if (found := re.search(rb"#define EDGEMNIST_%s (\d+)" % name, source)) else 0
                for name in (b"INPUTS", b"OUTPUTS")
            )
            self._classify = library.edgemnist_classify
            scale = ctypes.c_float.in_dll(library, "edgemnist_score_scale").value
            zero_point = ctypes.c_int.in_dll(library, "edgemnist_score_zero_point").value
            if self._is_numbers is None:
                self._is_numbers = b"#define EDGEMNIST_CLASSES" not in source
            count = 0 if self._is_numbers else max(2, self._classes)
            named: Any = (ctypes.c_char_p * count).in_dll(library, "edgemnist_labels") if count else ()
            self._quantize = library.edgemnist_quantize if b"#define EDGEMNIST_QUANTIZES" in source else None
        except (AttributeError, ValueError) as error:
            raise ArtifactError(
                f"{self._file} is not a classifier written by edgemnist: {error}",
                hint="Make one with: edgemnist export --format c",
            ) from error
        origin = origin_of(source)
        self.spec = spec or (origin.task.input if origin and origin.task else self.spec)
        if inputs != self.spec.size or (self._quantize is None) != (self.spec.dtype == "uint8"):
            raise not_a_classifier(self._file, f"its input has {inputs:,} numbers", self.spec)
        self._decoded = dequantize_scores(Numbers(np.dtype(np.uint8), scale, zero_point))
        if self._labels is None and not self._is_numbers:
            self._labels = [(name or b"").decode() for name in named]
        return lambda: "sigmoid"  # the last of one number for two classes

    def _scores(self, images: npt.NDArray[Any]) -> Probabilities:
        images = np.ascontiguousarray(images)
        scores = np.empty((len(images), self._classes), dtype=np.uint8)
        levels = np.empty(self.spec.size, dtype=np.uint8)
        with self._lock:
            for index in range(len(images)):
                source = images.ctypes.data + index * self.spec.nbytes
                if self._quantize is not None:
                    self._quantize(ctypes.c_void_p(source), ctypes.c_void_p(levels.ctypes.data))
                    source = levels.ctypes.data
                target = scores.ctypes.data + index * self._classes
                self._classify(ctypes.c_void_p(source), ctypes.c_void_p(target))
        return self._decoded.take(scores)


def _compiled(source: bytes, path: Path) -> ctypes.CDLL:
    """Compile a C file in a directory of its own, and load what comes out."""
    from edgemnist.model.native.amalgamation import RECOMMENDED

    with tempfile.TemporaryDirectory(prefix="edgemnist-c-", ignore_cleanup_errors=True) as directory:
        # What is compiled is what was looked at, whatever happens to the original.
        copy, made = Path(directory) / "classifier.c", Path(directory) / "classifier.so"
        try:
            copy.write_bytes(source)
        except OSError as error:
            raise temporary_files_failed(error) from error
        try:
            compile_c([copy], made, options=(RECOMMENDED, "-shared", *WARNINGS, "-Werror"))
            return ctypes.CDLL(str(made))
        except (CompilerError, OSError) as error:
            raise ArtifactError(f"{path} cannot be compiled: {error}") from error
