"""What a network looks like and what it will cost, before it is trained.

A network is one line of text, FAMILY:SIDE:LAYERS:BITS, such as `mlp:14:40-20:4bit` or `cnn:32:c8s2-d-p16:2bit`;
`docs/reference/networks.md` says what each part can be. The last layer, which answers, goes without saying. Layers with
weights end in a ReLU, and nothing is padded: a 3×3 kernel on 32×20 places leaves 30×18.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

from edgemnist.errors import UsageError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import default_input

if TYPE_CHECKING:
    from edgemnist.ground.results.pipeline import TrainResult

MLP: Final = "mlp"
CNN: Final = "cnn"
FAMILIES: Final = (MLP, CNN)
AVERAGED: Final = (1, 2, 4)
"""Sides of the squares of pixels that may become one number, and `RIMS` the pixels that may be cropped on each side
before: whole numbers, exact and cheap in 8-bit integers. Of MNIST's ink 99.8 % is within a rim of 2."""
RIMS: Final = (0, 2)
WHOLE: Final = -1
"""Stands for the side of the image as it is."""
WIDTHS: Final = (8, 4, 2)
"""Bits of a weight."""
LEVELS: Final = {8: 127, 4: 7, 2: 1}
"""Largest weight as an integer, by bits; the smallest is its negative."""
PLANES: Final = (2, 3)
"""Axes of an input with places: height and width, and channels."""
KERNEL: Final = 3
"""Side of the kernel of a convolution, in places."""
BIAS_BYTES: Final = 4
MAX_UNITS: Final = 16_384
"""Most units of a layer: 13 million weights on the pixels, far beyond what a small board holds."""

CONVOLUTION: Final = "convolution"
DEPTHWISE: Final = "depthwise"
POINTWISE: Final = "pointwise"
MAXIMUM: Final = "maximum"
MEAN: Final = "mean"
DENSE: Final = "dense"

_SYNTAX: Final = re.compile(
    r"(?P<convolution>c)(?P<c_units>\d+)(?:s(?P<c_stride>[12]))?"
    r"|(?P<depthwise>d)(?:s(?P<d_stride>[12]))?"
    r"|(?P<pointwise>p)(?P<p_units>\d+)"
    r"|(?P<maximum>max)"
    r"|(?P<mean>mean)"
    r"|(?P<dense>)(?P<units>\d+)"
)
_HINT: Final = "Such as mlp:14:40-20:4bit or cnn:14:c8s2-d-p16:2bit; see the reference of edgemnist train."


class Layer(NamedTuple):
    """One layer, as specified."""

    kind: str
    """`CONVOLUTION`, `DEPTHWISE`, `POINTWISE`, `MAXIMUM`, `MEAN` or `DENSE`."""
    units: int = 0
    """Channels or units; 0 where they are those of the layer before."""
    stride: int = 1
    side: int = KERNEL
    """Side of the kernel of a convolution; that of a teacher may be larger."""
    padding: str = "VALID"
    """Of a convolution; that of a teacher may be `SAME`."""

    def __str__(self) -> str:
        stride = f"s{self.stride}" if self.stride > 1 else ""
        return {
            CONVOLUTION: f"c{self.units}{stride}",
            DEPTHWISE: f"d{stride}",
            POINTWISE: f"p{self.units}",
            MAXIMUM: "max",
            MEAN: "mean",
            DENSE: f"{self.units}",
        }[self.kind]


class Places(NamedTuple):
    """The shape of an activation."""

    height: int
    width: int
    channels: int

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self)


class Stage(NamedTuple):
    """A layer in its place in the network."""

    layer: Layer
    source: Places
    target: Places
    kernel: tuple[int, ...]
    """Shape of its weights as Keras has them; empty without weights."""

    @property
    def biases(self) -> int:
        """Number of biases."""
        return self.target.channels if self.kernel else 0

    @property
    def multiplications(self) -> int:
        """Number of multiplications for one image."""
        each = prod(self.kernel[:-1]) if self.layer.kind != DEPTHWISE else KERNEL**2
        return each * self.target.size if self.kernel else 0


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of one of the families. Raises UsageError if it is not possible."""

    family: str
    """One of `FAMILIES`."""
    side: int = WHOLE
    """Height after the image has been cropped and averaged, one of `sides_of` it; by default all of it."""
    layers: tuple[Layer, ...] = ()
    """Layers from the image on, without the last one, which answers."""
    bits: int = 8
    """Bits of each weight, one of `WIDTHS`. Biases have 32, activations 8."""
    image: tuple[int, ...] = field(default=(), repr=False)
    """Shape of an input, by default that of the default task: [H, W], [H, W, C], or any for an MLP."""

    def __post_init__(self) -> None:
        # Not in its words: a network is named beside its data.
        object.__setattr__(self, "image", self.image or default_input().shape)
        object.__setattr__(self, "side", next(iter(sides_of(self.image))) if self.side == WHOLE else self.side)
        if reason := self._unknown() or self._out_of_order() or self._out_of_room():
            raise UsageError(f"--network {self} is not possible: {reason}", hint=_HINT)

    def _unknown(self) -> str | None:
        if self.family not in FAMILIES:
            return f"its family must be one of {', '.join(FAMILIES)}"
        if self.side not in (sides := sides_of(self.image)):
            return f"its side must be {'one of ' * (len(sides) > 1)}{', '.join(map(str, sides))}"
        if self.bits not in WIDTHS:
            return f"its weights must have {', '.join(map(str, WIDTHS[:-1]))} or {WIDTHS[-1]} bits"
        for layer in self.layers:
            if layer.kind in {CONVOLUTION, POINTWISE, DENSE} and not 1 <= layer.units <= MAX_UNITS:
                return f"a layer must have between 1 and {MAX_UNITS:,} units"
        return None

    def _out_of_order(self) -> str | None:
        kinds = [layer.kind for layer in self.layers]
        dense = kinds.index(DENSE) if DENSE in kinds else len(kinds)
        if self.family == MLP and set(kinds) - {DENSE}:
            return "an mlp takes only numbers of units; convolutions belong to a cnn"
        if self.family == CNN and kinds[:1] != [CONVOLUTION]:
            return "a cnn must begin with a convolution, such as c8"
        if set(kinds[dense:]) - {DENSE}:
            return "no convolution or pooling may follow a dense layer"
        return "mean must come after the last convolution" if MEAN in kinds[: max(0, dense - 1)] else None

    def _out_of_room(self) -> str | None:
        places = self.places
        for layer in self.layers:
            target = _stage(layer, places).target
            if min(target) < 1:
                return f"its layer {layer} leaves nothing of {places.height}×{places.width} places"
            places = target
        return None

    @classmethod
    def parse(cls, text: str, image: tuple[int, ...] = ()) -> Network:
        """Return the network for inputs of the shape `image` that a line of text describes.

        Raises UsageError for a line that describes none.
        """
        family, *parts = text.strip().lower().split(":")
        bits = 8
        if parts and (found := re.fullmatch(r"(\d+)bits?", parts[-1])):
            bits = int(found[1])
            parts.pop()
        side = WHOLE
        if len(parts) == 2 and parts[0].isdecimal():  # noqa: PLR2004 - side and layers
            side = int(parts.pop(0))
        if family not in FAMILIES or len(parts) != 1:
            raise UsageError(f"--network {text} is not FAMILY:SIDE:LAYERS:BITS", hint=_HINT)
        layers = tuple(_layer(part, text) for part in parts[0].split("-")) if parts[0] else ()
        return cls(family=family, side=side, layers=layers, bits=bits, image=image)

    @classmethod
    def mlp(cls, *units: int, side: int = WHOLE, bits: int = 8, image: tuple[int, ...] = ()) -> Network:
        """Return an MLP with these units in its hidden layers."""
        layers = tuple(Layer(DENSE, count) for count in units)
        return cls(family=MLP, side=side, layers=layers, bits=bits, image=image)

    def __str__(self) -> str:
        return f"{self.family}:{self.side}:{'-'.join(map(str, self.layers))}:{self.bits}bit"

    @property
    def rim(self) -> int:
        """Pixels that are cropped on each side, before any are averaged."""
        return sides_of(self.image)[self.side][0]

    @property
    def averaged(self) -> int:
        """Side of the squares of pixels that become one number."""
        return sides_of(self.image)[self.side][1]

    @property
    def places(self) -> Places:
        """What the first layer is given."""
        if len(self.image) not in PLANES:
            return Places(1, 1, prod(self.image))
        width, *channels = self.image[1:]
        return Places(self.side, (width - 2 * self.rim) // self.averaged, prod(channels))

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the dense layers but the last."""
        return tuple(layer.units for layer in self.layers if layer.kind == DENSE)

    @property
    def plain(self) -> bool:
        """Whether it is an MLP on all pixels with weights of 8 bits, as `--hidden` makes it."""
        return (self.family, self.side, self.bits) == (MLP, next(iter(sides_of(self.image))), 8)

    def stages(self, classes: int) -> Iterator[Stage]:
        """Yield the layers in their places, the last one included, which answers."""
        places = self.places
        for layer in (*self.layers, Layer(DENSE, classes)):
            stage = _stage(layer, places)
            yield stage
            places = stage.target

    def parameters(self, classes: int) -> int:
        """Return how many weights and biases there are."""
        return sum(prod(stage.kernel) + stage.biases for stage in self.stages(classes) if stage.kernel)

    def weight_bytes(self, classes: int) -> int:
        """Return the bytes of the weights, packed in their bits layer by layer, and of the biases in 32 bits."""
        return sum(
            -(-prod(stage.kernel) * self.bits // 8) + BIAS_BYTES * stage.biases
            for stage in self.stages(classes)
            if stage.kernel
        )

    def multiplications(self, classes: int) -> int:
        """Return how many multiplications of a weight one image takes, if none is skipped."""
        return sum(stage.multiplications for stage in self.stages(classes))


def short_name(network: Network, classes: int) -> str:
    """Return the short name of a network: 13-512-10, or its line of text."""
    return "-".join(map(str, (prod(network.image), *network.hidden, classes))) if network.plain else str(network)


def short_name_of(trained: TrainResult) -> str:
    """Return the short name of the network that was trained."""
    image = trained.input.shape if isinstance(trained.input, InputSpec) else ()
    network = Network.parse(trained.network, image) if trained.network else Network.mlp(*trained.hidden, image=image)
    return short_name(network, len(trained.labels))


def training_command(training: TrainResult) -> str:
    """Return the command that trains the same model from the same images; empty where Ctrl-C ended it, in 0.1.0."""
    if training.interrupted:
        return ""
    plain = short_name_of(training) != training.network
    network = " ".join(f"--hidden {units}" for units in training.hidden) if plain else f"--network {training.network}"
    # Any copy of MNIST will do; other data are named as they were, and pictures are brought to the same size.
    known = training.data.source.partition(" in ")[2].rstrip("/")
    named = "" if training.data.source.startswith("MNIST") or not known else f" --data {shlex.quote(known)}"
    if named and training.data.source.startswith("pictures") and isinstance(training.input, InputSpec):
        named += f" --input {'x'.join(map(str, training.input.shape))}"
    teacher = f" --teacher-seed {training.teacher_seed}" if training.teacher_seed not in {None, training.seed} else ""
    return (
        f"edgemnist train --recipe {training.recipe} {network} --epochs {training.epochs} "
        f"--batch-size {training.batch_size} --seed {training.seed}{teacher}{named}"
    )


@cache
def sides_of(image: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    """Return the heights to which an image can be brought, its own first, by the rim and the squares that make each.

    Inputs that are no plane have one: how many numbers they have.
    """
    if len(image) not in PLANES:
        return {prod(image): (0, 1)}
    sides: dict[int, tuple[int, int]] = {}
    for each, rim in product(AVERAGED, RIMS):
        inner = [size - 2 * rim for size in image[:2]]
        if min(inner) >= each and not any(size % each for size in inner):
            sides.setdefault(inner[0] // each, (rim, each))
    return sides


def _layer(text: str, whole: str) -> Layer:
    found = _SYNTAX.fullmatch(text)
    if found is None:
        raise UsageError(f"--network {whole} has an unknown layer: {text or 'an empty one'}", hint=_HINT)
    kind = next(name for name in (CONVOLUTION, DEPTHWISE, POINTWISE, MAXIMUM, MEAN, DENSE) if found[name] is not None)
    units = found["c_units"] or found["p_units"] or found["units"] or 0
    stride = found["c_stride"] or found["d_stride"] or (2 if kind == MAXIMUM else 1)
    return Layer(kind, int(units), int(stride))


def _stage(layer: Layer, source: Places) -> Stage:
    height, width, channels = source

    def slid(kernel: int) -> tuple[int, int]:
        lost = 0 if layer.padding == "SAME" else kernel - 1
        return -(-(height - lost) // layer.stride), -(-(width - lost) // layer.stride)

    if layer.kind == CONVOLUTION:
        shape = (layer.side, layer.side, channels, layer.units)
        return Stage(layer, source, Places(*slid(layer.side), layer.units), shape)
    if layer.kind == DEPTHWISE:
        return Stage(layer, source, Places(*slid(KERNEL), channels), (KERNEL, KERNEL, channels, 1))
    if layer.kind == POINTWISE:
        return Stage(layer, source, Places(height, width, layer.units), (1, 1, channels, layer.units))
    if layer.kind == MAXIMUM:
        return Stage(layer, source, Places(*slid(layer.stride), channels), ())
    if layer.kind == MEAN:
        return Stage(layer, source, Places(1, 1, channels), ())
    return Stage(layer, source, Places(1, 1, layer.units), (source.size, layer.units))
