"""What the benchmarks of this folder share: the model that they measure, and where results go."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import edgemnist
from edgemnist.model.exports import reference_directory
from edgemnist.model.runtimes.interface import Classifier

RESULTS: Final = Path(__file__).parent


def reference_artifact() -> Path:
    """Return the file of the reference, or the one that $EDGEMNIST_ARTIFACT names."""
    return Path(os.environ.get("EDGEMNIST_ARTIFACT") or reference_directory() / "tflite-int8.tflite")


def load_reference() -> Classifier:
    """Return the model that is measured."""
    return edgemnist.load(reference_artifact())


def save(name: str, figures: dict[str, object]) -> None:
    """Print figures, and write them to `NAME.json` beside the scripts."""
    text = json.dumps(figures, indent=2)
    print(text)
    (RESULTS / f"{name}.json").write_text(text + "\n")
