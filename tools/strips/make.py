"""From a data set to the files that ship: weights and their record."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgemnist.digits.read.likeness import open_network
from edgemnist.digits.read.strips import BLANK, HEIGHT, RECORD_FILE, WEIGHTS_FILE, WIDTH, columns_of
from edgemnist.ground.arrays import Images
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.results import Part, Result
from edgemnist.ground.results.data import DataIdentity
from edgemnist.ground.storage import commit_files, sha256
from edgemnist.pipeline.data.dataset import Dataset
from tools.likeness.fonts import WRITTEN, hashes, require
from tools.likeness.make import HELD_OUT
from tools.likeness.page import Digits
from tools.strips import network
from tools.strips.draw import FONTS, Strips, Writer

if TYPE_CHECKING:
    import keras

DIGITS: Final = 10
"""Classes of digits, the first ones."""
SEED: Final = 7
ROUNDS: Final = ((600, 3e-3, 0.8, False), (6_400, 2.4e-3, 0.0, True))
"""Batches of each round, the learning rate from which it falls, the share of it to which it does, and whether late
strips are drawn: with dials, grids and more signs."""
STOCK: Final = 4_000
"""Digits of each kind of pen that are at hand."""
SHOWN: Final = 300
"""Strips whose activations give the ranges of int8."""
JUDGED: Final = 1_000
"""Strips of held-out digits that the record is measured on."""
KEPT: Final = 200
"""Earlier half batches, from one of which the other half of each batch comes."""


class Shares(Part, frozen=True, kw_only=True):
    """What int8 makes of strips of held-out digits, in shares of columns."""

    digits: float
    """Middles of digits with their class."""
    signs: float
    """Middles of signs and of what is neither, with their class."""
    signs_as_digits: float
    blanks_as_digits: float


class StripRecord(Result, frozen=True, kw_only=True):
    """Origin of the network for strips."""

    file: str
    bytes: int
    sha256: str
    """Of `file`; checked whenever it is loaded."""
    seed: int
    rounds: list[int]
    """Batches of each round; half of a batch is new."""
    data: DataIdentity
    """Data set whose training digits it learned from."""
    held_out: int
    """Last training digits, for the shares."""
    fonts: dict[str, str]
    """SHA-256 of the file of each font; OpenCV's have none."""
    parity: float
    """Share of columns with the same class in int8."""
    right: Shares
    versions: dict[str, str]


def make(dataset: Dataset, directory: Path, reporter: Reporter = SILENT) -> StripRecord:
    """Train the network and write it with its record into a directory, all or nothing.

    Raises MissingDependencyError where fonts are missing, and StorageError if the directory cannot be written.
    """
    require(WRITTEN)
    held_out = len(dataset.train) // HELD_OUT
    images, labels = dataset.train.images, dataset.train.labels
    shown, hidden = (Digits(images[part], labels[part]) for part in (slice(-held_out), slice(-held_out, None)))
    model = network.build()
    early, late = (Writer(shown, np.random.default_rng(SEED + 2 * late), STOCK, late=late) for late in (False, True))
    batches = _batches(early), _batches(late)
    for steps, rate, last, is_late in ROUNDS:
        with reporter.task("Training the network for strips", steps) as task:
            for number, loss in enumerate(network.fit(model, batches[is_late], steps, rate, last)):
                task.update(number + 1, f"loss {loss:.4f}")
    judged = Writer(hidden, np.random.default_rng(SEED + 1), STOCK // 7, late=True).strips(JUDGED)
    return finish(model, late.strips(SHOWN).images, judged, dataset, directory)


def finish(model: keras.Model, shown: Images, judged: Strips, dataset: Dataset, directory: Path) -> StripRecord:
    """Write a trained network as int8 with its record; `judged` are strips of held-out digits."""
    data = network.quantize(model, shown)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, WEIGHTS_FILE.name)
        file.write_bytes(data)
        found = columns_of(open_network(file, (HEIGHT, WIDTH)), judged.images).argmax(axis=-1)
    truth = judged.labels
    digits, blanks = (truth >= 0) & (truth < DIGITS), truth == BLANK
    signs = (truth >= DIGITS) & ~blanks
    record = StripRecord(
        file=WEIGHTS_FILE.name,
        bytes=len(data),
        sha256=sha256(data),
        seed=SEED,
        rounds=[steps for steps, *_ in ROUNDS],
        data=dataset.identity,
        held_out=len(dataset.train) // HELD_OUT,
        fonts=hashes((*FONTS, *WRITTEN)),
        parity=round(float((found == network.classes(model, judged.images)).mean()), 4),
        right=Shares(
            digits=round(float((found == truth)[digits].mean()), 4),
            signs=round(float((found == truth)[signs].mean()), 4),
            signs_as_digits=round(float((found < DIGITS)[signs].mean()), 4),
            blanks_as_digits=round(float((found < DIGITS)[blanks].mean()), 4),
        ),
        versions={"python": platform.python_version(), **{n: version(n) for n in ("tensorflow", "keras", "numpy")}},
    )
    commit_files(directory, {WEIGHTS_FILE.name: data, RECORD_FILE.name: record.to_json().encode() + b"\n"})
    return record


def _batches(writer: Writer) -> Iterator[Strips]:
    """Give batches, half of which is new, and half of which has been seen before."""
    rng, kept = np.random.default_rng(SEED), list[Strips]()
    while True:
        new = writer.strips(network.BATCH // 2)
        kept = [*kept[-KEPT:], new]
        old = kept[rng.integers(len(kept))]
        yield Strips(np.concatenate([new.images, old.images]), np.concatenate([new.labels, old.labels]))
