"""The same artifact, the same images, another machine: rounding is told from labels that changed.

Kernels for another processor add up in another order. In an int8 artifact that moves an output by one step at the most
(the softmax; measured on emulated processors of a Pi 3, 4 and 5: 43 of 100,000 values by one step, no label), in a
float one by some 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgemnist.arrays import Probabilities
from edgemnist.results import Replay
from edgemnist.verify.gate import Gate

FLOAT_NOISE = 1e-5
"""Of a probability computed in float32; 7e-6 was the most that was seen between x86 and Arm."""

IDENTICAL = "identical"
ROUNDING = "rounding"
DRIFT = "drift"
FLIPS = "flips"


@dataclass(frozen=True)
class _Noise:
    """What rounding alone can do to one value."""

    step: float
    """One unit in the last place of the output; 0 for a float output."""

    @property
    def most(self) -> float:
        # Half a step above one step: the values are floats again by now.
        return 1.5 * self.step if self.step else FLOAT_NOISE


def replay(here: Probabilities, there: Probabilities, output_scale: float | None) -> Replay:
    """Compare an artifact's answers, float32 [N, C], here with those on the exporting machine, image by image.

    `output_scale` is the step of a quantized output, None for a float one.
    """
    noise = _Noise(output_scale or 0.0)
    distance = np.abs(here - there)
    # An answer that is no number differs from everything.
    distance = np.where(np.isfinite(distance), distance, np.inf)
    flips = int(np.count_nonzero(here.argmax(axis=1) != there.argmax(axis=1)))
    largest = float(distance.max(initial=0.0))
    return Replay(
        verdict=_verdict(flips, largest, noise),
        images=len(here),
        flips=flips,
        differing=int(np.count_nonzero(distance)),
        beyond_rounding=int(np.count_nonzero(distance > noise.most)),
        max_abs_diff=largest,
        max_steps=round(largest / noise.step) if noise.step and np.isfinite(largest) else None,
    )


def _verdict(flips: int, largest: float, noise: _Noise) -> str:
    if flips:
        return FLIPS
    if largest == 0.0:
        return IDENTICAL
    return ROUNDING if largest <= noise.most else DRIFT


def missed_replay(gate: Gate, found: Replay) -> list[str]:
    """Return a sentence for each way in which the artifact answers differently than where it was exported.

    The limits are those between a batch of one and a large batch, which has another kernel for its cause, too.
    """
    reasons = []
    if found.flips > (allowed := gate.batch_flips.allowed(found.images)):
        reasons.append(
            f"{found.flips:,} of {found.images:,} labels differ from the exporting machine's, {allowed:,} allowed"
        )
    if found.max_abs_diff > gate.batch_diff:
        reasons.append(
            f"a probability differs by {found.max_abs_diff:.2g} from the exporting machine's, "
            f"{gate.batch_diff:.2g} allowed"
        )
    return reasons
