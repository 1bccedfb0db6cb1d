"""A deployment over a real SSH connection: the way there, the way back, and what is told about it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from edgemnist.agent import SelfTestLimits
from edgemnist.agent.bundle import BundledFile, BundleRecord
from edgemnist.agent.durable import record_tree
from edgemnist.agent.install import find_venv, needs
from edgemnist.agent.store import COMPLETE_FILE, Store
from edgemnist.bench.cli import fleet_bench_page
from edgemnist.deploy.remote import doctor_on, releases_on, rollback_on
from edgemnist.deploy.run import DeployConfig, LocalBundle, deploy_to
from edgemnist.errors import DeployError, UsageError
from edgemnist.predict.run import predict_on
from edgemnist.releases import releases_page
from edgemnist.results.boards import BoardResult, FleetBenchResult, Level
from tests.conftest import run_edgemnist
from tests.deploy.bundles import bundled, small_exports
from tests.deploy.loopback import LoopbackBoard, Sshd, drawn, make_key
from tests.deploy.trying import the_next_try_succeeds
from tests.serve.service import png, seven

FIRST = DeployConfig(retries=0)


def deploy(board: LoopbackBoard, bundle: LocalBundle, config: DeployConfig = FIRST) -> BoardResult:
    return deploy_to(board.target, bundle, config, lambda _: None)


def test_a_fresh_board_serves_after_one_deployment(
    new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, new: str
) -> None:
    board = new_board("board")
    assert board.serves() is None
    result = deploy(board, new_bundle)
    assert result.fault is None
    assert (result.status, result.release, result.previous) == ("deployed", f"1-{new}", None)
    assert board.serves() == new
    assert result.selftest is not None
    assert [parity.replay.verdict for parity in result.selftest.artifacts if parity.replay] == ["identical"] * 2
    assert [step.name for step in result.steps][:3] == ["connect", "preflight", "transfer"]
    assert not list(board.store.incoming.iterdir())
    assert not list(board.store.staging.iterdir())


def test_the_same_bundle_again_changes_nothing_and_is_not_sent_again(
    board: LoopbackBoard, old_bundle: LocalBundle, old: str
) -> None:
    result = deploy(board, old_bundle)
    assert (result.status, result.release) == ("unchanged", f"1-{old}")
    assert "transfer" not in {step.name for step in result.steps}


def test_wheels_do_not_stay_once_their_packages_are_installed(installed: Path) -> None:
    assert not list(installed.with_name("staging").iterdir())


def test_packages_that_are_there_are_not_installed_again(
    board: LoopbackBoard, made_exports: Path, installed: Path, tmp_path: Path
) -> None:
    there = sorted(installed.iterdir())
    # Without what the service needs, which the packages that are there have besides.
    less = bundled(small_exports(made_exports, tmp_path / "less", ["tflite-dynamic"]), serve=False)
    result = deploy(board, less)
    assert result.fault is None
    assert "install" not in {step.name for step in result.steps}
    assert (board.store.link / "venv").resolve().parent == installed
    assert sorted(installed.iterdir()) == there


def test_an_environment_that_lacks_something_is_not_taken(tmp_path: Path) -> None:
    record = BundleRecord(
        schema_version=1,
        edgemnist="1",
        package="wheels/x.whl",
        extras=["tflite"],
        constraints=["numpy==2"],
        machine="any",
        pythons=[],
        artifacts=[],
        labels=[],
        files=[BundledFile("wheels/x.whl", 1, "0" * 64)],
    )
    store = Store(tmp_path)
    store.create()
    there = store.venvs / "there"
    there.mkdir()
    record_tree(there)
    other = {"package": "1" * 64}, {"python": [3, 9, "armv7l"]}, {"extras": ["onnx"]}, {"constraints": ["numpy==1"]}
    for change in other:
        (there / COMPLETE_FILE).write_text(json.dumps({**needs(record), **change}))
        assert find_venv(store, record) is None, change
    for text in ("", "[]", "{}", "nonsense"):
        (there / COMPLETE_FILE).write_text(text)
        assert find_venv(store, record) is None, text
    more = {"extras": ["serve", "tflite"], "constraints": ["numpy==2", "starlette==1"]}
    (there / COMPLETE_FILE).write_text(json.dumps({**needs(record), **more}))
    assert find_venv(store, record) == "there"


def test_rollback_goes_to_the_release_before_and_deploying_comes_back(
    board: LoopbackBoard, old_bundle: LocalBundle, new_bundle: LocalBundle, old: str, new: str
) -> None:
    assert deploy(board, new_bundle).previous == f"1-{old}"
    assert rollback_on(board.target, None, 10.0).release == f"1-{old}"
    assert board.serves() == old
    with pytest.raises(DeployError, match="no older release"):
        rollback_on(board.target, None, 10.0)
    assert rollback_on(board.target, f"2-{new}", 10.0).previous == f"1-{old}"
    # The old bundle, deployed again, is the newest; what served before it is what rollback goes to.
    assert deploy(board, old_bundle).release == f"3-{old}"
    assert rollback_on(board.target, None, 10.0).release == f"2-{new}"
    with pytest.raises(DeployError, match="no release 9-"):
        rollback_on(board.target, "9-000000000000", 10.0)


def test_releases_tells_what_serves_and_what_is_damaged(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str, new: str
) -> None:
    deploy(board, new_bundle)
    rows = releases_on(board.target).releases
    assert [(row.release, row.current, row.problems) for row in rows] == [
        (f"1-{old}", False, []),
        (f"2-{new}", True, []),
    ]
    damaged = board.store.releases_directory / f"1-{old}" / "exports" / "tflite-int8.tflite"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert "tflite-int8.tflite is damaged" in releases_on(board.target).releases[0].problems[0]
    # A damaged release is no way back.
    with pytest.raises(DeployError, match="no older release"):
        rollback_on(board.target, None, 10.0)


def test_a_root_that_others_can_write_to_is_told_and_not_refused(board: LoopbackBoard, new_bundle: LocalBundle) -> None:
    board.root.chmod(0o777)
    result = deploy(board, new_bundle)
    assert (result.status, [one.value for one in result.findings if one.name == "owner"]) == (
        "deployed",
        ["not this user alone"],
    )
    page = " ".join(drawn(releases_page(releases_on(board.target), "board")).split())
    assert "notice: Other users of the board can change what serves there. Run there: chmod go-w" in page
    board.root.chmod(0o755)
    assert "notice" not in drawn(releases_page(releases_on(board.target), "board"))


def test_a_release_that_was_damaged_is_deployed_anew(board: LoopbackBoard, old_bundle: LocalBundle, old: str) -> None:
    (board.store.link / "exports" / "golden.npz").unlink()
    result = deploy(board, old_bundle)
    assert (result.status, result.release) == ("deployed", f"2-{old}")
    assert board.serves() == old


def test_the_commands_of_the_doctor_repair_a_board(
    board: LoopbackBoard, new_board: Callable[[str], LoopbackBoard]
) -> None:
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


def test_only_the_last_releases_are_kept_and_never_without_the_one_that_serves(
    board: LoopbackBoard, old_bundle: LocalBundle, new_bundle: LocalBundle, old: str, new: str
) -> None:
    two = DeployConfig(keep=2)
    deploy(board, new_bundle, two)
    (board.store.releases_directory / f"1-{old}" / "exports" / "golden.npz").unlink()
    result = deploy(board, old_bundle, two)
    assert result.removed == [f"1-{old}"]
    assert [release.name for release in board.store.releases()] == [f"2-{new}", f"3-{old}"]


def test_the_latency_limit_keeps_a_slow_release_from_serving(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    result = deploy(board, new_bundle, DeployConfig(limits=SelfTestLimits(max_p99_us=0.01)))
    assert result.fault is not None
    assert "p99 latency is" in result.fault.message
    assert result.fault.exit_code == 1
    assert board.serves() == old


def test_the_memory_limit_keeps_a_big_release_from_serving(
    board: LoopbackBoard, new_bundle: LocalBundle, old: str
) -> None:
    result = deploy(board, new_bundle, DeployConfig(limits=SelfTestLimits(max_rss_mb=1)))
    assert result.fault is not None
    assert "peak memory is" in result.fault.message
    assert board.serves() == old


def test_the_commands_answer_with_one_json_document(
    new_board: Callable[[str], LoopbackBoard], new_bundle: LocalBundle, old_bundle: LocalBundle, tmp_path: Path
) -> None:
    board = new_board("board")
    settings = {"EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)}

    def ask(*arguments: str | Path) -> dict[str, object]:
        done = run_edgemnist(*arguments, "--json", cwd=tmp_path, env=settings)
        assert done.returncode == 0, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    for bundle in (old_bundle, new_bundle):
        assert ask("deploy", bundle.path, "--to", "board")["passed"] is True
    assert ask("verify", "--on", "board")["passed"] is True
    options = ("--samples", "20", "--seconds", "0.01", "--rounds", "1")
    benched = ask("bench", "tflite-int8", "--on", "board", "--on", "board2", *options)
    boards = msgspec.convert(benched, FleetBenchResult).boards
    assert [one.host for one in boards] == ["board", "board2"]
    throttled = msgspec.structs.replace(boards[1], throttled=["under-voltage"])
    page = drawn(fleet_bench_page(FleetBenchResult(boards=[boards[0], throttled])))
    assert re.search(r"board +board2 *\n", page), "one table, side by side"
    assert re.search(r"tflite-int8 +p50( +[0-9.]+ [µm]s){2} *\n", page)
    assert "board2: under-voltage during the measurement" in page
    played = ask("scenario", "duty-cycle", "tflite-int8", "--rate", "100", "--on", "board", *options)
    assert played["boards"][0]["result"]["rate"] == 100  # type: ignore[index]  # plain JSON
    predicted = ask("predict", "--on", "board", "--index", "0", "--artifact", "tflite-int8")
    assert predicted["artifact"] == "tflite-int8"
    assert ask("doctor", "--on", "board")["healthy"] is True
    assert len(ask("releases", "--to", "board")["releases"]) == 2  # type: ignore[arg-type]  # plain JSON
    assert ask("rollback", "--to", "board")["previous"] is not None


def test_gate_and_junit_of_a_verification_on_the_board_are_files_of_this_machine(
    board: LoopbackBoard, tmp_path: Path
) -> None:
    (tmp_path / "gate.toml").write_text("[tflite-int8]\nmax_abs_diff = 0.0\n")
    settings = {"EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)}
    options = ("--on", "board", "--gate", "gate.toml", "--junit", "report.xml")
    done = run_edgemnist("verify", *options, cwd=tmp_path, env=settings)
    assert done.returncode == 1, done.stderr
    assert "<failure" in (tmp_path / "report.xml").read_text()


@pytest.mark.parametrize(
    "words", [("verify", "--sheet", "flips.png"), ("bench", "--max-slowdown", "2"), ("predict", "--exports", ".")]
)
def test_an_option_that_means_nothing_on_a_board_is_not_dropped_in_silence(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = run_edgemnist(*words, "--on", "board", cwd=tmp_path)
    assert done.returncode == 2
    assert words[1] in done.stderr


def test_a_picture_is_read_on_the_board(board: LoopbackBoard, tmp_path: Path) -> None:
    from edgemnist.exports.golden import read_golden
    from edgemnist.exports.manifest import read_manifest

    exports = board.store.link / "exports"
    golden = read_golden(exports, read_manifest(exports))
    picture = tmp_path / "my digit.png"
    Image.fromarray(golden.images[0]).save(picture)
    result = predict_on(board.target, [picture], [])
    assert result.predictions[0].source == str(picture)
    assert result.predictions[0].digit == golden.probabilities[0].argmax()


def test_a_picture_that_cannot_be_read_there_is_told_by_its_name_here(board: LoopbackBoard, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    with pytest.raises(DeployError) as caught:
        predict_on(board.target, [bad], [])
    assert caught.value.message.startswith(f"board: {bad} ")


def test_one_bad_picture_does_not_stop_the_others_on_the_board(board: LoopbackBoard, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "blank.png").write_bytes(png(Image.new("L", (50, 50), 255)))
    (tmp_path / "7.png").write_bytes(png(seven()))
    settings = {"EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)}
    done = run_edgemnist(
        "predict", "bad.png", "missing.png", "more", "7.png", "--on", "board", "--json", cwd=tmp_path, env=settings
    )
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert [(one["source"], one["digit"]) for one in document["predictions"]] == [("7.png", 7)]
    # What stands in a directory was not named: it is told, and changes nothing.
    assert [why.split()[0] for why in document["unread"]] == ["missing.png", "bad.png"]
    assert "more/blank.png" in done.stderr


def break_runtime(board: LoopbackBoard) -> None:
    """Give the release that serves an environment like its own, in which the runtime does not load."""
    release = board.store.link.resolve()
    real, broken = (release / "venv").resolve(), board.root / "broken"
    packages = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    runtime = broken / packages / "ai_edge_litert"
    runtime.mkdir(parents=True)
    shutil.copytree(real / "bin", broken / "bin", symlinks=True)
    shutil.copy(real / "pyvenv.cfg", broken)
    for entry in (real / packages).iterdir():
        if entry.name != runtime.name:
            (broken / packages / entry.name).symlink_to(entry)
    (runtime / "__init__.py").touch()
    (runtime / "interpreter.py").write_text("raise ImportError('libatomic.so.1: cannot open shared object file')\n")
    (release / "venv").unlink()
    (release / "venv").symlink_to(broken)


def test_a_command_that_crashes_on_the_board_is_no_missed_gate(board: LoopbackBoard, tmp_path: Path) -> None:
    break_runtime(board)
    settings = {"EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)}
    for words in (("verify",), ("predict", "--index", "0")):
        done = run_edgemnist(*words, "--on", "board", cwd=tmp_path, env=settings)
        assert done.returncode == 2, done.stderr
        assert "libatomic.so.1" in done.stderr
        assert "edgemnist doctor --on board" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", [("bench",), ("scenario", "duty-cycle", "--rate", "100")])
def test_what_one_board_measured_is_not_lost_where_another_is_away(
    asked: tuple[str, ...], board: LoopbackBoard, tmp_path: Path
) -> None:
    settings = {"EDGEMNIST_ROOT": str(board.root), "EDGEMNIST_SSH_CONFIG": str(board.ssh_config)}
    options = ("--samples", "20", "--seconds", "0.01", "--rounds", "1", "--save", "both.json")
    done = run_edgemnist(
        *asked[:2], "tflite-int8", *asked[2:], "--on", "board", "--on", "board:1", *options, cwd=tmp_path, env=settings
    )
    assert done.returncode == 2, done.stderr
    assert "tflite-int8" in done.stdout
    assert "board:1 refuses connections" in done.stdout
    boards = json.loads((tmp_path / "both.json").read_text())["boards"]
    assert [(one["host"], one["result"] is None, one["fault"] is None) for one in boards] == [
        ("board", False, True),
        ("board:1", True, False),
    ]


def test_an_unknown_host_key_is_never_accepted(
    board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, old: str
) -> None:
    known = board.ssh_config.with_suffix(".known")
    known.write_text("")
    # Whatever the user's own configuration says.
    board.ssh_config.write_text(board.ssh_config.read_text() + "  StrictHostKeyChecking no\n")
    result = deploy(board, new_bundle)
    assert result.fault is not None
    assert "host key that is not known" in result.fault.message
    assert known.read_text() == ""
    assert board.serves() == old
    sshd.client_config(board.ssh_config)
    the_next_try_succeeds(board, new_bundle)


def test_a_changed_host_key_is_refused(
    board: LoopbackBoard, sshd: Sshd, new_bundle: LocalBundle, old: str, tmp_path: Path
) -> None:
    sshd.client_config(board.ssh_config, host_key=make_key(tmp_path / "another"))
    result = deploy(board, new_bundle, DeployConfig(retries=3))
    assert result.fault is not None
    assert "a host key other than" in result.fault.message
    assert result.attempts == 1
    assert board.serves() == old
    sshd.client_config(board.ssh_config)
    the_next_try_succeeds(board, new_bundle)


def test_a_key_that_is_not_let_in_is_told(board: LoopbackBoard, new_bundle: LocalBundle, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    text = board.ssh_config.read_text()
    board.ssh_config.write_text("\n".join(
        f"  IdentityFile {stranger}" if "IdentityFile" in line else line for line in text.splitlines()
    ))  # fmt: skip
    result = deploy(board, new_bundle)
    assert result.fault is not None
    assert "does not let you in" in result.fault.message
    assert "ssh-copy-id" in result.fault.hint


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
    from edgemnist.deploy.transport import parse_host

    with pytest.raises(UsageError):
        parse_host(name)


def test_hosts_are_read_as_ssh_writes_them() -> None:
    from edgemnist.deploy.transport import parse_host

    assert parse_host("pi@[fe80::1%eth0]:2222").destination == "pi@fe80::1%eth0"
    assert parse_host("pi.local:22").port == 22
    assert parse_host("kitchen").port is None
