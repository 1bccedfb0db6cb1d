"""Boards whose answers have the right form and wrong contents: a sentence for each, and the rest of a fleet is told."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgemnist.app import app
from edgemnist.board.agent import MARK
from edgemnist.board.agent.facts import collect_facts
from edgemnist.digits.results import Prediction, PredictResult
from edgemnist.errors import EdgemnistError
from edgemnist.field.drift import Record, _checksum
from edgemnist.field.drift.monitor import Tally
from edgemnist.field.health.run import labelled, places_on, report_on
from edgemnist.field.samples import UNIFORM, Label
from edgemnist.fleet.deploy import target
from edgemnist.fleet.deploy.answers import convert
from edgemnist.fleet.deploy.run import LocalBundle
from edgemnist.fleet.deploy.transport import Host
from edgemnist.ground import console as terminal
from edgemnist.ground.arrays import image_hashes
from tests.drift.making import LAST_DAY, after_a_week, answering, images
from tests.samples.making import sample_of

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
    [{"probabilities": [1.0]}, {"probabilities": [-1e308, 1.0]}, {"image": [[0] * 28, [0] * 27]},
     {"image": [[0.5, "x"]]}],
    ids=["too few", "not finite", "ragged", "no numbers"],
)  # fmt: skip
def test_a_prediction_that_contradicts_itself_is_told(
    changes: dict[str, Any], boards: Say, command: Callable[..., tuple[int, list[str]]]
) -> None:
    boards(run=ran({**PREDICTED, "predictions": [{**PREDICTED["predictions"][0], **changes}]}))
    code, errors = command("predict", "--index", "0", "--show", "--on", "pi")
    assert code == 2
    assert errors
    assert errors[0].startswith("pi sent an answer that ")
    boards(run=ran(PREDICTED))
    assert command("predict", "--index", "0", "--show", "--on", "pi")[0] == 0


def test_what_a_board_with_0_1_0_answers_is_an_answer() -> None:
    (made,) = PREDICTED["predictions"]
    earlier = {name: made[name] for name in ("source", "digit", "confidence", "probabilities")}
    prediction = convert("pi", earlier, Prediction)
    assert prediction.answer == prediction.digit == 0


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
        ({"release": "x" * (1 << 20)}, "it is too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_counts_are_told_beside_those_of_others(
    changes: dict[str, object], reason: str, boards: Say
) -> None:
    boards(run=of_bad(**changes))
    places, (fault,) = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assert [one.name for one in places] == ["good"]
    assert fault.fault is not None
    assert reason in fault.fault.message
    report_on(places, [fault])


def test_samples_that_are_none_cost_their_own_board(boards: Say) -> None:
    boards(run=lambda name, asked: ran(counted() if "drift" in asked["module"][0] else "{" if name == "bad" else "[]"))
    places, (fault,) = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assert [one.name for one in places] == ["good"]
    assert fault.host == "bad"


@pytest.mark.parametrize("said", ["samples.sqlite3 is damaged", "samples has no samples"])
def test_labels_that_did_not_arrive_are_not_taken_for_none(said: str, boards: Say) -> None:
    failed = {"exit_code": 2, "release": "1-x", "stdout": "", "stderr": said}
    boards(run=lambda _, asked: ran(counted()) if "drift" in asked["module"][0] else failed)
    names = [target.BoardAddress.of("one")]
    if "damaged" in said:
        with pytest.raises(EdgemnistError, match=f"one: {said}"):
            places_on(names, "samples")
    else:
        assert [len(one.samples) for one in places_on(names, "samples")[0]] == [0]


def test_what_a_board_s_model_has_learnt_from_does_not_judge_it(boards: Say) -> None:
    given = (Label("3", "ann", LAST_DAY, settles=False),)
    kept: dict[str, Any] = {"at": LAST_DAY, "artifact": answering().artifact, "reason": UNIFORM, "labels": given}
    samples = [sample_of(3, id=number, image=image, **kept) for number, image in enumerate(images()[:10])]

    def answer(name: str, asked: dict[str, Any]) -> dict[str, Any]:
        module = asked["module"][0]
        if module == "edgemnist.field.health.learnt" and name == "old":
            return {"exit_code": 1, "release": "1-x", "stdout": "", "stderr": f"No module named '{module}'"}
        learnt = [f"{one:016x}" for one in image_hashes(images()[:4])]
        return ran(
            {"edgemnist.field.drift": counted(), "edgemnist.field.samples": msgspec.json.encode(samples).decode()}.get(
                module, learnt
            )
        )

    boards(run=answer)
    places, faults = places_on([target.BoardAddress.of(name) for name in ("new", "old")], "samples")
    assert not faults
    assert [len(labelled(one)) for one in places] == [6, 10]


def test_counts_of_other_classes_do_not_add_up(boards: Say) -> None:
    renamed = [f"{label}\x1b[2J" for label in after_a_week().record.labels]
    boards(run=of_bad(labels=renamed))
    places, _ = places_on([target.BoardAddress.of(name) for name in ("bad", "good")], "samples")
    assert all(label.isprintable() for one in places for label in one.record.labels)
    with pytest.raises(EdgemnistError, match="good has counts of classes whose names differ from those of bad"):
        report_on(places)
