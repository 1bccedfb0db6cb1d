"""Every console block of the README and the book runs as written."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.bundles import request_for
from tests.deploy.conftest import put_bundle
from tests.deploy.loopback import run_agent
from tests.docs.blocks import Block, all_blocks
from tests.docs.place import BACKGROUND, PARSE, PARSED, Place
from tests.needs import require
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.all

BLOCKS = all_blocks()
PROGRAMS = {
    "service": ["curl"],
    "background": ["openssl"],
    "ssh-key": ["sshd"],
    **{name: [name] for name in ("cc", "chromium", "engine")},
}
"""What a need cannot do without, by its name in tests/programs.py."""
STAND_INS = {"hardware": ["scp", "ssh"], "meter": ["rpicam-still", "sudo"]}
"""What would talk to a board that only the reader has."""
FILES = {
    "digits": Place.with_digits,
    "my-model": Place.with_model,
    "my-onnx": Place.with_onnx,
    "resnet": Place.with_resnet,
    "ssh-key": Place.with_key,
    "repository": Place.with_examples,
    "signs": Place.with_signs,
    "fan": Place.with_fan,
    "meter": Place.with_meter,
}
GIVEN: dict[str, Callable[[Place, pytest.FixtureRequest], None]] = {
    "fleet": lambda place, request: place.with_fleet(request.getfixturevalue("installed")),
    "itself": lambda place, request: place.with_itself(
        request.getfixturevalue("installed"), request.getfixturevalue("new_bundle").path
    ),
    "service": lambda place, request: place.with_service(request.getfixturevalue("service").address[1]),
}
NEEDS = {"board", *GIVEN, "two-releases", "on-board", *PROGRAMS, *FILES, *PARSED}


def prepare(place: Place, needs: frozenset[str], request: pytest.FixtureRequest) -> None:
    require(*(program for need in needs for program in PROGRAMS.get(need, ())))
    if needs & PARSED:
        place.program("edgemnist", PARSE)
    for program in (program for need in needs for program in STAND_INS.get(need, ())):
        place.program(program, ":")
    if "background" in needs:
        place.program("edgemnist", BACKGROUND)
    for need in needs & FILES.keys():
        FILES[need](place)
    if "board" in needs:
        board = request.getfixturevalue("board")
        place.with_board(board, request.getfixturevalue("sshd"))
        bundle = request.getfixturevalue("new_bundle")
        (place.directory / "bundle.zip").write_bytes(bundle.path.read_bytes())
        if "two-releases" in needs:
            put_bundle(board.root, bundle)
            assert run_agent(board.root, "apply", request_for(bundle))["status"] == "deployed"
    for need in needs & GIVEN.keys():
        GIVEN[need](place, request)
    if "on-board" in needs:
        place.on_a_board(parse=bool(needs & PARSED))


@pytest.mark.parametrize("block", list(BLOCKS), ids=list(BLOCKS.values()))
def test_the_block_runs_as_is(
    block: Block, known_exports: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert block.needs <= NEEDS
    place = Place(tmp_path, known_exports)
    prepare(place, block.needs, request)
    script = place.here(block.script)
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=tmp_path,
        env={**os.environ, **place.environment},
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == block.exit_code, f"{script}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    if {"on-board"} == block.needs:
        units_are_those_of_the_release(place)


def units_are_those_of_the_release(place: Place) -> None:
    """Hold what the guide to the service would write into the system."""
    release = place.directory / ".local" / "share" / "edgemnist" / "current"
    assert f"--exports {release}/exports" in (place.directory / "edgemnist.service").read_text()
    assert "ListenStream=127.0.0.1:8000" in (place.directory / "edgemnist.socket").read_text()
    assert (place.directory / "said").read_text().splitlines() == [
        "systemctl daemon-reload",
        "systemctl enable --now edgemnist.socket edgemnist.service",
    ]
    assert "restart" in (release.parent / "board.toml").read_text()


def test_every_command_is_typed_somewhere() -> None:
    typed = "\n".join(block.script for block in BLOCKS if "example" not in block.needs)
    for command in re.findall(r"│ ([a-z]+)  ", run_edgemnist("--help", cwd=REPOSITORY).stdout):
        assert re.search(rf"edgemnist {command}\b", typed), command


@pytest.mark.parametrize(
    "wrong", ["edgemnist train --recipes best", "edgemnist tran", "edgemnist bench --seconds many"]
)
def test_a_line_that_is_only_parsed_fails_if_it_is_wrong(wrong: str, known_exports: Path, tmp_path: Path) -> None:
    place = Place(tmp_path, known_exports)
    place.program("edgemnist", PARSE)
    environment = {**os.environ, **place.environment}
    done = subprocess.run(["sh", "-ec", wrong], cwd=tmp_path, env=environment, check=False, capture_output=True)
    assert done.returncode != 0
