"""From a data set to the files that ship: weights, their record, and the default of --min-confidence.

The threshold is the lowest, in steps of a hundredth, above which 99.5 % of the answers are right and below which 92 %
of what is no digit are refused. Digits are those held out from the training split, half of them photographed, half of
them bent: the reference was trained on them as they are, and is never wrong there. What is no digit are scribbles, and
letters, all but those that are a zero or a one to anybody, of fonts that neither the likeness network nor the benchmark
has, handwriting among them. No test digit is used.
"""

from __future__ import annotations

import platform
import string
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec
import numpy as np
from PIL import Image

from edgemnist.digits.images import normalize_digit
from edgemnist.digits.images.mnist import fit_digit
from edgemnist.digits.read.likeness import (
    CALIBRATION_FILE,
    RECORD_FILE,
    WEIGHTS_FILE,
    LikenessNetwork,
    read_record,
    verdicts_of,
)
from edgemnist.errors import DataError, TrainingError
from edgemnist.ground.arrays import Images
from edgemnist.ground.progress import SILENT, Reporter
from edgemnist.ground.storage import commit_files, sha256
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes import load
from edgemnist.model.task import default_labels
from edgemnist.pipeline.data.dataset import Dataset
from tools.likeness import network
from tools.likeness.camera import Picture, photograph_digit
from tools.likeness.drawings import font_glyphs, hard_digits, not_digits
from tools.likeness.fonts import HELD_OUT_FONTS, PACKAGES, hashes, require
from tools.likeness.harvest import WORD_LETTERS
from tools.likeness.page import Digits
from tools.likeness.pictures import OTHER, LikenessConfig, make_pictures
from tools.likeness.records import Calibration, LikenessRecord, Recipe

HELD_OUT: Final = 6
"""The last of this many training digits are kept for the threshold: 10,000 of MNIST's."""
DIGITS_SHOWN: Final = 700
DRAWINGS: Final = 50
EVERYWHERE: Final = ("simplex", "DejaVuSans", "DejaVuSerif")
"""Fonts that need no package of Debian's."""
CALIBRATED_WITH: Final = "tflite-int8.tflite"
"""Artifact of the reference that the threshold is for."""

RIGHT: Final = 0.995
REFUSED: Final = 0.92
ANSWERED: Final = 0.9
"""A network that refuses more of the digits is of no use, however right the other answers are."""
COUNT: Final = 600
"""Photographed digits, bent digits, and scribbles with blots, each."""
LETTER_COPIES: Final = 6
SEED: Final = 5


def make(
    dataset: Dataset,
    config: LikenessConfig,
    directory: Path,
    reporter: Reporter = SILENT,
    *,
    keep_network: bool = False,
) -> tuple[LikenessRecord, Calibration]:
    """Train the network, find the threshold, and write both with their records into a directory, all or nothing.

    With `keep_network`, the network of the package is kept, and only the threshold is found.

    Raises DataError for a data set of anything but ten digits, MissingDependencyError if fonts are missing,
    TrainingError if no threshold fits, and StorageError if the directory cannot be written.
    """
    if tuple(dataset.labels) != default_labels():
        raise DataError(
            f"The likeness network learns the digits 0 to 9, but the classes of this data set are "
            f"{', '.join(dataset.labels)}",
            hint="Name a data set of digits with --data DIR, or leave it out for MNIST.",
        )
    require(HELD_OUT_FONTS if keep_network else (*config.fonts, *HELD_OUT_FONTS))
    held_out = len(dataset.train) // HELD_OUT
    images, labels = dataset.train.images, dataset.train.labels
    with tempfile.TemporaryDirectory() as temporary:
        file = WEIGHTS_FILE if keep_network else Path(temporary, WEIGHTS_FILE.name)
        if keep_network:
            record = read_record(RECORD_FILE, LikenessRecord)
        else:
            record = _trained(Digits(images[:-held_out], labels[:-held_out]), dataset, config, file, reporter)
        weights = file.read_bytes()
        calibration = calibrate(file, Digits(images[-held_out:], labels[-held_out:]))
    files = {CALIBRATION_FILE.name: calibration.to_json().encode() + b"\n"}
    if not keep_network:
        files |= {WEIGHTS_FILE.name: weights, RECORD_FILE.name: record.to_json().encode() + b"\n"}
    commit_files(directory, files)
    return record, calibration


def _trained(
    digits: Digits, dataset: Dataset, config: LikenessConfig, file: Path, reporter: Reporter
) -> LikenessRecord:
    """Write a network that was trained on these digits to a file, and return its record."""
    pictures = make_pictures(digits, config, reporter)
    started = perf_counter()
    weights = network.fit(pictures, config, reporter)
    shown = representative(digits.images, config.seed)
    file.write_bytes(data := network.quantize(weights, shown))
    packages = ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "matplotlib", "edgemnist")
    return LikenessRecord(
        file=WEIGHTS_FILE.name,
        bytes=len(data),
        sha256=sha256(data),
        parity=network.parity(weights, LikenessNetwork(file), shown),
        recipe=msgspec.convert(asdict(config), Recipe),
        data=dataset.identity,
        held_out=len(dataset.train) - len(digits.images),
        digits=int((pictures.labels < OTHER).sum()),
        others=int((pictures.labels >= OTHER).sum()),
        font_packages=sorted({PACKAGES[name] for name in config.fonts if name in PACKAGES}),
        fonts=hashes(config.fonts),
        versions={"python": platform.python_version(), **{name.split("-")[0]: version(name) for name in packages}},
        fit_seconds=round(perf_counter() - started, 1),
    )


def representative(digits: Images, seed: int) -> Images:
    """Return images, uint8 [N, 28, 28], whose activations give the ranges of int8: digits, letters and drawings."""
    rng = np.random.default_rng(seed)
    drawn = [*font_glyphs(string.ascii_letters, rng, copies=1, fonts=EVERYWHERE), *not_digits(digits, DRAWINGS, rng)]
    chosen = digits[rng.choice(len(digits), min(DIGITS_SHOWN, len(digits)), replace=False)]
    return np.concatenate([chosen, _fitted(drawn)])


def calibrate(weights: Path, digits: Digits) -> Calibration:
    """Return the threshold for the network in a file, with what was measured at it on held-out training digits.

    Raises TrainingError if no threshold reaches all shares.
    """
    artifact = reference_directory() / CALIBRATED_WITH
    classifier, likeness = load(artifact), LikenessNetwork(weights)
    rng = np.random.default_rng(SEED)
    photographed, bent = digits.sample(COUNT, rng), digits.sample(COUNT, rng)
    images = [normalize_digit(Image.fromarray(photograph_digit(image, rng))).image for image in photographed.images]
    images += [fit_digit(drawing) for drawing in hard_digits(bent.images, rng)]
    verdicts = verdicts_of(classifier, np.stack(images), likeness)
    right = verdicts.classes == np.concatenate([photographed.labels, bent.labels])
    letters = font_glyphs(WORD_LETTERS, rng, copies=LETTER_COPIES, fonts=HELD_OUT_FONTS)
    others = list(not_digits(digits.images, COUNT // 2, rng))
    scribbles = others[0::4] + others[1::4]
    foreign = [verdicts_of(classifier, _fitted(pictures), likeness).confidences for pictures in (letters, scribbles)]
    for threshold in np.arange(1, 100) / 100:
        answered = verdicts.confidences >= threshold
        refused = [float((confidences < threshold).mean()) for confidences in foreign]
        if answered.mean() < ANSWERED:
            break
        if right[answered].mean() >= RIGHT and min(refused) >= REFUSED:
            return Calibration(
                min_confidence=float(threshold),
                artifact=artifact.name,
                artifact_sha256=sha256(artifact.read_bytes()),
                likeness_sha256=sha256(weights.read_bytes()),
                digits=len(right),
                answered=round(float(answered.mean()), 4),
                right_of_answered=round(float(right[answered].mean()), 4),
                letters_refused=round(refused[0], 4),
                scribbles_refused=round(refused[1], 4),
            )
    raise TrainingError(
        f"No threshold refuses {100 * REFUSED:.0f} % of the letters and scribbles and leaves {100 * RIGHT:.1f} % of "
        "the answers right: the likeness network or the reference is too weak",
        hint="Train the likeness network for longer.",
    )


def _fitted(pictures: Iterable[Picture]) -> Images:
    return np.stack([fit_digit(picture) for picture in pictures])
