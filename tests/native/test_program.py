"""The C file as a program: it reads a PGM of any size as `edgemnist predict` does, and nothing harms it."""

import io
import json
import random
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from edgemnist.digits.images import normalize_digit
from edgemnist.errors import ImageError
from edgemnist.ground.arrays import Images
from edgemnist.model.native.amalgamation import c_header, c_source
from edgemnist.model.native.classifier import read_network_file
from edgemnist.model.native.network import read_network
from edgemnist.model.runtimes import load
from tests.conftest import REPOSITORY
from tests.images.drawing import random_drawing
from tests.native.conftest import SHIPPED, STRICT, c_compiler, origin, run_program
from tests.native.networks import GraphBuilder, expected_scores
from tests.needs import require

pytestmark = pytest.mark.all


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, which ends at the first byte that it reads or writes where it must not."""
    directory = tmp_path_factory.mktemp("program")
    (directory / "c-int8.c").write_text(c_source(read_network_file(SHIPPED), origin()))
    options = ("-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DEDGEMNIST_MAIN")
    command: list[str | Path] = [c_compiler("gcc"), *options, directory / "c-int8.c", "-o", directory / "digit"]
    subprocess.run(command, check=True)
    return directory / "digit"


def encoded(drawing: Image.Image) -> bytes:
    """Return a picture as a PGM."""
    file = io.BytesIO()
    drawing.convert("L").save(file, "PPM")
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


def test_pictures_are_read_as_python_reads_them(program: Path) -> None:
    classifier = load(SHIPPED, runtime="integer")
    outcomes: Counter[str] = Counter()
    for seed in range(96):
        data = encoded(random_drawing(seed))
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


def test_logits_are_printed_as_what_they_stand_for_and_names_as_json_has_them(tmp_path: Path) -> None:
    builder = GraphBuilder(3)
    pixels = builder.activation(784, scale=1 / 255, plain=True)
    graph = builder.ending_in(builder.dense(pixels, 784, 10))
    network = read_network(graph)
    names = ['a "q"', "back\\slash", "5\n", "äé", *"456789"]
    (tmp_path / "c-int8.c").write_text(c_source(network, origin(names)))
    strict = (*STRICT, "-DEDGEMNIST_MAIN")
    subprocess.run([c_compiler("gcc"), *strict, tmp_path / "c-int8.c", "-o", tmp_path / "digit"], check=True)
    image = np.zeros((1, 28, 28), dtype=np.uint8)
    image[:, 5:23, 13:16] = 255
    (numbers,) = expected_scores(graph, image).tolist()
    picture = b"P5 28 28 255\n" + image.tobytes()
    told = json.loads(run(tmp_path / "digit", picture).stdout)
    assert (told["label"], told["scores"]) == (names[int(np.argmax(numbers))], numbers)
    scale, zero_point = network.output.scale, network.score_zero_point
    assert (told["scale"], told["zero_point"]) == (pytest.approx(scale, rel=1e-7), zero_point)
    printed = subprocess.run([tmp_path / "digit"], input=picture, check=True, capture_output=True).stdout.decode()
    assert [line.rpartition(": ")[2] for line in printed.splitlines()[-3:]] == [
        f"{np.float32(scale) * np.float32(number - zero_point):.4g}" for number in numbers[-3:]
    ]


REFUSED = {
    "is not a binary PGM": (b"", b"P", b"P6\n1 1\n255\nxxx", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(40)),
    "ends too early": (b"P5\n28 28\n255\n" + b"x" * 783, encoded(random_drawing(3))[:60], b"P5 1 1 255"),
    "without pixels": (b"P5 0 5 255\n", b"P5 5 0 255\n", b"P5 70000 1 255\n", b"P5 60000 60000 255\n"),
    "other grey levels": (b"P5 2 2 65535\n" + bytes(8), b"P5 99999999999"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_read_it_refuses_in_a_sentence(reason: str, program: Path) -> None:
    for data in REFUSED[reason]:
        done = run(program, data)
        assert done.returncode == 2
        assert done.stderr.decode().startswith("standard input ")
        assert reason in done.stderr.decode()


def test_damaged_files_end_in_a_sentence(program: Path) -> None:
    drawing = random_drawing(5, largest=90)
    whole = encoded(drawing)
    rng = random.Random(1)
    outcomes: Counter[int] = Counter()
    for index in range(250):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 5])):
            place, kind = rng.randrange(2, 20), rng.random()
            if kind < 0.6:
                data[place] = rng.randrange(256)
            elif kind < 0.8:
                del data[rng.randrange(place, len(data)) :]
            else:
                data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randrange(9)))
            if len(data) < 12:
                break
        done = run(program, bytes(data))
        assert done.returncode in {0, 2}, (index, done.stderr[-2_000:])
        outcomes[done.returncode] += 1
    assert min(outcomes[0], outcomes[2]) > 20


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the C file and its header, as somebody puts them into a project."""
    directory, network = tmp_path_factory.mktemp("project"), read_network_file(SHIPPED)
    (directory / "edgemnist.c").write_text(c_source(network, origin()))
    (directory / "edgemnist.h").write_text(c_header(network, origin()))
    return directory


def check_answers(program: Sequence[str | Path], images: Images, directory: Path) -> None:
    """Compare the scores that a program prints for each image with the reference's."""
    expected = load(SHIPPED, runtime="integer").predict_proba(images) * np.float32(256)
    for image, scores in zip(images, expected, strict=True):
        (directory / "one.pgm").write_bytes(b"P5\n28 28\n255\n" + image.tobytes())
        done = run_program(*program, "--json", directory / "one.pgm")
        assert json.loads(done)["scores"] == scores.tolist()


@pytest.mark.parametrize(
    ("compiler", "options", "emulator", "processor"),
    [
        ("arm-linux-gnueabi-gcc", ["-march=armv6"], "qemu-arm", "arm1176"),
        ("arm-linux-gnueabihf-gcc", [], "qemu-arm", "cortex-a7"),
        ("aarch64-linux-gnu-gcc", [], "qemu-aarch64", "cortex-a53"),
    ],
)
def test_it_is_exact_on_a_pi(
    compiler: str, options: list[str], emulator: str, processor: str, project: Path, golden: Images, tmp_path: Path
) -> None:
    require(emulator)
    program = tmp_path / "digit"
    given = ("-O2", "-static", "-DEDGEMNIST_MAIN", project / "edgemnist.c", "-o", program)
    run_program(c_compiler(compiler), *options, *given)
    check_answers((emulator, "-cpu", processor, program), golden[:40], tmp_path)


def block(title: str) -> str:
    """Return the lines that the page has for a kind of project."""
    page = (REPOSITORY / "docs" / "guides" / "microcontroller.md").read_text(encoding="utf-8")
    return page.partition(f"**{title}**")[2].partition("```")[2].partition("\n")[2].partition("```")[0]


@pytest.mark.needs("cmake", "cc")
def test_the_lines_for_cmake_build_the_program(project: Path, golden: Images, tmp_path: Path) -> None:
    (project / "CMakeLists.txt").write_text(block("CMake"))
    run_program("cmake", "-S", project, "-B", tmp_path / "build")
    run_program("cmake", "--build", tmp_path / "build")
    check_answers((tmp_path / "build" / "digit",), golden[:3], tmp_path)


ARDUINO: Final = """
#include <cstdio>
#include <cstdlib>
struct Port {
  void begin(long) {}
  size_t readBytes(char *to, size_t size) {
    const size_t got = fread(to, 1, size, stdin);
    if (got == 0) exit(0);
    return got;
  }
  void println(const char *text) { puts(text); }
} Serial;
void setup(); void loop();
int main() { setup(); for (;;) loop(); }
"""
"""What the board's own library offers, as far as the lines use it."""


@pytest.mark.needs("g++", "gcc")
def test_the_lines_for_arduino_answer_what_comes_from_the_port(project: Path, golden: Images, tmp_path: Path) -> None:
    (tmp_path / "sketch.cpp").write_text(ARDUINO + block("Arduino"))
    run_program("gcc", *STRICT, "-c", project / "edgemnist.c", "-o", tmp_path / "edgemnist.o")
    made = (tmp_path / "edgemnist.o", "-o", tmp_path / "sketch")
    run_program("g++", "-Wall", "-Wextra", "-Werror", f"-I{project}", tmp_path / "sketch.cpp", *made)
    expected = load(SHIPPED, runtime="integer").predict_proba(golden[:40]).argmax(axis=1)
    told = run_program(tmp_path / "sketch", given=golden[:40].tobytes()).decode()
    assert [int(one) for one in told.split()] == expected.tolist()
