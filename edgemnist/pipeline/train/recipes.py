"""The recipes: everything about a training but its size, its data and its seed."""

import pkgutil
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from edgemnist.errors import UsageError, check_range
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.registry import Registry
from edgemnist.ground.storage import sha256
from edgemnist.model.task import TASKS, Task, default_input, default_task
from edgemnist.pipeline.train.augment import Distortion
from edgemnist.pipeline.train.model import Adam, Optimizer, RMSprop
from edgemnist.pipeline.train.network import KERNEL, MAX_UNITS, MLP, PLANES, Network

DEFAULT_RECIPE = "standard"

MAX_EPOCHS = 1_000
"""Most epochs of a recipe that counts images seen: looking at a handful of images more often gains nothing."""
MAX_COPIES = 400
"""Most copies of a set to distil from: beyond that, one image would be most of what there is to see."""
FULL_STRENGTH_PARAMETERS = 407_050
"""Parameters of the default network on MNIST, which the distortions were tuned for."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Gaussian noise on a share of the images, late in the training: a network that has the shapes learns it soon."""

    sigma: float
    """Largest standard deviation, of pixels in 0..1; each image has its own, drawn evenly from 0 on."""
    share: float = 0.5
    """Share of the images of a batch."""
    begins: float
    """Share of the epochs that is over when it sets in."""


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Training for int8: the loss is that of the network as the exporters will round it, late in the training."""

    begins: float
    """Share of the epochs that is over when it sets in."""


@dataclass(frozen=True, kw_only=True)
class FamilyRounding(Rounding):
    """Rounding of a network of the families, by levels that follow from the weights as they are."""

    bits: int
    """Width of the weights."""


LateT = TypeVar("LateT", Noise, Rounding)

ROUNDING_BEGINS: Final = {8: 0.9, 4: 0.2, 2: 0.0}
"""Share of the epochs that is over when rounding sets in, by bits: fewer levels take longer to learn."""


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Learning from a teacher's answers to many distorted copies of the images (G. Hinton et al., 2015)."""

    teacher: "Recipe"
    """How the teacher is trained."""
    distortion: Distortion
    """Distortion of the last copy; the first is the images as they are, and those between go up in even steps."""
    images: int
    """Images in all copies together: a smaller set has more copies."""
    uses: int
    """Epochs for which a copy is used before it is remade."""
    temperature: float
    """Divisor of both sides' logits, so that classes that the teacher finds similar count more."""
    share: float
    """Share of the teacher's answers in the loss; the rest is the labels'."""

    def copies_for(self, images: int) -> int:
        """Return the number of copies to make of this many images."""
        return max(2, min(MAX_COPIES, round(self.images / images)))

    def edition_of(self, copy: int, turn: int) -> int:
        """Return how often a copy has been remade before its use in a turn, all counted from 0.

        The first copy is the images as they are, always. Of the others each turn renews about as many as any other.
        """
        return (turn + copy) // self.uses if copy else 0


@dataclass(frozen=True, kw_only=True)
class ForSmaller:
    """What is different for networks of up to `parameters` parameters."""

    parameters: int
    batch_size: int
    optimizer: Optimizer
    averaging: float
    images_seen: int
    strength: float
    """Factor of the distortions of the copies: a small network cannot learn what strong ones make."""
    temperature: float
    share: float
    """Share of the teacher, as in `Distillation`."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train."""

    summary: str
    """One line for listings and help texts."""
    epochs: int | None = None
    """Passes over the training images, however many those are; None if `images_seen` says how long."""
    images_seen: int | None = None
    """Images to learn from, each counted every time: a smaller set is seen more often, in the same time."""
    batch_size: int
    """Images per step."""
    optimizer: Optimizer
    learning_rate: float
    cosine: bool = False
    """Let the learning rate fall to 0 along half a cosine (I. Loshchilov and F. Hutter, 2017)."""
    averaging: float | None = None
    """Decay of the exponential moving average of the weights; None keeps the last weights."""
    distortion: Distortion | None = None
    warm_up: int = 0
    """Epochs over which the learning rate rises from 0 first."""
    noise: Noise | None = None
    rounding: Rounding | None = None
    distillation: Distillation | None = None
    smaller: ForSmaller | None = None
    calibration: Distortion | None = None
    """Distortion of the training images that calibrate the confidences at the end; None leaves them as they are."""
    xla: bool = True
    """Compile the epoch with XLA. It makes dense layers faster and convolutions slower."""

    def for_network(self, parameters: int) -> "Recipe":
        """Return the recipe for a network of this many parameters."""
        if self.smaller is None or parameters > self.smaller.parameters:
            return self
        small, distillation = self.smaller, self.distillation
        if distillation is not None:
            distillation = replace(
                distillation,
                distortion=distillation.distortion.scaled(small.strength),
                temperature=small.temperature,
                share=small.share,
            )
        return replace(
            self,
            images_seen=small.images_seen,
            batch_size=small.batch_size,
            optimizer=small.optimizer,
            averaging=small.averaging,
            distillation=distillation,
        )

    def for_family(self, network: Network) -> "Recipe":
        """Return the recipe for a network that is trained in the arithmetic of its family; see `families`."""
        optimizer = self.optimizer
        return replace(
            self,
            # A normalized layer answers the same whatever the size of its weights: decay would only change the rate.
            optimizer=replace(optimizer, weight_decay=0.0) if isinstance(optimizer, Adam) else optimizer,
            # What a few kilobytes can hold is spent on the classes.
            noise=None,
            rounding=FamilyRounding(bits=network.bits, begins=ROUNDING_BEGINS[network.bits]),
            xla=self.xla and network.family == MLP,
        )

    def epochs_for(self, images: int) -> int:
        """Return the epochs to train on this many images."""
        if self.epochs is not None:
            return self.epochs
        if self.images_seen is None:
            raise ValueError("a recipe needs epochs or images_seen")
        return min(MAX_EPOCHS, ceil(self.images_seen / images))

    def distortion_for(self, parameters: int) -> Distortion | None:
        """Return the distortion for a network of this size: a small one cannot learn what a strong distortion makes.

        Full strength from `FULL_STRENGTH_PARAMETERS` on, half of it from a quarter of them down, else by the logarithm.
        """
        if self.distortion is None:
            return None
        doublings = log2(parameters / FULL_STRENGTH_PARAMETERS)
        return self.distortion.scaled(min(1.0, max(0.5, 1 + doublings / 4)))


CLASSIC: Final = Recipe(summary="", batch_size=128, optimizer=RMSprop(), learning_rate=1e-3)
AVERAGED: Final = Recipe(summary="", batch_size=256, optimizer=Adam(), learning_rate=4e-3, cosine=True, averaging=0.998)
"""What recipes of the two kinds have in common, of any task."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How networks for a task are trained."""

    network: str
    """What is trained where nobody names a network, as `Network.parse` takes it."""
    recipes: Registry[Recipe]
    known: tuple[str, ...] = ()
    """Networks that a search tries first."""
    blocks: int = 4
    """Most blocks that a search puts after the first convolution."""
    distortion: Distortion | None = None
    """As far as an input can be distorted and still be what it is; None where that is not known."""


def training_of(task: Task) -> Training:
    """Return how networks for a task are trained; a task without a name is the default one."""
    entry = TASKS[task.name or default_task().name]
    training: Training = pkgutil.resolve_name(entry.training)(task.input)
    return training


MAX_SEED = 2**32 - 1
"""32 bits, as wherever seeds are taken."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The options of a training, validated.

    Raises UnknownNameError for an unknown recipe, and UsageError, naming the option, for a number out of its range.
    """

    recipe: str = DEFAULT_RECIPE
    task: Task = field(default_factory=default_task)
    """What the network is for."""
    hidden: tuple[int, ...] | None = None
    """Units of each hidden layer, from the input to the answer: the short way to name an MLP on all its numbers."""
    network: Network | None = None
    """What to train, if not that MLP; None for the task's."""
    epochs: int | None = None
    """Passes over the training images; None for as many as the recipe takes."""
    batch_size: int | None = None
    """Images per step; None for the recipe's."""
    seed: int = 0
    """Seed of the first weights, the order of the images and their distortions."""
    teacher_seed: int | None = None
    """Seed of the teacher that a recipe distils from, so that several seeds can share one; None for `seed`."""

    def __post_init__(self) -> None:
        recipe = self.resolved_recipe
        if self.network is not None and self.network.image != self.task.input.shape:
            raise ValueError(f"a network for {self.network.image} is none for {self.task.input.words()}")
        if self.network is not None and self.network.averaged > 1 and not self.task.input.is_unit:
            raise UsageError(
                f"--network {self.network} averages, which is for pixels, and these are {self.task.input.words()}",
                hint="Leave the side out.",
            )
        for units in self.hidden or ():
            check_range("--hidden", units, least=1, most=MAX_UNITS)
        check_range("--epochs", self.epochs, least=1)
        check_range("--batch-size", self.batch_size, least=1)
        check_range("--seed", self.seed, least=0, most=MAX_SEED)
        check_range("--teacher-seed", self.teacher_seed, least=0, most=MAX_SEED)
        if self.teacher_seed is not None and recipe.distillation is None:
            raise UsageError(
                f"--teacher-seed does not apply: the recipe {self.recipe} has no teacher",
                hint="Leave it out, or choose --recipe best.",
            )

    @property
    def resolved_recipe(self) -> Recipe:
        """The recipe that the name stands for."""
        recipes, usual = training_of(self.task).recipes, default_task()
        if self.recipe not in recipes and self.recipe in training_of(usual).recipes:
            raise UsageError(
                f"The recipe {self.recipe} is for {TASKS[usual.name].noun}s, and these are {self.task.input.words()}",
                hint=f"Recipes for them: {', '.join(recipes)}.",
            )
        return recipes[self.recipe]

    @property
    def resolved_network(self) -> Network:
        """The network that is named, or that `hidden` stands for, or the task's."""
        shape = self.task.input.shape
        if self.network is not None:
            return self.network
        return (
            Network.parse(training_of(self.task).network, shape)
            if self.hidden is None
            else Network.mlp(*self.hidden, image=shape)
        )

    @property
    def resolved_teacher_seed(self) -> int:
        """The seed of the teacher, where the recipe has one."""
        return self.seed if self.teacher_seed is None else self.teacher_seed


def digest(*values: object) -> str:
    """Return a short hash of settings, by their `repr`: other settings, another hash."""
    return sha256("\n".join(map(repr, values)).encode())[:16]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the loop needs to know."""

    recipe: Recipe
    distortion: Distortion | None
    epochs: int
    batch_size: int
    seed: int
    spec: InputSpec = field(default_factory=default_input)
    """What the training inputs are, and what they stand for."""

    @property
    def recipe_version(self) -> str:
        """A short hash of the recipe: it changes when the recipe does, under the same name."""
        return digest(self.recipe)

    def begun(self, late: LateT | None, epoch: int) -> LateT | None:
        """Return the noise or the rounding of the recipe, if it has begun in an epoch, counted from 1, else None."""
        # The last epoch is in it, however few there are.
        return late if late is not None and epoch > min(late.begins * self.epochs, self.epochs - 1) else None


def plan_for(config: TrainConfig, *, images: int, parameters: int, spec: InputSpec | None = None) -> Plan:
    """Return the plan for this many training inputs, of `spec`, and a network with this many parameters."""
    recipe, network = config.resolved_recipe.for_network(parameters), config.resolved_network
    if not network.plain:
        recipe = recipe.for_family(network)
    return Plan(
        recipe=recipe,
        distortion=recipe.distortion_for(parameters),
        epochs=config.epochs or recipe.epochs_for(images),
        # A recipe's steps are of many images; with fewer than one step's, there are a few smaller steps.
        batch_size=config.batch_size or (recipe.batch_size if images >= recipe.batch_size else max(1, images // 8)),
        seed=config.seed,
        spec=spec or default_input(),
    )


LEAST_SIDE: Final = 8
"""Places along the shorter side of what a CNN is for; a table of fewer rows or columns has no neighbours in a plane."""
LARGE_SIDE: Final = 40
"""Side from which on the first convolution takes every second place."""
CHANNELS: Final = (16, 24, 32, 40)
"""Of the convolutions."""
MOST_PLACES: Final = 32
"""Places that the last layer is given."""
NETWORK_OF_NUMBERS: Final = "mlp:64-32:8bit"


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
        "baseline": replace(CLASSIC, summary="RMSprop on the inputs as they are", images_seen=100_000, batch_size=64),
        DEFAULT_RECIPE: replace(
            AVERAGED,
            summary="cosine schedule, weight averaging, and for pictures distortion and other light",
            images_seen=200_000 if layers else 100_000,
            batch_size=64 if layers else 32,
            optimizer=Adam() if layers else Adam(weight_decay=0.3),
            learning_rate=4e-3 if layers else 2e-3,
            distortion=distortion,
            # Convolutions are slower with it.
            xla=layers is None,
        ),
    }
    network = NETWORK_OF_NUMBERS if layers is None else f"cnn:{layers}:8bit"
    return Training(
        network=network,
        recipes=Registry("recipe", recipes),
        known=(network,),
        blocks=2 * (len(CHANNELS) - 1),
        # A small network is trained with half of it, see `Recipe.distortion_for`.
        distortion=None if distortion is None else distortion.scaled(0.5),
    )
