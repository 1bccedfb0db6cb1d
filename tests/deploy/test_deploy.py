"""A deployment over a real SSH connection: the way there, the way back, and what is told about it."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from edgemnist.board.agent import SelfTestLimits
from edgemnist.errors import UsageError
from edgemnist.fleet.deploy.run import DeployConfig, LocalBundle, deploy_to, doctor_on, releases_on
from edgemnist.fleet.release.cli import releases_page
from edgemnist.ground.formatting import microseconds
from edgemnist.ground.results.boards import BoardResult, FleetBenchResult, Level
from edgemnist.pipeline.bench.screen import fleet_page
from tests.conftest import run_edgemnist
from tests.deploy.loopback import LoopbackBoard, Sshd, make_key, the_next_try_succeeds
from tests.render.test_narrow import drawn
from tests.serve.service import png, seven

FIRST = DeployConfig(retries=0)


def deploy(board: LoopbackBoard, bundle: LocalBundle, config: DeployConfig = FIRST) -> BoardResult:
    return deploy_to(board.target, bundle, config, lambda _: None)


def test_a_fresh_board_serves(new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, new: str) -> None:
    board = new_board("board")
    assert board.serves() is None
    result = deploy(board, new_bundle)
    assert result.fault is None
    assert (result.status, result.release, result.previous) == ("deployed", f"1-{new}", None)
    assert board.serves() == new
    assert result.selftest is not None
    replays = [parity.replay.verdict for parity in result.selftest.artifacts if parity.replay]
    # Two artifacts, and one of them in the engine as well, where the board could compile it.
    assert replays in (["identical"] * 2, ["identical"] * 3)
    assert [step.name for step in result.steps][:3] == ["connect", "preflight", "transfer"]
    assert not list(board.store.incoming.iterdir())
    assert not list(board.store.staging.iterdir())
    # The same again changes nothing, and is not sent again.
    result = deploy(board, new_bundle)
    assert (result.status, result.release) == ("unchanged", f"1-{new}")
    assert "transfer" not in {step.name for step in result.steps}


def test_a_root_that_others_can_write_to_is_told_and_not_refused(board: LoopbackBoard, new_bundle: LocalBundle) -> None:
    board.root.chmod(0o777)
    result = deploy(board, new_bundle)
    assert (result.status, [one.value for one in result.findings if one.name == "owner"]) == (
        "deployed",
        ["not this user alone"],
    )
    page = " ".join(drawn(releases_page(releases_on(board.target), board.target)).split())
    assert "notice: Other users of the board can change what serves there. Run there: chmod go-w" in page
    board.root.chmod(0o755)
    assert "notice" not in drawn(releases_page(releases_on(board.target), board.target))


def test_the_doctors_commands_repair_a_board(board: LoopbackBoard, new_board: Callable[[str], LoopbackBoard]) -> None:
    pip = str(board.target.repair(installed=True).pip)
    assert subprocess.run([*shlex.split(pip), "--version"], check=True, capture_output=True).stdout
    artifact = board.store.link / "exports" / "tflite-int8.tflite"
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"x")
    again = f"edgemnist deploy BUNDLE --to board --root {board.root} --ssh-config {board.ssh_config}"
    found = {finding.name: finding for finding in doctor_on(board.target).findings}
    assert found["tflite-int8"].level is Level.FAILURE
    assert found["tflite-int8"].fix == again
    empty = {finding.name: finding for finding in doctor_on(new_board("board2").target).findings}
    assert empty["msgspec"].value == "not installed"
    assert empty["msgspec"].fix.startswith("edgemnist deploy BUNDLE --to board2 ")


@pytest.mark.parametrize(
    ("limits", "said"),
    [(SelfTestLimits(max_p99_us=0.01), "p99 latency is"), (SelfTestLimits(max_rss_mb=1), "peak memory is")],
)
def test_a_limit_keeps_a_slow_or_a_big_release_from_serving(
    limits: SelfTestLimits, said: str, board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    result = deploy(board, new_bundle, DeployConfig(limits=limits))
    assert result.fault is not None
    assert said in result.fault.message
    assert result.fault.exit_code == 1
    assert board.serves() == old


def test_the_commands_answer_with_one_json_document(
    new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, old_bundle: LocalBundle, tmp_path: Path
) -> None:
    board = new_board("board")

    def ask(*arguments: str | Path) -> dict[str, object]:
        done = run_edgemnist(*arguments, "--json", cwd=tmp_path, env=board.environment)
        assert done.returncode == 0, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    for bundle in (old_bundle, new_bundle):
        assert ask("deploy", bundle.path, "--to", "board")["passed"] is True
    assert ask("verify", "--on", "board")["passed"] is True
    options = ("--seconds", "0")
    benched = ask("bench", "tflite-int8", "--on", "board", "--on", "board2", *options)
    boards = msgspec.convert(benched, FleetBenchResult).boards
    assert [one.host for one in boards] == ["board", "board2"]
    throttled = msgspec.structs.replace(boards[1], throttled=["under-voltage"])
    page = drawn(fleet_page(FleetBenchResult(boards=[boards[0], throttled])))
    assert re.search(r"board +board2 *\n", page), "one table, side by side"
    found = [result.results[0] for one in boards if (result := one.result) is not None]
    # A machine with other work marks its figures.
    cells = [re.escape(microseconds(one.p50_us, tainted=one.disturbed)) for one in found]
    assert re.search(rf"tflite-int8 +p50 +{cells[0]} +{cells[1]} *\n", page)
    assert "board2: under-voltage during the measurement" in page
    predicted = ask("predict", "--on", "board", "--index", "0", "--artifact", "tflite-int8")
    assert predicted["artifact"] == "tflite-int8"
    assert ask("doctor", "--on", "board")["healthy"] is True
    assert len(ask("release", "list", "--to", "board")["releases"]) == 2  # type: ignore[arg-type]  # plain JSON
    assert ask("release", "rollback", "--to", "board")["previous"] is not None


def test_gate_and_junit_of_a_verification_on_a_board_are_files_here(board: LoopbackBoard, tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("[tflite-int8]\nmax_abs_diff = 0.0\n")
    options = ("--on", "board", "--gate", "gate.toml", "--junit", "report.xml")
    done = run_edgemnist("verify", *options, cwd=tmp_path, env=board.environment)
    assert done.returncode == 1, done.stderr
    assert "<failure" in (tmp_path / "report.xml").read_text()


def test_one_bad_picture_does_not_stop_the_others_on_the_board(board: LoopbackBoard, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "blank.png").write_bytes(png(Image.new("L", (50, 50), 255)))
    (tmp_path / "7.png").write_bytes(png(seven()))
    words = ("predict", "bad.png", "missing.png", "more", "7.png", "--on", "board", "--json")
    done = run_edgemnist(*words, cwd=tmp_path, env=board.environment)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert [(one["source"], one["digit"]) for one in document["predictions"]] == [("7.png", 7)]
    # What stands in a directory was not named: it is told, and changes nothing.
    assert [why.split()[0] for why in document["unread"]] == ["missing.png", "bad.png"]
    assert "more/blank.png" in done.stderr


def break_runtime(board: LoopbackBoard) -> None:
    """Let the Python of the release that serves end as it does where a runtime does not load."""
    release, broken = board.store.link.resolve(), board.root / "broken"
    (broken / "bin").mkdir(parents=True)
    said = "ImportError: libatomic.so.1: cannot open shared object file"
    (broken / "bin" / "python").write_text(f"#!/bin/sh\necho 'Traceback:\n  File x\n{said}' >&2\nexit 1\n")
    (broken / "bin" / "python").chmod(0o755)
    (release / "venv").unlink()
    (release / "venv").symlink_to(broken)


def test_a_command_that_crashes_on_the_board_is_no_missed_gate(board: LoopbackBoard, tmp_path: Path) -> None:
    break_runtime(board)
    for words in (("verify",), ("predict", "--index", "0")):
        done = run_edgemnist(*words, "--on", "board", cwd=tmp_path, env=board.environment)
        assert done.returncode == 2, done.stderr
        assert "libatomic.so.1" in done.stderr
        assert "edgemnist doctor --on board" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_one_board_measured_is_not_lost_where_another_is_away(board: LoopbackBoard, tmp_path: Path) -> None:
    options = ("--seconds", "0", "--save", "both.json")
    words = ("bench", "tflite-int8", "--on", "board", "--on", "board:1", *options)
    done = run_edgemnist(*words, cwd=tmp_path, env=board.environment)
    assert done.returncode == 2, done.stderr
    assert "tflite-int8" in done.stdout
    assert "board:1 refuses connections" in done.stdout
    boards = json.loads((tmp_path / "both.json").read_text())["boards"]
    assert [(one["host"], one["result"] is None, one["fault"] is None) for one in boards] == [
        ("board", False, True),
        ("board:1", True, False),
    ]


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_limit_that_everything_or_nothing_passes_is_refused(limit: float) -> None:
    with pytest.raises(UsageError, match="--max-p99-us"):
        DeployConfig(limits=SelfTestLimits(max_p99_us=limit))
    with pytest.raises(UsageError, match="--max-rss-mb"):
        DeployConfig(limits=SelfTestLimits(max_rss_mb=limit))


@pytest.mark.parametrize(
    "name",
    ["", "-oProxyCommand=x", "pi@", "pi@ho st", "host:", "host:http", "a@-b", "[::1", "[-Fevil.conf]", "a@[-Fevil]"],
)
def test_what_is_no_host_is_refused(name: str) -> None:
    from edgemnist.fleet.deploy.transport import parse_host

    with pytest.raises(UsageError):
        parse_host(name)


@pytest.mark.parametrize("case", ["an unknown host key", "a changed host key", "a key that is not let in"])
def test_whom_the_board_or_the_user_does_not_know_is_refused_at_once(
    case: str, board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, old: str, tmp_path: Path
) -> None:
    known, stranger = board.ssh_config.with_suffix(".known"), make_key(tmp_path / "stranger")
    if case == "an unknown host key":
        said = "host key that is not known"
        known.write_text("")
        # Whatever the user's own configuration says.
        board.ssh_config.write_text(board.ssh_config.read_text() + "  StrictHostKeyChecking no\n")
    elif case == "a changed host key":
        said = "a host key other than"
        sshd.client_config(board.ssh_config, host_key=stranger)
    else:
        said = "does not let you in"
        board.ssh_config.write_text(board.ssh_config.read_text().replace(str(sshd.user_key), str(stranger)))
    before = known.read_text()
    result = deploy(board, new_bundle, DeployConfig(retries=3))
    assert result.fault is not None
    assert said in result.fault.message
    assert (result.attempts, known.read_text(), board.serves()) == (1, before, old)
    sshd.client_config(board.ssh_config)
    the_next_try_succeeds(board, new_bundle)


def test_hosts_are_read_as_ssh_writes_them() -> None:
    from edgemnist.fleet.deploy.transport import parse_host

    assert parse_host("pi@[fe80::1%eth0]:2222").destination == "pi@fe80::1%eth0"
    assert parse_host("pi.local:22").port == 22
    assert parse_host("kitchen").port is None
