"""What every runtime offers: uint8 images in, float32 probabilities out."""

from __future__ import annotations

import contextlib
import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError, EdgemnistError, UsageError
from edgemnist.ground.arrays import Images, Probabilities
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import COLOURS, UNIT, InputSpec
from edgemnist.model.runtimes import TFLITE, identify, read_model
from edgemnist.model.runtimes.pixels import Numbers, can_express, covered_range, decoder, encoder
from edgemnist.model.runtimes.tflite import state_of
from edgemnist.model.task import default_input, default_labels, default_task

if TYPE_CHECKING:
    from edgemnist.ground.arrays import Labels
    from edgemnist.model.task import Task


CHUNK: Final = 1000
"""Images that a runtime gets at once: its memory does not grow with their number, and larger ones are no faster."""
MOST_NAMED: Final = 10
"""Classes that `repr` names; of more it leaves out those in the middle."""


class Options(TypedDict, total=False):
    """What is known of a model beside its file; what is left out, or None, its tensors tell."""

    threads: int
    """How many the runtime may use for one call; 1 by default."""
    labels: Sequence[str] | None
    """The names of the classes; by default they are the file's own, or 0 to C-1."""
    spec: InputSpec | None
    """What it reads, see `infer_spec`."""
    numbers: bool | None
    """Whether it answers with numbers of any meaning, and not with classes, see `infer_numbers`."""


class Classifier(ABC):
    """A model that is ready to answer, modeled on scikit-learn's classifiers; it may be called from several threads.

    Few files say how the pixels were scaled when the model was trained. Where neither the file nor the caller does,
    floating-point and quantized inputs are taken to mean 0 to 1, and unquantized integers the pixels themselves.
    """

    classes_: Labels
    """int64 [C]: 0 to C-1, the meaning of each column of `predict_proba`."""
    labels: tuple[str, ...]
    """The name of each class, such as `0` to `9`."""
    most: int = CHUNK
    """Images that the model gets at once, where their number is free."""
    task: Task | None = None
    """What it is for; None until `task.task_of` has found out."""
    path: Path | None = None
    """The model file."""
    answers_logits: bool = False
    """Whether probabilities are computed from what the file answers, which has no last softmax or sigmoid."""
    fixed_batch: int | None = None
    """Images that the file takes at once; None where that is free."""

    answers_numbers: bool = False
    """Whether it answers with numbers of any meaning; else with the probabilities of classes."""
    guesses: tuple[str, ...] = ()
    """What only the shapes of its tensors say of it, and what else it may be: `reads …, or else …`."""

    @functools.cached_property
    def spec(self) -> InputSpec:
        """What it reads; the default task's where nobody has said so."""
        return default_task().input

    def __repr__(self) -> str:
        names = [repr(name) for name in self.labels]
        if len(names) > MOST_NAMED:
            names[MOST_NAMED - 1 : -1] = ["…"]
        return f"<{type(self).__name__} of {self.path}, {len(self.labels)} classes: {', '.join(names)}>"

    @classmethod
    @abstractmethod
    def load(cls, path: Path, **options: Unpack[Options]) -> Classifier:
        """Read a model file; `guesses` has what neither the options nor its tensors say.

        Raises ArtifactError where the file is missing, damaged or of another format, does not map such inputs to class
        scores, or has more or fewer classes than there are labels.
        """

    @abstractmethod
    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return the class probabilities, float32 [N, C], of inputs, [N, ...], or what `InputSpec.check` accepts.

        The result is a new array. Each row adds up to 1, or to within a few steps of it where the model's output is
        quantized, since that output is not normalized again. Raises ValueError for anything else, and
        where the model answers with numbers. N may be 0.
        """

    def answer(self, inputs: npt.ArrayLike) -> Probabilities:
        """Return what the model answers, float32 [N, ...]: numbers, or the probabilities of classes."""
        return self.predict_proba(inputs)

    def run(self, tensor: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the output tensor, [N, ...], that the file makes of its input tensor, [N, ...].

        Both have the shape and the dtype of the file, such as int8, and N is a multiple of `fixed_batch`. Nothing is
        scaled on the way, and no answer made of the output. Raises ValueError for an array of another dtype or shape,
        and UsageError where the runtime does not take tensors.
        """
        del tensor
        raise UsageError(f"{self.path} takes no tensors in this runtime", hint="Name another one, or use answer().")

    def predict(self, images: npt.ArrayLike) -> Labels:
        """Return the most probable class, int64 [N]; it takes what `predict_proba` takes."""
        best: Labels = self.predict_proba(images).argmax(axis=1)
        return self.classes_.take(best)

    def predict_names(self, images: npt.ArrayLike) -> list[str]:
        """Return the name of the most probable class of each image; it takes what `predict_proba` takes."""
        return [self.labels[index] for index in self.predict(images)]


ROUNDING: Final = 1 / 256
"""Step of probabilities in 8 bits, which even a floating point output may have come through."""
SLACK: Final = 0.01
"""How far the probabilities of one image may be from adding up to 1 beside that: half precision errs by 0.002."""


def are_probabilities(scores: npt.NDArray[Any]) -> bool:
    """Return whether every row of `scores` [N, C] is a distribution over the classes, each rounded to 8 bits at worst.

    Logits of several unlike pictures that all add up to 1 without a negative one among them do not happen, whereas the
    last operation of a file may be anything, such as a softmax that a converter has taken apart.
    """
    slack = SLACK + ROUNDING * scores.shape[1]
    return _none_negative(scores) and bool(np.all(np.abs(scores.sum(axis=1, dtype=np.float64) - 1) <= slack))


def are_sigmoids(scores: npt.NDArray[Any]) -> bool:
    """Return whether all `scores` [N, C] lie between 0 and 1, as logits of several unlike pictures never do."""
    return _none_negative(scores) and bool(np.all(scores <= 1 + ROUNDING))


def _finite(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the answers that are finite: a network that divides by its norm has none to a black picture."""
    finite: npt.NDArray[Any] = scores[np.isfinite(scores.reshape(len(scores), -1)).all(axis=1)]
    return finite


def _none_negative(scores: npt.NDArray[Any]) -> bool:
    # Beside the largest of them: a step of 8 bits is as much as all there is of small logits.
    return bool(np.all(scores >= -ROUNDING * np.abs(scores).max(initial=0)))


SIGMOIDS: Final = frozenset({"logistic", "sigmoid"})
"""Operations whose only number is the probability of the second of two classes."""
MOST_CLASSES: Final = 1_000
"""More scores, which are no probabilities, are numbers."""
_SIDES, _WITH_CHANNELS = 2, 3
"""Axes of a picture."""


def infer_numbers(scores: npt.NDArray[Any], spec: InputSpec) -> str:
    """Return that a model answers with numbers, and what else it may do; nothing if it tells classes apart.

    `scores` are its answers to several unlike inputs, [N, ...].
    """
    answer = scores.shape[1:]
    if len(answer) != 1 or answer == (1,):
        return f"answers with {'×'.join(map(str, answer))} number{'s' if scores[:1].size > 1 else ''}"
    if are_probabilities(scores) or spec.size != answer[0] <= MOST_CLASSES:
        return ""
    return f"answers with {answer[0]:,} numbers, or else as many classes"


def infer_spec(
    shape: Sequence[Any], numbers: Numbers, input_range: str | None = None
) -> tuple[InputSpec, tuple[str, ...]]:
    """Return what a file reads that says no more of one input than this shape, and what is guessed of that.

    What has as many numbers as an input of the default task is one. Two axes, or three with one of 1, 3 or 4 channels,
    are pictures if they are real numbers, bytes, or quantized as pixels are; anything else is numbers as they are.
    `input_range` is that of pixels where the file says it. Raises ValueError for a shape of no input.
    """
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"it takes {list(shape)}, of which no size may be free")
    known = input_range or covered_range(numbers)
    with contextlib.suppress(ValueError):
        default_task().input.axes(shape)
        return default_input(known or UNIT), ()
    sizes = tuple(shape)
    ends = (sizes[-1], sizes[0]) if len(sizes) == _WITH_CHANNELS else ()
    channels = next((size for size in ends if size in {1, *COLOURS}), 0)
    if channels:
        sides = sizes[:-1] if sizes[-1] == channels else sizes[1:]
        sizes = sides if channels == 1 else (*sides, channels)
    is_shown = (channels or len(sizes) == _SIDES) and 1 not in sizes[:_SIDES]
    if is_shown and (known or numbers.dtype.kind == "f" or numbers.scale is None):
        spec = InputSpec.of_range(sizes, known or UNIT)
        other = "0..255" if channels in COLOURS and not known else "numbers as they are"
        return spec, (f"reads {spec.words()} in {spec.range}, or else {other}",)
    spec = InputSpec(shape=tuple(shape) if channels > 1 else sizes, dtype="float32", scale=(1.0,))
    return spec, (f"reads {spec.words()} as they are, or else pixels",)


def last_operation(model: bytes) -> str:
    """Return the operation that a TFLite or ONNX file ends with, whatever only gives its answers another form."""
    from edgemnist.model.runtimes import onnxgraph, tflite

    graph = (tflite if identify(model) == TFLITE else onnxgraph).read_graph(model)
    kinds = (operator.kind for operator in reversed(graph.operators))
    return next((kind for kind in kinds if kind.replace("_", "").lower() not in _FORMS), "")


_FORMS: Final = frozenset(
    {"dequantize", "dequantizelinear", "quantize", "quantizelinear", "reshape", "squeeze", "identity"}
)


def of_both(seconds: npt.NDArray[Any]) -> Probabilities:
    """Return the probabilities of two classes, float32 [N, 2], by that of the second, [N, 1]."""
    second = seconds.astype(np.float32)
    return np.concatenate([1 - second, second], axis=1)


def shares(scores: npt.NDArray[Any]) -> Probabilities:
    """Return the scores of each row, 0 to 1, divided by their sum, float32 [N, C]; evenly if all are 0."""
    values = np.maximum(scores.astype(np.float32), 0)
    totals = values.sum(axis=1, keepdims=True)
    even = np.full_like(values, 1 / values.shape[1])
    result: Probabilities = np.divide(values, totals, out=even, where=totals != 0)
    return result


def softmax(logits: npt.NDArray[Any]) -> Probabilities:
    """Return exp(x) / Σ exp(x) of each row, float32 [N, C]."""
    # A broken model may answer with infinities: that is for the verification to notice, not for a warning.
    with np.errstate(invalid="ignore"):
        powers: Probabilities = np.exp(logits.astype(np.float32) - logits.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
    return powers


def check_answers(probabilities: Probabilities) -> Probabilities:
    """Return probabilities, float32 [N, C]. Raises ArtifactError if some are not finite: those are no answer."""
    if not np.isfinite(probabilities).all():
        raise ArtifactError(
            "The model answers a picture with numbers that are not finite",
            hint="Compare it with its reference: edgemnist verify",
        )
    return probabilities


UINT8: Final = np.dtype(np.uint8)
_ARRAY: Final = np.ndarray


class ChunkedClassifier(Classifier):
    """A classifier that is fed a limited number of images at a time.

    A subclass implements `_take`, `_scores`, and `_run` where it sets `_reads`.
    """

    formats: ClassVar[tuple[str, ...]] = ()
    """Of the files that it executes."""

    _one: Callable[[Images], Probabilities] | None = None
    """Answers one proper image as `_scores` does, where the runtime has a faster way for that."""
    _probabilities: Callable[[npt.NDArray[Any]], Probabilities] | None = None
    """Makes the answers of what the file gives; None where that is what they are."""
    _answered: tuple[int, ...]
    """Of one answer: (C,), or that of the numbers."""
    _given: tuple[int, ...]
    """Of what the file gives for it."""
    _one_shape: tuple[int, ...] = ()
    """Of an array of one input that goes to `_one` unchecked: of bytes, as other numbers may not be finite."""
    _reads: tuple[np.dtype[Any], tuple[int, ...]] | None = None
    """The dtype of the input tensor, and its shape without the first axis."""

    def __init__(
        self,
        source: Any,  # noqa: ANN401 - of any runtime
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        spec: InputSpec | None = None,
        numbers: bool | None = None,
    ) -> None:
        """`source` is the contents of a file of `formats`, or what `_take` reads instead; `path` its name in messages.

        Raises ArtifactError where it is no classifier, and what `_take` raises.
        """
        self._file, self._threads, self._labels, self._is_numbers = path, threads, labels, numbers
        last = self._take(source, spec)
        self._set_up(path, self._labels, numbers=self._is_numbers, last=last)
        self._fix_memory()

    @classmethod
    def load(cls, path: Path, **options: Unpack[Options]) -> Self:
        """Read a model file; see `Classifier.load`."""
        return cls(read_model(path, *cls.formats), path, **options)

    def _take(self, source: Any, spec: InputSpec | None) -> Callable[[], str]:  # noqa: ANN401 - of any runtime
        """Get ready to answer, and return what finds out the operation that the file ends with.

        It sets `spec`, and `fixed_batch`, `_labels` and `_is_numbers` where the file has them.
        """
        raise NotImplementedError

    def _fix_memory(self) -> None:
        """Set `_one` if single images can be answered in fixed memory."""

    @property
    def ends_with(self) -> str:
        """Return what the scores are: `probabilities`, `sigmoids`, which are divided by their sum, or `logits`."""
        if not self.answers_logits:
            return "probabilities"
        return "sigmoids" if self._probabilities is shares else "logits"

    def predict_proba(self, images: npt.ArrayLike) -> Probabilities:
        """Return the class probabilities; see `Classifier.predict_proba`."""
        # One image is what boards are asked for: it is checked in 0.1 µs, and on its way.
        if type(images) is _ARRAY and images.shape == self._one_shape and images.dtype is UINT8:
            one = self._one
            if one is not None and self._probabilities is None:
                return one(images)
        if self.answers_numbers:
            raise ValueError("the model answers with numbers, and not with classes: use answer()")
        return self.answer(images)

    def answer(self, inputs: npt.ArrayLike) -> Probabilities:
        """Return what the model answers; see `Classifier.answer`."""
        images = self.spec.check(inputs)
        answers = np.empty((len(images), *self._answered), dtype=np.float32)
        size = self.fixed_batch or self.most
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            answers[start : start + size] = self._answer(chunk)
        return answers

    def run(self, tensor: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the output tensor of an input tensor; see `Classifier.run`."""
        if self._reads is None:
            return super().run(tensor)
        (dtype, shape), given, batch = self._reads, np.asarray(tensor), self.fixed_batch or 1
        if given.dtype != dtype or given.shape[1:] != shape or len(given) % batch:
            rows = f"{batch} * N" if batch > 1 else "N"
            wanted, found = (", ".join(map(str, sizes)) for sizes in ((rows, *shape), given.shape))
            raise ValueError(f"the input tensor must be {dtype} [{wanted}], not {given.dtype} [{found}]")
        if not len(given):
            return self.run(np.zeros((batch, *shape), dtype))[:0]
        size = self.fixed_batch or self.most
        return np.concatenate([self._run(given[start : start + size]) for start in range(0, len(given), size)])

    def _run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the output of an input that `_reads` describes, of up to `most` rows, in memory of its own."""
        raise NotImplementedError

    @abstractmethod
    def _scores(self, images: Images) -> Probabilities:
        """Return what the model answers, a new float32 [N, C], to 1 to CHUNK images, or `fixed_batch` of them."""

    def _answer(self, images: Images) -> Probabilities:
        missing = 0 if self.fixed_batch is None else self.fixed_batch - len(images)
        if missing:
            images = np.concatenate([images, np.zeros((missing, *self.spec.shape), dtype=images.dtype)])
        scores = self._one(images) if self._one is not None and len(images) == 1 else self._scores(images)
        if missing:
            scores = scores[:-missing]
        return scores if self._probabilities is None else self._probabilities(scores)

    def _set_up(
        self, path: Path, labels: Sequence[str] | None, *, numbers: bool | None = None, last: Callable[[], str] = str
    ) -> None:
        """Find out how many classes the model has, and whether it answers with probabilities, sigmoids or logits.

        `last` returns the operation that the file ends with. Raises ArtifactError for another number of labels.
        """
        self.path = path
        self._one_shape = self.spec.single if self.spec.dtype == "uint8" else ()
        self.most = self.spec.at_once(self.most)
        if self.fixed_batch == 0:
            raise not_a_classifier(path, "it takes 0 inputs at a time", self.spec)
        probes = self.spec.probes()
        scores = np.concatenate([self._answer(probes[index : index + 1]) for index in range(len(probes))])
        self._given = scores.shape[1:]
        if self._given == (1,) and not numbers and last().lower() in SIGMOIDS:
            self._probabilities, scores = of_both, of_both(scores)
            self._guess("answers with the probability of the second of two classes, or else a number", numbers, labels)
            numbers = False
        told, self._answered = _finite(scores), scores.shape[1:]
        if numbers is None and not labels and (guess := infer_numbers(told, self.spec)):
            self._guess(guess)
            numbers = True
        if numbers:
            self._answer_numbers(path, labels, scores)
            return
        if scores.ndim != 2 or scores.shape[1] < 2 or len(scores) != len(probes):  # noqa: PLR2004 - rows and columns
            reason = f"its answer to {len(probes)} images is an array of {list(scores.shape)}"
            raise not_a_classifier(path, reason, self.spec)
        classes = scores.shape[1]
        self.answers_logits = not are_probabilities(told)
        if self.answers_logits:
            self._probabilities = shares if are_sigmoids(told) else softmax
            # Of what is usual there is no need to talk.
            usual = (self.spec.shape, classes) == (default_task().input.shape, len(default_labels())) or None
            self._guess(
                f"answers with the {self.ends_with} of {classes:,} classes, or else numbers", numbers, labels, usual
            )
        if labels is not None and len(labels) != classes:
            raise ArtifactError(
                f"{path} answers with {count(classes, 'score')}, but there are {count(len(labels), 'label')}"
            )
        self.classes_ = np.arange(classes, dtype=np.int64)
        self.labels = tuple(labels) if labels is not None else tuple(str(index) for index in range(classes))

    def _guess(self, words: str, *known: object) -> None:
        """Tell a guess, unless something is known of it."""
        if all(one is None for one in known):
            self.guesses = (*self.guesses, words)

    def _answer_numbers(self, path: Path, labels: Sequence[str] | None, scores: Probabilities) -> None:
        """Answer with the model's numbers as they are. `scores` are those to `spec.probes()`."""
        if labels:
            raise ArtifactError(f"{path} answers with numbers, but there are {count(len(labels), 'label')}")
        if len(scores) != len(self.spec.probes()) or not scores.size:
            raise ArtifactError(f"{path} has no answer to each input: to five, it is an array of {list(scores.shape)}")
        self.answers_numbers, self._one_shape = True, ()
        self.classes_, self.labels = np.arange(0, dtype=np.int64), ()


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model."""

    name: int | str
    """What the runtime asks for it by."""
    numbers: Numbers
    shape: tuple[Any, ...]
    """With the number of images first; a size that is free may be anything."""
    batch: int | None
    """Images at a time; None where that is free."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a file says of itself."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    labels: Sequence[str] | None = None
    input_range: str | None = None

    def ends(self, path: Path, spec: InputSpec | None) -> tuple[Tensor, Tensor]:
        """Return the only input and the only output. Raises ArtifactError if they are not those of a classifier."""
        for role, tensors in (("input", self.inputs), ("output", self.outputs)):
            if len(tensors) != 1:
                raise not_a_classifier(path, f"it has {count(len(tensors), role)}", spec)
            if not can_express(tensors[0].numbers.dtype):
                raise not_a_classifier(path, f"its {role} is of {tensors[0].numbers.dtype}", spec)
        (source,), (target,) = self.inputs, self.outputs
        return source, target


class TensorClassifier(ChunkedClassifier):
    """A classifier that writes pixels to an input tensor, and reads scores from an output tensor.

    A subclass opens the file in `_open` and executes it in `_execute`; `_fix_memory` may call `_bind`.
    """

    title: ClassVar[str]
    """Name of the runtime in messages."""
    cure: ClassVar[str] = ""
    """What may help with a file that it does not load."""

    def _take(self, source: bytes, spec: InputSpec | None) -> Callable[[], str]:
        self._lock, self._asked = threading.Lock(), spec
        with self._told("loaded"):
            signature = self._open(source, self._threads)
            kind = state_of(source) if TFLITE in self.formats else ""
        self._input, self._output = signature.ends(self._file, spec)
        if kind:
            raise not_a_classifier(self._file, f"its operator {kind} keeps what earlier inputs left", spec)
        shape = self._input.shape[1:]
        try:
            if spec is None:
                spec, self.guesses = infer_spec(shape, self._input.numbers, signature.input_range)
            self.spec, self._axes = spec, spec.axes(shape)
        except ValueError as error:
            reason = f"its input is an array of {list(self._input.shape)}"
            raise not_a_classifier(self._file, reason, spec) from error
        self.fixed_batch, self._reads = self._input.batch, (self._input.numbers.dtype, shape)
        self._encode = encoder(self._input.numbers, self.spec)
        self._decode = decoder(self._output.numbers)
        if self._labels is None and not self._is_numbers:
            self._labels = signature.labels
        return functools.partial(last_operation, source)

    @abstractmethod
    def _open(self, model: bytes, threads: int) -> Signature:
        """Make the runtime ready to execute a file."""

    @abstractmethod
    def _execute(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what is in the output, in memory of its own, where this is in the input."""

    @contextlib.contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """Raise ArtifactError for whatever the runtime raises: few have a base class for that."""
        try:
            yield
        except (EdgemnistError, ImportError):
            raise
        except Exception as error:
            reason = str(error).strip().split("\n", 1)[0].rstrip(".")
            message = f"{self._file} cannot be {done} by {self.title}: {reason}"
            raise ArtifactError(message, hint=self.cure if done == "loaded" else "") from error

    def _scores(self, images: Images) -> Probabilities:
        pixels = np.empty((len(images), *self._input.shape[1:]), dtype=self._input.numbers.storage)
        self._encode(images, self._as_inputs(pixels))
        return self._decode(self._run(pixels.view(self._input.numbers.dtype)).view(self._output.numbers.storage))

    def _run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with self._told("executed"):
            return self._execute(tensor)

    def _as_inputs(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the memory of an input tensor as inputs, [N, *shape]."""
        if self._axes is None:
            return tensor.reshape(len(tensor), *self.spec.shape)
        return tensor.transpose(0, *(1 + self._axes.index(axis) for axis in range(len(self._axes))))

    def _bind(self, source: npt.NDArray[Any], invoke: Callable[[], object], target: npt.NDArray[Any]) -> None:
        """Answer single images in fixed memory: `invoke` takes `source`, [1, ...], to `target`; calls take turns."""
        source, target = source.view(self._input.numbers.storage), target.view(self._output.numbers.storage)
        encode, decode, lock = self._encode, self._decode, self._lock

        def call(images: Images) -> Probabilities:
            with lock:
                encode(images, source)
                invoke()
                return decode(target)

        self._one = call


def not_a_classifier(path: Path, reason: str, spec: InputSpec | None) -> ArtifactError:
    """Return the error for a model that does anything but classify what `spec` says, or anything at all without one."""
    if spec is None:
        return ArtifactError(
            f"{path} does not map one input to one answer: {reason}",
            hint="It must have one input of one to four axes beside the first, and one output.",
        )
    return ArtifactError(
        f"{path} does not map {spec.words()} to class scores: {reason}",
        hint=f"It must take {spec.shapes_in_words()}, and answer with [N, classes].",
    )
