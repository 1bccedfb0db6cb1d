"""The network: inputs → Flatten → Dense ReLU, any number of them → Dense softmax."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from edgemnist.model.task import default_input

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


Weights = Sequence[npt.NDArray[np.float32]]
"""float32, the kernel and the bias of each layer in turn, as `keras.Model.get_weights` has them."""


def build_model(hidden: Sequence[int], classes: int, seed: int, shape: tuple[int, ...] = ()) -> keras.Model:
    """Return the untrained Keras model. It takes float32 [N, *shape] and gives float32 [N, classes].

    Without a `shape`, it is that of the default task. The weights are drawn as Keras does by default, from `seed`.
    """
    import keras

    seeds = iter(np.random.SeedSequence(seed).generate_state(len(hidden) + 1).tolist())

    # Names and seeds of its own keep the file the same, whatever else the process has built before.
    def dense(units: int, activation: str, name: str) -> keras.layers.Layer:
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation=activation, kernel_initializer=initializer, name=name)

    shape = shape or default_input().shape
    layers = [
        keras.Input(shape, name="image"),
        *(() if len(shape) == 1 else (keras.layers.Flatten(name="flatten"),)),
        *(dense(units, "relu", f"hidden_{number}") for number, units in enumerate(hidden, start=1)),
        dense(classes, "softmax", "probabilities"),
    ]
    return keras.Sequential(layers, name="edgemnist")


def logits(
    weights: Sequence[tf.Tensor], images: tf.Tensor, rounded: Callable[[tf.Tensor], tf.Tensor] | None = None
) -> tf.Tensor:
    """Return the inputs of the model's softmax, float32 [N, C], for what inputs stand for, float32 [N, *shape].

    The arithmetic of the Keras model as a function of its weights. `rounded` is applied to the values of each hidden
    layer.
    """
    import tensorflow as tf

    values = tf.reshape(images, [-1, weights[0].shape[0]])
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for hidden_kernel, hidden_bias in hidden:
        values = tf.nn.relu(values @ hidden_kernel + hidden_bias)
        values = values if rounded is None else rounded(values)
    return values @ kernel + bias


def weights_sha256(weights: Weights) -> str:
    """Return the SHA-256 over shapes and little-endian float32 values, in hexadecimal."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(str(weight.shape).encode())
        digest.update(np.ascontiguousarray(weight, "<f4").data)
    return digest.hexdigest()


if TYPE_CHECKING:
    import tensorflow as tf

    Tensors: TypeAlias = list[tf.Tensor]
    """float32, one for each weight of the model."""


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """Divide each gradient by the root of its running mean square (T. Tieleman and G. Hinton, 2012).

    The defaults are those of `keras.optimizers.RMSprop`.
    """

    rho: float = 0.9
    epsilon: float = 1e-7
    slots_per_weight: ClassVar[int] = 1
    """Tensors that it remembers for each weight, all zero at first."""

    def apply(
        self, weights: Tensors, slots: Tensors, gradients: Tensors, *, rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        """Return the weights and slots after one step, at learning rate `rate`; `step` counts from 0."""
        import tensorflow as tf

        del step
        squares = [self.rho * old + (1 - self.rho) * g * g for old, g in zip(slots, gradients, strict=True)]
        steps = [g * tf.math.rsqrt(s + self.epsilon) for g, s in zip(gradients, squares, strict=True)]
        return [w - rate * change for w, change in zip(weights, steps, strict=True)], squares


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Running means of gradient and square, corrected for their start at zero (D. Kingma and J. Ba, 2015).

    The defaults are those of `keras.optimizers.Adam`.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    weight_decay: float = 0.0
    """Share of a kernel that a step takes away, times the learning rate (AdamW, I. Loshchilov and F. Hutter, 2019).
    Biases are spared."""
    slots_per_weight: ClassVar[int] = 2

    def apply(
        self, weights: Tensors, slots: Tensors, gradients: Tensors, *, rate: tf.Tensor, step: tf.Tensor
    ) -> tuple[Tensors, Tensors]:
        """Return the weights and slots after one step; see `RMSprop.apply`."""
        import tensorflow as tf

        count = tf.cast(step + 1, tf.float32)
        corrected = rate * tf.sqrt(1 - self.beta_2**count) / (1 - self.beta_1**count)
        n = len(weights)
        means = [self.beta_1 * old + (1 - self.beta_1) * g for old, g in zip(slots[:n], gradients, strict=True)]
        squares = [self.beta_2 * old + (1 - self.beta_2) * g * g for old, g in zip(slots[n:], gradients, strict=True)]
        steps = [m / (tf.sqrt(s) + self.epsilon) for m, s in zip(means, squares, strict=True)]
        made = [w - corrected * change for w, change in zip(weights, steps, strict=True)]
        if self.weight_decay:
            share = rate * self.weight_decay
            made = [new - share * old if old.shape.rank > 1 else new for new, old in zip(made, weights, strict=True)]
        return made, means + squares


Optimizer: TypeAlias = RMSprop | Adam
"""How gradients change the weights."""
