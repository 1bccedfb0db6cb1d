"""The README's way to a service runs as written: on this machine, for the network, and as a unit of a board."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.loopback import free_port
from tests.serve.service import first_document, png, seven

SECTION = (REPOSITORY / "README.md").read_text().partition("### `edgemnist serve`")[2].partition("\n### ")[0]
LINES = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, flags=re.DOTALL) for line in block.splitlines()]
USUAL = "8000"
"""The port of the README, which another program of this machine may have."""
BOARD = "# on the board, once:"
SUDO = """#!/bin/sh
if [ "$1" = tee ]; then exec cat > "$UNITS/$(basename "$2")"; fi
echo "$@" >> "$UNITS/said"
"""
"""Keeps what would be written into the system, and what would be said to systemd."""


@pytest.fixture
def place(made_exports: Path, tmp_path: Path) -> Path:
    (tmp_path / "exports").symlink_to(made_exports)
    (tmp_path / "digit.png").write_bytes(png(seven()))
    return tmp_path


def shell(script: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-ec", script], cwd=cwd, env={**os.environ, **environment}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def line_with(start: str) -> str:
    lines: list[str] = [line for line in LINES if line.startswith(start)]
    assert len(lines) == 1, start
    return lines[0]


@pytest.mark.needs("curl", "openssl")
@pytest.mark.parametrize("start", ["edgemnist serve  ", "edgemnist serve --host"])
def test_the_service_starts_as_written_and_curl_gets_an_answer(start: str, place: Path) -> None:
    port = str(free_port())
    shell(line_with("openssl"), place)
    token = (place / "token").read_text().strip()
    serve = line_with(start).partition("#")[0].replace("edgemnist", f"exec {sys.executable} -m edgemnist")
    command = ["sh", "-c", f"{serve} --port {port} --json"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE) as process:
        try:
            assert first_document(process)["token"] == ("--token-file" in serve)
            curl = line_with("curl").replace(f":{USUAL}/", f":{port}/")
            assert f":{port}/" in curl
            if "--token-file" in serve:
                curl += f" -H 'Authorization: Bearer {token}'"
            answer = json.loads(shell(curl, place))
        finally:
            process.terminate()
    assert process.returncode == 0
    assert answer["artifact"] == "tflite-int8"
    assert answer["predictions"][0]["digit"] == 7


def test_the_bundle_of_a_service_is_made_as_written(place: Path) -> None:
    bundle, _, deploy = line_with("edgemnist bundle").partition(" && ")
    assert run_edgemnist(*bundle.split()[1:], cwd=place).returncode == 0
    # Such a bundle is deployed, and answers, in tests/deploy/test_real_service.py.
    assert deploy == "edgemnist deploy bundle.zip --to pi@raspberrypi.local"
    assert (place / "bundle.zip").is_file()


def test_the_lines_for_the_board_make_units_of_the_current_release(place: Path) -> None:
    release = place / ".local" / "share" / "edgemnist" / "current"
    (release / "venv" / "bin").mkdir(parents=True)
    (release / "exports").symlink_to(place / "exports")
    program = release / "venv" / "bin" / "edgemnist"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgemnist "$@"\n')
    (place / "bin").mkdir()
    (place / "bin" / "sudo").write_text(SUDO)
    for script in (program, place / "bin" / "sudo"):
        script.chmod(0o755)
    lines = LINES[LINES.index(BOARD) + 1 :]
    assert len(lines) == 5
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    shell("\n".join(lines), place, HOME=str(place), PATH=path, UNITS=str(place))
    unit, listening = (place / f"edgemnist.{kind}" for kind in ("service", "socket"))
    assert f"--exports {release}/exports" in unit.read_text()
    assert f"ListenStream=127.0.0.1:{USUAL}" in listening.read_text()
    assert (place / "said").read_text().splitlines() == [
        "systemctl daemon-reload",
        "systemctl enable --now edgemnist.socket edgemnist.service",
    ]
    assert "restart" in (release.parent / "board.toml").read_text()
