"""How far from the Keras model an artifact may be, for each quantization, and why so far.

The limits were set from nine models trained on MNIST (784-512-10 four times from all images, of both recipes, and
twice from 4,000; 784-64-10, 784-256-128-10 and a small convolutional network), each in all eight artifacts, over the
10,000 test images. The largest value measured is given beside each limit, which is about twice that: what differs by
more is not rounding. `benchmarks/verify/limits.py` measures them again. A network that has hardly learned (90 % right)
is close to many ties, and may miss the gate of int8 with as much as 0.4 % of its labels changed.

What a gate cannot see: a few bytes changed among the 400,000 weights of an int8 artifact move the answers less than
quantization itself does. Such damage is what the hash in the manifest is for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgemnist.errors import UnknownNameError, check_range
from edgemnist.results.verify import IntegerCheck
from edgemnist.verify.parity import Parity

SETTLED_IMAGES = 10_000
"""How many images the limits were set on: MNIST's test set."""
FALSE_ALARMS = 1 / 200
"""How often a model right at a limit may fail on fewer images."""


@dataclass(frozen=True)
class Share:
    """A share of the images that may be affected."""

    share: float
    """0 to 1."""
    settled: int = SETTLED_IMAGES
    """From how many images on the share holds to the letter."""

    def allowed(self, images: int) -> int:
        """Return how many of `images` may be affected.

        Of few images, chance decides how many are: 0.3 % of 1,000 are 3, and a model that changes exactly 0.3 % of
        all labels changes more than 3 of 1,000 every third time. So there the count is allowed that such a model
        exceeds once in 200 times (a quantile of the Poisson distribution), but no more than of 10,000 images.
        """
        exact = math.floor(self.share * images + 1e-9)
        if images >= self.settled:
            return exact
        ceiling = math.floor(self.share * self.settled + 1e-9)
        return max(exact, min(ceiling, poisson_quantile(self.share * images, 1.0 - FALSE_ALARMS)))


def poisson_quantile(mean: float, probability: float) -> int:
    """Return the least count that a Poisson variable stays at or below with `probability`, 0 to 1."""
    count = 0
    cumulative = math.exp(-mean)
    while cumulative < probability:
        count += 1
        # In logarithms, because exp(-mean) and mean ** count leave the range of a float.
        cumulative += math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    return count


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The limits of one quantization."""

    flips: Share
    """Labels that differ from the Keras model's."""
    drop: Share
    """Images that are labelled worse on balance: 0.002 are 0.2 points of accuracy."""
    abs_diff: float
    """Of one probability, against the Keras model's."""
    mean_diff: float
    """Of all probabilities on average."""
    batch_flips: Share
    """Labels that differ between a batch of 1 and a batch of N."""
    batch_diff: float
    """Of one probability, between a batch of 1 and a batch of N."""
    sum_error: float
    """Of one class's part in Σ|p|, which should be 1."""
    integer_diff: float | None = None
    """Of one probability, between a runtime and the integer reference; None if there is no such reference."""

    def max_sum_error(self, classes: int) -> float:
        """Return how far from 1 the sum over `classes` may be.

        Two more than there are, because the int8 softmax also saturates at 255/256.
        """
        return self.sum_error * (classes + 2)


# Half a unit in the last place of a float32 is 6e-8; measured 3e-7 for the sum of ten.
_FLOAT_SUM_ERROR = 1e-6
# The int8 softmax rounds each class to a step of 1/256; measured 0.016 for the sum of ten.
_INT8_SUM_ERROR = 0.5 / 256

GATES: dict[str, Gate] = {
    "float32": Gate(
        flips=Share(0.0),  # measured 0
        drop=Share(0.0),  # follows from the flips
        abs_diff=1e-4,  # measured 2.2e-6: another order of summation and another exp()
        mean_diff=1e-7,  # measured 1.2e-8; a single weight with a flipped exponent gives 3e-7
        batch_flips=Share(0.0),  # measured 0
        batch_diff=1e-5,  # measured 0; XNNPACK may pick another kernel for a batch of 1
        sum_error=_FLOAT_SUM_ERROR,
    ),
    "float16": Gate(
        flips=Share(0.0005),  # measured 1 of 10,000, a tie but for 1e-4
        drop=Share(0.0005),  # measured 1 of 10,000
        abs_diff=2e-3,  # measured 9.0e-4: weights with 11 bits of precision
        mean_diff=2e-5,  # measured 7.4e-6
        batch_flips=Share(0.0),  # measured 0: computed in float32
        batch_diff=1e-5,  # measured 0
        sum_error=_FLOAT_SUM_ERROR,
    ),
    "dynamic": Gate(
        flips=Share(0.002),  # measured 11 of 10,000
        drop=Share(0.001),  # measured 2 of 10,000
        abs_diff=0.15,  # measured 0.080 (ONNX) and 0.046 (TFLite)
        mean_diff=6e-4,  # measured 2.7e-4
        # ONNX Runtime takes one activation range for the whole batch, so answers depend on the company they come in.
        batch_flips=Share(0.002),  # measured 10 of 10,000
        batch_diff=0.1,  # measured 0.034
        sum_error=_FLOAT_SUM_ERROR,
    ),
    "int8": Gate(
        flips=Share(0.003),  # measured 24 of 10,000
        drop=Share(0.002),  # measured 5 of 10,000
        abs_diff=0.2,  # measured 0.097
        mean_diff=2e-3,  # measured 9.4e-4
        batch_flips=Share(0.0005),  # measured 0; a tie may fall either way with another kernel
        batch_diff=2 / 256,  # measured 0; one step of the softmax is what kernels differ by
        sum_error=_INT8_SUM_ERROR,
        integer_diff=1 / 256,  # measured one step of the softmax, which the optimized kernels compute in float32
    ),
    "int4": Gate(
        flips=Share(0.01),  # measured 69 of 10,000 with 512 units
        drop=Share(0.003),  # measured 13 of 10,000; 784-64-10 loses 57 and the convolutional one 64, which is too much
        abs_diff=0.7,  # measured 0.52: 16 levels a weight decide again wherever two digits are close
        mean_diff=3e-3,  # measured 1.3e-3 with 512 units; 784-64-10 has 3.4e-3
        batch_flips=Share(0.0005),  # measured 0
        batch_diff=0.01,  # measured 0: LiteRT takes an activation range for each image
        sum_error=_FLOAT_SUM_ERROR,
    ),
}


@dataclass(frozen=True, kw_only=True)
class LimitOverrides:
    """Limits that take the place of every quantization's own, see `Gate`; None leaves those.

    They hold to the letter on however few images. Raises UsageError for one that is out of range.
    """

    max_flips_percent: float | None = None
    max_drop_points: float | None = None
    max_abs_diff: float | None = None

    def __post_init__(self) -> None:
        check_range("--max-diff", self.max_abs_diff, least=0, most=1)
        check_range("--max-flips", self.max_flips_percent, least=0, most=100)
        check_range("--max-drop", self.max_drop_points, least=0, most=100)

    def apply(self, gate: Gate) -> Gate:
        """Return the gate with these limits."""
        if self.max_flips_percent is not None:
            gate = replace(gate, flips=Share(self.max_flips_percent / 100.0, settled=0))
        if self.max_drop_points is not None:
            gate = replace(gate, drop=Share(self.max_drop_points / 100.0, settled=0))
        return gate if self.max_abs_diff is None else replace(gate, abs_diff=self.max_abs_diff)


def gate_for(quantization: str) -> Gate:
    """Return the gate of a quantization. Raises UnknownNameError if there is none."""
    if quantization not in GATES:
        raise UnknownNameError("parity gate for the quantization", quantization, GATES)
    return GATES[quantization]


def missed(  # noqa: C901 - one question after the other
    gate: Gate, parity: Parity, integer: IntegerCheck | None = None
) -> list[str]:
    """Return a sentence for each limit that is exceeded, the plainest fault first.

    Ties are flips, and miss no gate: nothing but the order of the classes decides them.

    `integer` is the comparison with the integer reference, if there is one.
    """
    images = parity.images
    reasons: list[str] = []
    if parity.unanswered:
        reasons.append(f"{parity.unanswered:,} of {images:,} images got an answer that is not a finite number")
    if parity.unanswered == images:
        # Every other limit is exceeded as well, and none of that says anything.
        return reasons
    if parity.max_sum_error > (limit := gate.max_sum_error(parity.classes)):
        reasons.append(exceeded("probabilities add up to 1 ± {}, ± {} allowed", parity.max_sum_error, limit))
    if (flips := parity.flips - parity.ties) > (allowed := gate.flips.allowed(images)):
        reasons.append(f"{_labels(flips)} changed {_against(flips, allowed, images)}")
    if (lost := parity.lost - parity.lost_to_ties) > (allowed := gate.drop.allowed(images)):
        points, limit = 100 * lost / images, 100 * allowed / images
        reasons.append(exceeded("accuracy fell by {} points, {} allowed", points, limit))
    if parity.max_abs_diff > gate.abs_diff:
        reasons.append(exceeded("a probability is off by {}, {} allowed", parity.max_abs_diff, gate.abs_diff))
    if parity.mean_abs_diff > gate.mean_diff:
        reasons.append(
            exceeded("probabilities are off by {} on average, {} allowed", parity.mean_abs_diff, gate.mean_diff)
        )
    if (flips := parity.batch_flips - parity.batch_ties) > (allowed := gate.batch_flips.allowed(images)):
        against = _against(flips, allowed, images)
        reasons.append(f"{_labels(flips)} changed between a batch of one and a large batch {against}")
    if parity.max_batch_diff > gate.batch_diff:
        words = "a probability changed by {} between a batch of one and a large batch, {} allowed"
        reasons.append(exceeded(words, parity.max_batch_diff, gate.batch_diff))
    if integer is not None and misses_integers(gate, integer):
        words = "the runtime differs from the integer reference by {} on the same file, {} allowed"
        reasons.append(exceeded(words, integer.max_abs_diff, gate.integer_diff or 0.0))
    return reasons


def misses_integers(gate: Gate, integer: IntegerCheck) -> bool:
    """Return whether a runtime is further off the integer reference than allowed, and no rounding rule explains it."""
    return gate.integer_diff is not None and integer.max_abs_diff > gate.integer_diff and integer.rescaling is None


def exceeded(sentence: str, value: float, limit: float) -> str:
    """Put a value and the limit that it exceeds into a sentence, with as many digits as it takes to tell them apart."""
    for digits in range(2, 18):
        shown = f"{value:.{digits}g}", f"{limit:.{digits}g}"
        if shown[0] != shown[1]:
            break
    return sentence.format(*shown)


def _labels(count: int) -> str:
    return "1 label" if count == 1 else f"{count:,} labels"


def _against(count: int, allowed: int, images: int) -> str:
    limit = f"{allowed:,} allowed ({100.0 * allowed / images:.2f} %)" if allowed else "none allowed"
    return f"({100.0 * count / images:.2f} %), {limit}"
