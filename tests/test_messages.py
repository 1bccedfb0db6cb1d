"""What is said of wrong command lines, which tests/messages.txt has with their answers: a new case is a line there.

`== edgemnist WORDS` begins one; see tests/messages.py.
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from edgemnist.field.samples.store import SampleStore
from tests.conftest import OLD_EXPORTS, REPOSITORY, run_edgemnist
from tests.judged import judged_here
from tests.messages import check, known
from tests.samples.making import sample_of
from tests.serve.service import seven

LINES = [name for name in known() if name.startswith("edgemnist ")]
LONG = "n" * 300
"""A name that no file system takes."""
OTHERS = {
    "Makefile": b"all:\n\tmake\n",
    "README.md": b"# Ada\n",
    "addresses.csv": b"name,town\nAda,London\n",
    "bundle.zip": b"no bundle",
    "code.py": b"print('Ada')\n",
    "empty.jpg": b"",
    "health.json": b"",
    "index.html": b"<!doctype html>\n<title>Ada</title>\n",
    "model-as.png": b"anything else",
    "package.json": b'{"name": "ada"}\n',
    "settings.xml": b"<?xml version='1.0'?>\n<settings/>\n",
    "text.png": b"not a picture",
    "train-labels-idx1-ubyte": b"anything else",
    "y.tflite": b"no model",
    "y.txt": b"no model",
    "old/data-source.json": b"anything else",
}
"""What users have in files of the kinds that are read and written."""


def state_of(place: Path) -> dict[str, tuple[int, int]]:
    return {str(one): (one.stat().st_mtime_ns, one.stat().st_size) for one in place.rglob("*") if one.is_file()}


@pytest.fixture(scope="module")
def place(made_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with something of everything, which no wrong command line changes."""
    place = tmp_path_factory.mktemp("messages")
    shutil.copytree(made_exports, place / "exports")
    judged_here(Path(shutil.copytree(OLD_EXPORTS, place / "old")))
    for name, contents in OTHERS.items():
        (place / name).write_bytes(contents)
    for name in ("page.png", "digits/7/seven.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        seven().save(place / name)
    (place / "link.png").symlink_to("page.png")
    Image.new("L", (300, 200), 255).save(place / "blank.png")
    (place / "none").mkdir()
    (place / "several").mkdir()
    for name in ("x.png", "y.png"):
        (place / "several" / name).write_bytes(b"x")
    with SampleStore.open(place / "samples", create=True) as store:
        store.label(store.add(sample_of(1)) or 0, "1", "ann")
    before = state_of(place)
    yield place
    after = state_of(place)
    changed = {Path(name).name for name in before | after if before.get(name) != after.get(name)}
    # What was verified is kept, although the report of it has no place.
    assert {name for name in changed if not name.startswith("samples.")} <= {"verify.json"}


@pytest.mark.parametrize("line", LINES)
def test_what_is_said_of_a_wrong_command_line(line: str, place: Path) -> None:
    environment = {"COLUMNS": "1000", "EDGEMNIST_OFFLINE": "1"}
    done = run_edgemnist(*shlex.split(line.replace("LONG", LONG))[1:], cwd=place, env=environment)
    assert done.stdout == ""
    # Of the box that Typer draws, what is in it.
    lines = (re.sub(r"[╭╮╰╯─│]+", " ", one).split() for one in done.stderr.replace(LONG, "LONG").splitlines())
    check(line, "".join(f"{' '.join(words)}\n" for words in lines if words) + f"exit {done.returncode}\n")


def test_every_message_is_that_of_a_test() -> None:
    for name in known().keys() - set(LINES):
        file, function = name.partition("[")[0].split("::")
        assert f"def {function}(" in (REPOSITORY / file).read_text(encoding="utf-8"), name
