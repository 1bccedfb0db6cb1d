"""Each measurement is a process of its own: what it reports, how it may die, and what is left of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgemnist.board.machine import usable_cpus
from edgemnist.errors import MeasurementError
from edgemnist.pipeline.bench import run as process
from edgemnist.pipeline.bench.run import Measured
from edgemnist.pipeline.bench.worker import WorkerRequest
from tests.patience import PATIENCE_S, comes_true

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")


@pytest.fixture
def request_(made_exports: Path, tmp_path: Path) -> WorkerRequest:
    """A short measurement of the int8 artifact."""
    images = tmp_path / "images.npy"
    np.save(images, np.zeros((3, 28, 28), np.uint8))
    return WorkerRequest(
        runtime="litert",
        path=str(made_exports / "tflite-int8.tflite"),
        threads=1,
        cpus=usable_cpus()[-1:],
        images=str(images),
        samples=50,
        nanoseconds=0,
        batch_size=8,
        report=str(tmp_path / "report"),
    )


def measure(subject: str, request: WorkerRequest) -> Measured:
    return process.measure(subject, request)


def test_a_process_reports_what_it_measured(request_: WorkerRequest) -> None:
    before = time.perf_counter_ns()
    measured = measure("tflite-int8", msgspec.structs.replace(request_, nanoseconds=100_000_000))
    elapsed = time.perf_counter_ns() - before
    report = measured.report
    assert len(report.samples) > 50
    assert sum(report.samples) > 50_000_000
    assert len(report.warmup) >= 20
    assert len(report.batches) >= 5
    assert all(0 < sample < elapsed for sample in [*report.samples, *report.warmup, *report.batches, report.load])
    # The interpreter has to start and NumPy and the runtime to be imported, before anything can be answered.
    assert report.load + report.warmup[0] < measured.cold_start < elapsed


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_the_memory_is_that_of_the_process_and_not_of_the_one_that_started_it(request_: WorkerRequest) -> None:
    ballast = np.ones(400_000_000, np.uint8)
    peak = measure("tflite-int8", request_).report.peak_rss
    assert ballast.sum() == 400_000_000
    assert peak is not None
    assert 20e6 < peak < 150e6


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"path": "broken.tflite"}, "tflite-int8 cannot be measured: .*broken.tflite", ""),
        # 784 TB: no system promises that much, however freely it does.
        ({"batch_size": 10**12}, "not enough memory for a batch of 1,000,000,000,000$", "--batch-size"),
        ({"images": "missing.npy"}, "ended with status 1", "missing.npy"),
    ],
)
def test_what_cannot_be_measured_is_told_with_its_reason(
    change: dict[str, Any], message: str, hint: str, request_: WorkerRequest, tmp_path: Path
) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    change = {name: str(tmp_path / value) if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(MeasurementError, match=message) as caught:
        measure("tflite-int8", msgspec.structs.replace(request_, **change))
    assert hint in caught.value.hint


def test_what_libraries_write_reaches_no_terminal(request_: WorkerRequest, capfd: pytest.CaptureFixture[str]) -> None:
    measure("tflite-float32", msgspec.structs.replace(request_, path=request_.path.replace("int8", "float32")))
    assert capfd.readouterr() == ("", "")


def test_what_is_disturbed_is_measured_again_or_marked(request_: WorkerRequest) -> None:
    # No machine adds the arrays in a nanosecond: held against that, every attempt is disturbed.
    measured = process.measure("tflite-int8", request_, repeats=1, quietest=1.0)
    assert measured.attempts == 2
    assert any("fixed work took" in words for words in measured.taints)
    assert len(measured.report.reference) == 2
    assert all(100 < reference < 1_000_000 for reference in measured.report.reference)


@linux_only
def test_calls_that_wait_for_other_processes_say_so(request_: WorkerRequest) -> None:
    hog = f"import os; os.sched_setaffinity(0, {request_.cpus}); print(flush=True)\nwhile True: pass"
    asked = msgspec.structs.replace(request_, samples=400, nanoseconds=200_000_000)
    with subprocess.Popen([sys.executable, "-c", hog], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            measured = process.measure("tflite-int8", asked, repeats=0)
        finally:
            other.kill()
    assert any("other processes had the CPU" in words for words in measured.taints)


def measuring_for(parent: int) -> list[int]:
    """Return the processes that measure for another one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            started_by = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if started_by == parent and "edgemnist.pipeline.bench.worker" in command:
            found.append(int(entry.name))
    return found


@linux_only
@pytest.mark.parametrize("name", ["SIGKILL", "SIGILL"])
def test_a_killed_process_is_an_error_that_names_artifact_and_signal(name: str, request_: WorkerRequest) -> None:
    caught: list[MeasurementError] = []

    def run() -> None:
        try:
            measure("tflite-int8", msgspec.structs.replace(request_, nanoseconds=3_600_000_000_000))
        except MeasurementError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert comes_true(lambda: measuring_for(os.getpid()))
    os.kill(measuring_for(os.getpid())[0], signal.Signals[name])
    thread.join(PATIENCE_S)
    assert caught[0].message == f"tflite-int8 could not be measured: its process was killed by {name}"
    assert caught[0].hint


@linux_only
def test_an_interrupted_run_leaves_no_process_behind(request_: WorkerRequest, tmp_path: Path) -> None:
    code = (
        "import sys, msgspec, edgemnist.pipeline.bench.run as p\n"
        "from edgemnist.pipeline.bench.worker import WorkerRequest\n"
        "p.measure('tflite-int8', msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerRequest))\n"
    )
    request = tmp_path / "request.json"
    request.write_bytes(msgspec.json.encode(msgspec.structs.replace(request_, nanoseconds=3_600_000_000_000)))
    with (
        request.open() as stdin,
        subprocess.Popen([sys.executable, "-c", code], stdin=stdin, stderr=subprocess.DEVNULL) as run,
    ):
        try:
            assert comes_true(lambda: measuring_for(run.pid))
            (child,) = measuring_for(run.pid)
            # To the run alone, as `kill -INT` sends it; a terminal would send it to both.
            run.send_signal(signal.SIGINT)
            assert run.wait(PATIENCE_S) != 0
            assert comes_true(lambda: not Path(f"/proc/{child}").exists())
        finally:
            run.kill()


def test_the_process_imports_the_same_package_and_nothing_that_lies_about(
    request_: WorkerRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong NumPy')")
    monkeypatch.chdir(tmp_path)
    assert isinstance(measure("tflite-int8", request_), Measured)
