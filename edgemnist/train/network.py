"""What a network looks like and what it will cost, before it is trained.

A network is one line of text, FAMILY:SIDE:LAYERS:BITS, such as

    mlp:14:40-20:4bit      pixels averaged to 14×14, two hidden layers of 40 and 20 units, weights of 4 bits
    cnn:28:c8s2-d-p16:2bit  all pixels; a 3×3 convolution, a depthwise one and a pointwise one; weights of -1, 0 and 1

SIDE may be left out for 28, and BITS for 8bit. 24, 12 and 6 leave out a rim of 2 pixels, on which MNIST has little ink.
Layers are joined by `-`; the last one, which answers with a score for each class, goes without saying. An MLP has
numbers of units only. A CNN begins with convolutions and ends with any number of dense layers:

    c8, c8s2    3×3 convolution with 8 channels, at every place or at every second one
    d, ds2      3×3 depthwise convolution: each channel by itself
    p16         pointwise convolution: 16 channels out of all channels at one place
    max         the largest of 2×2
    mean        the mean of all places, after the last convolution
    40          dense layer with 40 units

Each of c, d, p and dense ends in a ReLU. Nothing is padded: a 3×3 kernel on 28×28 places leaves 26×26.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final, NamedTuple

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import UsageError

MLP: Final = "mlp"
CNN: Final = "cnn"
FAMILIES: Final = (MLP, CNN)
RIM: Final = 2
"""Pixels that may be cropped on each side: 99.8 % of what MNIST's training images have of ink lies within."""
SIDES: Final = (28, 24, 14, 12, 7, 6)
"""Sides to which the image may be cropped and averaged: by whole pixels, exact and cheap in 8-bit integers.

16 is not among them: 28 / 16 is not a whole number, and of 16×16 averages of an image with a rim of 2 pixels the
outermost are always blank."""
WIDTHS: Final = (8, 4, 2)
"""Bits of a weight."""
LEVELS: Final = {8: 127, 4: 7, 2: 1}
"""Largest weight as an integer, by bits; the smallest is its negative."""
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
_HINT: Final = "Such as mlp:14:40-20:4bit or cnn:28:c8s2-d-p16:2bit; see the reference of edgemnist train."


class Layer(NamedTuple):
    """One layer, as specified."""

    kind: str
    """`CONVOLUTION`, `DEPTHWISE`, `POINTWISE`, `MAXIMUM`, `MEAN` or `DENSE`."""
    units: int = 0
    """Channels or units; 0 where they are those of the layer before."""
    stride: int = 1

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
        """How many values."""
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
        """How many biases it has."""
        return self.target.channels if self.kernel else 0

    @property
    def multiplications(self) -> int:
        """How many multiplications it takes for one image."""
        each = prod(self.kernel[:-1]) if self.layer.kind != DEPTHWISE else KERNEL**2
        return each * self.target.size if self.kernel else 0


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of one of the families. Raises UsageError if it is not possible."""

    family: str
    """One of `FAMILIES`."""
    side: int = IMAGE_SIDE
    """Pixels along each side after the image has been cropped and averaged, one of `SIDES`."""
    layers: tuple[Layer, ...] = ()
    """Layers from the image on, without the last one, which answers."""
    bits: int = 8
    """Bits of each weight, one of `WIDTHS`. Biases have 32, activations 8."""

    def __post_init__(self) -> None:
        if reason := self._unknown() or self._out_of_order() or self._out_of_room():
            raise UsageError(f"--network {self} is not possible: {reason}", hint=_HINT)

    def _unknown(self) -> str | None:
        if self.family not in FAMILIES:
            return f"its family must be one of {', '.join(FAMILIES)}"
        if self.side not in SIDES:
            return f"its side must be one of {', '.join(map(str, SIDES))}"
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
        places = Places(self.side, self.side, 1)
        for layer in self.layers:
            target = _stage(layer, places).target
            if min(target) < 1:
                return f"its layer {layer} leaves nothing of {places.height}×{places.width} places"
            places = target
        return None

    @classmethod
    def parse(cls, text: str) -> Network:
        """Return the network that a line of text describes. Raises UsageError for a line that describes none."""
        family, *parts = text.strip().lower().split(":")
        bits = 8
        if parts and (found := re.fullmatch(r"(\d+)bits?", parts[-1])):
            bits = int(found[1])
            parts.pop()
        side = IMAGE_SIDE
        if len(parts) == 2 and parts[0].isdecimal():  # noqa: PLR2004 - side and layers
            side = int(parts.pop(0))
        if family not in FAMILIES or len(parts) != 1:
            raise UsageError(f"--network {text} is not FAMILY:SIDE:LAYERS:BITS", hint=_HINT)
        layers = tuple(_layer(one, text) for one in parts[0].split("-")) if parts[0] else ()
        return cls(family=family, side=side, layers=layers, bits=bits)

    @classmethod
    def mlp(cls, *units: int, side: int = IMAGE_SIDE, bits: int = 8) -> Network:
        """Return an MLP with so many units in each hidden layer."""
        return cls(family=MLP, side=side, layers=tuple(Layer(DENSE, one) for one in units), bits=bits)

    def __str__(self) -> str:
        return f"{self.family}:{self.side}:{'-'.join(map(str, self.layers))}:{self.bits}bit"

    @property
    def rim(self) -> int:
        """Pixels that are cropped on each side, before any are averaged."""
        return RIM if IMAGE_SIDE % self.side else 0

    @property
    def averaged(self) -> int:
        """Side of the squares of pixels that become one number."""
        return (IMAGE_SIDE - 2 * self.rim) // self.side

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the dense layers but the last."""
        return tuple(layer.units for layer in self.layers if layer.kind == DENSE)

    @property
    def plain(self) -> bool:
        """Whether it is an MLP on all pixels with weights of 8 bits, as `--hidden` makes it."""
        return (self.family, self.side, self.bits) == (MLP, IMAGE_SIDE, 8)

    def stages(self, classes: int) -> Iterator[Stage]:
        """Yield the layers in their places, the last one included, which answers."""
        places = Places(self.side, self.side, 1)
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

    def ram_bytes(self, classes: int) -> int:
        """Return the bytes of the activations, one each, of the layer with the most of them as input and output.

        Two buffers, used in turn, take that much. The image is an input like any other.
        """
        stages = list(self.stages(classes))
        sides = [IMAGE_SIDE, IMAGE_SIDE - 2 * self.rim, self.side]
        before = [one**2 + other**2 for one, other in itertools.pairwise(sides) if one != other]
        return max([*before, *(stage.source.size + stage.target.size for stage in stages)])

    def multiplications(self, classes: int) -> int:
        """Return how many multiplications of a weight one image takes, if none is skipped."""
        return sum(stage.multiplications for stage in self.stages(classes))


def short_name(network: Network, classes: int) -> str:
    """Return the short name of a network: 784-512-10, or its line of text."""
    return "-".join(map(str, (IMAGE_SIDE**2, *network.hidden, classes))) if network.plain else str(network)


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
        return (height - kernel) // layer.stride + 1, (width - kernel) // layer.stride + 1

    if layer.kind == CONVOLUTION:
        shape = (KERNEL, KERNEL, channels, layer.units)
        return Stage(layer, source, Places(*slid(KERNEL), layer.units), shape)
    if layer.kind == DEPTHWISE:
        return Stage(layer, source, Places(*slid(KERNEL), channels), (KERNEL, KERNEL, channels, 1))
    if layer.kind == POINTWISE:
        return Stage(layer, source, Places(height, width, layer.units), (1, 1, channels, layer.units))
    if layer.kind == MAXIMUM:
        return Stage(layer, source, Places(*slid(layer.stride), channels), ())
    if layer.kind == MEAN:
        return Stage(layer, source, Places(1, 1, channels), ())
    return Stage(layer, source, Places(1, 1, layer.units), (source.size, layer.units))
