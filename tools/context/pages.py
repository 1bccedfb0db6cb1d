"""Synthetic pages: digits among prose, print, tables, answer sheets, drawings and forms, and where each one stands."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from tools.context.sheet import Area, Face, Sheet, scaled
from tools.likeness import strokes
from tools.likeness.camera import Camera, develop, lay_ink, paper
from tools.likeness.page import Digits, Page, PageStyle, project, ruled, view
from tools.strips import drawings
from tools.strips.draw import SCRIBBLES, put, word

MARGIN: Final = 0.04
"""Share of the page that stays empty along each edge."""
SIGNED: Final = ("11/11/1111", "11/11/11", "4.1", "4,11", "11:11", "-4", "4-4", "4-1111", "4/4", "4", "11-11-1111")
"""Numbers as people write them: each digit stands for up to so many."""
LOW: Final = 0.15
"""Share of numbers that end in lower digits."""
SCANNED: Final = 0.2
"""Share of pages that no lens blurs and no sensor makes grainy."""
SHOWS_THROUGH: Final = 0.1
"""Share of pages on which what is on the back is seen."""
EMPTY: Final = 0.06
"""Share of areas that stay empty."""


def _figures(rng: np.random.Generator, most: int) -> str:
    return "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(1, most + 1))))


def _numbers(sheet: Sheet, area: Area) -> None:
    """Rows of numbers, some with a word before them; one block in four is printed."""
    rng = sheet.rng
    height = rng.uniform(12, min(90, max(20, area.height / 1.6)))
    pitch, gap = height * rng.uniform(1.3, 2.4), sheet.pick((0.05, 0.15, 0.3, 0.6))
    signs, labels = 0.15 * (rng.random() < 0.3), 0.8 * (rng.random() < 0.25)
    written, face, printed = rng.random() < 0.75, sheet.hand(1.1 * height), sheet.print(1.35 * height)
    for y in np.arange(area.y, area.bottom - height, pitch).tolist():
        x = area.x + rng.uniform(0, 0.2) * area.width
        if rng.random() < labels:
            x = sheet.text(word(rng) + sheet.pick(": =#."), face, (x, y + height), area.right) + 0.2 * height
        while x < area.right - height:
            if written:
                x = sheet.number((x, y), height, area.right, most=6, gap=(gap, 0.08), signs=signs)
                x += rng.uniform(0.5, 3) * height
            else:
                x = sheet.text(_figures(rng, 6), printed, (x, y + height), area.right) + height
            if rng.random() < 0.3:
                break


def _written_prose(sheet: Sheet, area: Area) -> None:
    _prose(sheet, area, sheet.hand(sheet.rng.uniform(16, 60)))


def _printed_prose(sheet: Sheet, area: Area) -> None:
    _prose(sheet, area, sheet.print(sheet.rng.uniform(16, 44)))


def _prose(sheet: Sheet, area: Area, face: Face) -> None:
    """Lines of words, with figures among them or without."""
    rng, size = sheet.rng, face.size
    share, pitch, depth = sheet.pick((0, 0.03, 0.1, 0.3)), size * rng.uniform(1.3, 2), rng.uniform(0.5, 1)
    y = area.y + size
    while y < area.bottom:
        x = area.x
        while x < area.right:
            text = word(rng) + sheet.pick(("", "", "", "", ",", ",", ".", "!", "?"))
            if rng.random() < share:
                if face.hand and rng.random() < 0.42:
                    top, height = y - 0.75 * size, 0.75 * size
                    before = sheet.pick(("", "", "(", "-", "="))
                    x = sheet.sign(before, x, top, height) + 0.1 * size if before else x
                    x = sheet.number((x, top), height, area.right, most=4)
                    x = (sheet.sign(")", x, top, height) if before == "(" else x) + 0.5 * size
                    continue
                text = (sheet.pick(("#", "No.", "$", "(")) if rng.random() < 0.3 else "") + _figures(rng, 4)
            if x + face.width(text) > area.right:
                break
            x = sheet.text(text, face, (x, y), area.right, depth) + rng.uniform(0.25, 0.5) * size
        y += pitch * (2 if rng.random() < 0.08 else 1)


def _table(sheet: Sheet, area: Area) -> None:
    """Rules both ways, and columns of one kind each: digits, print, names, or nothing."""
    rng = sheet.rng
    tall = min(rng.uniform(34, 110), area.height)
    rows, columns = (
        int(np.clip(side, 1, 14)) for side in (area.height / tall, area.width / tall / rng.uniform(0.9, 3.5))
    )
    wide, pen, depth = min(area.width / columns, 4 * tall), int(rng.uniform(1, 4)), rng.uniform(0.4, 1)
    # A bill has rules between its columns alone.
    for row in range(0, rows + 1, rows if rng.random() < 0.2 else 1):
        sheet.line((area.x, area.y + row * tall), (area.x + columns * wide, area.y + row * tall), pen, depth)
    for column in range(columns + 1):
        sheet.line((area.x + column * wide, area.y), (area.x + column * wide, area.y + rows * tall), pen, depth)
    kinds = rng.choice(["digits", "figures", "print", "hand", "empty"], columns, p=[0.5, 0.15, 0.15, 0.12, 0.08])
    headed, filled = rng.random() < 0.5, rng.uniform(0.4, 1)
    height = rng.uniform(0.4, 0.72) * tall
    size = min(1.1 * height, 0.37 * wide)
    names = {"print": sheet.print(size), "hand": sheet.hand(size)}
    printed = replace(names["print"], size=max(6, 1.25 * height))
    for column, row in np.argwhere(rng.random((columns, rows)) < filled).tolist():
        kind = "print" if headed and row == 0 else str(kinds[column])
        x = area.x + (column + rng.uniform(0.05, 0.2)) * wide
        y = area.y + row * tall + (tall - height) / 2 + rng.normal(0, 0.06) * tall
        right = area.x + (column + 1) * wide
        if kind in names:
            sheet.text(word(rng), names[kind], (x, y + 0.9 * height), right)
        elif kind == "figures":
            sheet.text(_figures(rng, 4), printed, (x, y + height), right)
        elif kind == "digits":
            sheet.number((x, y), height, right, most=4)


def _marks(sheet: Sheet, area: Area) -> None:
    """An answer sheet: rows of ovals or boxes, numbered or not, with letters or nothing in them, some filled."""
    rng = sheet.rng
    radius = rng.uniform(9, 30)
    pitch, pen, per_row = (
        radius * rng.uniform(2.4, 3.6),
        max(1, int(radius * rng.uniform(0.06, 0.18))),
        rng.integers(3, 7),
    )
    oval, lettered, numbered = rng.random() < 2 / 3, rng.random() < 0.5, rng.random() < 0.7
    shown = 0.4 if rng.random() < 0.4 else 1
    face = sheet.print(1.1 * radius)
    wide = (int(per_row) + 2) * pitch
    for row, y in enumerate(np.arange(area.y + radius, area.bottom - radius, pitch).tolist()):
        for column in range(max(1, int(area.width / wide))):
            left = area.x + column * wide
            if numbered:
                number = replace(face, size=1.3 * radius)
                sheet.text(str(row + 1 + 20 * column), number, (left, y + 0.5 * radius), left + 1.7 * pitch)
            filled = int(rng.integers(per_row)) if rng.random() < 0.8 else -1
            for place in range(int(per_row)):
                x = left + (place + 2) * pitch
                if x + radius > area.right or rng.random() > shown:
                    continue
                if oval:
                    axes = radius * rng.uniform(0.75, 0.8), radius
                    sheet.ring((x, y), axes, 0, -1 if place == filled else pen)
                else:
                    box = np.zeros((2 * int(radius), round(1.6 * radius)), dtype=np.uint8)
                    cv2.rectangle(
                        box, (0, 0), (box.shape[1] - 1, box.shape[0] - 1), 255, -1 if place == filled else 2 * pen
                    )
                    sheet.draw(box, x - 0.8 * radius, y - radius)
                if lettered and place != filled:
                    sheet.text("ABCDEFG"[place], face, (x - 0.35 * radius, y + 0.4 * radius), area.right)


def _circles(sheet: Sheet, area: Area) -> None:
    """Circles, some around a digit."""
    rng = sheet.rng
    for _ in range(int(rng.integers(2, 16))):
        radius = rng.uniform(12, 50)
        left, top = area.place(2 * radius, 2 * radius, rng)
        x, y = left + radius, top + radius
        sheet.ring((x, y), (radius * rng.uniform(0.6, 1), radius), rng.uniform(-20, 20), int(rng.integers(2, 6)))
        if rng.random() < 0.4:
            sheet.digit(x - 0.3 * radius, y - 0.5 * radius, radius)


def _dial(sheet: Sheet, area: Area) -> None:
    """The face of a gauge: strokes around it, numbers beside some of them, and a hand."""
    rng = sheet.rng
    radius = 0.5 * min(area.width, area.height) * rng.uniform(0.6, 0.95)
    middle = np.array([area.x + area.width / 2, area.y + area.height / 2])
    size, inner, pen = radius * rng.uniform(0.1, 0.25), rng.uniform(0.8, 0.93), max(1, round(0.02 * radius))
    face, step, every = sheet.print(size), sheet.pick((1, 2, 5, 10, 20)), sheet.pick((1, 2, 5, 10))
    ticks = np.zeros((2 * round(radius) + 4,) * 2, dtype=np.uint8)
    for at, angle in enumerate(np.linspace(2.3, 7.1, int(rng.integers(5, 12)) * every + 1)):
        way = np.array([np.cos(angle), np.sin(angle)])
        long = at % every == 0
        ends = [radius + 2 + radius * share * way for share in (inner - 0.06 * long, 0.99)]
        start, stop = np.rint(ends).astype(int).tolist()
        cv2.line(ticks, start, stop, 255, pen * (1 + long), cv2.LINE_AA)
        if long:
            text = str(step * at // every)
            x, y = middle + (inner - 0.1) * radius * way - way * (face.width(text) / 2, 0.4 * size)
            sheet.text(text, face, (x - face.width(text) / 2, y + 0.4 * size), area.right)
    hand = radius + 2 + 0.7 * radius * np.array([np.cos(angle := rng.uniform(2.3, 7.1)), np.sin(angle)])
    cv2.line(ticks, (round(radius) + 2,) * 2, np.rint(hand).astype(int).tolist(), 255, 3 * pen, cv2.LINE_AA)
    sheet.draw(ticks, *(middle - radius - 2))
    if rng.random() < 0.7:
        sheet.ring((middle[0], middle[1]), (radius, radius), 0, 2 * pen)


def _drawing(sheet: Sheet, area: Area) -> None:
    rng = sheet.rng
    width, height = max(2, int(area.width)), max(2, int(area.height))
    for _ in range(int(rng.integers(1, 4))):
        size = int(rng.integers(min(60, height - 1), height)), int(rng.integers(min(100, width - 1), width))
        ink = np.zeros(size, dtype=np.float32)
        drawings.draw(ink, rng.uniform(16, 60), rng)
        put(sheet.ink, ink, *area.place(size[1], size[0], rng))


def _scribbles(sheet: Sheet, area: Area) -> None:
    rng = sheet.rng
    for _ in range(int(rng.integers(2, 14))):
        size = rng.uniform(18, 110)
        sheet.draw(scaled(255 - strokes.scribble(sheet.pick(SCRIBBLES), rng), size), *area.place(size, size, rng))


def _equations(sheet: Sheet, area: Area) -> None:
    """Digits, signs and letters in lines, with powers and fractions."""
    rng = sheet.rng
    height = rng.uniform(22, 80)
    face, apart = sheet.hand(1.1 * height), rng.uniform(0.1, 0.8)
    y = area.y + 0.5 * height

    def term(x: float, y: float, height: float) -> float:
        if rng.random() < 0.7:
            return sheet.number((x, y), height, area.right, most=2)
        variable = replace(face, size=1.1 * height)
        return sheet.text(sheet.pick("xyzabnktfpcTCkm"), variable, (x, y + 0.95 * height), area.right)

    while y + 1.5 * height < area.bottom:
        x = area.x + rng.uniform(0, 0.2) * area.width
        for _ in range(int(rng.integers(3, 14))):
            if x > area.right - 1.5 * height:
                break
            kind = rng.random()
            if kind < 0.3:
                x = sheet.sign("+-×÷=()=+-/", x, y, height)
            elif kind < 0.4:
                end = max(term(x, y - 0.5 * height, 0.8 * height), term(x, y + 0.75 * height, 0.8 * height))
                sheet.line((x, y + 0.5 * height), (end, y + 0.5 * height), max(2, round(0.05 * height)), 0.9)
                x = end
            else:
                x = term(x, y, height)
                if rng.random() < 0.15:
                    x = term(x, y - 0.35 * height, rng.uniform(0.45, 0.7) * height)
            x += rng.uniform(0.1, apart) * height
        y += height * rng.uniform(1.8, 2.6)


def _comb(sheet: Sheet, area: Area) -> None:
    """Fields of a form, a box for each character, with what they ask for before them."""
    rng = sheet.rng
    height = rng.uniform(20, 60)
    tall, wide, pen, depth = 1.35 * height, height * rng.uniform(1.05, 1.6), int(rng.uniform(1, 3)), rng.uniform(0.4, 1)
    printed, face = sheet.print(0.7 * height), sheet.hand(1.05 * height)
    y = area.y + 4
    while y + 1.5 * height < area.bottom:
        left = sheet.text(word(rng), printed, (area.x, y + height), area.right) + height
        boxes = min(int((area.right - left) / wide), int(rng.integers(3, 14)))
        if boxes > 1:
            for line in (y, y + tall):
                sheet.line((left, line), (left + boxes * wide, line), pen, depth)
            for box in range(boxes + 1):
                sheet.line((left + box * wide, y), (left + box * wide, y + tall), pen, depth)
            lettered = rng.random() < 0.25
            for box in np.flatnonzero(rng.random(boxes) < 0.85).tolist():
                x = left + (box + 0.2) * wide
                if lettered:
                    sheet.text(sheet.pick(string.ascii_uppercase), face, (x, y + 1.1 * height), x + 2 * wide)
                else:
                    sheet.digit(x + rng.normal(0.05, 0.04) * wide, y + 0.17 * height, height)
        y += height * rng.uniform(1.8, 3)


def _few(sheet: Sheet, area: Area) -> None:
    """One number, often large."""
    rng = sheet.rng
    height = rng.uniform(24, min(220, max(30, 0.6 * area.height)))
    x, y = area.place(0.6 * area.width, 1.2 * height, rng)
    sheet.number((x, y), height, area.right, most=6, gap=(0.26, 0.14))


def _signed(sheet: Sheet, area: Area) -> None:
    """Numbers with signs in them, each on a line: dates, times, amounts, negative ones."""
    rng = sheet.rng
    height = rng.uniform(12, min(130, max(22, area.height / 1.5)))
    single, y = rng.random() < 0.5, area.y + rng.uniform(0, 0.2) * area.height
    while y + height < area.bottom:
        x = area.x + rng.uniform(0, 0.35) * area.width
        for character in sheet.pick(SIGNED):
            if x > area.right - height:
                break
            if character.isdigit():
                x = sheet.number((x, y), height, area.right, most=int(character), gap=(0.1, 0.05))
            else:
                x = sheet.sign(character, x, y, height) + rng.uniform(0.05, 0.2) * height
        if rng.random() < LOW:
            # Cents, or what was written fast.
            sheet.number((x, y + rng.uniform(0, 0.6) * height), rng.uniform(0.3, 0.5) * height, area.right, most=2)
        if single:
            break
        y += height * rng.uniform(1.3, 2.4)


def _fields(sheet: Sheet, area: Area) -> None:
    """Printed questions, and on a rule beside each a number, a word or nothing."""
    rng = sheet.rng
    size = rng.uniform(16, 40)
    height = size * rng.uniform(0.8, 2.2)
    printed, face = sheet.print(size), sheet.hand(1.1 * height)
    has_rules, pen, depth = rng.random() < 0.7, int(rng.uniform(1, 3)), rng.uniform(0.4, 1)
    y = area.y + max(size, height)
    while y < area.bottom:
        question = " ".join(word(rng) for _ in range(int(rng.integers(1, 4)))) + sheet.pick((":", "", "?", " ="))
        x = sheet.text(question, printed, (area.x, y), area.right) + 0.6 * size
        if has_rules and x < area.right:
            sheet.line((x, y + 3), (min(area.right, x + 8 * height), y + 3), pen, depth)
        answer = rng.random()
        if answer < 0.6:
            start = x + rng.uniform(0.1, 1) * height, y - 1.02 * height
            sheet.number(start, height, area.right, most=6, gap=(0.12, 0.06))
        elif answer < 0.84:
            sheet.text(word(rng), face, (x + 0.3 * height, y - 2), area.right)
        y += max(height, size) * rng.uniform(1.5, 2.2)


def _scores(sheet: Sheet, area: Area) -> None:
    """Names, and columns of numbers beside them."""
    rng = sheet.rng
    height, columns = rng.uniform(20, 60), int(rng.integers(1, 6))
    face = sheet.hand(1.05 * height) if rng.random() < 0.6 else sheet.print(1.05 * height)
    y = area.y
    while y + 1.2 * height < area.bottom:
        sheet.text(word(rng)[:6], face, (area.x, y + height), min(area.right, area.x + 5 * height))
        for column in range(columns):
            x = area.x + (5 + 3 * column + rng.uniform(0, 0.4)) * height
            sheet.number((x, y), height, area.right, most=2)
        y += height * rng.uniform(1.4, 2)


def _headline(sheet: Sheet, area: Area) -> None:
    """A large word, and some other block below it."""
    size = sheet.rng.uniform(50, 150)
    face = replace(sheet.pick((sheet.print, sheet.hand))(size), hand=False)
    sheet.text(word(sheet.rng), face, (area.x, area.y + size), area.right)
    if area.height > 2.2 * size:
        _block(sheet, replace(area, y=area.y + 1.4 * size, height=area.height - 1.4 * size))


Block = Callable[[Sheet, Area], None]
BLOCKS: Final[dict[Block, float]] = {
    _numbers: 0.24,
    _written_prose: 0.15,
    _printed_prose: 0.25,
    _table: 0.14,
    _marks: 0.06,
    _circles: 0.04,
    _dial: 0.03,
    _drawing: 0.08,
    _scribbles: 0.05,
    _equations: 0.1,
    _comb: 0.06,
    _few: 0.08,
    _signed: 0.12,
    _fields: 0.08,
    _scores: 0.05,
    _headline: 0.03,
}
"""What is drawn, and how often, against the sum of all."""


def _block(sheet: Sheet, area: Area) -> None:
    shares = np.array(list(BLOCKS.values()))
    list(BLOCKS)[sheet.rng.choice(len(shares), p=shares / shares.sum())](sheet, area)


def _areas(page: Area, rng: np.random.Generator) -> list[Area]:
    """Return a page in up to four parts, the largest cut again and again."""
    areas = [page]
    for _ in range(int(rng.choice(4, p=[0.35, 0.25, 0.25, 0.15]))):
        areas.sort(key=lambda area: area.width * area.height)
        area = areas.pop()
        stacked = rng.random() < (0.75 if area.height > 0.6 * area.width else 0.3)
        areas += area.split(rng.uniform(0.3, 0.7), stacked=stacked)
    return areas


def _style(width: int, height: int, rng: np.random.Generator) -> PageStyle:
    scanned = rng.random() < SCANNED
    camera = Camera(
        shadow=float(rng.choice([0, 0.3, 0.7])),
        blur=(0.1 if scanned else 0.3, 0.2 if scanned else float(rng.choice([0.6, 1.3]))),
        noise=0 if scanned else rng.uniform(1, 5),
        jpeg_quality=int(rng.integers(50, 95)),
    )
    return PageStyle(
        width=width,
        height=height,
        ruled=rng.random() < 0.12,
        squared=rng.random() < 0.06,
        digit=rng.uniform(25, 60) / width,
        # No corner moves so far that the page loses more than its margin.
        perspective=float(rng.choice([0, 0.01, 0.02])) * min(1, height / width),
        inverted=rng.random() < 0.04,
        camera=camera,
    )


def compose(digits: Digits, rng: np.random.Generator) -> Page:
    """Draw a page of some size, and photograph it."""
    width, height = int(rng.integers(500, 1700)), int(rng.integers(400, 1700))
    drawn = Sheet(width, height, digits, rng)
    inner = 1 - 2 * MARGIN
    for area in _areas(Area(MARGIN * width, MARGIN * height, inner * width, inner * height), rng):
        if area.width >= 60 and area.height >= 40 and rng.random() >= EMPTY:
            _block(drawn, area)
    if rng.random() < SHOWS_THROUGH:
        np.maximum(drawn.ink, np.float32(rng.uniform(0.1, 0.35)) * drawn.ink[:, ::-1], out=drawn.ink)
    style = _style(width, height, rng)
    sheet = paper(height, width, rng)
    if style.ruled or style.squared:
        sheet = ruled(sheet, rng, style)
    sheet = lay_ink(sheet, drawn.ink, rng.uniform(0.05, 0.55))
    if style.inverted:
        sheet = np.float32(1.02) - np.float32(0.9) * sheet
    if not style.perspective:
        return Page(develop(sheet, rng, style.camera), drawn.truths)
    matrix, light = view(width, height, rng, style), float(np.median(sheet))
    seen = cv2.warpPerspective(sheet, matrix, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=(light,) * 3)
    truths = [replace(truth, box=project(truth.box, matrix)) for truth in drawn.truths]
    return Page(develop(np.asarray(seen, dtype=np.float32), rng, style.camera), truths)
