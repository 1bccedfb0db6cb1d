"""What a model reads: the shape of one input, and what its numbers mean."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct, UnsetType

from edgemnist.errors import UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

UNIT: Final = "0..1"
MNIST_STANDARDIZED: Final = "(x/255 - 0.1307)/0.3081"
"""What PyTorch's examples do with pixels x of 0 to 255, by mean and standard deviation of MNIST's training images."""
INPUT_RANGES: Final = (UNIT, "0..255", "-1..1", MNIST_STANDARDIZED, "-0.5..0.5", "1..0")
"""Ranges in which models usually take pixels, the default first; the last one is black on white."""
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,20})?"
_ENDS: Final = rf"(-?{_NUMBER})\.\.(-?{_NUMBER})"
_STANDARDIZED: Final = rf"\(x/255 - ({_NUMBER})\)/((?=[0-9.]*[1-9]){_NUMBER})"
RANGE_PATTERN: Final = rf"^(?:{_ENDS}|{_STANDARDIZED})$"
"""Regular expression for the name of any range: `LOW..HIGH`, or `(x/255 - MEAN)/STD`."""


def range_ends(name: str) -> tuple[float, float]:
    """Return what a black pixel and a white one are to a model, by the name of the range.

    Raises UnknownNameError for what is no such name.
    """
    if (found := re.fullmatch(RANGE_PATTERN, name)) is None:
        raise UnknownNameError("input range", name, (*INPUT_RANGES, "any other LOW..HIGH"))
    first, second = (float(number) for number in found.groups() if number is not None)
    return (-first / second, (1 - first) / second) if name.startswith("(") else (first, second)


def standardized(mean: Sequence[float], std: Sequence[float]) -> str:
    """Return the name of the range (x/255 - mean)/std, in which torchvision's `Normalize` brings pixels x.

    There is one number of each, or one for each channel.
    """
    return "(x/255 - {})/{}".format(*(",".join(f"{Decimal(repr(one)):f}" for one in values) for values in (mean, std)))


WHITE: Final = 255
MOST_NUMBERS: Final = 1 << 20
"""Numbers of one input at most: a picture of 591×591 in colour."""
MOST_AXES: Final = 4
COLOURS: Final = frozenset({3, 4})
"""Channels of a picture in colour, the second number with transparency."""
AT_ONCE_BYTES: Final = 16 << 20
"""Memory that the inputs of one call may take as float32."""
DECIMALS_OF_A_NAME: Final = 10
"""Decimals to which the ends of a range are named."""


class InputSpec(Struct, frozen=True, kw_only=True):
    """What a model reads, and what its numbers mean: real = number * scale + offset.

    Raises ValueError for a shape of no or too many axes or numbers, for scales and offsets that are not finite or not
    one or one a channel, for a scale of 0, and for a grey picture [H, W, 1], which is [H, W].
    """

    shape: tuple[Annotated[int, Meta(ge=1, le=MOST_NUMBERS)], ...]
    """Of one input: [H, W] or [H, W, C] of pictures, or up to four axes of anything."""
    dtype: Literal["uint8", "float32"] = "uint8"
    """Of its numbers: pixels and other bytes, or any numbers."""
    scale: tuple[float, ...] = (1 / WHITE,)
    """One, or one for each index of the last axis."""
    offset: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= MOST_AXES or not all(1 <= size <= MOST_NUMBERS for size in self.shape):
            raise ValueError(f"an input has 1 to {MOST_AXES} axes of 1 or more numbers, not {list(self.shape)}")
        if self.size > MOST_NUMBERS:
            raise ValueError(f"an input has up to {MOST_NUMBERS:,} numbers, not {self.size:,}")
        if self.dtype == "uint8" and len(self.shape) == 3 and self.shape[2] == 1:  # noqa: PLR2004 - a picture's axes
            raise ValueError(f"a grey picture has two axes, {list(self.shape[:2])}, not {list(self.shape)}")
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if len(values) not in {1, self.shape[-1]}:
                raise ValueError(f"{list(self.shape)} has one {name}, or {self.shape[-1]}, not {len(values)}")
            if not all(map(math.isfinite, values)):
                raise ValueError(f"the {name} of an input must be finite, not {list(values)}")
        if not all(self.scale):
            raise ValueError("the scale of an input must not be 0")

    @classmethod
    def of_range(cls, shape: Sequence[int], name: str = UNIT) -> InputSpec:
        """Return bytes in a range of this name, which may have a mean and a deviation for each channel.

        Raises UnknownNameError as `range_ends` does, and ValueError for more or fewer of them than there are channels.
        """
        if name.startswith("(") and "," in name:
            means, deviations = (part.split(",") for part in name.removeprefix("(x/255 - ").split(")/"))
            each = [f"(x/255 - {one})/{other}" for one, other in zip(means, deviations, strict=True)]
            return cls._of_ends(shape, [range_ends(one) for one in each])
        return cls._of_ends(shape, [range_ends(name)])

    @classmethod
    def standardized(cls, shape: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> InputSpec:
        """Return bytes as torchvision's `Normalize` brings them, by mean and standard deviation of each channel."""
        return cls._of_ends(shape, [(-m / s, (1 - m) / s) for m, s in zip(mean, std, strict=True)])

    @classmethod
    def _of_ends(cls, shape: Sequence[int], ends: Sequence[tuple[float, float]]) -> InputSpec:
        scale = tuple((high - low) / WHITE for low, high in ends)
        return cls(shape=tuple(shape), scale=scale, offset=tuple(low for low, _ in ends))

    @property
    def size(self) -> int:
        """How many numbers one input has."""
        return math.prod(self.shape)

    @property
    def single(self) -> tuple[int, ...]:
        """The shape of an array of one input."""
        return (1, *self.shape)

    @property
    def channels(self) -> int:
        """Colours of a picture, 1 of a grey one; otherwise the size of the last axis."""
        return 1 if self.dtype == "uint8" and len(self.shape) == 2 else self.shape[-1]  # noqa: PLR2004 - H and W

    @property
    def is_picture(self) -> bool:
        """Whether it is shown as a picture: bytes [H, W], or [H, W, C] of three or four channels."""
        return self.dtype == "uint8" and (len(self.shape), self.channels in COLOURS) in {(2, False), (3, True)}

    @property
    def nbytes(self) -> int:
        """Memory of one input."""
        return self.size * (1 if self.dtype == "uint8" else 4)

    @property
    def is_unit(self) -> bool:
        """Whether bytes stand for 0 to 1, as everything is taken of which nothing else is known."""
        return self.dtype == "uint8" and (self.scale, self.offset) == ((1 / WHITE,), (0.0,))

    @property
    def ends(self) -> list[tuple[float, float]]:
        """What 0 and 255 stand for: one pair, or one a channel. Bytes are quantized by these."""
        count = max(len(self.scale), len(self.offset))
        scales, offsets = (values * (count // len(values)) for values in (self.scale, self.offset))
        return [(low, low + WHITE * scale) for scale, low in zip(scales, offsets, strict=True)]

    @property
    def range(self) -> str | None:
        """The name of the range of bytes; None where no name stands for exactly this."""
        if self.dtype != "uint8" or len(self.ends) > 1:
            return None
        ((low, high),) = self.ends
        std = 1 / (high - low) if high > low else 1.0
        rounded = [round(number, DECIMALS_OF_A_NAME) for number in (low, high, abs(low * std), std)]
        first, last, mean, deviation = (f"{Decimal(repr(number + 0)):f}".removesuffix(".0") for number in rounded)
        for name in (*INPUT_RANGES, f"{first}..{last}", f"(x/255 - {mean})/{deviation}"):
            if re.fullmatch(RANGE_PATTERN, name) and self == InputSpec.of_range(self.shape, name):
                return name
        return None

    def takes_the_same(self, other: InputSpec) -> bool:
        """Return whether inputs have the same shape and type, whatever their numbers mean."""
        return (self.shape, self.dtype) == (other.shape, other.dtype)

    @property
    def scaling(self) -> str:
        """What its numbers stand for, in the words that `of_range` reads where they are bytes."""
        if (name := self.range) is not None:
            return name
        if self.dtype == "uint8":
            deviations = [1 / (high - low) for low, high in self.ends]
            means = [-low * one for (low, _), one in zip(self.ends, deviations, strict=True)]
            return standardized(*([round(one, 6) + 0 for one in values] for values in (means, deviations)))
        if (self.scale, self.offset) == ((1.0,), (0.0,)):
            return "numbers as they are"
        return "numbers, each scaled" if len(self.scale) == 1 else "numbers, scaled by column"

    def words(self) -> str:
        """Return what messages call inputs: `32×32 images`, `49×10 numbers`."""
        if not self.is_picture:
            return f"{'×'.join(map(str, self.shape))} numbers"
        # As people say it: the width first.
        height, width = self.shape[:2]
        return f"{width}×{height} images{' in colour' if self.channels > 1 else ''}"

    @property
    def noun(self) -> str:
        """What messages call one input."""
        return "image" if self.is_picture else "row"

    def real(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what numbers [N, *shape] stand for, float32. Bytes are divided by 255 first, never multiplied."""
        import numpy as np

        values = numbers.astype(np.float32)
        if self.dtype == "float32":
            return values * np.asarray(self.scale, np.float32) + np.asarray(self.offset, np.float32)
        low, high = np.asarray(self.ends).T
        real: npt.NDArray[np.float32] = values / np.float32(WHITE)
        return real if self.is_unit else real * (high - low).astype(np.float32) + low.astype(np.float32)

    def _forms(self) -> list[tuple[int, ...]]:
        """Return the shapes of one input whose numbers are the same in the same order."""
        return list(dict.fromkeys((self.shape, (*self.shape, 1), (1, *self.shape), (self.size,))))

    def shapes_in_words(self) -> str:
        """Return the shapes of arrays that are taken, as messages say them."""
        *most, last = (f"[{', '.join(map(str, ('N', *form)))}]" for form in self._forms())
        return f"{', '.join(most)} or {last}"

    def check(self, inputs: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return inputs as the runtimes take them: [N, *shape], of `dtype`.

        It takes an array or nested lists, of one input, of several, or of their numbers in a row, and lists of inputs.
        `as_pixels` decides what the numbers of a call mean where they are bytes.

        Raises ValueError for any other shape, for numbers that are not finite, and as `as_pixels` does.
        """
        import numpy as np

        from edgemnist.ground.arrays import as_pixels

        try:
            found = np.asarray(inputs)
        except ValueError as error:
            raise ValueError(f"the {self._called} must all be of one shape: {error}") from None
        if found.dtype.kind in "OSU":
            hint = "; edgemnist.prepare() takes a picture" if self.is_picture else ""
            what = "pixels" if self.is_picture else "inputs"
            raise ValueError(f"{what} must be numbers, not {type(inputs).__name__}{hint}")
        forms = self._forms()
        if found.shape in forms or found.shape[1:] in forms:
            found = found.reshape(-1, *self.shape) if found.size else np.empty((0, *self.shape), found.dtype)
        elif not found.size and found.ndim == 1:
            return np.empty((0, *self.shape), self.dtype)
        else:
            one = list(self.shape)
            raise ValueError(f"{self._called} must be {self.shapes_in_words()}, or one {one}, not {list(found.shape)}")
        if self.dtype == "uint8":
            return as_pixels(found)
        if found.dtype.kind not in "iuf":
            raise ValueError(f"inputs must be numbers, not {found.dtype}")
        with np.errstate(over="ignore"):
            numbers = found.astype(np.float32, copy=False)
        if not np.isfinite(numbers).all():
            raise ValueError("inputs must be finite numbers")
        return numbers

    @property
    def _called(self) -> str:
        return "images" if self.is_picture else "inputs"

    def axes(self, tensor: Sequence[Any]) -> tuple[int, ...] | None:
        """Return how one input is put into a file's tensor, of this shape without the batch.

        None where its numbers are in the same order; else the axes of the input in the tensor's order, (2, 0, 1) for
        channels first. Raises ValueError where it does not fit.
        """
        if tuple(tensor) in self._forms():
            return None
        if self.is_picture and self.channels > 1 and tuple(tensor) == (self.channels, *self.shape[:2]):
            return (2, 0, 1)
        raise ValueError(f"it takes {list(tensor)}, and its task is {self.words()}")

    def probes(self) -> npt.NDArray[Any]:
        """Return five inputs of nothing in particular, [5, *shape]: black, white and ramps, or normal numbers."""
        import numpy as np

        if self.dtype == "float32":
            normal = np.random.default_rng(0).standard_normal((5, *self.shape))
            return self._standing_for(normal)
        height, width = self.size // self.shape[-1], self.shape[-1]
        if self.is_picture:
            height, width = self.shape[:2]
        across = np.broadcast_to(np.linspace(0, WHITE, width).astype(np.uint8), (height, width))
        down = np.broadcast_to(np.linspace(0, WHITE, height).astype(np.uint8)[:, None], (height, width))
        ramps = (across, down, across ^ down)
        channels = self.channels if self.is_picture else 1
        # Each channel has another ramp: colours that are alike say less.
        turned = [np.stack([ramps[(ramp + turn) % 3] for turn in range(channels)], axis=-1) for ramp in range(3)]
        return np.stack([np.zeros_like(turned[0]), np.full_like(turned[0], WHITE), *turned]).reshape(5, *self.shape)

    def random(self, count: int, seed: int = 0, *, low: float = -1, high: float = 1) -> npt.NDArray[Any]:
        """Return random inputs, [count, *shape]: any bytes, or numbers that stand for `low` to `high`."""
        import numpy as np

        generator = np.random.default_rng(seed)
        if self.dtype == "uint8":
            return generator.integers(0, WHITE + 1, (count, *self.shape), dtype=np.uint8)
        return self._standing_for(generator.uniform(low, high, (count, *self.shape)))

    def _standing_for(self, real: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        import numpy as np

        values: npt.NDArray[np.float32] = ((real - np.asarray(self.offset)) / np.asarray(self.scale)).astype(np.float32)
        return values

    def at_once(self, most: int = 1000) -> int:
        """Return how many inputs go into one call: `most`, or fewer large ones."""
        return max(1, min(most, AT_ONCE_BYTES // (4 * self.size)))


def noun_of(spec: InputSpec | UnsetType) -> str:
    """Return what messages call one input of a record, which does not say the default one."""
    return spec.noun if isinstance(spec, InputSpec) else "image"
