"""What `edgemnist verify` costs: seconds after imports, memory, and how both grow with the number of images.

    python benchmarks/verify/verify_cost.py exports

The golden pack of the export directory is repeated to 10,000 and to 70,000 images (all of MNIST), and every artifact is
verified on them, the third voter included, each size in a process of its own. To reach: at most 5 s on 10,000 images,
time linear in their number (7 times), at most 400 MB without TensorFlow, and flat memory: the images, which alone are
47 MB more, are read a batch at a time; what is kept is their labels and probabilities.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgemnist.board.machine import host_facts, peak_rss
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, encode_answers, read_answers, read_golden
from edgemnist.model.exports.manifest import MANIFEST_FILE, FileRecord, GoldenRecord, read_manifest
from edgemnist.pipeline.verify.run import verify

SIZES = (10_000, 70_000)
RESULTS = Path(__file__).with_suffix(".json")


def repeat(exports: Path, images: int, target: Path) -> None:
    """Write an export directory with the same artifacts, and golden pack and answers for `images` images."""
    manifest = read_manifest(exports)
    pack = read_golden(exports, manifest)
    indices = np.arange(images) % len(pack.images)
    data = replace(
        pack, images=pack.images[indices], truth=pack.labels[indices], probabilities=pack.probabilities[indices]
    ).encode()
    golden = GoldenRecord(
        file="golden.npz", bytes=len(data), sha256=sha256(data), images=images, model_sha256=pack.model_sha256
    )
    (target / golden.file).write_bytes(data)
    answers = encode_answers({name: values[indices] for name, values in read_answers(exports, manifest).items()})
    (target / ANSWERS_FILE).write_bytes(answers)
    changed = msgspec.structs.replace(manifest, golden=golden, answers=FileRecord.of(ANSWERS_FILE, answers))
    (target / MANIFEST_FILE).write_bytes(changed.encode())
    for artifact in manifest.artifacts:
        (target / artifact.file).write_bytes((exports / artifact.file).read_bytes())


def measure(exports: Path) -> dict[str, Any]:
    """Verify everything in this process, which has done nothing else."""
    result = verify(Exports.open(exports))
    peak = peak_rss()
    return {
        "images": result.images,
        "artifacts": len(result.artifacts),
        "seconds": round(result.seconds, 2),
        "peak_rss_mb": None if peak is None else round(peak / 1e6),
        "tensorflow_loaded": "tensorflow" in sys.modules,
    }


def main() -> None:
    """Measure both sizes and write the result beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.exports)))
        return
    rows = []
    for images in SIZES:
        with tempfile.TemporaryDirectory() as place:
            repeat(options.exports, images, Path(place))
            command = [sys.executable, __file__, place, "--here"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout))
        print(rows[-1])
    ratio = rows[1]["seconds"] / rows[0]["seconds"]
    print(f"{SIZES[1] / SIZES[0]:.0f} times the images take {ratio:.2f} times as long")
    summary = {"rows": rows, "time_ratio": round(ratio, 2), "host": host_facts()}
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
