"""Runs on the emulated board: every artifact's probabilities for every evaluation image, as an .npz file.

python3 answer.py EXPORTS OUTPUT.npz
"""

import platform
import sys
from pathlib import Path

import numpy as np

import edgemnist
from edgemnist.model.exports.golden import read_golden
from edgemnist.model.exports.manifest import read_manifest


def main() -> None:
    exports, output = Path(sys.argv[1]), Path(sys.argv[2])
    # proot falls back to the host's programs where something is missing in the sysroot: never compare x86 with itself.
    assert platform.machine() == sys.argv[3], platform.machine()
    manifest = read_manifest(exports)
    images = read_golden(exports, manifest).images
    answers = {
        artifact.name: edgemnist.load(exports / artifact.file).predict_proba(images) for artifact in manifest.artifacts
    }
    np.savez(output, **answers)  # type: ignore[arg-type]  # NumPy's stub takes the names for its own options


main()
