"""Affine and elastic distortion of digits, a whole batch at a time.

Every pixel is moved by a displacement field that is a sum of smooth basis fields: three affine ones (1, y and x) and a
grid of Gaussian bumps. To draw a distortion is to draw its coefficients, and the fields of a whole batch are one matrix
product. This is the elastic distortion of Simard, Steinkraus and Platt (2003), noise smoothed with a Gaussian, with the
noise on a grid as coarse as the Gaussian is wide: 36 random numbers instead of 784.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgemnist.arrays import IMAGE_SIDE

if TYPE_CHECKING:
    import tensorflow as tf

AFFINE_FIELDS = 3

Coefficients = npt.NDArray[np.float32]
"""float32 [N, 2, 3 + grid²], of the basis fields, for the displacement along y and along x, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """How far an image may be distorted. All zero is the identity."""

    rotation: float = 0.0
    """Largest angle, in degrees, either way."""
    scale: float = 0.0
    """Largest stretch or shrinkage, as a share, drawn for each axis."""
    shear: float = 0.0
    """Largest slant, in pixels per pixel."""
    shift: float = 0.0
    """Largest translation along each axis, in pixels."""
    elastic: float = 0.0
    """Elastic displacement along each axis, in pixels, root mean square."""
    grid: int = 6
    """Bumps along each side of the image; they are as wide as they are apart."""

    def scaled(self, strength: float) -> Distortion:
        """Return a distortion that is `strength` times as strong."""
        return Distortion(
            rotation=self.rotation * strength,
            scale=self.scale * strength,
            shear=self.shear * strength,
            shift=self.shift * strength,
            elastic=self.elastic * strength,
            grid=self.grid,
        )

    def draw(self, count: int, random: np.random.Generator) -> Coefficients:
        """Return the coefficients of `count` distortions, float32 [count, 2, 3 + grid²]."""
        angle, stretch_y, stretch_x, slant, shift_y, shift_x = random.uniform(-1, 1, (6, count))
        sine, cosine = np.sin(np.radians(self.rotation) * angle), np.cos(np.radians(self.rotation) * angle)
        stretch_y, stretch_x, slant = 1 + self.scale * stretch_y, 1 + self.scale * stretch_x, self.shear * slant

        coefficients = np.empty((count, 2, AFFINE_FIELDS + self.grid**2), np.float32)
        coefficients[:, 0, 0] = self.shift * shift_y
        coefficients[:, 1, 0] = self.shift * shift_x
        # The rotation applied to a stretch and a slant, less the identity: a displacement, not a position.
        coefficients[:, 0, 1] = cosine * stretch_y - sine * slant - 1
        coefficients[:, 0, 2] = -sine * stretch_x
        coefficients[:, 1, 1] = sine * stretch_y + cosine * slant
        coefficients[:, 1, 2] = cosine * stretch_x - 1
        bumps = random.standard_normal((count, 2, self.grid**2), np.float32)
        coefficients[:, :, AFFINE_FIELDS:] = bumps * np.float32(self.elastic)
        return coefficients


@cache
def basis(grid: int) -> npt.NDArray[np.float32]:
    """Return the basis fields, float32 [3 + grid², 784]: 1, y, x from the centre, and the bumps.

    The bumps are scaled so that coefficients of variance 1 make a displacement of root mean square 1.
    """
    centred = np.arange(IMAGE_SIDE) - (IMAGE_SIDE - 1) / 2
    y, x = np.meshgrid(centred, centred, indexing="ij")
    centres, spacing = np.linspace(centred[0], centred[-1], grid, retstep=True)
    profile = np.exp(-0.5 * ((centred - centres[:, None]) / spacing) ** 2)
    bumps = np.einsum("ay,bx->abyx", profile, profile).reshape(grid**2, IMAGE_SIDE**2)
    bumps /= np.sqrt((bumps**2).sum(axis=0).mean())
    affine = np.stack([np.ones_like(y), y, x]).reshape(AFFINE_FIELDS, IMAGE_SIDE**2)
    return np.concatenate([affine, bumps]).astype(np.float32)


def warp(images: tf.Tensor, coefficients: tf.Tensor, grid: int) -> tf.Tensor:
    """Return images whose pixels are read where the displacement fields point to, between pixels bilinearly.

    `images` are float32 [N, 28, 28], `coefficients` float32 [N, 2, 3 + grid²]. Outside of an image lies black.
    """
    import tensorflow as tf

    # A black rim, to which whatever points further out is clipped; its far side is two wide, so that the right and
    # lower neighbours of its first pixel exist.
    side = IMAGE_SIDE + 3
    pixels = tf.reshape(tf.pad(images, [[0, 0], [1, 2], [1, 2]]), [-1, side**2])
    fields = tf.reshape(tf.reshape(coefficients, [-1, coefficients.shape[-1]]) @ basis(grid), [-1, 2, IMAGE_SIDE**2])
    rows, columns = np.indices((IMAGE_SIDE, IMAGE_SIDE), np.float32).reshape(2, -1) + 1
    y, x = (tf.clip_by_value(o + fields[:, axis], 0, IMAGE_SIDE + 1) for axis, o in enumerate((rows, columns)))
    top, left = tf.cast(y, tf.int32), tf.cast(x, tf.int32)
    down, right = y - tf.cast(top, tf.float32), x - tf.cast(left, tf.float32)

    def pixel(offset: int) -> tf.Tensor:
        # batch_dims instead of one flat index: measured 2.5 times as fast under XLA.
        return tf.gather(pixels, top * side + left + offset, batch_dims=1)

    upper = pixel(0) + right * (pixel(1) - pixel(0))
    lower = pixel(side) + right * (pixel(side + 1) - pixel(side))
    return tf.reshape(upper + down * (lower - upper), [-1, IMAGE_SIDE, IMAGE_SIDE])
