"""Commands that run on a board and answer here: `--on HOST`, `rollback`, `releases`."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from edgemnist.agent.facts import throttle_names
from edgemnist.deploy import Stop, in_parallel, on_ctrl_c
from edgemnist.deploy.answers import Examined, Ran, bounded, clean_result, cleaned, convert, message
from edgemnist.deploy.run import MOST_WORK_S, OnStep, as_fault, left_alone
from edgemnist.deploy.target import BoardAddress, open_board, require_distinct
from edgemnist.deploy.transport import QUICK_S, ConnectionLostError
from edgemnist.doctor.artifacts import arguments
from edgemnist.doctor.checks import examine
from edgemnist.drift import Record, decode_record
from edgemnist.errors import EXIT_BAD_INPUT, EXIT_GATE_MISSED, EXIT_OK, DeployError
from edgemnist.exports.manifest import MANIFEST_FILE, read_manifest
from edgemnist.results.bench import BenchResult, ScenarioResult
from edgemnist.results.boards import (
    BenchOnBoard,
    DoctorResult,
    FleetBenchResult,
    FleetScenarioResult,
    ReleasesResult,
    RemoteRun,
    RollbackResult,
    ScenarioOnBoard,
)
from edgemnist.results.pictures import PredictResult
from edgemnist.results.verify import VerifyResult
from edgemnist.samples import Sent, decode_sent, encode_sent

ANSWER_S = 7_200.0
"""Two hours: the slowest board verifies 10,000 images in less."""
MEASURE_S = 172_800.0
"""Two days: a benchmark takes as long as it was told to."""
EXPORTS = "{exports}"
"""Stands for the export directory of the current release in the words of a command."""


_Row = TypeVar("_Row", BenchOnBoard, ScenarioOnBoard)


def run_on(
    target: BoardAddress,
    words: Sequence[str],
    files: Mapping[str, bytes] | None = None,
    stop: Stop | None = None,
    limit_s: float = ANSWER_S,
    *,
    exports: str = EXPORTS,
    partial: bool = False,
) -> RemoteRun:
    """Run `edgemnist WORDS --json` on the current release of a board, in a directory that holds `files`.

    `exports` is the export directory there, by default the release's own. With `partial`, a command that failed for a
    part of its input has an answer all the same. Raises DeployError where no release serves there, or the command
    failed there.
    """
    module = ["edgemnist", *words, "--exports", exports, "--json"]
    answer, said = _run(target, module, files or {}, stop, limit_s)
    # A missed gate is an answer; everything else has its reason on stderr.
    half_done = partial and answer.exit_code == EXIT_BAD_INPUT and answer.stdout.strip()
    if answer.exit_code not in (EXIT_OK, EXIT_GATE_MISSED) and not half_done:
        hint = said[1] if len(said) > 1 else ""
        raise DeployError(f"{target.host.name}: {said[0].removeprefix('error: ').rstrip('.')}", hint=hint)
    try:
        document = cleaned(msgspec.json.decode(answer.stdout, type=dict[str, Any]))
    except (ValueError, RecursionError):
        # Python ends with the same code where it crashes, and its reason stands last.
        raise DeployError(
            f"{target.host.name}: edgemnist {words[0]} crashed there: {said[-1].rstrip('.')}",
            hint=f"See what loads there: edgemnist doctor --on {target.host.name}",
        ) from None
    document = bounded(target.host.name, cast("dict[str, Any]", document), len(files or {}))
    return RemoteRun(release=answer.release, exit_code=answer.exit_code, document=document)


def ask_module(
    target: BoardAddress,
    words: Sequence[str],
    files: Mapping[str, bytes],
    stop: Stop | None = None,
    limit_s: float = QUICK_S,
) -> str:
    """Run `python -m WORDS` in the current release of a board, and return what it prints.

    Raises DeployError if no release serves there, or it fails there.
    """
    answer, said = _run(target, words, files, stop, limit_s)
    if answer.exit_code == EXIT_OK:
        return answer.stdout
    name = target.host.name
    if "No module named" in said[-1]:
        raise DeployError(
            f"{name} has a release that cannot do this yet",
            hint=f"Deploy a bundle of this version: edgemnist deploy BUNDLE --to {name}",
        )
    raise DeployError(f"{name}: {said[0].rstrip('.')}", hint=said[1] if len(said) > 1 else "")


def _run(
    target: BoardAddress, module: Sequence[str], files: Mapping[str, bytes], stop: Stop | None, limit_s: float
) -> tuple[Ran, list[str]]:
    """Return how `python -m MODULE` ended in the current release of a board, and the lines that it wrote on stderr."""
    sent = {name: base64.b64encode(data).decode() for name, data in files.items()}
    with open_board(target, stop) as board:
        answer = board.ask("run", Ran, {"module": list(module), "files": sent}, limit_s=limit_s)
    said = [message(line) for line in answer.stderr.splitlines() if line.strip()]
    return answer, said or ["it gave no reason"]


def health_on(target: BoardAddress, place: str, stop: Stop | None = None) -> Record:
    """Return the counts of a board; `place` is a directory of samples there, or a file. Raises as `ask_module` does."""
    name = target.host.name
    record = decode_record(ask_module(target, ["edgemnist.drift", place], {}, stop).encode(), name)
    return clean_result(name, record)


def samples_on(target: BoardAddress, directory: str, stop: Stop | None = None) -> list[Sent]:
    """Return the samples of a directory on a board. Raises as `ask_module` does."""
    return decode_sent(ask_module(target, ["edgemnist.samples", directory], {}, stop), target.host.name)


def merge_samples_on(target: BoardAddress, directory: str, samples: list[Sent]) -> None:
    """Add labels to the samples of a board, all or none. Raises as `ask_module` does."""
    ask_module(target, ["edgemnist.samples", directory, "labels.json"], {"labels.json": encode_sent(samples)})


def verify_on(target: BoardAddress, words: Sequence[str], *, gate: Path | None = None) -> VerifyResult:
    """Run `edgemnist verify WORDS` on a board, with a gate file that is sent along."""
    files = {}
    if gate is not None:
        words, files = [*words, "--gate", "gate.toml"], {"gate.toml": gate.read_bytes()}
    return convert(target.host.name, run_on(target, ["verify", *words], files).document, VerifyResult)


def predict_pictures_on(
    target: BoardAddress, pictures: Sequence[tuple[str, bytes]], words: Sequence[str]
) -> PredictResult:
    """Run `edgemnist predict WORDS` on a board, with pictures that are sent along: the name of each, and its bytes."""
    # Two pictures may have the same name in different folders.
    sent = [f"picture{number}{Path(name).suffix}" for number, (name, _) in enumerate(pictures)]
    names = {there: name for there, (name, _) in zip(sent, pictures, strict=True)}
    files = {there: data for there, (_, data) in zip(sent, pictures, strict=True)}
    try:
        document = run_on(target, ["predict", *sent, *words], files, partial=True).document
        answer = convert(target.host.name, document, PredictResult)
    except DeployError as error:
        raise DeployError(_renamed(error.message, names), hint=_renamed(error.hint, names)) from None
    predictions = [msgspec.structs.replace(one, source=names.get(one.source, one.source)) for one in answer.predictions]
    unread = [_renamed(why, names) for why in answer.unread]
    return msgspec.structs.replace(answer, predictions=predictions, unread=unread)


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which the names that pictures have on the board are those that they have here."""
    for name, picture in names.items():
        # A backslash, as in a path on Windows, is one here too.
        here = picture.replace("\\", r"\\")
        text = re.sub(rf"\b{re.escape(name)}\b", here, text)
    return text


def bench_on(targets: Sequence[BoardAddress], words: Sequence[str]) -> FleetBenchResult:
    """Run `edgemnist bench WORDS` on several boards at once; each measures alone on its own processor.

    What goes wrong on one of several boards is in its result; on a single one it is raised.
    """
    return FleetBenchResult(boards=_measure_on(targets, ["bench", *words], BenchResult, BenchOnBoard))


def bench_files_on(target: BoardAddress, directory: Path, words: Sequence[str]) -> BenchResult:
    """Run `edgemnist bench WORDS` on a board with the artifacts of an export directory of this machine.

    They are measured by the board's current release, and do not stay there.
    """
    manifest = read_manifest(directory)
    recorded = [*manifest.artifacts, *(one for one in (manifest.golden, manifest.answers) if one is not None)]
    names = [MANIFEST_FILE, *(one.file for one in recorded)]
    files = {name: (directory / name).read_bytes() for name in names}
    run = run_on(target, ["bench", *words], files, limit_s=MEASURE_S, exports=".")
    return convert(target.host.name, run.document, BenchResult)


def scenario_on(targets: Sequence[BoardAddress], words: Sequence[str]) -> FleetScenarioResult:
    """Run `edgemnist scenario WORDS` on several boards at once; fails as `bench_on` does."""
    return FleetScenarioResult(boards=_measure_on(targets, ["scenario", *words], ScenarioResult, ScenarioOnBoard))


def _measure_on(targets: Sequence[BoardAddress], words: Sequence[str], kind: type[Any], row: type[_Row]) -> list[_Row]:
    """Measure on several boards at once; Ctrl-C leaves them all. Raises UsageError if a board is named twice."""
    require_distinct(targets)

    def one(target: BoardAddress, stop: Stop) -> _Row:
        run = run_on(target, words, stop=stop, limit_s=MEASURE_S)
        # Its firmware, right after.
        with open_board(target, stop) as board:
            throttled = board.ask("doctor", Examined, {"imports": False}).facts.throttled or 0
        name = target.host.name
        result = convert(name, run.document, kind)
        return row(host=name, release=run.release, throttled=throttle_names(throttled), result=result)

    def tried(target: BoardAddress, stop: Stop) -> _Row:
        try:
            return one(target, stop)
        except Exception as error:  # noqa: BLE001 - one board must not cost the results of the others
            return row(host=target.host.name, fault=as_fault(error))

    if len(targets) == 1:
        return [one(targets[0], Stop())]
    stops = [Stop() for _ in targets]

    def leave() -> None:
        for stop in stops:
            stop.insist()

    with on_ctrl_c(leave):
        rows = in_parallel(len(targets), tried, targets, stops)
    if any(stop.asked for stop in stops):
        raise KeyboardInterrupt
    return rows


def doctor_on(target: BoardAddress, on_step: OnStep = lambda _: None) -> DoctorResult:
    """Examine a board, whether edgemnist is installed there or not."""
    with open_board(target) as board:
        answer = board.ask("doctor", Examined, {"imports": True}, on_step, limit_s=ANSWER_S)
        repair = target.repair(installed=answer.installed)
        selftest = None
        if answer.installed:
            words = ["edgemnist.doctor.artifacts", EXPORTS, *arguments(repair)]
            selftest = board.ask("run", Ran, {"module": words, "files": {}}, limit_s=ANSWER_S)
    printed = selftest.stdout if selftest else None
    name = target.host.name
    return clean_result(name, examine(name, answer.facts, answer.probes, printed, repair))


def releases_on(target: BoardAddress) -> ReleasesResult:
    """List the releases of a board, after the board has read every file of them."""
    with open_board(target) as board:
        return board.ask("releases", ReleasesResult, limit_s=ANSWER_S)


def rollback_on(
    target: BoardAddress, release: str | None, wait_s: float, on_step: OnStep = lambda _: None
) -> RollbackResult:
    """Let an older release serve again: the named one, or the one before the current. See `switch_on`."""
    request = {"release": release, "wait_s": wait_s}
    return switch_on(target, "rollback", request, on_step, limit_s=MOST_WORK_S + wait_s)


def switch_on(
    target: BoardAddress, verb: str, request: dict[str, Any], on_step: OnStep = lambda _: None, *, limit_s: float
) -> RollbackResult:
    """Ask a board to let another release serve.

    Ctrl-C ends it if the switch has not begun, and the board says which of the two it was; pressed again it leaves the
    board, which goes on by itself. Raises what the board reports.
    """
    stop = Stop()

    def ask() -> None:
        on_step("stopping")
        # Over ssh, which takes a moment.
        threading.Thread(target=stop.ask, daemon=True).start()

    def work(_: int) -> RollbackResult:
        with open_board(target, stop) as board, stop.by(board.interrupt):
            return board.ask(verb, RollbackResult, request, on_step, limit_s=limit_s)

    with on_ctrl_c(ask, stop.insist):
        try:
            (answer,) = in_parallel(1, work, [0])
        except ConnectionLostError as error:
            if not stop.asked:
                raise
            raise left_alone(target.host.name) from error
    return msgspec.structs.replace(answer, interrupted=stop.asked)
