"""How networks for pictures and for numbers are trained, and what they are given of the inputs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.registry import Registry
from edgemnist.pipeline.train.augment import Distortion
from edgemnist.pipeline.train.model import Adam, RMSprop
from edgemnist.pipeline.train.network import KERNEL, PLANES
from edgemnist.pipeline.train.recipes import DEFAULT_RECIPE, Recipe, Training

LEAST_SIDE: Final = 8
"""Places along the shorter side of what a CNN is for; a table of fewer rows or columns has no neighbours in a plane."""
LARGE_SIDE: Final = 40
"""Side from which on the first convolution takes every second place."""
CHANNELS: Final = (16, 24, 32, 40)
"""Of the convolutions."""
MOST_PLACES: Final = 32
"""Places that the last layer is given."""
MLP: Final = "mlp:64-32:8bit"


def spec_of(inputs: npt.NDArray[Any]) -> InputSpec:
    """Return what training inputs, [N, *shape], stand for: bytes for 0..1, and numbers for themselves, standardized.

    Of numbers each index of the last axis has mean 0 and standard deviation 1, one that never changes deviation 0.
    """
    shape = inputs.shape[1:]
    if inputs.dtype == np.uint8:
        return InputSpec(shape=shape)
    axes = tuple(range(len(shape)))
    mean, std = inputs.mean(axes, dtype=np.float64), inputs.std(axes, dtype=np.float64)
    # The mean of equal numbers is rounded, too: their deviation need not be 0.
    is_varied = (inputs.min(axes) < inputs.max(axes)) & (std > np.finfo(np.float32).tiny)
    std = np.where(is_varied, std, 1)
    return InputSpec(
        shape=shape, dtype="float32", scale=tuple((1 / std).tolist()), offset=tuple((-mean / std).tolist())
    )


def for_pictures(spec: InputSpec) -> Training:
    """Return how networks for pictures are trained: moved and turned a little, in other light, but never mirrored.

    Mirrored, a letter, a sign or a hand may be another class.
    """
    distortion = Distortion(rotation=20, scale=0.2, shear=0.2, shift=max(spec.shape[:2]) / 7, colour=0.4, spread=True)
    return _training(spec, distortion)


def for_numbers(spec: InputSpec) -> Training:
    """Return how networks for numbers are trained: as they are. Those in a plane are convolved."""
    return _training(spec, None)


def convolutions(shape: tuple[int, ...]) -> str | None:
    """Return the layers of a small CNN for inputs of this shape; None where they are too few places.

    They halve the sides until few places are left.
    """
    sides = shape[:2]
    if len(shape) not in PLANES or min(sides) < LEAST_SIDE:
        return None
    layers: list[str] = []
    for number, channels in enumerate(CHANNELS):
        # Whatever is left has room for the convolutions that follow, and two places beside.
        if number and min(sides) // 2 >= 2 * (len(CHANNELS) - number + 1):
            layers.append("max")
            sides = tuple(side // 2 for side in sides)
        if min(sides) < KERNEL:
            break
        stride = 2 if not number and min(sides) >= LARGE_SIDE else 1
        layers.append(f"c{channels}{'s2' * (stride > 1)}")
        sides = tuple((side - KERNEL) // stride + 1 for side in sides)
    while sides[0] * sides[1] > MOST_PLACES and min(sides) > 1:
        layers.append("max")
        sides = tuple(side // 2 for side in sides)
    return "-".join(layers)


def _training(spec: InputSpec, distortion: Distortion | None) -> Training:
    layers = convolutions(spec.shape)
    recipes = {
        "baseline": Recipe(
            summary="RMSprop on the inputs as they are",
            images_seen=100_000,
            batch_size=64,
            optimizer=RMSprop(),
            learning_rate=1e-3,
        ),
        DEFAULT_RECIPE: Recipe(
            summary="cosine schedule, weight averaging, and for pictures distortion and other light",
            images_seen=200_000 if layers else 100_000,
            batch_size=64 if layers else 32,
            optimizer=Adam() if layers else Adam(weight_decay=0.3),
            learning_rate=4e-3 if layers else 2e-3,
            cosine=True,
            averaging=0.998,
            distortion=distortion,
            # Convolutions are slower with it.
            xla=layers is None,
        ),
    }
    network = MLP if layers is None else f"cnn:{layers}:8bit"
    return Training(
        network=network,
        recipes=Registry("recipe", recipes),
        known=(network,),
        blocks=2 * (len(CHANNELS) - 1),
        # A small network is trained with half of it, see `Recipe.distortion_for`.
        distortion=None if distortion is None else distortion.scaled(0.5),
    )
