"""`python -m edgemnist.fleet.doctor.artifacts EXPORTS`: does each artifact answer as it should, on 32 images?

Quick enough to run at any time; `edgemnist verify` uses every image. Each artifact gets a process of its own, so a
runtime that crashes fails the check of its own artifacts and hides no other's.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from edgemnist.errors import EdgemnistError, MissingDependencyError
from edgemnist.fleet.doctor.checks import HERE, RUNTIME_PACKAGES, RepairCommands, crash_meaning, tested
from edgemnist.ground.formatting import count
from edgemnist.ground.results import UNREADABLE
from edgemnist.ground.results.boards import Check
from edgemnist.model.exports import OUTDATED, Exports
from edgemnist.model.exports.golden import ask_one_at_a_time, read_answers
from edgemnist.model.exports.manifest import Artifact
from edgemnist.model.formats import arithmetic_of
from edgemnist.pipeline.verify.reference import DRIFT, FLIPS, explaining_rescaling, replay

IMAGES = 32
_MOST_FLIPS = 3
"""Against the Keras model, beyond which an artifact whose answers on the exporting machine are not known fails: the
loosest gate allows 1 % of all. Up to that nothing is known."""


def examine_artifacts(exports: Path, repair: RepairCommands = HERE) -> list[Check]:
    """Return a check for each artifact, made in a process of its own, or one that says why there is none."""
    try:
        opened = Exports.open(exports)
        opened.read_golden()
        read_answers(exports, opened.manifest)
    except EdgemnistError as error:
        meaning = "Nothing can be served from this directory."
        return [Check.failure("artifacts", error.message, meaning, repair.renew(error.hint))]
    return [_examine_apart(exports, artifact, repair) for artifact in opened.manifest.artifacts]


def read_checks(printed: str) -> list[Check]:
    """Return the checks that this module has printed, or the one that it could not."""
    try:
        return msgspec.json.decode(printed, type=list[Check])
    except UNREADABLE:
        return [Check.failure("artifacts", "the self-test crashed", "A runtime does not work here.", "See above.")]


def _examine_apart(exports: Path, artifact: Artifact, repair: RepairCommands) -> Check:
    # What keeps a foreign directory or variable from lending modules here, keeps it from it there too.
    flags = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *flags, "-m", "edgemnist.fleet.doctor.artifacts", str(exports), "--only", artifact.name]
    command += arguments(repair)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        (found,) = msgspec.json.decode(done.stdout, type=tuple[Check])
    except UNREADABLE:
        return _crashed(artifact, done.returncode, done.stderr, repair)
    return found


def _crashed(artifact: Artifact, code: int, errors: str, repair: RepairCommands) -> Check:
    package = _runtime_package(artifact)
    fix = f"{package} works on every Pi since the 3: {repair.install(package)}"
    if code < 0:
        name = signal.Signals(-code).name
        return Check.failure(artifact.name, f"crashed: {name}", crash_meaning(name, "while it answers"), fix)
    said = errors.strip().splitlines() or ["no reason given"]
    return Check.failure(artifact.name, said[-1], "Its process ended without an answer.", fix)


def _runtime_package(artifact: Artifact) -> str:
    """Return the package that runs an artifact, in the version that was tried everywhere."""
    return tested(next(name for name, extra in RUNTIME_PACKAGES.items() if extra == artifact.format))


def examine_artifact(exports: Path, name: str, repair: RepairCommands = HERE) -> Check:
    """Return the check of one artifact, run in this process."""
    opened = Exports.open(exports)
    artifact, golden = opened.artifact(name), opened.read_golden()
    exported = read_answers(exports, opened.manifest)
    chosen = np.linspace(0, len(golden.images) - 1, min(IMAGES, len(golden.images))).round().astype(np.int64)
    try:
        (model,) = opened.select([name])
        # One at a time, as the exporting machine was asked: a dynamic ONNX artifact answers a batch differently.
        here = ask_one_at_a_time(model.load(), golden.images[chosen])
    except MissingDependencyError as error:
        fix = repair.install(_runtime_package(artifact.record)) if repair.board else error.hint
        return Check.warning(name, "not tried", f"{error.message}.", fix)
    except EdgemnistError as error:
        return Check.failure(name, error.message, "It cannot answer.", repair.renew(error.hint))
    there, record = exported.get(artifact.record.sha256), artifact.record
    doubt = f"It was made from an earlier model: {artifact.reason}." if artifact.status == OUTDATED else ""
    kind = opened.task.input.noun
    if there is not None:
        found = replay(
            here,
            there[chosen],
            quantization=record.quantization,
            output_scale=record.output.scale,
            numbers=opened.task.numbers,
        )
        value = f"{found.verdict} on {count(len(here), kind)}"
        wrong = found.verdict in (FLIPS, DRIFT)
        if wrong and arithmetic_of(record.format, record.quantization) == "int8":
            # Both may be what the integer reference gives, each under a rounding rule of its own.
            shown = replace(golden, images=golden.images[chosen])
            wrong = not all(explaining_rescaling(model, answers, shown) for answers in (here, there[chosen]))
            if not wrong:
                value = f"right on {count(len(here), kind)}, but rounded differently than where it was exported"
    elif opened.task.numbers:
        value, wrong = "not compared", False
        doubt = doubt or "What it answered where it was exported is not recorded."
    else:
        flips = int(np.count_nonzero(here.argmax(axis=1) != golden.probabilities[chosen].argmax(axis=1)))
        value = f"{flips} of {count(len(chosen), 'label')} differ{'s' if flips == 1 else ''} from the Keras model's"
        wrong = flips > _MOST_FLIPS
        if not wrong:
            unknown = "What it answered where it was exported is not recorded, so nobody knows whether it still does."
            return Check.warning(name, value, doubt or unknown, repair.renew(""))
    if wrong:
        meaning = "It answers differently here than on the machine that exported it."
        return Check.failure(name, value, meaning, repair.verify(name))
    return Check.warning(name, value, doubt, repair.renew("")) if doubt else Check.ok(name, value)


def arguments(repair: RepairCommands) -> list[str]:
    """Return the words behind EXPORTS that make the checks name the commands of `repair`."""
    named = (("--pip", repair.pip), ("--board", repair.board))
    return [word for name, value in named if value is not None for word in (name, value)]


def main(words: Sequence[str]) -> None:
    """Print the checks as one JSON document on stdout."""
    parser = argparse.ArgumentParser(prog="python -m edgemnist.fleet.doctor.artifacts")
    parser.add_argument("exports", type=Path)
    parser.add_argument("--only", help="Try this artifact, in this process.")
    parser.add_argument("--pip", default=HERE.pip)
    parser.add_argument("--board")
    given = parser.parse_args(words)
    repair = RepairCommands(pip=given.pip, board=given.board)
    answer = os.dup(1)
    # Libraries write to the standard output as they like.
    os.dup2(2, 1)
    if given.only is None:
        findings = examine_artifacts(given.exports, repair)
    else:
        findings = [examine_artifact(given.exports, given.only, repair)]
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.json.encode(findings))


if __name__ == "__main__":
    main(sys.argv[1:])
