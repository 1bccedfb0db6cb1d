"""`python -m edgemnist.doctor.artifacts EXPORTS`: does each artifact answer as it should, on 32 images?

Quick enough to be asked at any time. `edgemnist verify` asks about all of them. Each artifact has a process of its own,
so that a runtime that crashes is a finding about its artifacts, and hides no other's.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from edgemnist.doctor.checks import HERE, RUNTIME_PACKAGES, Means, crash_meaning, tested
from edgemnist.errors import EdgemnistError, MissingDependencyError
from edgemnist.exports.answers import ask_one_at_a_time, read_answers
from edgemnist.exports.directory import OUTDATED, Exports
from edgemnist.exports.manifest import Artifact
from edgemnist.results.boards import Finding
from edgemnist.verify.vote import DRIFT, FLIPS, replay

IMAGES = 32
_MOST_FLIPS = 3
"""Against the Keras model, where the exporting machine's answers are not known: the loosest gate allows 1 % of all."""


def examine_artifacts(exports: Path, means: Means = HERE) -> list[Finding]:
    """Return a finding for each artifact, or one that says why there is none."""
    try:
        opened = Exports.open(exports)
        opened.read_golden()
        read_answers(exports, opened.manifest)
    except EdgemnistError as error:
        mend = means.renew(error.hint)
        return [Finding.failure("artifacts", error.message, "Nothing can be served from there.", mend)]
    return [_examine_apart(exports, artifact, means) for artifact in opened.manifest.artifacts]


def _examine_apart(exports: Path, artifact: Artifact, means: Means) -> Finding:
    # What keeps a foreign directory or variable from lending modules here, keeps it from it there too.
    flags = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *flags, "-m", "edgemnist.doctor.artifacts", str(exports), "--only", artifact.name]
    command += arguments(means)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        (found,) = msgspec.json.decode(done.stdout, type=tuple[Finding])
    except msgspec.MsgspecError:
        return _crashed(artifact, done.returncode, done.stderr, means)
    return found


def _crashed(artifact: Artifact, code: int, errors: str, means: Means) -> Finding:
    package = _runtime_package(artifact)
    mend = f"{package} works on every Pi from the 3 on: {means.install(package)}"
    if code < 0:
        name = signal.Signals(-code).name
        return Finding.failure(artifact.name, f"crashed: {name}", crash_meaning(name, "while it answers"), mend)
    said = errors.strip().splitlines() or ["no reason given"]
    return Finding.failure(artifact.name, said[-1], "Its process ended without an answer.", mend)


def _runtime_package(artifact: Artifact) -> str:
    """Return the package that runs an artifact, in the version that was tried everywhere."""
    return tested(next(name for name, extra in RUNTIME_PACKAGES.items() if extra == artifact.format))


def examine_artifact(exports: Path, name: str, means: Means = HERE) -> Finding:
    """Return the finding about one artifact, tried in this process."""
    opened = Exports.open(exports)
    artifact, golden = opened.artifact(name), opened.read_golden()
    exported = read_answers(exports, opened.manifest)
    chosen = np.linspace(0, len(golden.images) - 1, min(IMAGES, len(golden.images))).round().astype(np.int64)
    try:
        (model,) = opened.select([name])
        # One at a time, as the exporting machine was asked: a dynamic ONNX artifact answers a batch differently.
        here = ask_one_at_a_time(model.load(), golden.images[chosen])
    except MissingDependencyError as error:
        mend = means.install(_runtime_package(artifact.record)) if means.board else error.hint
        return Finding.warning(name, "not tried", f"{error.message}.", mend)
    except EdgemnistError as error:
        return Finding.failure(name, error.message, "It cannot answer.", means.renew(error.hint))
    there = exported.get(artifact.record.sha256)
    if there is not None:
        found = replay(here, there[chosen], artifact.record.output.scale)
        value = f"{found.verdict} on {found.images} images"
        wrong = found.verdict in (FLIPS, DRIFT)
    else:
        flips = int(np.count_nonzero(here.argmax(axis=1) != golden.probabilities[chosen].argmax(axis=1)))
        value = f"{flips} of {len(chosen)} labels differ from the Keras model's"
        wrong = flips > _MOST_FLIPS
    if wrong:
        meaning = "It does not answer here as where it was exported."
        return Finding.failure(name, value, meaning, means.verify(name))
    if artifact.status == OUTDATED:
        return Finding.warning(name, value, f"It is of an earlier model: {artifact.reason}.", means.renew(""))
    return Finding.ok(name, value)


def judge_artifacts(printed: str | None) -> Iterator[Finding]:
    """Yield the findings that this module printed in a process of its own; None where there is nothing to test."""
    if printed is None:
        return
    try:
        yield from msgspec.json.decode(printed, type=list[Finding])
    except msgspec.MsgspecError:
        yield Finding.failure("artifacts", "the self-test crashed", "A runtime does not work here.", "See above.")


def arguments(means: Means) -> list[str]:
    """Return the words behind EXPORTS with which findings name what mends them by `means`."""
    named = (("--pip", means.pip), ("--board", means.board))
    return [word for name, value in named if value is not None for word in (name, value)]


def main(words: Sequence[str]) -> None:
    """Print the findings as one JSON document on stdout."""
    parser = argparse.ArgumentParser(prog="python -m edgemnist.doctor.artifacts")
    parser.add_argument("exports", type=Path)
    parser.add_argument("--only", help="Try this artifact, in this process.")
    parser.add_argument("--pip", default=HERE.pip)
    parser.add_argument("--board")
    given = parser.parse_args(words)
    means = Means(pip=given.pip, board=given.board)
    answer = os.dup(1)
    # Libraries write to the standard output as they like.
    os.dup2(2, 1)
    if given.only is None:
        findings = examine_artifacts(given.exports, means)
    else:
        findings = [examine_artifact(given.exports, given.only, means)]
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.json.encode(findings))


if __name__ == "__main__":
    main(sys.argv[1:])
