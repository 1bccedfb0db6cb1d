"""The images that model files without a manifest are compared on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemnist.arrays import Images, Labels
from edgemnist.data.sources import find_dataset
from edgemnist.golden import read_golden
from edgemnist.manifest import MANIFEST_FILE, read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import DataIdentity


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """Images with known classes, that no model was trained on."""

    images: Images
    """uint8 [N, 28, 28]."""
    labels: Labels
    """int64 [N]."""
    class_labels: Sequence[str]
    identity: DataIdentity


def find_evaluation(
    exports: Path, data: Path | None = None, *, download: bool = True, reporter: Reporter = SILENT
) -> Evaluation:
    """Return the test images of a data set that was named, else those of the golden pack, else those of MNIST.

    Raises DataError where there are none, ManifestError and ArtifactError where the golden pack is damaged.
    """
    if data is None and (exports / MANIFEST_FILE).exists():
        manifest = read_manifest(exports)
        if manifest.golden is not None:
            pack = read_golden(exports, manifest)
            return Evaluation(
                images=pack.images, labels=pack.labels, class_labels=pack.class_labels, identity=pack.data
            )
    dataset = find_dataset(data, download=download, reporter=reporter)
    return Evaluation(
        images=dataset.test.images, labels=dataset.test.labels, class_labels=dataset.labels, identity=dataset.identity
    )
