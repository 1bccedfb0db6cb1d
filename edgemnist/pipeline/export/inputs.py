"""In which range a Keras model takes pixels: as somebody says, as its layers say, or as its answers show.

A wrong range costs accuracy in every file alike, so that no comparison with the Keras model would show it. So what is
found out is told with the next best, and what cannot be told apart is asked for.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from edgemnist.errors import ModelError
from edgemnist.ground.arrays import Images, Labels
from edgemnist.ground.formatting import count
from edgemnist.ground.inputs import INPUT_RANGES, MNIST_STANDARDIZED, UNIT, InputSpec, standardized
from edgemnist.model.exports.questions import near_chance
from edgemnist.model.exports.ranges import Weighed, logarithms, weigh
from edgemnist.model.runtimes.interface import softmax
from edgemnist.model.runtimes.keras import KerasClassifier
from edgemnist.pipeline.data.dataset import stratified_indices
from edgemnist.pipeline.export.model import KerasSource, Source
from edgemnist.pipeline.export.tflite import without_softmax

SHOWN: Final = 500
"""Training images on which ranges are compared."""
SHOWN_IF_CLOSE: Final = 20_000
"""Training images on which those are compared that 500 do not tell apart. Of 40 networks (see `ranges.ALIKE`), 8,000
told the range of 31, and of those a wrong one of none, nor with their logits times 0.004, 0.01, 0.1, 30 or 200: then
they told that of 81 of 200. The others were asked for."""
HIDDEN: Final = 0.05
"""Accuracy by which a range has to be better than the next where the model has a BatchNormalization, whose moving
averages can hide the difference: one that was trained for 250 steps in 0..1 was 2.1 points more accurate in the
standardized range. The right range of seven others was 7 points better at least."""
ALIKE: Final = 0.05
"""Part of a range by which another one may miss its ends and still be the same: the mean and the standard deviation of
a part of MNIST are not those of all."""
IMAGENET_STANDARDIZED: Final = "(x/255 - 0.485,0.456,0.406)/0.229,0.224,0.225"
"""What most networks of PyTorch take that were trained on photographs."""
MUCH_BETTER: Final = 0.02
"""Accuracy by which another range must beat one that a person gave, to be worth a notice."""
SAME: Final = 1e-5
"""Of the largest number in its column: what float32 may round off one that is scaled."""


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """A range, and a sentence on how it was found, empty if there is nothing to say; it may not be `sure`."""

    name: str
    told: str = ""
    sure: bool = True


def find_input_range(source: Source, images: Images, labels: Labels) -> InputRange:
    """Return the range in which a model takes pixels: as its first layer says, else as it knows training images best.

    `images` are uint8 [N, ...], `labels` int64 [N]. A model that guesses in every range, or that answers in none, is
    said to take 0..1; see `check_executable`. Raises ModelError, which names the options, where
    two ranges cannot be told apart.
    """
    if (found := likely_range(source)).sure:
        return found
    candidates = _candidates(images)
    for shown in (SHOWN, SHOWN_IF_CLOSE):
        weighed = _weigh(source, images, labels, candidates, shown)
        if not weighed or near_chance(max(one.accuracy for one in weighed), source.classes, len(weighed[0].right)):
            guesses = f"Inputs are taken as {UNIT}, although the model hardly does better than guessing in any range"
            return InputRange(name=UNIT, told=f"{guesses}: {weighed[0]}." if weighed else "")
        best, *others = weighed
        least = best.accuracy - HIDDEN if _has_batch_normalization(source.original) else 1.0
        close = [one for one in others if one.accuracy >= least or not best.is_clearly_better(one)]
        if not close:
            rest = f"; next best {others[0].name}: {others[0]}" if others else ""
            told = f"Inputs are taken as {best.name}, by {_on(best)}: {best}{rest}."
            return InputRange(name=best.name, told=told)
        candidates = [best.name, *(one.name for one in close)]
    raise ModelError(
        f"{source.path} may take pixels in any of {len(candidates)} ranges, going by {_on(best)}: "
        f"{', '.join(f'{one.name} ({one})' for one in (best, *close))}",
        hint=f"Say in which it was trained: {' or '.join(map(option_of, candidates))}",
    )


def likely_range(source: Source) -> InputRange:
    """Return the range in which a model takes pixels where no labelled pictures show it: as its first layer says."""
    if source.original is not None and (rescaled := _range_of_rescaling(source.original)) is not None:
        return InputRange(name=rescaled, told=f"Inputs are taken as {rescaled}, since the model rescales them itself.")
    return InputRange(name=source.spec.range or UNIT, told=" ".join(source.guesses_on("reads")), sure=False)


def question_range(source: Source, images: Images, labels: Labels) -> str:
    """Return a sentence if a model knows training images much better in another range than in its own; else "".

    `images` are uint8 [N, ...], `labels` int64 [N].
    """
    name = source.spec.scaling
    weighed = _weigh(source, images, labels, dict.fromkeys([name, *_candidates(images)]), SHOWN)
    given = next((one for one in weighed if one.name == name), None)
    if given is None:
        return ""
    better = [one for one in weighed if one.is_more_accurate(given) and one.accuracy >= given.accuracy + MUCH_BETTER]
    if not better:
        return ""
    best = better[0]
    return f"Inputs are taken as {name}, as asked for. Of {_on(given)}: {given}; as {best.name} it would be {best}."


def option_of(name: str) -> str:
    """Return the option that names a range."""
    if name.startswith("("):
        mean, std = name.removeprefix("(x/255 - ").split(")/")
        return f"--mean {mean} --std {std}"
    return f"--input-range {name}"


def _on(weighed: Weighed) -> str:
    return count(len(weighed.right), "training image")


def _candidates(images: Images) -> list[str]:
    """Return the ranges to try: the usual ones, and that of mean and standard deviation of these images, by channel."""
    colours = images.ndim > 3  # noqa: PLR2004 - [N, H, W, C]
    known = IMAGENET_STANDARDIZED if colours and images.shape[-1] == 3 else MNIST_STANDARDIZED  # noqa: PLR2004 - red, green and blue
    usual = [
        known if one == MNIST_STANDARDIZED else one
        for one in INPUT_RANGES
        if not colours or known != MNIST_STANDARDIZED
    ]
    axes = tuple(range(3)) if colours else None
    mean, std = (np.atleast_1d(values) / 255 for values in (images.mean(axis=axes), images.std(axis=axes)))
    if not np.round(std, 4).all():
        return usual
    own = standardized([round(float(one), 4) for one in mean], [round(float(one), 4) for one in std])
    ends = [InputSpec.of_range(images.shape[1:], one).ends for one in (known, own)]
    alike = len(ends[0]) == len(ends[1]) and all(
        abs(one - other) <= ALIKE * (theirs[1] - theirs[0])
        for theirs, ours in zip(*ends, strict=True)
        for one, other in zip(theirs, ours, strict=True)
    )
    return usual if alike else [*usual, own]


def _weigh(source: Source, images: Images, labels: Labels, names: Iterable[str], shown: int) -> list[Weighed]:
    """Return what the model makes of at most `shown` of the images in each range, see `weigh`."""
    chosen = stratified_indices(labels, min(shown, len(labels)), 0)
    with contextlib.ExitStack() as stack:
        model, cut = source.original, True
        try:
            model = stack.enter_context(without_softmax(model, source.path))
        except ModelError:
            cut = False
        return weigh(
            names,
            lambda name: _Logits(source, model, cut=cut, input_range=name).predict_proba(images[chosen]),
            labels[chosen],
        )


class _Logits(KerasClassifier):
    """Answers with logits, or else logarithms: many probabilities of a model that is too sure are rounded to 0 and 1.

    `model` is the source's, perhaps without the softmax at its end, which is `cut`.
    """

    def __init__(self, source: Source, model: Any, *, cut: bool, input_range: str) -> None:  # noqa: ANN401 - a Keras model has no stubs
        self._cut = cut
        super().__init__(model, source.path, spec=InputSpec.of_range(source.spec.shape, input_range))
        self.most = min(self.most, source.at_once)

    def _set_up(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        super()._set_up(*args, **options)
        are_logits = self._cut or (self.answers_logits and self._probabilities is softmax)
        probabilities = self._probabilities or np.asarray
        self._probabilities = np.asarray if are_logits else lambda scores: logarithms(probabilities(scores))
        self.answers_logits = True


def _has_batch_normalization(model: Any) -> bool:  # noqa: ANN401 - Keras has no types
    import keras

    layers = model._flatten_layers(include_self=False)  # noqa: SLF001 - there is no public way
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)


def _range_of_rescaling(model: Any) -> str | None:  # noqa: ANN401 - Keras has no types
    """Return the range that a first layer of Rescaling expects, or None without such a layer."""
    import keras

    for layer in model._flatten_layers(include_self=False):  # noqa: SLF001 - there is no public way
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = np.asarray(layer.scale, float), np.asarray(layer.offset, float)
            # What it makes of a white pixel of 255 tells: 1 or 2 for a factor of 1/255 or 1/127.5.
            if np.allclose(255 * scale, 1) or np.allclose(255 * scale, 2):
                return "0..255"
            return UNIT if np.allclose(scale, 2) and np.allclose(offset, -1) else None
        if layer.weights:
            return None
    return None


def unscaled(source: KerasSource, rows: npt.NDArray[Any]) -> KerasSource:
    """Return the source without what it does to each number alone at its start; its inputs stand for that instead.

    Full int8 has one step for all numbers of an input, which leaves nothing of tenths beside thousands, and float16
    keeps thousandths. `rows`, float32 [N, *spec.shape], are of its kind. One that starts otherwise is returned.
    """
    import keras

    spec = source.spec
    if spec.dtype != "float32" or len(spec.shape) != 1:
        return source
    first, last = source.model.inputs[0], source.model.outputs[0]
    steps = sorted(keras.Model(first, last)._nodes_by_depth.items(), reverse=True)  # noqa: SLF001 - there is no public way
    real = spec.real(rows)
    least, most = real.min(axis=0), real.max(axis=0)
    span = np.where(most > least, most - least, 1).astype(np.float32)
    # Beyond the ends as well, where a limit would show.
    given = np.concatenate([[least, least + span, least - span, most + span], real])
    bare = source
    for _, (node, *_) in steps[1:]:
        try:
            found = np.asarray(keras.Model(first, node.outputs[0])(given.reshape(-1, *source.input_shape)))
            rest = keras.Model(node.outputs[0], last, name="rest")
        except Exception:  # noqa: BLE001 - what is behind needs more than this tensor, or an Embedding has no such row
            break
        if found.shape != given.shape:
            break
        scale = (found[1] - found[0]) / span
        offset = found[0] - scale * least
        # Nothing is above or below what is no number, such as a logarithm beyond the ends.
        same = np.abs(scale * given + offset - found) <= SAME * np.abs(found).max(axis=0)
        if not scale.all() or not same.all():
            break
        # The name of an input is in the file, and must not depend on what was made before.
        start = keras.Input(spec.shape, name="input")
        alone = keras.Model(start, rest(start), name="unscaled")
        scales, offsets = (tuple(one.tolist()) for one in (scale * spec.scale, scale * spec.offset + offset))
        reads = msgspec.structs.replace(spec, scale=scales, offset=offsets)
        bare = replace(source, original=alone, model=alone, spec=reads)
    return bare
