"""The command line keeps its manners: help, exit codes, streams, and a start without anything heavy."""

import errno
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edgemnist.app import COMMANDS, app
from edgemnist.ground.results.boards import Fault
from edgemnist.model.exports import reference_directory
from tests.command import OWN_PROCESS
from tests.conftest import REPOSITORY, Run, run_edgemnist
from tests.patience import PATIENCE_S, comes_true
from tests.serve.service import seven
from tests.sweeping import swept

PACKAGE = REPOSITORY / "edgemnist"
HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "matplotlib", "numpy", "PIL", "mlxtend")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, edgemnist.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


LEAVES = [name for name in COMMANDS if name != "release"] + ["release list", "release rollback"]


def help_of(*words: str) -> str:
    """Return a help text as it is printed on 100 columns."""
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, [*words, "--help"])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_has_help_with_an_example_and_json(command: str) -> None:
    text = help_of(*command.split())
    assert f"Example: edgemnist {command}" in text
    assert "--json" in text
    assert not any(rare in text for rare in ("Advanced", "--root"))
    about = text.partition("Usage:")[2].partition("╭")[0].splitlines()
    for line, following in pairwise(about):
        # A paragraph fills its lines, 98 columns within the margins.
        assert not line.strip() or not following.strip() or len(line.rstrip() + following.split()[0]) >= 98, line


def test_the_list_has_each_command_in_its_panel_and_says_how_its_help_begins() -> None:
    text, group = help_of(), typer.main.get_group(app)
    context = typer.Context(group)
    listed = {words[1]: words[2:5] for line in text.splitlines() if len(words := line.split()) > 4}
    shown = [name for name, (panel, _) in COMMANDS.items() if panel]
    assert len(shown) <= 20
    places = [text.index(f"│ {name} ") for name in shown]
    assert places == sorted(places)
    for name, (panel, place) in COMMANDS.items():
        command = group.get_command(context, name)
        assert command is not None
        assert command.hidden == (not panel) == (name not in listed)
        assert not panel or (f"─ {panel} " in text and listed[name] == str(command.help).split()[:3])
        folder = PACKAGE / place.replace(".", "/")
        assert (folder / "cli.py").exists() != folder.with_suffix(".py").exists(), name


def test_words_are_completed(tmp_path: Path) -> None:
    asked = {"_EDGEMNIST_COMPLETE": "complete_bash", "COMP_WORDS": "edgemnist ve", "COMP_CWORD": "1"}
    assert run_edgemnist(cwd=tmp_path, env=asked).stdout.split() == ["verify"]


def test_debug_adds_the_traceback_and_keeps_the_exit_code(edgemnist: Run) -> None:
    done = edgemnist("--debug", "verify", "--exports", "missing")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_missing_runtime_is_exit_3_with_the_pip_line(exports: Path, tmp_path: Path) -> None:
    hide = tmp_path / "hide"
    hide.mkdir()
    # find_spec sees a package as missing where a finder says so first.
    (hide / "sitecustomize.py").write_text(
        "import sys, importlib.util\n"
        "real = importlib.util.find_spec\n"
        "gone = ('onnxruntime',)\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in gone else real(name, *rest)\n"
    )
    done = run_edgemnist(
        "predict", "--index", "0", "--artifact", "onnx-float32", cwd=exports.parent, env={"PYTHONPATH": str(hide)}
    )
    assert done.returncode == 3
    assert 'pip install "edgemnist[onnx]"' in done.stderr


@pytest.mark.all
def test_json_puts_one_document_on_stdout_whatever_the_libraries_say(exports: Path) -> None:
    done = run_edgemnist("export", "--format", "tflite", "--json", "--offline", cwd=exports.parent)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [artifact["name"] for artifact in document["artifacts"]] == ["tflite-int8"]
    for chatter in ("WARNING", "I0000", "W0000", "E0000", "oneDNN", "cuda"):
        assert chatter not in done.stderr


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "emptied": lambda _: b"",
    "flipped": lambda data: data[:500] + bytes([data[500] ^ 0xFF]) + data[501:],
}
DAMAGED = list(product(("model.keras", "tflite-int8.tflite", "golden.npz", "manifest.json"), (*DAMAGE, "missing")))


@pytest.mark.parametrize("damaged", swept(DAMAGED, kept=DAMAGED[4::5]), ids="-".join)
def test_a_damaged_file_is_told_by_its_name_and_exit_2(damaged: tuple[str, str], exports: Path) -> None:
    name, damage = damaged
    if damage == "missing":
        (exports / name).unlink()
    else:
        (exports / name).write_bytes(DAMAGE[damage]((exports / name).read_bytes()))
    command = ["export", "--offline"] if name == "model.keras" else ["verify", "tflite-int8"]
    done = run_edgemnist(*command, cwd=exports.parent)
    assert done.returncode == 2, done.stdout + done.stderr
    assert name in done.stderr or "manifest" in done.stderr or "golden pack" in done.stderr
    assert "Traceback" not in done.stderr


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
INTERRUPTED = list(
    product(
        ("edgemnist.model.runtimes", "edgemnist.app", "edgemnist.digits.predict.run", "numpy"),
        ("module", "script"),
        SIGNALS,
    )
)


@pytest.mark.parametrize("interrupted", swept(INTERRUPTED, kept=INTERRUPTED[::5]), ids="-".join)
def test_a_signal_during_imports_is_exit_130_and_no_traceback(
    interrupted: tuple[str, str, str], tmp_path: Path
) -> None:
    module, program, number = interrupted
    # A finder that finds nothing, and is interrupted where the module is looked for.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == {module!r}:\n"
        f"            os.kill(os.getpid(), signal.{number})\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    )
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        source, function = tomllib.load(file)["project"]["scripts"]["edgemnist"].split(":")
    script = f"import sys; from {source} import {function}; sys.exit({function}())"
    done = subprocess.run(
        [sys.executable, *(["-m", "edgemnist"] if program == "module" else ["-c", script]), "predict", "--index", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def is_alive(pid: str) -> bool:
    """Return whether a process has not ended, whoever has yet to hear of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


STOPPED = {
    "bench": (["bench", "--seconds", "30"], b"Measuring"),
    "train": (["train", "--offline", "--epochs", "2000"], b"loss"),
}
STOPS = [(name, number) for name in STOPPED for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize("stop", swept(STOPS, kept=STOPS[:3]), ids=lambda stop: f"{stop[0]}-{stop[1].name}")
def test_a_signal_is_exit_130_and_leaves_the_artifacts_and_nothing_else(
    stop: tuple[str, signal.Signals], exports: Path, tmp_path: Path
) -> None:
    (command, sign), number = STOPPED[stop[0]], stop[1]
    finished = ("tflite-int8.tflite", "model.keras", "training.json", "manifest.json")
    before = {name: (exports / name).read_bytes() for name in finished}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    reader, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgemnist", *command],
        cwd=exports.parent,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    seen = b""
    try:
        while sign not in seen:
            seen += os.read(reader, 1000)
        started = children(process.pid)
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 130
    finally:
        process.kill()
    while chunk := read_or_nothing(reader):
        seen += chunk
    assert b"Traceback" not in seen
    assert b"interrupted" in seen
    # They were killed, and end when they next get the processor.
    assert comes_true(lambda: not any(is_alive(one) for one in started))
    # ONNX Runtime leaves a file of its own, which it finds again.
    assert {one.name for one in temporary.iterdir()} <= {".ses"}
    assert {name: (exports / name).read_bytes() for name in finished} == before


def read_or_nothing(reader: int) -> bytes:
    """Read from a pseudo-terminal, whose other end closes with an error on Linux."""
    try:
        return os.read(reader, 1000)
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        # Its reader has ended before anything is written.
        ("exec 3> >(true); wait $!; {} >&3", "The result cannot be written to stdout: Broken pipe."),
        ("{} > /dev/full", "The result cannot be written to stdout: No space left on device."),
        ("{} >&-", "The result has nowhere to go: stdout is closed."),
    ],
    ids=["a pipe that closes early", "a full disk", "closed"],
)
@pytest.mark.parametrize("words", ["verify --show-gate", "bench --help"])
def test_what_cannot_be_written_is_told_as_no_missed_gate(words: str, command: str, said: str, tmp_path: Path) -> None:
    line = command.format(f"{sys.executable} -m edgemnist {words}")
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stderr.splitlines()[0] == f"error: {said}"
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full", "2>&- <&-"])
@pytest.mark.parametrize(("words", "code"), [("--index 0", 0), ("nothing.png", 2), ("-", 2)])
def test_without_stderr_or_stdin_all_is_the_same(words: str, code: int, closing: str, tmp_path: Path) -> None:
    line = f"{sys.executable} -m edgemnist predict {words} {closing}{' <&-' * (words == '-')}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.startswith("evaluation image 0: ")) == (code, code == 0)


def test_a_terminal_obeys_nothing_in_the_name_of_a_file(edgemnist: Run, tmp_path: Path) -> None:
    name = "seven\x1b[2J\x9b31m.png"
    seven().save(tmp_path / name)
    for done in (edgemnist("predict", name), edgemnist("predict", f"no-{name}")):
        written = done.stdout + done.stderr
        assert "seven\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}31m.png" in written
        assert not {"\x1b", "\x9b"} & set(written)


def test_a_result_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgemnist", "predict", "--index", "0", "--index", "1", "--show", "--json"]
    whole = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    # The system takes a part of a write that reaches the limit, as it does on a disk that is nearly full.
    line = f"trap '' XFSZ; ulimit -f 8; {' '.join(command)} > result.json"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (tmp_path / "result.json").stat().st_size == 8192 < len(whole)
    assert done.returncode == 2
    assert "error: The result cannot be written to stdout: File too large." in done.stderr


OUTPUTS = (
    "verify tflite-int8 --junit",
    "report --output",
    "report --markdown --output",
    "bench tflite-int8 --seconds 0 --save",
    "bundle tflite-int8 --output",
    "read form.jpg --csv",
)


@pytest.mark.parametrize("command", swept(OUTPUTS, kept=OUTPUTS[:1]))
def test_an_output_replaces_an_earlier_output_whatever_its_name(command: str, edgemnist: Run, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "docs" / "images" / "form.jpg", tmp_path)
    shutil.copytree(reference_directory(), tmp_path / "exports")
    for _ in range(2):
        done = edgemnist(*command.split(), "out.data")
        assert done.returncode == 0, done.stderr
    assert all(file.stat().st_size > 0 for file in tmp_path.glob("out*.data"))
    assert list(tmp_path.glob("out*.data"))


@pytest.mark.all
def test_an_output_may_be_an_empty_file_or_a_pipe(old_exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    # As `mktemp` makes it.
    empty = tmp_path / "empty.html"
    empty.touch()
    assert edgemnist("report", "--exports", old_exports, "--output", empty).returncode == 0
    # A process of its own, whose stdout is a pipe: here it is a file, which is written from its start again.
    words: list[str | Path] = ["verify", "tflite-int8", "--exports", old_exports, "--junit", "/dev/stdout", "--json"]
    done = subprocess.run([*OWN_PROCESS, *words], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("<?xml")
    assert Path("/dev/stdout").is_symlink()


def test_a_report_replaces_no_file_of_an_export_directory(old_exports: Path, edgemnist: Run) -> None:
    for code in (0, 2):
        assert edgemnist("report", "--exports", old_exports, "--output", old_exports / "digit.html").returncode == code


def test_predict_imports_few_modules(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv[1:] = ['predict', '--index', '0']\n"
        "try: runpy.run_module('edgemnist', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sum(name.partition('.')[0] == 'edgemnist' for name in sys.modules),\n"
        "      '_hashlib' in sys.modules, 'importlib.metadata' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    modules, openssl, versions = done.stdout.split()[-3:]
    assert int(modules) <= 54
    # A tenth of the time, however many runtimes are installed.
    assert versions == "False"
    # A tenth of the memory.
    assert openssl == "False"


def test_progress_is_drawn_on_a_terminal_and_results_stay_on_stdout(exports: Path) -> None:
    reader, terminal = pty.openpty()
    command = [sys.executable, "-m", "edgemnist", "verify", "--json"]
    done = subprocess.run(command, cwd=exports.parent, stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    assert json.loads(done.stdout)["passed"]
    assert os.read(reader, 1000)


def test_data_tells_whether_a_directory_was_made_from_these_images(exports: Path, edgemnist: Run) -> None:
    assert "was trained with these images" in edgemnist("data", "--offline").stdout.replace("\n", " ")
    manifest = json.loads((exports / "manifest.json").read_text())
    assert json.loads(edgemnist("data", "--offline", "--json").stdout)["exported"] == manifest["data"]
    manifest["data"] |= {"sha256": "0" * 64, "source": "MY DIGITS"}
    (exports / "manifest.json").write_text(json.dumps(manifest))
    assert "was trained with other images: MY DIGITS" in edgemnist("data", "--offline").stdout.replace("\n", " ")


def test_what_may_be_repeated_may_be_repeated(edgemnist: Run) -> None:
    again = ["--threads", "1", "--threads=1"]
    done = edgemnist("predict", "--index", "0", "--index", "1", *again, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["predictions"]) == 2
    # What follows `--` are pictures.
    assert "does not exist" in edgemnist("predict", *again, "--", "--threads", "2").stderr


@pytest.fixture
def no_room(tmp_path: Path) -> dict[str, str]:
    """Variables for a process that finds no directory for temporary files, as in a container that is read only."""
    (tmp_path / "sitecustomize.py").write_text("import tempfile\ntempfile._candidate_tempdir_list = lambda: []\n")
    return {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "TMPDIR": "/full"}


@pytest.mark.parametrize("words", ["export --format onnx", "bench tflite-int8", "release list --to board.invalid"])
def test_no_room_ends_in_one_sentence(words: str, no_room: dict[str, str], old_exports: Path, edgemnist: Run) -> None:
    where = [] if "board" in words else ["--exports", str(old_exports)]
    done = edgemnist(*words.split(), *where, env={"EDGEMNIST_OFFLINE": "1", **no_room})
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "error: Temporary files cannot be written: " in said
    assert "Free some space in /full, or name another directory with $TMPDIR." in said
    assert "Traceback" not in said


def test_an_answer_needs_no_room_for_temporary_files(no_room: dict[str, str], edgemnist: Run) -> None:
    assert edgemnist("predict", "--index", "0", env=no_room).returncode == 0


def test_a_fleet_is_told_of_no_room_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    fault = Fault.of(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"))
    assert fault.message == "Temporary files cannot be written: No usable temporary directory found in ['/tmp']"
    assert "/tmp" in Fault.of(OSError(errno.ENOSPC, "No space left on device")).hint
    assert "Please report this." in Fault.of(OSError(errno.EIO, "Input/output error")).hint
