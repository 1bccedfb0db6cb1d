"""The C file as a program: it reads PGM and PNG of any size as `edgemnist predict` does, and nothing harms it."""

from __future__ import annotations

import io
import json
import random
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemnist.errors import ImageError
from edgemnist.exports import reference_directory
from edgemnist.images import normalize_digit
from edgemnist.native.amalgamation import Origin, c_source
from edgemnist.native.classifier import read_network_file
from edgemnist.runtimes import load
from tests.images.drawings import random_drawing
from tests.native.conftest import c_compiler

SHIPPED = reference_directory() / "tflite-int8.tflite"
MODES = ("L", "RGB", "1", "P", "I;16", "PGM")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, which ends at the first byte that it reads or writes where it must not."""
    directory = tmp_path_factory.mktemp("program")
    origin = Origin(version="1.2.3", model_sha256="a" * 64, tflite_sha256="b" * 64, labels=[*"0123456789"])
    (directory / "c-int8.c").write_text(c_source(read_network_file(SHIPPED), origin))
    options = ("-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DEDGEMNIST_MAIN")
    command: list[str | Path] = [c_compiler("gcc"), *options, directory / "c-int8.c", "-o", directory / "digit"]
    subprocess.run(command, check=True)
    return directory / "digit"


def encoded(drawing: Image.Image, mode: str, level: int = 6) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    if mode == "PGM":
        drawing.save(file, "PPM")
    elif mode == "P":
        drawing.convert("RGB").quantize([2, 4, 16, 256][level % 4]).save(file, "PNG", compress_level=level)
    elif mode == "I;16":
        Image.fromarray(np.asarray(drawing).astype(np.uint16) * 257).save(file, "PNG", compress_level=level)
    elif mode == "RGB":
        reddish = Image.merge("RGB", [drawing, drawing.point([*range(0, 255, 1), 255]), drawing.point(lambda v: v)])
        reddish.save(file, "PNG", compress_level=level)
    else:
        drawing.convert(mode).save(file, "PNG", compress_level=level)
    return file.getvalue()


def run(program: Path, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, "--json", "-"], input=data, check=False, capture_output=True)


def expected(data: bytes, classifier: Any) -> list[int] | None:
    """Return the scores of what Python makes of a picture, or None for a blank one."""
    try:
        image = normalize_digit(Image.open(io.BytesIO(data))).image
    except ImageError:
        return None
    return [int(256 * value) for value in classifier.predict_proba(image[None])[0]]


def test_pictures_of_every_kind_are_read_as_python_reads_them(program: Path) -> None:
    classifier = load(SHIPPED, runtime="integer")
    outcomes: Counter[str] = Counter()
    for seed in range(96):
        data = encoded(random_drawing(seed), MODES[seed % len(MODES)], level=seed % 10)
        done = run(program, data)
        if done.returncode == 0:
            outcomes["read"] += 1
            assert json.loads(done.stdout)["scores"] == expected(data, classifier), seed
        elif b"nothing on it" in done.stderr:
            outcomes["blank"] += 1
            assert expected(data, classifier) is None, seed
        else:
            outcomes["uneven"] += 1
            assert b"no plain white or black ground" in done.stderr, (seed, done.stderr)
    assert min(outcomes["read"], outcomes["blank"], outcomes["uneven"]) >= 5


def test_a_picture_of_the_data_set_is_taken_as_it_is(program: Path, tmp_path: Path) -> None:
    image = np.zeros((28, 28), dtype=np.uint8)
    image[5:23, 13:16] = 255
    expected = load(SHIPPED, runtime="integer").predict_proba(image[None])[0]
    picture = tmp_path / "one.pgm"
    picture.write_bytes(b"P5 # a comment\n28\t28\n255\n" + image.tobytes())
    done = subprocess.run([program, picture], check=True, capture_output=True, text=True)
    first, *rest = done.stdout.splitlines()
    assert first == str(expected.argmax())
    assert rest == [f"  {digit}: {int(256 * share)}/256" for digit, share in enumerate(expected)]


REFUSED = {
    "is no binary PGM and no PNG": (b"", b"P6\n1 1\n255\nxxx", b"GIF89a"),
    "ends too early": (b"P5\n28 28\n255\n" + b"x" * 783, encoded(random_drawing(3), "L")[:60]),
    "without pixels": (b"P5 0 5 255\n", b"P5 70000 1 255\n"),
    "other grey levels": (b"P5 2 2 65535\n" + bytes(8), b"P5 99999999999"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_read_it_refuses_in_a_sentence(reason: str, program: Path) -> None:
    for data in REFUSED[reason]:
        done = run(program, data)
        assert done.returncode == 2
        assert done.stderr.decode().startswith("standard input ")
        assert reason in done.stderr.decode()


@pytest.mark.parametrize("words", [("a.png", "b.png"), ("--json", "a.png", "b.png"), ("--help",)])
def test_with_several_pictures_it_says_how_it_is_called(words: tuple[str, ...], program: Path) -> None:
    done = subprocess.run([program, *words], check=False, capture_output=True, text=True, input="", timeout=60)
    usage = "Usage: digit [--json] [PICTURE]\nReads the digit on a PGM or PNG file, or from standard input.\n"
    helps = words == ("--help",)
    assert (done.returncode, done.stdout, done.stderr) == ((0, usage, "") if helps else (2, "", usage))


def test_without_a_picture_it_reads_standard_input(program: Path) -> None:
    picture = encoded(random_drawing(3), "L")
    named, unnamed = (
        subprocess.run([program, *words], check=False, capture_output=True, input=picture, timeout=60)
        for words in (("--json", "-"), ("--json",))
    )
    assert (unnamed.returncode, unnamed.stdout) == (0, named.stdout)


def test_transparency_and_interlacing_are_refused_and_not_guessed_at(program: Path) -> None:
    file = io.BytesIO()
    random_drawing(3).convert("RGBA").save(file, "PNG")
    assert b"transparency" in run(program, file.getvalue()).stderr
    interlaced = bytearray(encoded(random_drawing(3), "L"))
    interlaced[28] = 1
    assert b"interlaced" in run(program, bytes(interlaced)).stderr


def test_damaged_files_end_in_a_sentence(program: Path) -> None:
    drawing = random_drawing(5, largest=90)
    whole = [encoded(drawing, mode, level) for mode in MODES for level in (0, 9)]
    rng = random.Random(1)
    outcomes: Counter[int] = Counter()
    for index in range(250):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.choice([1, 1, 2, 5])):
            place, kind = rng.randrange(8, len(data)), rng.random()
            if kind < 0.6:
                data[place] = rng.randrange(256)
            elif kind < 0.8:
                del data[max(place, 12) :]
            else:
                data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randrange(9)))
            if len(data) < 12:
                break
        done = run(program, bytes(data))
        assert done.returncode in {0, 2}, (index, done.stderr[-2_000:])
        outcomes[done.returncode] += 1
    assert outcomes[2] > 100
