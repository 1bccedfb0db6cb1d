"""The optimizers as pure functions: weights, slots and gradients in, weights and slots out.

Keras keeps the state of an optimizer in variables. Here it is plain tensors, so that a whole epoch is one function from
state to state that XLA compiles, and the state between two epochs is complete. The arithmetic is that of Keras.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import tensorflow as tf

    Tensors: TypeAlias = list[tf.Tensor]
    """float32, one for each weight of the model."""


class Optimizer(ABC):
    """How gradients change the weights."""

    slots_per_weight: int
    """Tensors that it remembers for each weight, all zero at first."""

    @abstractmethod
    def apply(
        self, weights: Tensors, slots: Tensors, gradients: Tensors, *, rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        """Return the weights and slots after one step, at learning rate `rate`; `step` counts from 0."""


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """Divide each gradient by the root of its running mean square (T. Tieleman and G. Hinton, 2012).

    The defaults are those of `keras.optimizers.RMSprop`.
    """

    rho: float = 0.9
    epsilon: float = 1e-7
    slots_per_weight = 1

    def apply(
        self, weights: Tensors, slots: Tensors, gradients: Tensors, *, rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        """Return the weights and slots after one step."""
        import tensorflow as tf

        del step
        squares = [self.rho * old + (1 - self.rho) * g * g for old, g in zip(slots, gradients, strict=True)]
        steps = [g * tf.math.rsqrt(s + self.epsilon) for g, s in zip(gradients, squares, strict=True)]
        return [w - rate * change for w, change in zip(weights, steps, strict=True)], squares


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Running means of gradient and square, corrected for their start at zero (D. Kingma and J. Ba, 2015).

    The defaults are those of `keras.optimizers.Adam`.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    weight_decay: float = 0.0
    """Share of a kernel that a step takes away, times the learning rate (AdamW, I. Loshchilov and F. Hutter, 2019).
    Biases are spared."""
    slots_per_weight = 2

    def apply(
        self, weights: Tensors, slots: Tensors, gradients: Tensors, *, rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        """Return the weights and slots after one step."""
        import tensorflow as tf

        count = tf.cast(step + 1, tf.float32)
        corrected = rate * tf.sqrt(1 - self.beta_2**count) / (1 - self.beta_1**count)
        n = len(weights)
        means = [self.beta_1 * old + (1 - self.beta_1) * g for old, g in zip(slots[:n], gradients, strict=True)]
        squares = [self.beta_2 * old + (1 - self.beta_2) * g * g for old, g in zip(slots[n:], gradients, strict=True)]
        steps = [m / (tf.sqrt(s) + self.epsilon) for m, s in zip(means, squares, strict=True)]
        changed = [w - corrected * change for w, change in zip(weights, steps, strict=True)]
        if self.weight_decay:
            share = rate * self.weight_decay
            changed = [
                new - share * old if old.shape.rank > 1 else new for new, old in zip(changed, weights, strict=True)
            ]
        return changed, means + squares
