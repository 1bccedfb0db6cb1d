"""`python -m edgemnist.doctor.artifacts EXPORTS`: does each artifact answer as it should, on 32 images?

Quick enough to be asked at any time. `edgemnist verify` asks about all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from edgemnist.answers import read_answers
from edgemnist.doctor.results import Finding
from edgemnist.errors import EdgemnistError, MissingDependencyError
from edgemnist.golden import read_golden
from edgemnist.manifest import read_manifest, read_recorded
from edgemnist.runtimes import load
from edgemnist.verify.answers import ask_one_at_a_time
from edgemnist.verify.replay import DRIFT, FLIPS, replay

IMAGES = 32
_MOST_FLIPS = 3
"""Against the Keras model, where the exporting machine's answers are not known: the loosest gate allows 1 % of all."""


def examine_artifacts(exports: Path) -> list[Finding]:
    """Return a finding for each artifact, or one that says why there is none."""
    try:
        manifest = read_manifest(exports)
        golden = read_golden(exports, manifest)
        exported = read_answers(exports, manifest)
    except EdgemnistError as error:
        return [Finding.failure("artifacts", error.message, "Nothing can be served from there.", error.hint)]
    chosen = np.linspace(0, len(golden.images) - 1, min(IMAGES, len(golden.images))).round().astype(np.int64)
    findings = []
    for artifact in manifest.artifacts:
        try:
            read_recorded(exports, artifact)
            # One at a time, as the exporting machine was asked: a dynamic ONNX artifact answers a batch differently.
            here = ask_one_at_a_time(load(exports / artifact.file), golden.images[chosen])
        except MissingDependencyError as error:
            findings.append(Finding.warning(artifact.name, "not tried", f"{error.message}.", error.hint))
            continue
        except EdgemnistError as error:
            findings.append(Finding.failure(artifact.name, error.message, "It cannot answer.", error.hint))
            continue
        there = exported.get(artifact.sha256)
        if there is not None:
            found = replay(here, there[chosen], artifact.output.scale)
            value = f"{found.verdict} on {found.images} images"
            wrong = found.verdict in (FLIPS, DRIFT)
        else:
            flips = int(np.count_nonzero(here.argmax(axis=1) != golden.probabilities[chosen].argmax(axis=1)))
            value = f"{flips} of {len(chosen)} labels differ from the Keras model's"
            wrong = flips > _MOST_FLIPS
        if wrong:
            findings.append(
                Finding.failure(artifact.name, value, "It does not answer here as where it was exported.",
                                f"edgemnist verify {artifact.name}")
            )  # fmt: skip
        else:
            findings.append(Finding.ok(artifact.name, value))
    return findings


def judge_artifacts(printed: str | None) -> Iterator[Finding]:
    """Yield the findings that this module printed in a process of its own; None where there is nothing to test."""
    if printed is None:
        return
    try:
        yield from msgspec.json.decode(printed, type=list[Finding])
    except msgspec.MsgspecError:
        yield Finding.failure("artifacts", "the self-test crashed", "A runtime does not work here.", "See above.")


if __name__ == "__main__":
    answer = os.dup(1)
    # Libraries write to the standard output as they like.
    os.dup2(2, 1)
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.json.encode(examine_artifacts(Path(sys.argv[1]))))
