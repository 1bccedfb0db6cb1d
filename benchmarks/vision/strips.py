"""How many digits of wheels, displays and ruled columns are read: python -m benchmarks.vision.strips [PAGES].

Nothing here is shared with what the network for strips has learned from.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.vision.report import load_reference, save
from benchmarks.vision.synthetic.digits import evaluation_digits
from edgemnist.digits.images.grey import Grey
from edgemnist.digits.read.page import read_page
from edgemnist.digits.results import ReadDigit
from edgemnist.digits.task import Box
from tools.likeness.page import Digits

SEED: Final = 400
SIZE: Final = (900, 700)
LIT: Final = (
    *("1110111", "0010010", "1011101", "1011011", "0111010"),
    *("1101011", "1101111", "1010010", "1111111", "1111011"),
)
"""Segments of each digit that are lit: top, upper left, upper right, middle, lower left, lower right, foot."""
Field = tuple[Box, str]
"""Where a number stands, and its digits."""


def wheels(draw: ImageDraw.ImageDraw, rng: np.random.Generator, _: Digits) -> list[Field]:
    """Draw a counter: digits on wheels, light on dark or dark on light."""
    count, high = int(rng.integers(4, 8)), int(rng.integers(34, 70))
    wide, left, top = round(high * rng.uniform(0.85, 1.3)), int(rng.integers(60, 200)), int(rng.integers(80, 400))
    dark, gap = rng.random() < 0.6, int(rng.integers(0, 9))
    ground, ink = (int(rng.integers(25, 70)), int(rng.integers(180, 250)))[:: 1 if dark else -1]
    room = round(high * rng.uniform(0.25, 0.6))
    box = (left - 8, top - room, left + count * wide + 8, top + high + room)
    draw.rectangle(box, fill=ground if dark or gap else 120)
    font = ImageFont.load_default(high * 1.33)
    text = "".join(map(str, rng.integers(0, 10, count)))
    for index, digit in enumerate(text):
        x = left + index * wide
        if gap:
            draw.rectangle((x + wide - gap, box[1], x + wide, box[3]), fill=120 if dark else 60)
        middle = (x + (wide - gap) / 2, top + high / 2 + rng.normal(0, 0.05) * high)
        draw.text(middle, digit, fill=ink, font=font, anchor="mm")
    draw.text((left, box[3] + 12), "kWh", fill=50, font=ImageFont.load_default(28))
    return [((box[0], box[1], box[2] - box[0], box[3] - box[1]), text)]


def display(draw: ImageDraw.ImageDraw, rng: np.random.Generator, _: Digits) -> list[Field]:
    """Draw a display: slabs, dark on grey or lit on black."""
    count, high = int(rng.integers(3, 7)), int(rng.integers(50, 120))
    wide, pen, lean = round(high * rng.uniform(0.5, 0.62)), high * rng.uniform(0.08, 0.14), rng.uniform(0, 0.15)
    left, top = int(rng.integers(80, 200)), int(rng.integers(100, 350))
    ground, ink = ((20, int(rng.integers(120, 255))), (int(rng.integers(60, 150)), 20))[int(rng.random() < 0.6)]
    room, pitch = high * rng.uniform(0.15, 0.5), wide + high * rng.uniform(0.15, 0.3)
    box = (left - 1.5 * room - lean * high, top - room, left + count * pitch + 1.5 * room, top + high + room)
    draw.rectangle(box, fill=ground, outline=90, width=int(rng.integers(1, 8)))
    text = "".join(map(str, rng.integers(0, 10, count)))

    def slab(x: float, y: float, long: float, *, level: bool) -> None:
        half, end = pen / 2, long - 1
        shape = [(1, 0), (half, -half), (end - half, -half), (end, 0), (end - half, half), (half, half)]
        points = [(x + (a if level else b), y + (b if level else a)) for a, b in shape]
        draw.polygon([(px + lean * (top + high - py), py) for px, py in points], fill=ink)

    for index, digit in enumerate(text):
        x, half = left + index * pitch, high / 2
        places = [(x, top, 1), (x, top, 0), (x + wide, top, 0), (x, top + half, 1), (x, top + half, 0),
                  (x + wide, top + half, 0), (x, top + high, 1)]  # fmt: skip
        for lit, (px, py, level) in zip(LIT[int(digit)], places, strict=True):
            if lit == "1":
                slab(px, py, wide if level else half, level=bool(level))
    draw.text((left, box[3] + 14), "LITRES", fill=40, font=ImageFont.load_default(30))
    return [((round(box[0]), round(box[1]), round(box[2] - box[0]), round(box[3] - box[1])), text)]


def column(draw: ImageDraw.ImageDraw, rng: np.random.Generator, digits: Digits) -> list[Field]:
    """Draw a column of a form: a line leads to each number, which touches its rule or the edge."""
    pitch, right = int(rng.integers(52, 90)), int(rng.integers(420, 560))
    fields: list[Field] = []
    for row in range(5):
        foot = 120 + (row + 1) * pitch
        draw.line((0, foot, right, foot + 3), fill=120, width=2)
        if row == 4:
            break
        high, count = round(pitch * rng.uniform(0.7, 0.95)), int(rng.integers(2, 5))
        chosen, x = digits.sample(count, rng), right - round(high * 0.75 * count) - int(rng.integers(0, 40))
        draw.line((0, foot - pitch // 2, x + 4, foot - pitch // 2), fill=90, width=3)
        begin = x
        for image in chosen.images:
            rows, columns = np.flatnonzero(image.max(axis=1) > 60), np.flatnonzero(image.max(axis=0) > 60)
            cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            size = max(4, round(high * cut.shape[1] / cut.shape[0])), high
            mask = Image.fromarray(cut).resize(size, Image.Resampling.BICUBIC)
            draw.bitmap((x, foot - high - int(rng.integers(-4, 6))), mask, fill=60)
            x += size[0] + int(rng.integers(0, 12))
        fields.append(((begin - 6, foot - pitch - 4, x - begin + 12, pitch + 10), "".join(map(str, chosen.labels))))
    draw.line((right, 100, right + 6, 120 + 5 * pitch), fill=120, width=2)
    return fields


def nothing(draw: ImageDraw.ImageDraw, rng: np.random.Generator, _: Digits) -> list[Field]:
    """Draw empty displays, dials, screws, words and frames."""
    for _step in range(int(rng.integers(2, 5))):
        x, y, w, h = (int(rng.integers(*ends)) for ends in ((40, 600), (40, 560), (80, 240), (40, 120)))
        draw.rectangle((x, y, x + w, y + h), fill=int(rng.integers(20, 220)), outline=60, width=int(rng.integers(1, 9)))
        for line in range(int(rng.integers(0, 6))):
            draw.line((x + 20 * line, y, x + 20 * line, y + h * (line % 2 + 1) // 2), fill=60, width=3)
    x, y = int(rng.integers(200, 700)), int(rng.integers(200, 500))
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(12, 60)), endpoint=False):
        ends = [(x + r * np.cos(angle), y + r * np.sin(angle)) for r in (90, 110)]
        draw.line([*ends[0], *ends[1]], fill=40, width=3)
    draw.ellipse((x - 40, y - 40, x + 40, y + 40), outline=50, width=6)
    draw.text((60, 620), "Pump  Gas  Meter  Volume", fill=30, font=ImageFont.load_default(int(rng.integers(24, 60))))
    return []


KINDS: Final[dict[str, Callable[[ImageDraw.ImageDraw, np.random.Generator, Digits], list[Field]]]] = {
    "wheels": wheels,
    "display": display,
    "column": column,
    "nothing": nothing,
}


def photographed(page: Image.Image, rng: np.random.Generator) -> Grey:
    """Return a page as it was photographed: a little turned, soft, unevenly lit, with grain."""
    soft = page.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 2)))
    left, right = rng.uniform(0.7, 1.05, 2).tolist()
    light = np.asarray(soft, dtype=np.float32) * np.linspace(left, right, SIZE[0])
    grain = rng.normal(0, rng.uniform(0, 6), light.shape)
    return np.asarray(np.clip(light + grain, 0, 255), dtype=np.uint8)


def counted(digits: list[ReadDigit], fields: list[Field]) -> Counter[str]:
    """Return how many digits there are, are right, wrong, false, and how many numbers are exact."""
    counts = Counter[str]()
    inside = 0
    for (x, y, w, h), text in fields:
        middles = [(one.box[0] + one.box[2] / 2, one.box[1] + one.box[3] / 2, one) for one in digits]
        found = [(mx, one.digit) for mx, my, one in middles if x <= mx <= x + w and y <= my <= y + h]
        read = "".join(str(digit) for _, digit in sorted(found, key=lambda one: one[0]) if digit is not None)
        inside += len(read)
        # The longest common subsequence is right.
        row = [0] * (len(read) + 1)
        for character in text:
            row = _next(row, character, read)
        counts += Counter(digits=len(text), right=row[-1], false=len(read) - row[-1], fields=1, exact=read == text)
    counts["false"] += sum(one.digit is not None for one in digits) - inside
    return counts


def _next(row: list[int], character: str, read: str) -> list[int]:
    new = [0]
    for index, other in enumerate(read):
        new.append(row[index] + 1 if other == character else max(row[index + 1], new[-1]))
    return new


def main() -> None:
    """Measure, print and save."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    classifier, digits = load_reference(), evaluation_digits()
    figures: dict[str, object] = {}
    for kind, draw in KINDS.items():
        total = Counter[str]()
        for number in range(pages):
            rng = np.random.default_rng(SEED + number)
            page = Image.new("L", SIZE, int(rng.integers(170, 240)))
            fields = draw(ImageDraw.Draw(page), rng, digits)
            total += counted(read_page(photographed(page, rng), classifier).digits, fields)
        names = ("digits", "right", "false", "fields", "exact")
        figures[kind] = {"pages": pages, **{name: total[name] for name in names}}
    save("strips", figures)


if __name__ == "__main__":
    main()
