"""Commands that run on a board and answer here: `--on HOST`, `rollback`, `releases`."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgemnist.agent.facts import BoardFacts, Probe, throttle_names
from edgemnist.deploy.sequence import as_fault
from edgemnist.deploy.stop import Stop, in_parallel, on_ctrl_c
from edgemnist.deploy.target import BoardAddress, open_board
from edgemnist.doctor.artifacts import arguments
from edgemnist.doctor.checks import examine
from edgemnist.errors import EXIT_GATE_MISSED, EXIT_OK, DeployError, EdgemnistError, ImageError
from edgemnist.results.bench import BenchResult, ScenarioResult
from edgemnist.results.boards import (
    BenchOnBoard,
    DoctorResult,
    Fault,
    FleetBenchResult,
    FleetScenarioResult,
    ReleaseRow,
    ReleasesResult,
    RemoteRun,
    RollbackResult,
    ScenarioOnBoard,
)
from edgemnist.results.pictures import PredictResult
from edgemnist.results.verify import VerifyResult

OnStep = Callable[[str], None]
EXPORTS = "{exports}"
"""Stands for the export directory of the current release in the words of a command."""


_Row = TypeVar("_Row", BenchOnBoard, ScenarioOnBoard)
_Document = TypeVar("_Document", BenchResult, ScenarioResult, VerifyResult, PredictResult)


def _silent(step: str) -> None:
    del step


def run_on(
    target: BoardAddress, words: Sequence[str], files: Mapping[str, bytes] | None = None, stop: Stop | None = None
) -> RemoteRun:
    """Run `edgemnist WORDS --json` on the current release of a board, in a directory that holds `files`.

    Raises DeployError where no release serves there, or the command failed there.
    """
    request = {
        "module": ["edgemnist", *words, "--exports", EXPORTS, "--json"],
        "files": {name: base64.b64encode(data).decode() for name, data in (files or {}).items()},
    }
    with open_board(target, stop) as board:
        answer = board.ask("run", request)
    # A missed gate is an answer; everything else has its reason on stderr.
    said = [line.strip() for line in answer["stderr"].splitlines() if line.strip()] or ["it gave no reason"]
    if answer["exit_code"] not in (EXIT_OK, EXIT_GATE_MISSED):
        hint = said[1] if len(said) > 1 else ""
        raise DeployError(f"{target.host.name}: {said[0].removeprefix('error: ').rstrip('.')}", hint=hint)
    try:
        document = msgspec.json.decode(answer["stdout"])
    except msgspec.DecodeError:
        # Python ends with the same code where it crashes, and its reason stands last.
        raise DeployError(
            f"{target.host.name}: edgemnist {words[0]} crashed there: {said[-1].rstrip('.')}",
            hint=f"See what loads there with: edgemnist doctor --on {target.host.name}",
        ) from None
    return RemoteRun(release=answer["release"], exit_code=answer["exit_code"], document=document)


def verify_on(target: BoardAddress, words: Sequence[str], *, gate: Path | None = None) -> VerifyResult:
    """Run `edgemnist verify WORDS` on a board, with a gate file that is sent along."""
    files = {}
    if gate is not None:
        words = [*words, "--gate", "gate.toml"]
        files["gate.toml"] = gate.read_bytes()
    return _as(VerifyResult, target, run_on(target, ["verify", *words], files).document)


def predict_pictures_on(target: BoardAddress, pictures: Sequence[Path], words: Sequence[str]) -> PredictResult:
    """Run `edgemnist predict WORDS` on a board, with pictures that are sent along.

    Raises ImageError where a picture cannot be read here.
    """
    # Two pictures may have the same name in different folders.
    names = {f"picture{number}{picture.suffix}": picture for number, picture in enumerate(pictures)}
    try:
        files = {name: picture.read_bytes() for name, picture in names.items()}
    except OSError as error:
        raise ImageError(f"{error.filename} cannot be read: {error.strerror}", hint="Name a picture file.") from error
    try:
        answer = _as(PredictResult, target, run_on(target, ["predict", *names, *words], files).document)
    except DeployError as error:
        raise DeployError(_renamed(error.message, names), hint=_renamed(error.hint, names)) from None
    predictions = [
        msgspec.structs.replace(one, source=str(names.get(one.source, one.source))) for one in answer.predictions
    ]
    return msgspec.structs.replace(answer, predictions=predictions)


def _renamed(text: str, names: Mapping[str, Path]) -> str:
    """Return a text in which the names that pictures have on the board are those that they have here."""
    for name, picture in names.items():
        # A backslash, as in a path on Windows, is one here too.
        here = str(picture).replace("\\", r"\\")
        text = re.sub(rf"\b{re.escape(name)}\b", here, text)
    return text


def _as(kind: type[_Document], target: BoardAddress, document: dict[str, Any]) -> _Document:
    """Read the answer of a command. Raises DeployError where another version answers in another way."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise DeployError(
            f"The release on {target.host.name} answers in another way than this version reads: {error}",
            hint=f"Deploy a bundle of this version: edgemnist deploy BUNDLE --to {target.host.name}",
        ) from None


def bench_on(targets: Sequence[BoardAddress], words: Sequence[str]) -> FleetBenchResult:
    """Run `edgemnist bench WORDS` on several boards at once; each measures alone on its own processor.

    What goes wrong on one of several boards is in its result; on a single one it is raised.
    """

    def one(target: BoardAddress, stop: Stop) -> BenchOnBoard:
        run, throttled = _measure_on(target, "bench", words, stop)
        result = _as(BenchResult, target, run.document)
        return BenchOnBoard(host=target.host.name, release=run.release, throttled=throttled, result=result)

    return FleetBenchResult(boards=_on_each(targets, one, lambda host, fault: BenchOnBoard(host=host, fault=fault)))


def scenario_on(targets: Sequence[BoardAddress], words: Sequence[str]) -> FleetScenarioResult:
    """Run `edgemnist scenario WORDS` on several boards at once; fails as `bench_on` does."""

    def one(target: BoardAddress, stop: Stop) -> ScenarioOnBoard:
        run, throttled = _measure_on(target, "scenario", words, stop)
        result = _as(ScenarioResult, target, run.document)
        return ScenarioOnBoard(host=target.host.name, release=run.release, throttled=throttled, result=result)

    return FleetScenarioResult(
        boards=_on_each(targets, one, lambda host, fault: ScenarioOnBoard(host=host, fault=fault))
    )


def _on_each(
    targets: Sequence[BoardAddress], one: Callable[[BoardAddress, Stop], _Row], failed: Callable[[str, Fault], _Row]
) -> list[_Row]:
    """Do the same on several boards at once; Ctrl-C leaves them all."""
    if len(targets) == 1:
        return [one(targets[0], Stop())]

    def tried(target: BoardAddress, stop: Stop) -> _Row:
        try:
            return one(target, stop)
        except EdgemnistError as error:
            return failed(target.host.name, as_fault(error))

    stops = [Stop() for _ in targets]

    def leave() -> None:
        for stop in stops:
            stop.insist()

    with on_ctrl_c(leave):
        rows = in_parallel(len(targets), tried, targets, stops)
    if any(stop.asked for stop in stops):
        raise KeyboardInterrupt
    return rows


def _measure_on(target: BoardAddress, command: str, words: Sequence[str], stop: Stop) -> tuple[RemoteRun, list[str]]:
    """Return what `edgemnist COMMAND WORDS` said on a board, and what its firmware said right after."""
    run = run_on(target, [command, *words], stop=stop)
    with open_board(target, stop) as board:
        facts = msgspec.convert(board.ask("doctor", {"imports": False})["facts"], BoardFacts)
    return run, throttle_names(facts.throttled or 0)


def doctor_on(target: BoardAddress, on_step: OnStep = _silent) -> DoctorResult:
    """Examine a board, whether edgemnist is installed there or not."""
    with open_board(target) as board:
        answer = board.ask("doctor", {"imports": True}, on_step)
        repair = target.repair(installed=answer["installed"])
        selftest = None
        if answer["installed"]:
            words = ["edgemnist.doctor.artifacts", EXPORTS, *arguments(repair)]
            selftest = board.ask("run", {"module": words, "files": {}})
    return examine(
        target.host.name,
        msgspec.convert(answer["facts"], BoardFacts),
        [msgspec.convert(one, Probe) for one in answer["probes"]],
        selftest["stdout"] if selftest else None,
        repair,
    )


def releases_on(target: BoardAddress) -> ReleasesResult:
    """List the releases of a board, after the board has read every file of them."""
    with open_board(target) as board:
        answer = board.ask("releases")
    rows = msgspec.convert(answer["releases"], list[ReleaseRow])
    return ReleasesResult(host=target.host.name, releases=rows, pending=answer["pending"], busy=answer["busy"])


def rollback_on(target: BoardAddress, release: str | None, wait_s: float, on_step: OnStep = _silent) -> RollbackResult:
    """Let an older release serve again: the named one, or the one before the current."""
    with open_board(target) as board:
        answer = board.ask("rollback", {"release": release, "wait_s": wait_s}, on_step)
    return RollbackResult(host=target.host.name, release=answer["release"], previous=answer["previous"])
