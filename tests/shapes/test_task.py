"""What a model is for: registered by whoever knows it, recorded, and asked for how a picture is prepared."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest
from PIL import Image

from edgemnist.errors import ImageError, UnknownNameError, UsageError
from edgemnist.ground.inputs import InputSpec
from edgemnist.model.task import PREPARERS, REFUSERS, TASKS, Task, default_task, task_named, unnamed_task
from tests.shapes import SPECS

GREY, COLOUR, CLEAR = InputSpec(shape=(8, 12)), InputSpec(shape=(8, 12, 3)), InputSpec(shape=(8, 12, 4))


def test_digits_are_the_default_and_register_themselves() -> None:
    assert [*TASKS] == ["pictures", "numbers", "digits"]
    assert [name for name, entry in TASKS.items() if entry.default] == ["digits"]
    assert default_task() == Task(name="digits", input=InputSpec(shape=(28, 28)), preparer="digit", refuser="likeness")
    assert unnamed_task() == Task(input=InputSpec(shape=(28, 28)), preparer="digit")
    assert "digit" in PREPARERS
    assert "likeness" in REFUSERS


@pytest.mark.parametrize("module", ["edgemnist.digits.task", "edgemnist.model.task"])
def test_whichever_is_imported_first_all_are_found_and_pillow_is_not_imported(module: str) -> None:
    asked = "import sys; from edgemnist.model.task import TASKS, PREPARERS; print([*TASKS], 'digit' in PREPARERS)"
    heavy = "print([name for name in ('PIL', 'tensorflow', 'edgemnist.digits.images') if name in sys.modules])"
    words = [sys.executable, "-c", f"import {module}; {asked}; {heavy}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['pictures', 'numbers', 'digits'] True", "[]"]


def test_a_task_is_named_or_refused() -> None:
    assert task_named("pictures", SPECS["meter"]).preparer == "resize"
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        task_named("digit")
    with pytest.raises(ValueError, match="nothing of the shape"):
        task_named("numbers")
    with pytest.raises(UnknownNameError, match="no preparer 'blur'"):
        Task(input=GREY, preparer="blur").prepare(Image.new("L", (3, 3)))


@pytest.mark.parametrize("task", [default_task(), unnamed_task(), task_named("numbers", SPECS["row"])])
def test_a_record_of_a_task_is_read_as_it_was_written(task: Task) -> None:
    data = msgspec.json.encode(task)
    assert list(msgspec.json.decode(data)) == ["name", "input", "answers", "prepare", "refuse"]
    assert msgspec.json.decode(data, type=Task) == task


def test_a_model_of_something_else_takes_no_picture() -> None:
    with pytest.raises(UsageError, match="reads 13 numbers, and this is a picture"):
        Task(input=SPECS["row"], preparer="resize").prepare(Image.new("L", (13, 1)))
    with pytest.raises(UsageError, match="28×28 pixels, and the model takes 20×32 images in colour"):
        Task(input=SPECS["meter"], preparer="digit").prepare(Image.new("L", (28, 28)))
    with pytest.raises(ImageError, match="no pixels"):
        Task(input=GREY, preparer="resize").prepare(Image.new("L", (0, 3)))


DIGITS_OWN: Final = {
    "edgemnist/__init__.py": 2,  # the default task, as the API says it
    "edgemnist/ground/inputs.py": 1,  # an example
    "edgemnist/ground/pictures.py": 2,  # 1 << 28, and a header's bytes
    "edgemnist/model/exports/golden.py": 1,  # 1 << 28
    "edgemnist/model/runtimes/fixedpoint.py": 1,  # 1 << 28
    "edgemnist/model/runtimes/untrusted.py": 2,  # what a network of MNIST takes
    "edgemnist/model/native/fitting.py": 2,  # the finder of digits
    "edgemnist/pipeline/export/onnx.py": 2,  # measured with MNIST
    "edgemnist/pipeline/report/figures.py": 1,  # a place in a figure
    "edgemnist/pipeline/search/cli.py": 1,  # an example
    "edgemnist/pipeline/search/networks.py": 1,  # a size in a figure
    "edgemnist/pipeline/train/cli.py": 1,  # an example
    "edgemnist/pipeline/train/network.py": 2,  # examples
    "edgemnist/pipeline/train/recipes.py": 2,  # measured with MNIST
    "edgemnist/pipeline/verify/gate.py": 4,  # measured with MNIST
    "edgemnist/pipeline/verify/vote.py": 1,  # measured with MNIST
}
"""Lines with a side or a size of MNIST's images outside the wing of digits: names of networks, and other numbers."""


def test_no_wing_but_that_of_digits_knows_how_large_they_are() -> None:
    found = {
        name: sum(bool(re.search(r"\b(28|784)\b|IMAGE_SIDE", line)) for line in path.read_text("utf-8").splitlines())
        for path in Path("edgemnist").rglob("*.py")
        if not (name := path.as_posix()).startswith("edgemnist/digits/")
    }
    assert {name: lines for name, lines in found.items() if lines} == DIGITS_OWN
