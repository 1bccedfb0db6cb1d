"""Releases of 0.1.0, whose package has no wings, are listed, asked, gone back to and updated by today's agent.

`tests/deploy/test_old_boards.py` does the same with the code of that time.
"""

import json
import os
from pathlib import Path

import pytest

from edgemnist.board.agent.durable import exclusive
from edgemnist.board.agent.store import Store
from tests.agent.making import PASSING_PYTHON, contents_of, record_of
from tests.deploy.loopback import run_agent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A board with a release of 0.1.0 that serves, and an older one of the same version."""
    store = Store(tmp_path / "board")
    store.create()
    (store.root / "board.toml").touch()
    venv = store.venvs / "0123456789ab"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(PASSING_PYTHON)
    (venv / "bin" / "python").chmod(0o755)
    (venv / "lib" / "python3.11" / "site-packages" / "edgemnist" / "drift").mkdir(parents=True)
    (venv / ".complete").write_text(json.dumps({"package": "0" * 64, "extras": ["tflite"]}))
    for name in ("a", "b"):
        contents = contents_of(name)
        record = record_of(contents, edgemnist="0.1.0", artifacts=[name])
        release = store.releases_directory / store.next_name(record.identity())
        for path, data in {**contents, "bundle.json": record.encode()}.items():
            if not path.startswith("wheels/"):
                (release / path).parent.mkdir(parents=True, exist_ok=True)
                (release / path).write_bytes(data)
        (release / "deployed.json").write_text('{"deployed_at": "2026-01-01T00:00:00Z"}')
        (release / "venv").symlink_to("../../venvs/0123456789ab")
    store.switch(store.releases()[1].name)
    return store


def test_they_are_listed_and_gone_back_to(store: Store) -> None:
    first, second = store.releases()
    store.begin_switch(first.name, second.name)
    with exclusive(store.lock, wait_s=0, waiting=print):
        listed = run_agent(store.root, "releases")
    assert (listed["busy"], listed["pending"]) == (str(os.getpid()), second.name)
    assert [(row["release"], row["edgemnist"], row["problems"], row["current"]) for row in listed["releases"]] == [
        (first.name, "0.1.0", [], False),
        (second.name, "0.1.0", [], True),
    ]
    answer = run_agent(store.root, "rollback", {"release": None, "wait_s": 1.0})
    assert answer == {"release": first.name, "previous": second.name}
    wanted = {"identity": second.record().identity(), "sha256": "0" * 64, "bytes": 1}  # type: ignore[union-attr]  # it has one
    assert run_agent(store.root, "prepare", wanted)["known"], "an update finds what it need not send"


@pytest.mark.parametrize(
    ("module", "there"),
    [
        ("edgemnist.fleet.doctor.artifacts", "edgemnist.doctor.artifacts"),
        ("edgemnist.field.samples", "edgemnist.samples"),
        ("edgemnist", "edgemnist"),
    ],
)
def test_their_modules_are_asked_by_the_names_they_have(module: str, there: str, store: Store) -> None:
    exports = store.link.resolve() / "exports"
    request = {"module": [module, "{exports}", "--json"], "files": {}}
    assert run_agent(store.root, "run", request)["stdout"] == f"-I -m {there} {exports} --json\n"
    # What came later has its wings.
    (store.link / "venv" / "lib" / "python3.11" / "site-packages" / "edgemnist" / "field").mkdir()
    assert run_agent(store.root, "run", request)["stdout"] == f"-I -m {module} {exports} --json\n"
