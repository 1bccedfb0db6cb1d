"""Draws what a camera sees of a water meter: python meter.py FILE [VALUE]."""

import sys

from PIL import Image, ImageDraw, ImageFont

DIGIT = 54
"""Pixels from one digit to the next."""


def draw(text: str) -> Image.Image:
    """Return a picture of 640×480 pixels of a counter's window, with its digits."""
    picture = Image.new("L", (640, 480), 150)
    pen = ImageDraw.Draw(picture)
    pen.text((320, 120), "m3", font=ImageFont.load_default(30), fill=60, anchor="mm")
    pen.rounded_rectangle((70, 180, 100 + DIGIT * len(text), 270), 8, fill=20)
    for number, digit in enumerate(text):
        pen.text((112 + DIGIT * number, 225), digit, font=ImageFont.load_default(58), fill=235, anchor="mm")
    return picture


if __name__ == "__main__":
    draw((*sys.argv, "04096224")[2]).save(sys.argv[1])
