"""A camera that never moved: paper, light, perspective, blur, sensor noise and JPEG, in that order."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """How a picture is taken. Lengths are in pixels of the picture."""

    shadow: float = 0.45
    """Share of the light that the deepest shadow takes."""
    texture: float = 3.0
    """Standard deviation of the paper's grain, in grey levels."""
    blur: tuple[float, float] = (0.4, 1.6)
    """Standard deviation of the lens blur, from sharp to shaken."""
    noise: float = 4.0
    """Standard deviation of the sensor noise, in grey levels."""
    jpeg_quality: int = 80


def photograph_digit(digit: Picture, rng: np.random.Generator, camera: Camera | None = None) -> Picture:
    """Return a phone's picture of one digit, uint8 [h, w, 3], 200 to 1,000 pixels high, turned by up to 10°.

    `digit` is uint8 [28, 28], white on black, as MNIST has it; it becomes ink on paper.
    """
    height, width = (int(side) for side in rng.integers(200, 1001, 2))
    width = int(np.clip(width, 0.6 * height, 1.6 * height))
    side = min(height, width) * rng.uniform(0.45, 0.95)
    angle = rng.uniform(-10, 10)
    matrix = np.asarray(cv2.getRotationMatrix2D((13.5, 13.5), angle, side / 28), dtype=np.float64)
    slack = np.array([width - side, height - side]) / 2
    matrix[:, 2] += np.array([width, height]) / 2 - 13.5 + rng.uniform(-0.8, 0.8, 2) * slack
    ink = cv2.warpAffine(digit, matrix, (width, height), flags=cv2.INTER_CUBIC)
    return develop(lay_ink(paper(height, width, rng), as_share(ink), rng.uniform(0.05, 0.4)), rng, camera or Camera())


def as_share(levels: npt.ArrayLike) -> Floats:
    """Return levels of 0 to 255 as float32 from 0 to 1."""
    return np.asarray(levels, dtype=np.float32) / np.float32(255)


def paper(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Return blank paper, float32 [h, w, 3], reflectance 0 to 1: white, cream or recycled grey."""
    tint = np.array([1.0, rng.uniform(0.96, 1), rng.uniform(0.86, 1)], dtype=np.float32) * rng.uniform(0.72, 0.98)
    return np.broadcast_to(tint, (height, width, 3)).copy()


def lay_ink(sheet: Floats, ink: Floats, reflectance: float | Floats) -> Floats:
    """Draw ink, float32 [h, w] from 0 to 1, on a sheet; `reflectance` is that of the ink, 0 for black.

    float32 [3] for coloured ink: of red, green and blue light.
    """
    return np.asarray(sheet * (1 - ink[..., None] * (1 - reflectance)), dtype=np.float32)


def shade(height: int, width: int, rng: np.random.Generator, depth: float) -> Floats:
    """Return the light that falls on each point, float32 [h, w]: a slope, and the soft edge of a hand's shadow."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    along = (x - 0.5) * np.cos(direction) + (y - 0.5) * np.sin(direction)
    slope = 1 - depth * 0.5 * (along + 0.5)
    edge = rng.uniform(-0.4, 0.4)
    penumbra = rng.uniform(0.03, 0.25)
    hand = 1 / (1 + np.exp(-np.clip((along - edge) / penumbra * 4, -30, 30)))
    return np.asarray(slope * (1 - depth * 0.6 * hand), dtype=np.float32)


def develop(scene: Floats, rng: np.random.Generator, camera: Camera) -> Picture:
    """Light a scene of reflectances, float32 [h, w, 3], and take its picture, uint8 [h, w, 3]."""
    height, width = scene.shape[:2]
    grain = rng.standard_normal((height, width), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 1.2) * (camera.texture * 2.5 / 255)
    lit = (scene + grain[..., None]) * shade(height, width, rng, camera.shadow * rng.uniform(0, 1))[..., None]
    seen = cv2.GaussianBlur(lit, (0, 0), rng.uniform(*camera.blur))
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * (camera.noise / 255)
    picture = np.clip((seen + noise) * 255, 0, 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg_quality])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
