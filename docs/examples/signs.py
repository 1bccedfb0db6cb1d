"""Draw small pictures of five traffic signs in colour, a folder for each class.

python docs/examples/signs.py DIRECTORY [PICTURES-OF-EACH]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 32
"""Pixels of a picture; it is drawn four times as large, and scaled down."""
LARGE = 4 * SIDE
RED, BLUE, YELLOW, WHITE, BLACK = (190, 25, 35), (25, 75, 165), (240, 190, 30), (240, 240, 235), (25, 25, 25)
RING = (20, 20, 108, 108)


def stop(draw: ImageDraw.ImageDraw) -> None:
    """Draw a red octagon with a white bar, which is all that 32 pixels leave of the word."""
    draw.regular_polygon((64, 64, 48), 8, 22, fill=RED, outline=WHITE, width=4)
    draw.rectangle((32, 56, 96, 72), fill=WHITE)


def give_way(draw: ImageDraw.ImageDraw) -> None:
    """Draw a white triangle that stands on its tip, with a red rim."""
    draw.regular_polygon((64, 56, 52), 3, 180, fill=RED)
    draw.regular_polygon((64, 56, 30), 3, 180, fill=WHITE)


def no_entry(draw: ImageDraw.ImageDraw) -> None:
    """Draw a red disc with a white bar."""
    draw.ellipse(RING, fill=RED)
    draw.rectangle((36, 56, 92, 72), fill=WHITE)


def priority(draw: ImageDraw.ImageDraw) -> None:
    """Draw a yellow square that stands on a corner, with a white rim."""
    draw.regular_polygon((64, 64, 50), 4, 45, fill=WHITE, outline=BLACK, width=2)
    draw.regular_polygon((64, 64, 34), 4, 45, fill=YELLOW)


def parking(draw: ImageDraw.ImageDraw) -> None:
    """Draw a blue square with a white P."""
    draw.rectangle((24, 24, 104, 104), fill=BLUE)
    draw.rectangle((48, 36, 58, 92), fill=WHITE)
    draw.ellipse((48, 36, 84, 70), outline=WHITE, width=10)


SIGNS: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "stop": stop,
    "give way": give_way,
    "no entry": no_entry,
    "priority": priority,
    "parking": parking,
}


def photograph(sign: Callable[[ImageDraw.ImageDraw], None], random: np.random.Generator) -> Image.Image:
    """Return a sign before sky or leaves: tilted, near or far, in some light, a little out of focus."""
    shown = Image.new("RGBA", (LARGE, LARGE))
    sign(ImageDraw.Draw(shown))
    size = round(LARGE * random.uniform(0.6, 1.0))
    shown = shown.rotate(random.uniform(-12, 12), Image.Resampling.BICUBIC).resize((size, size))
    ground = Image.new("RGB", (LARGE, LARGE), tuple(random.integers(40, 220, 3).tolist()))
    for _ in range(12):
        x, y = random.integers(0, LARGE, 2).tolist()
        radius = int(random.integers(6, 30))
        colour = tuple(random.integers(20, 230, 3).tolist())
        ImageDraw.Draw(ground).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    ground = ground.filter(ImageFilter.GaussianBlur(8))
    x, y = random.integers(0, LARGE - size + 1, 2).tolist()
    ground.paste(shown, (x, y), shown)
    small = ground.filter(ImageFilter.GaussianBlur(random.uniform(0, 4))).resize((SIDE, SIDE))
    light = np.asarray(small, dtype=np.float32) * random.uniform(0.35, 1.15) + random.normal(0, 6, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def main() -> None:
    """Draw them, the same ones every time."""
    directory, each = Path(sys.argv[1]), int([*sys.argv[2:], "400"][0])
    random = np.random.default_rng(0)
    for name, sign in SIGNS.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            photograph(sign, random).save(directory / name / f"{index:03}.png")


if __name__ == "__main__":
    main()
