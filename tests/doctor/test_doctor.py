"""The doctor finds what is wrong, says what it means and how to fix it, and is never brought down by it."""

import ast
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgemnist.board.agent.facts import MODULES, BoardFacts, Probe, collect_facts, probe, probe_all, throttle_names
from edgemnist.fleet.deploy.target import BoardAddress, make_agent
from edgemnist.fleet.doctor.artifacts import examine_artifacts
from edgemnist.fleet.doctor.checks import TESTED, check_board, worst
from edgemnist.ground.results.boards import Check, Level
from tests.conftest import REPOSITORY, run_edgemnist
from tests.deploy.bundles import small_exports

PI5 = BoardFacts(
    board="Raspberry Pi 5 Model B Rev 1.0",
    os="Debian GNU/Linux 12 (bookworm)",
    kernel_machine="aarch64",
    bits=64,
    cpu="Cortex-A76",
    cores=4,
    flags=["asimd", "asimddp"],
    caches={"L1d": "64K"},
    memory_bytes=8_000_000_000,
    memory_free_bytes=7_000_000_000,
    libc="glibc 2.36",
    python="3.11.2",
    python_path="/usr/bin/python3",
    has_venv=True,
    disk_free_bytes=20_000_000_000,
    writable=True,
    governor="ondemand",
    temperature_c=48.3,
    throttled=0,
    clock=1_790_000_000.0,
    clock_synchronized=True,
)


def finding(name: str, **changes: Any) -> Check:
    found = check_board(dataclasses.replace(PI5, **changes), [])
    return next(one for one in found if one.name == name)


def test_a_board_that_is_well_has_one_runtime_or_tells_nothing_is_no_reason_to_fail(tmp_path: Path) -> None:
    lite, no_lite = Probe("ai-edge-litert", "loaded", "2.3.0", ""), Probe("ai-edge-litert", "missing", None, "")
    none = Probe("onnxruntime", "missing", None, "")
    facts = collect_facts(tmp_path, tmp_path / "proc", tmp_path / "sys")
    assert (facts.cpu, facts.memory_bytes, facts.temperature_c) == (None, None, None)
    for board, probes in ((PI5, []), (PI5, [lite, none]), (facts, [])):
        assert worst(check_board(board, probes)) is Level.OK
    assert worst(check_board(PI5, [no_lite, none])) is Level.WARNING


@pytest.mark.parametrize(
    ("name", "changes", "level", "said"),
    [
        ("cpu", {"flags": ["fphp"]}, Level.FAILURE, "Raspberry Pi 3"),
        ("python", {"python": "3.9.2"}, Level.FAILURE, "Bookworm"),
        ("python", {"has_venv": False}, Level.FAILURE, "apt install python3-venv"),
        ("disk", {"writable": False}, Level.FAILURE, "remount,rw"),
        ("disk", {"disk_free_bytes": 100_000_000}, Level.WARNING, "apt clean"),
        ("memory", {"memory_free_bytes": 40_000_000}, Level.WARNING, "rss"),
        ("temperature", {"temperature_c": 84.0}, Level.WARNING, "fan"),
        ("power", {"throttled": 0x1}, Level.WARNING, "power supply"),
        ("power", {"throttled": 0x50000}, Level.WARNING, "power supply"),
        ("clock", {"clock": 1000.0}, Level.WARNING, "set-ntp"),
    ],
)
def test_what_is_wrong_comes_with_what_mends_it(name: str, changes: dict[str, Any], level: Level, said: str) -> None:
    found = finding(name, **changes)
    assert found.level is level
    assert said in found.fix
    assert found.meaning


def test_throttling_tells_now_from_before() -> None:
    assert throttle_names(0x5) == ["under-voltage", "throttled"]
    assert finding("power", throttled=0x50005).value == "under-voltage, throttled now"
    assert finding("power", throttled=0x50000).value == "under-voltage, throttled since boot"
    assert finding("power", throttled=None).value == "unknown"


def test_facts_are_read_from_a_raspberry_pi_as_the_kernel_tells_them(tmp_path: Path) -> None:
    files = {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
        "proc/meminfo": "MemTotal:        3884316 kB\nMemAvailable:    3000000 kB\n",
        "sys/class/thermal/thermal_zone0/temp": "51608\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cache/index0/level": "1\n",
        "sys/devices/system/cpu/cpu0/cache/index0/type": "Data\n",
        "sys/devices/system/cpu/cpu0/cache/index0/size": "32K\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    facts = collect_facts(tmp_path / "not" / "there", tmp_path / "proc", tmp_path / "sys")
    assert facts.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts.cpu == "Cortex-A72"
    assert facts.flags == ["asimd"]
    assert facts.memory_bytes == 3884316 * 1024
    assert facts.temperature_c == pytest.approx(51.608)
    assert facts.governor == "ondemand"
    assert facts.caches == {"L1d": "32K"}
    assert facts.throttled == 0x50005
    assert facts.writable


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o757])
def test_a_directory_that_others_can_write_to_is_told_with_what_closes_it(mode: int, tmp_path: Path) -> None:
    root = tmp_path / "a b"
    root.mkdir(mode=0o755)
    assert collect_facts(root).exposed is None
    root.chmod(mode)
    (finding,) = (one for one in check_board(collect_facts(root), []) if one.name == "owner")
    assert finding.level is Level.WARNING
    assert finding.fix == f"chmod go-w '{root}'"


def crashing(directory: Path, name: str, code: str) -> Path:
    """Make a Python in which a package of this name ends badly when it is imported."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    site = next(directory.glob("lib/python3.*/site-packages"))
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    return directory / "bin" / "python"


@pytest.mark.parametrize(
    ("code", "state", "detail", "meaning"),
    [
        ("import os; os.kill(os.getpid(), 4)", "crashed", "SIGILL", "newer processor"),
        ("import os; os.kill(os.getpid(), 11)", "crashed", "SIGSEGV", "crashes"),
        ("raise ImportError('libgomp.so.1: cannot open')", "failed", "ImportError: libgomp.so.1: cannot open", "load"),
        ("", "loaded", "", ""),
    ],
)
def test_an_import_that_ends_badly_is_a_line_with_a_version_that_works(
    code: str, state: str, detail: str, meaning: str, tmp_path: Path
) -> None:
    python = crashing(tmp_path / "venv", "onnxruntime", code)
    found = probe(python, "onnxruntime", "onnxruntime")
    assert (found.state, found.version, found.detail) == (state, "9.9", detail)
    line = next(one for one in check_board(PI5, [found]) if one.name == "onnxruntime")
    assert meaning in line.meaning
    if state != "loaded":
        assert line.level is Level.FAILURE
        assert f"onnxruntime=={TESTED['onnxruntime']}" in line.fix


@pytest.mark.all
def test_what_is_installed_here_loads() -> None:
    assert {one.package: one.state for one in probe_all(Path(sys.executable))} == dict.fromkeys(MODULES, "loaded")


def test_the_versions_that_are_recommended_are_those_that_were_tested() -> None:
    pins = dict(line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines())
    assert {name: pins[name] for name in TESTED} == TESTED


@pytest.mark.all
def test_artifacts_answer_as_where_they_were_exported(made_exports: Path) -> None:
    findings = examine_artifacts(made_exports)
    assert len(findings) >= 2
    assert {one.level for one in findings} == {Level.OK}


@pytest.mark.all
def test_a_damaged_artifact_is_found(exports: Path) -> None:
    file = exports / "tflite-int8.tflite"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = {one.name: one for one in examine_artifacts(exports)}
    assert found["tflite-int8"].level is Level.FAILURE
    done = run_edgemnist("doctor", "--exports", exports, "--json", cwd=exports.parent)
    assert done.returncode == 1
    assert json.loads(done.stdout)["healthy"] is False


def test_a_runtime_that_crashes_hides_no_other_runtimes_artifacts(made_exports: Path, tmp_path: Path) -> None:
    small_exports(made_exports, tmp_path / "exports", ["onnx-int8", "tflite-int8"])
    (tmp_path / "lent").mkdir()
    (tmp_path / "lent" / "onnxruntime.py").write_text("import os; os.kill(os.getpid(), 4)")
    lent = os.pathsep.join([str(tmp_path / "lent"), os.environ.get("PYTHONPATH", "")])
    done = run_edgemnist("doctor", "--json", cwd=tmp_path, env={"PYTHONPATH": lent})
    assert done.returncode == 1, done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["onnx-int8"]["level"] == "failure"
    assert found["onnx-int8"]["value"] == "crashed: SIGILL"
    assert f'pip install "onnxruntime=={TESTED["onnxruntime"]}"' in found["onnx-int8"]["mend"]
    assert found["tflite-int8"]["level"] == "ok"


def test_packages_of_a_board_are_mended_where_they_are() -> None:
    target = BoardAddress.of("pi@kitchen:2222", root="/srv/my boards")
    crashed = Probe("onnxruntime", "crashed", "9.9", "SIGILL")
    (line,) = (one for one in check_board(PI5, [crashed], target.repair(installed=True)) if one.name == "onnxruntime")
    assert line.fix.endswith(
        f"""'/srv/my boards/current/venv/bin/pip' install "onnxruntime=={TESTED["onnxruntime"]}\""""
    )
    missing = Probe("numpy", "missing", None, "")
    (line,) = (one for one in check_board(PI5, [missing], target.repair(installed=False)) if one.name == "numpy")
    assert line.fix == "edgemnist deploy BUNDLE --to pi@kitchen:2222 --root '/srv/my boards'"
    assert str(BoardAddress.of("pi").repair(installed=True).pip) == "~/.local/share/edgemnist/current/venv/bin/pip"


@pytest.mark.all
def test_the_command_tells_on_one_page(exports: Path) -> None:
    done = run_edgemnist("doctor", cwd=exports.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this machine is fit" in done.stdout
    document = json.loads(run_edgemnist("doctor", "--json", cwd=exports.parent).stdout)
    assert document["healthy"] is True
    assert {"name", "level", "value", "meaning", "mend"} <= document["findings"][0].keys()
    assert document["facts"]["cores"] >= 1


AGENT = [REPOSITORY / "edgemnist" / "errors.py", *sorted((REPOSITORY / "edgemnist" / "board" / "agent").glob("*.py"))]


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.name)
def test_what_runs_on_a_board_is_written_for_its_python(path: Path) -> None:
    """What it imports is for import-linter, and for the test without site-packages below."""
    ast.parse(path.read_text(), feature_version=(3, 9))


def old_pythons() -> list[str]:
    """Return this Python, and the oldest that a board may have, if there is one."""
    found = shutil.which("python3.9")
    places = (
        [found] if found else [str(path) for path in Path("~/.pyenv/versions").expanduser().glob("3.9.*/bin/python")]
    )
    works = [one for one in places if subprocess.run([one, "-V"], check=False, capture_output=True).returncode == 0]
    return [sys.executable, *works[:1]]


@pytest.mark.parametrize("python", old_pythons())
def test_the_part_for_the_board_needs_nothing_but_python(python: str, tmp_path: Path) -> None:
    """Also on a board where nothing is installed: without site-packages, and with the oldest Python."""
    program = tmp_path / "board.pyz"
    program.write_bytes(make_agent())
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("releases", {}, '"releases": []'),
        ("doctor", {"imports": False}, '"cores"'),
        ("prepare", {"identity": "", "sha256": "0" * 64, "bytes": 1}, '"offset": 0'),
        ("rollback", {"release": None, "wait_s": 1.0}, "no older release"),
    ]
    for command, request, said in asked:
        words: list[str | Path] = [python, "-I", "-S", program, command, tmp_path / "root"]
        done = subprocess.run(words, input=json.dumps(request), check=False, capture_output=True, text=True)
        assert said in done.stdout, done.stdout + done.stderr
        assert done.stderr == ""
