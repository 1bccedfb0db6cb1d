"""The command line keeps its manners: help, exit codes, streams, and a start without anything heavy."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from edgemnist.app import COMMANDS, app, folder_of
from edgemnist.deploy.run import as_fault
from edgemnist.exports import reference_directory
from tests.conftest import REPOSITORY, Run, run_edgemnist
from tests.serve.service import seven
from tests.sweeping import swept

PACKAGE = REPOSITORY / "edgemnist"
HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "matplotlib", "numpy", "PIL", "mlxtend")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, edgemnist.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(command: str, edgemnist: Run) -> None:
    done = edgemnist(command, "--help")
    assert done.returncode == 0
    assert f"Example: edgemnist {command}" in done.stdout
    assert "--json" in done.stdout
    assert done.stderr == ""
    about = done.stdout.partition("Usage:")[2].partition("╭")[0].splitlines()
    for line, following in pairwise(about):
        # A paragraph fills its lines, 98 columns within the margins.
        assert not line.strip() or not following.strip() or len(line.rstrip() + following.split()[0]) >= 98, line


def test_every_command_is_listed_in_the_order_of_the_pipeline(edgemnist: Run) -> None:
    for name in map(folder_of, COMMANDS):
        assert (PACKAGE / name / "cli.py").exists() != (PACKAGE / f"{name}.py").exists(), name
    text = edgemnist("--help").stdout
    places = [text.index(f"│ {command} ") for command in COMMANDS]
    assert places == sorted(places)


def test_the_list_says_of_each_command_how_its_help_begins_and_leaves_it_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    group.format_help(context, context.make_formatter())
    listed = {words[1]: words[2:5] for line in capsys.readouterr().out.splitlines() if len(words := line.split()) > 4}
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert listed[name] == command.help.split()[:3]
        assert "json" in {one.name for one in command.params}


def test_an_unknown_command_or_option_is_wrong_usage(edgemnist: Run) -> None:
    assert edgemnist("pedict").returncode == 2
    assert edgemnist("predict", "--artefact", "x").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--recipe", "standart"], "'standard'"),
        (["train", "--hidden", "0"], "--hidden"),
        (["train", "--epochs", "-1"], "--epochs"),
        (["train", "--epochs", "0"], "--epochs"),
        (["train", "--batch-size", "0"], "--batch-size"),
        (["export", "--format", "tflight"], "'tflite'"),
        (["export", "--ranges", "flips", "--ranges", "minmax"], "--ranges is given twice: flips and minmax."),
        (["export", "--format", "tflite", "--format", "onnx", "--quantize", "int4"], "no onnx quantization 'int4'"),
        (["bench", "--rounds=3", "--rounds", "4"], "--rounds is given twice: 3 and 4."),
        (["bundle", "-o", "a.zip", "--output", "b.zip"], "--output is given twice: a.zip and b.zip."),
        (["export", "--format", "onnx", "--quantize", "int4"], "int4"),
        (["export", "--calibration", "0"], "--calibration"),
        (["verify", "tflite-int9"], "tflite-int8"),
        (["verify", "--max-flips", "-1"], "--max-flips"),
        (["bench", "tflite-int9"], "tflite-int8"),
        (["bench", "--threads", "0"], "--threads"),
        (["bench", "--batch-size", "0"], "--batch-size"),
        (["bench", "--samples", "0"], "--samples"),
        (["bench", "--rounds", "0"], "--rounds"),
        (["predict", "--index", "5000000"], "--index"),
        (["predict", "--index", "-1"], "--index"),
        (["predict"], "--index"),
        (["predict", "--index", "0", "--artifact", "onnx-int88"], "onnx-int8"),
        (["predict", "missing.png"], "missing.png"),
        (["predict", "--index", "0", "--artifact", "missing.tflite"], "missing.tflite"),
        (["data", "--data", "missing"], "missing"),
        (["verify", "--exports", "missing"], "missing"),
        (["doctor", "--on", "a.invalid", "--on", "b.invalid"], "a.invalid, b.invalid"),
        (["verify", "--on", "a.invalid", "--on", "b.invalid"], "a.invalid, b.invalid"),
        (["predict", "--index", "0", "--on", "a.invalid", "--on", "b.invalid"], "a.invalid, b.invalid"),
        (["releases", "--to", "a.invalid", "--to", "b.invalid"], "a.invalid, b.invalid"),
        (["rollback", "--to", "a.invalid", "--to", "b.invalid"], "a.invalid, b.invalid"),
        (["rollback", "--to", "a.invalid", "--wait", "nan"], "--wait must be"),
        (["deploy", "bundle.zip", "--to", "a.invalid", "--max-p99-us", "nan"], "--max-p99-us must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_wrong_usage_ends_in_one_sentence_and_exit_2(arguments: list[str], said: str, exports: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in exports.iterdir()}
    done = run_edgemnist(*arguments, cwd=exports.parent)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in exports.iterdir()} == before


@pytest.mark.parametrize("command", ["predict", "watch", "data --data", "export --exports", "doctor --exports"])
def test_a_path_that_cannot_be_looked_at_ends_in_one_sentence_and_exit_2(command: str, edgemnist: Run) -> None:
    done = edgemnist(*command.split(), "n" * 300)
    assert done.returncode == 2
    assert "File name too long." in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


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
        "gone = ('onnxruntime', 'openvino')\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in gone else real(name, *rest)\n"
    )
    done = run_edgemnist(
        "predict", "--index", "0", "--artifact", "onnx-float32", cwd=exports.parent, env={"PYTHONPATH": str(hide)}
    )
    assert done.returncode == 3
    assert 'pip install "edgemnist[onnx]"' in done.stderr


def test_json_puts_one_document_on_stdout_whatever_the_libraries_say(exports: Path) -> None:
    done = run_edgemnist("export", "--format", "tflite", "--json", "--offline", cwd=exports.parent)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [artifact["name"] for artifact in document["artifacts"]] == ["tflite-int8"]
    for chatter in ("WARNING", "I0000", "W0000", "E0000", "oneDNN", "cuda"):
        assert chatter not in done.stderr


def test_verify_has_the_fields_that_others_build_on(exports: Path) -> None:
    done = run_edgemnist("verify", "--json", cwd=exports.parent)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"passed", "images", "reference_accuracy", "artifacts"} <= document.keys()
    assert len({one["name"].partition("@")[0] for one in document["artifacts"]}) == 8
    for artifact in document["artifacts"]:
        assert {
            "name", "runtime", "accuracy", "accuracy_drop_points", "flips", "agreement", "max_abs_diff",
            "mean_abs_diff", "passed", "reasons",
        } <= artifact.keys()  # fmt: skip


def test_a_missed_gate_is_exit_1_with_its_reason(exports: Path) -> None:
    done = run_edgemnist("verify", "tflite-int8", "--max-diff", "1e-9", cwd=exports.parent)
    assert done.returncode == 1
    assert "FAIL" in done.stdout
    assert "tflite-int8: " in done.stdout


def test_bench_has_the_fields_that_others_build_on(exports: Path) -> None:
    options = ("--no-keras", "--samples", "1000", "--seconds", "0", "--rounds", "1", "--save", "raw.json")
    done = run_edgemnist("bench", "tflite-int8", "onnx-int8", "--json", *options, cwd=exports.parent)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["host"]
    assert [result["name"] for result in document["results"]] == ["tflite-int8", "onnx-int8"]
    for result in document["results"]:
        assert {
            "name", "runtime", "threads", "batch_size", "samples", "p50_us", "p90_us", "p99_us", "mean_us", "min_us",
            "throughput_per_s", "load_ms", "cold_start_ms", "peak_rss_mb", "bytes",
        } <= result.keys()  # fmt: skip
        assert result["min_us"] <= result["p50_us"] <= result["p90_us"] <= result["p99_us"]
    saved = json.loads((exports.parent / "raw.json").read_text())
    assert len(saved["samples_us"]["tflite-int8"][0]) >= 50


def test_predict_chooses_a_verified_artifact_and_reads_evaluation_images(exports: Path) -> None:
    assert "unverified" in run_edgemnist("predict", "--index", "0", cwd=exports.parent).stderr
    assert run_edgemnist("verify", "onnx-int8", cwd=exports.parent).returncode == 0
    done = run_edgemnist("predict", "--index", "0", "--index", "7", "--json", cwd=exports.parent)
    document = json.loads(done.stdout)
    assert document["artifact"] == "onnx-int8"
    for prediction in document["predictions"]:
        assert {"source", "digit", "confidence", "probabilities"} <= prediction.keys()
        assert prediction["confidence"] == max(prediction["probabilities"])


def test_predict_takes_the_reference_where_nothing_was_exported(edgemnist: Run) -> None:
    done = edgemnist("predict", "--index", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert "reference" in done.stderr
    prediction = json.loads(done.stdout)["predictions"][0]
    assert prediction["digit"] == prediction["label"]


@pytest.mark.parametrize("name", ["model.keras", "tflite-int8.tflite", "golden.npz", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "missing"])
def test_a_damaged_file_is_told_by_its_name_and_exit_2(
    name: str, damage: str, exports: Path, break_file: Callable[[Path, str], None]
) -> None:
    break_file(exports / name, damage)
    command = ["export", "--offline"] if name == "model.keras" else ["verify", "tflite-int8"]
    done = run_edgemnist(*command, cwd=exports.parent)
    assert done.returncode == 2, done.stdout + done.stderr
    assert name in done.stderr or "manifest" in done.stderr or "golden pack" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def break_file() -> Callable[[Path, str], None]:
    def damage_file(path: Path, damage: str) -> None:
        data = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "truncated":
            path.write_bytes(data[: len(data) // 2])
        elif damage == "emptied":
            path.write_bytes(b"")
        else:
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :])

    return damage_file


def test_a_manifest_of_a_newer_version_asks_for_a_newer_edgemnist(exports: Path) -> None:
    manifest = json.loads((exports / "manifest.json").read_text())
    manifest["schema_version"] = 99
    (exports / "manifest.json").write_text(json.dumps(manifest))
    done = run_edgemnist("verify", cwd=exports.parent)
    assert done.returncode == 2
    assert "99" in done.stderr
    assert "Install a newer edgemnist with: " in done.stderr


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("module", ["edgemnist.runtimes", "edgemnist.app", "edgemnist.predict.run", "numpy"])
@pytest.mark.parametrize("program", ["module", "script"])
def test_a_signal_during_the_imports_is_exit_130_without_a_traceback(
    module: str, program: str, number: str, tmp_path: Path
) -> None:
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
    """Return the processes that a process has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


STOPPED = {
    "bench": (["bench", "--seconds", "30"], b"Measuring"),
    "train": (["train", "--offline", "--epochs", "2000"], b"loss"),
}
STOPS = [(name, number) for name in STOPPED for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize(
    "stop", swept(STOPS, kept=[*STOPS[:3], ("train", signal.SIGINT)]), ids=lambda stop: f"{stop[0]}-{stop[1].name}"
)
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
        assert process.wait(timeout=120) == 130
    finally:
        process.kill()
    while chunk := read_or_nothing(reader):
        seen += chunk
    assert b"Traceback" not in seen
    assert b"interrupted" in seen
    assert not [one for one in started if Path(f"/proc/{one}").exists()]
    assert not list(temporary.iterdir())
    assert {name: (exports / name).read_bytes() for name in finished} == before
    if command[0] == "train":
        # The finished model stays, and what was learned so far can be continued.
        assert (exports / "checkpoint.npz").exists()


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
@pytest.mark.parametrize("words", ["runtimes", "--help", "bench --help", "--version"])
def test_a_result_that_cannot_be_written_is_told_and_is_no_missed_gate(
    words: str, command: str, said: str, tmp_path: Path
) -> None:
    line = command.format(f"{sys.executable} -m edgemnist {words}")
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stderr.splitlines()[0] == f"error: {said}"
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full", "2>&- <&-"])
def test_without_stderr_the_result_and_the_exit_code_are_the_same(closing: str, tmp_path: Path) -> None:
    for words, code in (("predict --index 0", 0), ("predict nothing.png", 2)):
        line = f"{sys.executable} -m edgemnist {words} {closing}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.returncode == code
        assert done.stdout.startswith("evaluation image 0: ") == (code == 0)


def test_a_terminal_obeys_nothing_in_the_name_of_a_file(edgemnist: Run, tmp_path: Path) -> None:
    name = "seven\x1b[2J\x9b31m.png"
    seven().save(tmp_path / name)
    for done in (edgemnist("predict", name), edgemnist("predict", f"no-{name}")):
        written = done.stdout + done.stderr
        assert "seven\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}31m.png" in written
        assert not {"\x1b", "\x9b"} & set(written)


def test_standard_input_that_is_closed_is_empty(tmp_path: Path) -> None:
    line = f"{sys.executable} -m edgemnist predict - <&-"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, "error: standard input is empty." in done.stderr) == (2, True)


def test_a_result_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgemnist", "predict", "--index", "0", "--index", "1", "--show", "--json"]
    whole = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    # The system takes a part of a write that reaches the limit, as it does on a disk that is nearly full.
    line = f"trap '' XFSZ; ulimit -f 8; {' '.join(command)} > result.json"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (tmp_path / "result.json").stat().st_size == 8192 < len(whole)
    assert done.returncode == 2
    assert "error: The result cannot be written to stdout: File too large." in done.stderr


def test_a_pipe_that_must_not_be_waited_for_gets_the_whole_result(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgemnist", "runtimes", "--json"]
    whole = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Filled but for a few bytes, so that the system takes a part only.
    filled = os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) - 4096))
    with subprocess.Popen(command, cwd=tmp_path, stdout=writer) as process:
        while process.poll() is None and select.select([], [writer], [], 0)[1]:
            time.sleep(0.01)
        os.close(writer)
        with os.fdopen(reader, "rb") as end:
            assert end.read()[filled:] == whole
        assert process.wait() == 0


def test_commands_are_listed_in_groups_and_completed(tmp_path: Path) -> None:
    text = run_edgemnist("--help", cwd=tmp_path).stdout
    words = ("─ Pipeline", "│ verify ", "─ Pictures", "│ predict ", "─ Boards", "│ deploy ")
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    asked = {"_EDGEMNIST_COMPLETE": "complete_bash", "COMP_WORDS": "edgemnist ve", "COMP_CWORD": "1"}
    assert run_edgemnist(cwd=tmp_path, env=asked).stdout.split() == ["verify"]
    assert "─ Advanced" in run_edgemnist("bench", "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("command", [["verify"], ["predict", "--index", "0"], ["data", "--offline"]])
def test_a_sheet_is_a_png_and_no_other_ending_is_taken(command: list[str], edgemnist: Run, tmp_path: Path) -> None:
    done = edgemnist(*command, "--sheet", "x.jpg")
    assert done.returncode == 2
    assert "--sheet writes a PNG, and x.jpg does not end in .png." in " ".join(done.stderr.split())
    assert not (tmp_path / "x.jpg").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "tflite-int8", "--save"],
        ["compare", "tflite-int8", "tflite-int8", "--save"],
        ["scenario", "offline", "tflite-int8", "--save"],
        ["verify", "--junit"],
        ["report", "--output"],
        ["bundle", "tflite-int8", "--output"],
        ["read", "page.png", "--csv"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("file", ["model.keras", "tflite-int8.tflite", "manifest.json", "verify.json"])
def test_no_output_replaces_a_model_or_a_record(
    command: list[str], file: str, old_exports: Path, edgemnist: Run
) -> None:
    before = (old_exports / file).read_bytes()
    done = edgemnist(*command, old_exports / file, "--exports", old_exports)
    assert done.returncode == 2
    assert f"{command[-1]} would overwrite" in " ".join(done.stderr.split())
    assert (old_exports / file).read_bytes() == before


def test_no_output_replaces_what_the_command_reads(edgemnist: Run, tmp_path: Path) -> None:
    picture = tmp_path / "digits" / "7" / "seven.png"
    picture.parent.mkdir(parents=True)
    seven().save(picture)
    (tmp_path / "link.png").symlink_to(picture)
    before = picture.read_bytes()
    for command in (
        ["predict", picture, "--sheet", picture],
        ["predict", picture.parent, "--sheet", picture],
        ["predict", picture, "--sheet", "link.png"],
        ["read", picture, "--boxes", picture],
        ["read", picture, "--csv", picture],
        ["data", "--data", "digits", "--sheet", picture],
        ["health", "--samples", "digits", "--sheet", picture],
        ["bundle", "--sign", picture, "--output", picture],
    ):
        done = edgemnist(*command)
        assert done.returncode == 2, command
        assert f"{command[-2]} would overwrite {command[-1]}, which is read." in " ".join(done.stderr.split())
        assert picture.read_bytes() == before


OTHERS = {
    ".csv": b"name,town\nAda,London\n",
    ".html": b"<!doctype html>\n<title>Ada</title>\n",
    ".json": b'{"name": "ada"}\n',
    ".md": b"# Ada\n",
    ".xml": b"<?xml version='1.0'?>\n<settings/>\n",
}
"""What users have in files of the kinds that are written."""


@pytest.mark.parametrize(
    ("command", "file", "kind"),
    [
        ("predict --index 0 --exports old --sheet", "model-as.png", "a PNG"),
        ("read page.png --exports old --boxes", "model-as.png", "a PNG or JPEG"),
        ("read page.png --exports old --csv", "code.py", "a table of read digits"),
        ("read page.png --exports old --csv", "Makefile", "a table of read digits"),
        ("read page.png --exports old --csv", "addresses.csv", "a table of read digits"),
        ("verify --exports old --junit", "train-labels-idx1-ubyte", "a result in XML"),
        ("verify --exports old --junit", "settings.xml", "a result in XML"),
        ("report --exports old --output", "code.py", "a report in HTML"),
        ("report --exports old --output", "index.html", "a report in HTML"),
        ("report --exports old --markdown --output", "page.html", "a report in Markdown"),
        ("report --exports old --markdown --output", "README.md", "a report in Markdown"),
        ("bundle tflite-int8 --exports old --output", "code.py", "a bundle"),
        ("bench tflite-int8 --exports old --save", "code.py", "a result in JSON"),
        ("bench tflite-int8 --exports old --save", "package.json", "a result in JSON"),
        ("verify --exports old --junit", "old/data-source.json", ""),
    ],
)
def test_an_output_replaces_nothing_but_an_earlier_output(
    command: str, file: str, kind: str, old_exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    del old_exports
    place = tmp_path / file
    contents = OTHERS.get(place.suffix, b"anything else")
    place.write_bytes(contents)
    seven().save(tmp_path / "page.png")
    done = edgemnist(*command.split(), file)
    assert done.returncode == 2
    what = f"which is not {kind}" if kind else "a file of an export directory"
    assert f"{command.rsplit(maxsplit=1)[-1]} would overwrite {file}, {what}." in " ".join(done.stderr.split())
    assert place.read_bytes() == contents


@pytest.mark.parametrize(
    "command",
    [
        "verify tflite-int8 --junit",
        "report --output",
        "report --markdown --output",
        "bench tflite-int8 --rounds 1 --samples 10 --seconds 0 --save",
        "bundle tflite-int8 --output",
        "read form.jpg --csv",
    ],
)
def test_an_output_replaces_an_earlier_output_whatever_its_name(command: str, edgemnist: Run, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "docs" / "images" / "form.jpg", tmp_path)
    shutil.copytree(reference_directory(), tmp_path / "exports")
    for _ in range(2):
        done = edgemnist(*command.split(), "out.data")
        assert done.returncode == 0, done.stderr
    assert all(file.stat().st_size > 0 for file in tmp_path.glob("out*.data"))
    assert list(tmp_path.glob("out*.data"))


def test_an_output_may_be_an_empty_file_or_a_pipe(old_exports: Path, edgemnist: Run, tmp_path: Path) -> None:
    # As `mktemp` makes it.
    empty, pipe = tmp_path / "empty.html", tmp_path / "pipe"
    empty.touch()
    assert edgemnist("report", "--exports", old_exports, "--output", empty).returncode == 0
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        assert edgemnist("report", "--exports", old_exports, "--output", pipe).returncode == 0
        assert reader.stdout is not None
        # A pipe that was replaced by a file would leave its reader alone.
        assert reader.stdout.read() == empty.read_bytes()
    assert pipe.is_fifo()
    done = edgemnist("verify", "tflite-int8", "--exports", old_exports, "--junit", "/dev/stdout", "--json")
    assert done.stdout.startswith("<?xml")
    assert Path("/dev/stdout").is_symlink()


def test_a_report_replaces_an_older_one_of_any_name(old_exports: Path, edgemnist: Run) -> None:
    for _ in range(2):
        assert edgemnist("report", "--exports", old_exports, "--output", "mine.html").returncode == 0
    done = edgemnist("report", "--exports", old_exports, "--output", old_exports / "digit.html")
    assert done.returncode == 0
    assert edgemnist("report", "--exports", old_exports, "--output", old_exports / "digit.html").returncode == 2


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
    assert int(modules) <= 45
    # A tenth of the time, however many runtimes are installed.
    assert versions == "False"
    # A tenth of the memory.
    assert openssl == "False"


@pytest.mark.needs("root")
def test_a_full_disk_keeps_the_old_artifacts(made_exports: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(path.stat().st_size for path in made_exports.iterdir()) + 300_000
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        shutil.copytree(made_exports, disk, dirs_exist_ok=True)
        before = {path.name: path.read_bytes() for path in disk.iterdir()}
        done = run_edgemnist("export", "--offline", "--exports", str(disk), "--calibration", "77", cwd=tmp_path)
        assert done.returncode == 2
        assert "space" in done.stderr
        assert {path.name: path.read_bytes() for path in disk.iterdir()} == before
    finally:
        subprocess.run(["umount", disk], check=True)


def test_progress_is_drawn_on_a_terminal_and_results_stay_on_stdout(exports: Path) -> None:
    reader, terminal = pty.openpty()
    command = [sys.executable, "-m", "edgemnist", "verify", "--json"]
    done = subprocess.run(command, cwd=exports.parent, stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    assert json.loads(done.stdout)["passed"]
    assert os.read(reader, 1000)


def test_runtimes_lists_everything_that_is_registered(edgemnist_json: Callable[..., dict[str, Any]]) -> None:
    document = edgemnist_json("runtimes")
    assert [one["name"] for one in document["formats"]] == ["tflite", "onnx", "c", "web"]
    assert {"litert", "onnxruntime", "keras"} <= {one["name"] for one in document["runtimes"]}
    assert all(one["installed"] and one["install"] is None for one in document["formats"])


def test_runtimes_tells_which_artifacts_of_a_directory_can_run_here(made_exports: Path, edgemnist: Run) -> None:
    document = json.loads(edgemnist("runtimes", "--exports", made_exports, "--json").stdout)
    assert document["exports"] == str(made_exports)
    recorded = json.loads((made_exports / "manifest.json").read_text())["artifacts"]
    assert {one["name"].partition("@")[0] for one in document["artifacts"]} == {one["name"] for one in recorded}
    runtimes = {one["runtime"] for one in document["artifacts"]}
    assert runtimes == {"litert", "native", "tflm", "integer", "onnxruntime", "openvino"}
    assert all(one["installed"] or one["runtime"] in {"native", "tflm"} for one in document["artifacts"])
    assert "can run here" in edgemnist("runtimes", "--exports", made_exports).stdout
    nowhere = edgemnist("runtimes", "--exports", "nowhere")
    assert nowhere.returncode == 2
    assert "The export directory nowhere does not exist" in " ".join(nowhere.stderr.split())


def test_runtimes_answers_where_the_users_own_record_is_broken(edgemnist: Run, tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "manifest.json").write_text("{")
    done = edgemnist("runtimes")
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" in done.stdout
    assert "manifest.json is not a manifest" in done.stderr


def test_data_tells_whether_a_directory_was_made_from_these_images(
    made_exports: Path, edgemnist: Run, tmp_path: Path
) -> None:
    done = edgemnist("data", "--offline", "--exports", made_exports)
    assert done.returncode == 0, done.stderr
    exported = json.loads((made_exports / "manifest.json").read_text())["data"]
    found = json.loads(edgemnist("data", "--offline", "--exports", made_exports, "--json").stdout)
    assert found["exported"] == exported
    assert "was trained with these images" in done.stdout.replace("\n", " ")
    # Another directory, made from other images.
    shutil.copytree(made_exports, tmp_path / "exports")
    manifest = json.loads((tmp_path / "exports" / "manifest.json").read_text())
    manifest["data"] |= {"sha256": "0" * 64, "source": "MY DIGITS"}
    (tmp_path / "exports" / "manifest.json").write_text(json.dumps(manifest))
    assert "was trained with other images: MY DIGITS" in edgemnist("data", "--offline").stdout.replace("\n", " ")


def test_what_may_be_repeated_may_be_repeated(edgemnist: Run) -> None:
    again = ["--index", "0", "--index", "1", "--threads", "1", "--threads=1", "--", "--threads", "2"]
    done = edgemnist("predict", *again[:-3], "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["predictions"]) == 2
    # What follows `--` are pictures.
    assert "does not exist" in edgemnist("predict", *again).stderr


@pytest.mark.parametrize("words", [["predict", "--index", "0"], ["runtimes"], ["--help"]], ids=lambda words: words[0])
def test_a_terminal_of_no_known_width_shows_everything(words: list[str], edgemnist: Run) -> None:
    assert len(edgemnist(*words, env={"COLUMNS": "0"}).stdout) > 100


@pytest.fixture
def no_room(tmp_path: Path) -> dict[str, str]:
    """Variables for a process that finds no directory for temporary files, as in a container that is read only."""
    (tmp_path / "sitecustomize.py").write_text("import tempfile\ntempfile._candidate_tempdir_list = lambda: []\n")
    return {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "TMPDIR": "/full"}


@pytest.mark.parametrize("words", ["export --format onnx", "bench tflite-int8", "releases --to board.invalid"])
def test_no_room_for_temporary_files_ends_in_one_sentence(
    words: str, no_room: dict[str, str], old_exports: Path, edgemnist: Run
) -> None:
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
    fault = as_fault(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"))
    assert fault.message == "Temporary files cannot be written: No usable temporary directory found in ['/tmp']"
    assert "Please report this." in as_fault(OSError(errno.EIO, "Input/output error")).hint
    monkeypatch.delenv("TMPDIR", raising=False)
    assert "/tmp" in as_fault(OSError(errno.ENOSPC, "No space left on device")).hint
