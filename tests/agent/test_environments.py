"""Which virtual environment does for a bundle: one with all that it needs."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgemnist.board.agent.install import find_venv, needs
from edgemnist.board.agent.store import COMPLETE_FILE, Store
from tests.agent.making import PACKAGE, record_of

RECORD = record_of({PACKAGE: b"wheel"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A board with the environment `there`."""
    made = Store(tmp_path)
    made.create()
    (made.venvs / "there").mkdir()
    return made


def found(store: Store, has: object) -> str | None:
    """Return which environment is taken where `there` says that it has this."""
    (store.venvs / "there" / COMPLETE_FILE).write_text(json.dumps(has))
    return find_venv(store, RECORD)


@pytest.mark.parametrize(
    "change",
    [{"package": "1" * 64}, {"python": [3, 9, "armv7l"]}, {"extras": ["onnx"]}, {"constraints": ["numpy==1"]},
     {"wheels": []}],
)  # fmt: skip
def test_one_that_lacks_something_is_not_taken(change: dict[str, Any], store: Store) -> None:
    assert found(store, needs(RECORD)) == "there"
    assert found(store, {**needs(RECORD), **change}) is None


@pytest.mark.parametrize("has", ["nonsense", [], {}, None])
def test_one_that_does_not_say_what_it_has_is_not_taken(has: object, store: Store) -> None:
    assert found(store, has) is None


def test_one_with_more_does_for_a_board_that_trusts_everybody_only(store: Store) -> None:
    more = {**needs(RECORD), "extras": ["serve", "tflite"], "constraints": ["numpy==2", "starlette==1"]}
    assert found(store, more) == "there"
    store.allowed_signers.touch()
    # An unsigned bundle may have brought the rest, before the board asked for signatures.
    assert found(store, more) is None
    assert found(store, needs(RECORD)) == "there"
