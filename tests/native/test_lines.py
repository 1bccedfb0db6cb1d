"""What kernels compute in the place of the reference's integers, tried on everything there is."""

import numpy as np
import numpy.typing as npt
import pytest

from edgemnist.model.native.layers import Joined, Kind, Layer, Summing
from edgemnist.model.native.layout import _in_one_step, _settled
from edgemnist.model.native.lines import NO_SUM, lines_of
from edgemnist.model.runtimes.fixedpoint import multiply_by_quantized_multiplier, multiply_rounding_twice
from edgemnist.model.runtimes.integer import SUM_BITS, sum_terms
from edgemnist.model.runtimes.windows import Window

OUTPUTS, SEEDS = 48, 12


def convolution(seed: int, *, twice: bool) -> Layer:
    """Return a convolution of random weights and scales, of which some outputs are dead."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (OUTPUTS, int(rng.integers(1, 12))), np.int8)
    weights[rng.random(OUTPUTS) < 0.1] = 0
    spread = 128 * 74 * np.sqrt(weights.shape[1])
    slopes = 256 / spread * 10 ** rng.uniform(-1, 1, OUTPUTS)
    mantissas, exponents = np.frexp(slopes)
    zero_point = int(rng.choice(np.array([0, 128, 250, rng.integers(190)])))
    low, high = (zero_point, 255) if rng.random() < 0.5 else (0, int(rng.choice([255, 251])))
    return Layer(
        kind=Kind.CONVOLUTION,
        name="random",
        zero_point=zero_point,
        low=min(low, high),
        high=high,
        window=Window(height=1, width=1, channels=1, out_height=1, out_width=1, kernel_height=1, kernel_width=1),
        sums=Summing(
            weights=weights,
            bias=rng.normal(0, spread / 4, OUTPUTS).astype(np.int64),
            multiplier=np.minimum(mantissas * 2**31, 2**31 - 1).astype(np.int32),
            shift=(31 - exponents).astype(np.uint8),
            rounds_twice=twice,
        ),
    )


def answers(layer: Layer, sums: npt.NDArray[np.int64], output: int) -> npt.NDArray[np.int64]:
    """Return what the reference makes of sums of one output."""
    assert layer.sums is not None
    rescale = multiply_rounding_twice if layer.sums.rounds_twice else multiply_by_quantized_multiplier
    values = rescale(sums, int(layer.sums.multiplier[output]), 31 - int(layer.sums.shift[output]))
    return np.clip(values + layer.zero_point, layer.low, layer.high)


def test_a_line_answers_as_the_integers_at_every_sum() -> None:
    found = exceptions = 0
    for seed in range(SEEDS):
        layer = convolution(seed, twice=seed % 2 == 0)
        assert layer.sums is not None
        least, most = (layer.sums.bias + end for end in layer.products)
        for output, (slope, offset, other, exception, added) in enumerate(lines_of(layer).T):
            if slope == 0:
                continue
            found, exceptions = found + 1, exceptions + (exception != NO_SUM)
            sums = np.arange(least[output], most[output] + 1)
            start = np.where(sums < 0, other, offset)
            # A fused multiplication and addition, which a float64 holds exactly before it is rounded.
            start = np.where(sums == exception, np.float32(start + added), start).astype(np.float64)
            line = (sums.astype(np.float32).astype(np.float64) * np.float64(slope) + start).astype(np.float32)
            value = np.clip(np.floor(line).astype(np.int64) + 128, layer.low, layer.high)
            np.testing.assert_array_equal(value, answers(layer, sums, output), err_msg=f"seed {seed}, output {output}")
    assert found > 0.98 * SEEDS * OUTPUTS
    assert exceptions > 0


@pytest.mark.parametrize("twice", [False, True])
def test_an_output_that_is_always_the_same_stays_so_with_simple_numbers(*, twice: bool) -> None:
    layer = convolution(3, twice=twice)
    settled = _settled(layer)
    assert layer.sums is not None
    assert settled.sums is not None
    dead = np.flatnonzero(settled.sums.shift != layer.sums.shift)
    assert len(dead) > 0
    for output in dead.tolist():
        ends = np.array([int(layer.sums.bias[output] + end[output]) for end in layer.products])
        expected = np.unique(answers(layer, ends, output))
        assert expected.tolist() == answers(settled, settled.sums.bias[[output]], output).tolist()
        assert not np.any(settled.sums.weights[output]) if settled.sums.weights is not None else False


def test_a_sum_of_two_in_one_step_answers_as_the_three_of_the_reference_for_every_pair() -> None:
    rng, found = np.random.default_rng(0), 0
    numbers = np.arange(256)
    for _ in range(60):
        scales, kind = rng.uniform(0.01, 1, 3), Kind.SUM if rng.random() < 0.5 else Kind.DIFFERENCE
        zeros, zero_point = rng.integers(0, 256, 2), int(rng.integers(0, 256))
        common = 2 * max(scales[:2])
        ratios = [np.frexp(ratio) for ratio in (*scales[:2] / common, common / 2**SUM_BITS / scales[2])]
        fixed = [(min(round(mantissa * 2**31), 2**31 - 1), int(power)) for mantissa, power in ratios]
        terms = np.array([sum_terms(numbers - zero, one) for zero, one in zip(zeros, fixed, strict=False)], np.int32)
        layer = Layer(
            kind=kind,
            name="two",
            zero_point=zero_point,
            low=0,
            high=255,
            zero=int(zeros[0]),
            sums=Summing(
                weights=None,
                bias=np.zeros(1, np.int64),
                multiplier=np.array([fixed[2][0]], np.int32),
                shift=np.array([31 - fixed[2][1]], np.uint8),
                rounds_twice=True,
            ),
            joined=Joined(number=0, shape=(1, 1, 1), zero=int(zeros[1]), terms=terms),
        )
        constants = _in_one_step(layer, [(one, 31 - power) for one, power in fixed[:2]], terms)
        if constants is None:
            continue
        found += 1
        down, a, a_part, b, b_part, plus = (np.int64(number) for number in constants)
        x, y = numbers[:, None], numbers
        whole = x * a + y * b + ((x * a_part + y * b_part) >> 15) + plus
        assert np.abs(whole).max() < 2**31
        sums = terms[0].astype(np.int64)[:, None] + (1 if kind is Kind.SUM else -1) * terms[1].astype(np.int64)
        expected = np.clip(multiply_rounding_twice(sums, fixed[2][0], fixed[2][1]) + zero_point, 0, 255)
        np.testing.assert_array_equal(np.clip(whole >> down, 0, 255), expected)
    assert found > 30
