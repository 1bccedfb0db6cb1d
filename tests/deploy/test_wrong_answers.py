"""Boards whose answers have the right form and wrong contents: a sentence for each, and the rest of a fleet is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist import console as terminal
from edgemnist.agent import MARK
from edgemnist.agent.facts import collect_facts
from edgemnist.app import app
from edgemnist.deploy import target
from edgemnist.deploy.run import LocalBundle
from edgemnist.deploy.transport import Host
from edgemnist.drift import Record, _checksum
from edgemnist.drift.monitor import Tally
from edgemnist.errors import EdgemnistError
from edgemnist.health.run import assess, places_on
from edgemnist.results.pictures import Prediction, PredictResult
from tests.drift.making import after_a_week, answering

Say = Callable[..., None]


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Let each board answer with a result for each verb, or with a function of its name: `boards(prepare={…})`."""
    answers: dict[str, Any] = {}

    class Connection:
        def __init__(self, host: Host) -> None:
            self.host = host

        def run(
            self, command: str, data: bytes = b"", *, on_line: Callable[[str], None], limit_s: float = 0
        ) -> tuple[int, str]:
            del limit_s
            verb = next(one for one in answers if f" {one} " in command)
            answer = answers[verb]
            found = answer(self.host.name, json.loads(data)) if callable(answer) else answer
            on_line(MARK + json.dumps({"result": found}))
            return 0, ""

    @contextlib.contextmanager
    def connect(host: Host, *_: object) -> Iterator[Connection]:
        yield Connection(host)

    monkeypatch.setattr(target, "connect", connect)
    return lambda **given: answers.update(given)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, list[str]]]:
    """Run a command in this process: its exit code and the errors that it showed; a traceback is raised."""
    shown: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(terminal, "show_error", lambda error: shown.append(error.message))
    return lambda *words: (app(list(map(str, words)), prog_name="edgemnist", standalone_mode=False) or 0, shown)


def facts() -> dict[str, Any]:
    return {**asdict(collect_facts(Path("/"))), "writable": True, "has_venv": True, "disk_free_bytes": 10**10}


def ran(document: object) -> dict[str, Any]:
    said = document if isinstance(document, str) else json.dumps(document)
    return {"exit_code": 0, "release": "1-x", "stdout": said, "stderr": ""}


SELFTEST: dict[str, Any] = {"passed": True, "reasons": [], "images": 0, "artifacts": [], "latencies": []}
APPLIED: dict[str, Any] = {
    "status": "deployed",
    "release": "2-x",
    "previous": None,
    "removed": [],
    "selftest": SELFTEST,
}


@pytest.mark.parametrize("changes", [{"status": "[/]"}, {"status": "failed"}, {"release": "[/]", "previous": "[/x]"}])
def test_a_board_that_answers_with_strange_words_costs_no_fleet_its_report(
    changes: dict[str, str], boards: Say, command: Callable[..., tuple[int, list[str]]], new_bundle: LocalBundle
) -> None:
    boards(
        prepare={"facts": facts(), "known": True, "offset": 0, "signed_only": False},
        apply=lambda name, _: {**APPLIED, **(changes if name == "bad" else {})},
    )
    code, _ = command("deploy", new_bundle.path, "--to", "bad", "--to", "good", "--retries", "0")
    assert code == (2 if "status" in changes else 0)


def test_a_name_that_looks_like_markup_is_a_name(boards: Say, command: Callable[..., tuple[int, list[str]]]) -> None:
    row = {"release": "[/]", "current": True, "problems": ["[/x]"], "edgemnist": "[/y]", "artifacts": ["[/z]"],
           "signed": False, "deployed_at": "[/]"}  # fmt: skip
    boards(
        releases={"releases": [row], "pending": "[/]", "busy": "[/]"}, rollback={"release": "[/]", "previous": "[/]"}
    )
    assert command("releases", "--to", "pi") == (0, [])
    assert command("rollback", "--to", "pi") == (0, [])


def test_a_board_that_has_what_nobody_asked_for_is_examined(
    boards: Say, command: Callable[..., tuple[int, list[str]]]
) -> None:
    probe = {"package": '"; reboot; "', "state": "missing", "version": None, "detail": ""}
    boards(doctor={"facts": facts(), "probes": [probe], "installed": False})
    assert command("doctor", "--on", "pi") == (0, [])


def test_a_number_that_no_machine_has_is_told(boards: Say, command: Callable[..., tuple[int, list[str]]]) -> None:
    boards(doctor={"facts": {**facts(), "memory_bytes": 10**400}, "probes": [], "installed": False})
    code, (said,) = command("doctor", "--on", "pi")
    assert code == 2
    assert "pi sent an answer that this version cannot read: a number of 1,329 bits" in said


PREDICTED = json.loads(
    PredictResult(
        artifact="a",
        runtime="litert",
        labels=["0", "1"],
        predictions=[Prediction(source="x", digit=0, confidence=0.9, probabilities=[0.9, 0.1], image=[[0] * 28] * 28)],
    ).to_json()
)


@pytest.mark.parametrize(
    "changes",
    [{"probabilities": [1.0]}, {"probabilities": [-1e308, 1.0]}, {"image": [[0] * 28] * 27},
     {"image": [[256] * 28] * 28}, {"image": None}],
    ids=["too few", "not finite", "too few rows", "too bright", "no image"],
)  # fmt: skip
def test_a_prediction_that_contradicts_itself_is_told(
    changes: dict[str, Any], boards: Say, command: Callable[..., tuple[int, list[str]]]
) -> None:
    boards(run=ran({**PREDICTED, "predictions": [{**PREDICTED["predictions"][0], **changes}]}))
    code, errors = command("predict", "--index", "0", "--sheet", "sheet.png", "--on", "pi")
    assert code == 2
    assert errors
    assert errors[0].startswith("pi sent an answer that ")
    boards(run=ran(PREDICTED))
    assert command("predict", "--index", "0", "--sheet", "sheet.png", "--on", "pi")[0] == 0


def test_a_bar_is_no_longer_than_its_column(boards: Say, command: Callable[..., tuple[int, list[str]]]) -> None:
    boards(run=ran({**PREDICTED, "predictions": [{**PREDICTED["predictions"][0], "probabilities": [1e12, 0.0]}]}))
    assert command("predict", "--index", "0", "--on", "pi")[0] == 0


def test_a_scenario_that_is_none_is_told_on_its_board(
    boards: Say, command: Callable[..., tuple[int, list[str]]]
) -> None:
    boards(
        run=ran({"scenario": "none", "host": {}, "results": [], "warnings": []}),
        doctor={"facts": facts(), "probes": [], "installed": True},
    )
    assert command("scenario", "server", "--rate", "10", "--on", "one", "--on", "two") == (0, [])


def signed(record: Record) -> Record:
    """Return a record whose checksum fits, as a board can make one of anything."""
    return msgspec.structs.replace(record, checksum=_checksum(msgspec.structs.replace(record, checksum="")))


def counted(**changes: object) -> str:
    return msgspec.json.encode(signed(msgspec.structs.replace(after_a_week().record, **changes))).decode()


def of_bad(**changes: object) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Let boards answer with counts, changed on the one that is called bad, and with no samples."""

    def answer(name: str, asked: dict[str, Any]) -> dict[str, Any]:
        return ran(counted(**(changes if name == "bad" else {})) if "drift" in asked["module"][0] else "[]")

    return answer


NOTHING = Tally(answering()).record.lately


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"golden": NOTHING}, "the golden pack is empty"),
        ({"golden_errors": 10**9}, "there are more errors than images in the golden pack"),
        ({"first": NOTHING, "first_complete": True}, "the first week is complete without an image"),
        ({"evidence": {"x": [1e300]}}, "Expected `float` <= 1000.0"),
        ({"release": "x" * 100_000}, "it is too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_counts_that_cannot_be_are_told_beside_those_of_the_other_boards(
    changes: dict[str, object], reason: str, boards: Say
) -> None:
    boards(run=of_bad(**changes))
    places, (fault,) = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assert [one.name for one in places] == ["good"]
    assert fault.fault is not None
    assert reason in fault.fault.message
    assess(places, [fault])


def test_samples_that_are_none_cost_their_own_board(boards: Say) -> None:
    boards(run=lambda name, asked: ran(counted() if "drift" in asked["module"][0] else "{" if name == "bad" else "[]"))
    places, (fault,) = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assert [one.name for one in places] == ["good"]
    assert fault.host == "bad"


def test_counts_of_other_classes_do_not_add_up(boards: Say) -> None:
    renamed = [f"{label}\x1b[2J" for label in after_a_week().record.labels]
    boards(run=of_bad(labels=renamed))
    places, _ = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assert all(label.isprintable() for one in places for label in one.record.labels)
    with pytest.raises(EdgemnistError, match="good has counts of classes whose names differ from those of bad"):
        assess(places)


def test_evidence_of_another_version_counts_as_none(boards: Say) -> None:
    evidence = {name: row[:1] for name, row in after_a_week().record.evidence.items()} or {"refused share": [1.0]}
    boards(run=of_bad(evidence=evidence))
    places, _ = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assess(places)
