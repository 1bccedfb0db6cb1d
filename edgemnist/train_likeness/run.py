"""From a data set to the files that ship: weights, their record, and the threshold."""

from __future__ import annotations

import platform
import string
import tempfile
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
import numpy as np

from edgemnist.arrays import Images
from edgemnist.data.dataset import Dataset
from edgemnist.errors import DataError
from edgemnist.exports import reference_directory
from edgemnist.images.mnist import fit_digit
from edgemnist.progress import SILENT, Reporter
from edgemnist.read.likeness import LikenessNetwork
from edgemnist.read.provenance import (
    CALIBRATION_NAME,
    RECORD_FILE,
    RECORD_NAME,
    WEIGHTS_FILE,
    WEIGHTS_NAME,
    Calibration,
    LikenessRecord,
    Recipe,
    read_record,
)
from edgemnist.results import Result
from edgemnist.results.pictures import DIGITS
from edgemnist.runtimes import load
from edgemnist.storage import commit_files, sha256
from edgemnist.train_likeness import network
from edgemnist.train_likeness.calibrate import calibrate
from edgemnist.train_likeness.drawings import HELD_OUT_FONTS, font_glyphs, not_digits
from edgemnist.train_likeness.pictures import OTHER, LikenessConfig, make_pictures
from edgemnist.train_likeness.synthetic.fonts import PACKAGES, hashes, require
from edgemnist.train_likeness.synthetic.page import Digits

HELD_OUT: Final = 6
"""One in so many training digits, the last ones, is kept for the threshold: 10,000 of MNIST's."""
DIGITS_SHOWN: Final = 700
DRAWINGS: Final = 50
EVERYWHERE: Final = ("simplex", "DejaVuSans", "DejaVuSerif")
"""Fonts that need no package of Debian's."""
CALIBRATED_WITH: Final = "tflite-int8.tflite"


class TrainLikenessResult(Result, frozen=True, kw_only=True):
    """`edgemnist train-likeness`."""

    directory: str
    files: list[str]
    """Names of the files that were written there."""
    network: LikenessRecord
    calibration: Calibration


def train_likeness(
    dataset: Dataset,
    config: LikenessConfig,
    directory: Path,
    reporter: Reporter = SILENT,
    *,
    artifact: Path | None = None,
    keep_network: bool = False,
) -> TrainLikenessResult:
    """Train the network, find the threshold, and write both with their records into a directory, all or nothing.

    `artifact` is the classifier that the threshold is for, the reference by default. With `keep_network`, the network
    of the package is kept, and only the threshold is found.

    Raises DataError for a data set of anything but ten digits, MissingDependencyError if fonts are missing,
    TrainingError if no threshold fits, and StorageError if the directory cannot be written.
    """
    if tuple(dataset.labels) != DIGITS:
        raise DataError(
            f"The likeness network learns the digits 0 to 9, but the classes of this data set are "
            f"{', '.join(dataset.labels)}",
            hint="Name a data set of digits with --data DIR, or leave it out for MNIST.",
        )
    require(HELD_OUT_FONTS if keep_network else (*config.fonts, *HELD_OUT_FONTS))
    held_out = len(dataset.train) // HELD_OUT
    images, labels = dataset.train.images, dataset.train.labels
    artifact = artifact or reference_directory() / CALIBRATED_WITH
    with tempfile.TemporaryDirectory() as temporary:
        file = WEIGHTS_FILE if keep_network else Path(temporary, WEIGHTS_NAME)
        if keep_network:
            record = read_record(RECORD_FILE, LikenessRecord)
        else:
            record = _trained(Digits(images[:-held_out], labels[:-held_out]), dataset, config, file, reporter)
        weights = file.read_bytes()
        calibration = calibrate(
            load(artifact),
            LikenessNetwork(file),
            Digits(images[-held_out:], labels[-held_out:]),
            artifact=artifact.name,
            artifact_sha256=sha256(artifact.read_bytes()),
            likeness_sha256=sha256(weights),
        )
    files = {CALIBRATION_NAME: calibration.to_json().encode() + b"\n"}
    if not keep_network:
        files |= {WEIGHTS_NAME: weights, RECORD_NAME: record.to_json().encode() + b"\n"}
    commit_files(directory, files)
    return TrainLikenessResult(directory=str(directory), files=sorted(files), network=record, calibration=calibration)


def _trained(
    digits: Digits, dataset: Dataset, config: LikenessConfig, file: Path, reporter: Reporter
) -> LikenessRecord:
    """Write a network that was trained on these digits to a file, and return its record."""
    pictures = make_pictures(digits, config, reporter)
    started = perf_counter()
    weights = network.fit(pictures, config, reporter)
    shown = representative(digits.images, config.seed)
    file.write_bytes(data := network.quantize(weights, shown))
    options = asdict(config)
    return LikenessRecord(
        file=WEIGHTS_NAME,
        bytes=len(data),
        sha256=sha256(data),
        parity=network.parity(weights, LikenessNetwork(file), shown),
        recipe=msgspec.convert({name: options[name] for name in Recipe.__struct_fields__}, Recipe),
        data=dataset.identity,
        held_out=len(dataset.train) - len(digits.images),
        digits=int((pictures.labels < OTHER).sum()),
        others=int((pictures.labels >= OTHER).sum()),
        font_packages=sorted({PACKAGES[name] for name in config.fonts if name in PACKAGES}),
        fonts=hashes(config.fonts),
        versions=_versions(),
        fit_seconds=round(perf_counter() - started, 1),
    )


def representative(digits: Images, seed: int) -> Images:
    """Return images, uint8 [N, 28, 28], whose activations give the ranges of int8: digits, letters and drawings."""
    rng = np.random.default_rng(seed)
    drawn = [*font_glyphs(string.ascii_letters, rng, copies=1, fonts=EVERYWHERE), *not_digits(digits, DRAWINGS, rng)]
    chosen = digits[rng.choice(len(digits), min(DIGITS_SHOWN, len(digits)), replace=False)]
    return np.concatenate([chosen, np.stack([fit_digit(drawing) for drawing in drawn])])


def _versions() -> dict[str, str]:
    import cv2
    import keras
    import matplotlib as mpl
    import PIL
    import tensorflow as tf

    import edgemnist

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "matplotlib": mpl.__version__,
        "edgemnist": edgemnist.__version__,
    }
