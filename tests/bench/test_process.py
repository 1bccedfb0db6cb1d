"""Each measurement is a process of its own: what it reports, how it may die, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgemnist.bench import process
from edgemnist.bench.process import Measured
from edgemnist.bench.protocol import DutyCycle, Offline, Scenario, ScenarioReport, Server, WorkerReport, WorkerRequest
from edgemnist.errors import MeasurementError
from edgemnist.machine import usable_cpus

pytestmark = pytest.mark.usefixtures("measuring_starts")
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


def measure(subject: str, request: WorkerRequest) -> Measured[WorkerReport]:
    return process.measure(subject, request, WorkerReport)


def test_a_process_reports_what_it_measured(request_: WorkerRequest) -> None:
    before = time.perf_counter_ns()
    measured = measure("tflite-int8", request_)
    elapsed = time.perf_counter_ns() - before
    report = measured.report
    assert len(report.samples) == 50
    assert len(report.warmup) >= 20
    assert len(report.batches) >= 5
    assert all(0 < sample < elapsed for sample in [*report.samples, *report.warmup, *report.batches, report.load])
    # The interpreter has to start and NumPy and the runtime to be imported, before anything can be answered.
    assert report.load + report.warmup[0] < measured.cold_start < elapsed


def test_more_time_gives_more_samples(request_: WorkerRequest) -> None:
    longer = measure("tflite-int8", msgspec.structs.replace(request_, nanoseconds=100_000_000))
    assert sum(longer.report.samples) > 50_000_000
    assert len(longer.report.samples) > 50


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_the_memory_is_that_of_the_process_and_not_of_the_one_that_started_it(request_: WorkerRequest) -> None:
    ballast = np.ones(400_000_000, np.uint8)
    peak = measure("tflite-int8", request_).report.peak_rss
    assert ballast.sum() == 400_000_000
    assert peak is not None
    assert 20e6 < peak < 150e6


def test_a_file_that_the_runtime_refuses_is_named_with_its_reason(request_: WorkerRequest, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(MeasurementError, match="tflite-int8 cannot be measured: ") as caught:
        measure("tflite-int8", msgspec.structs.replace(request_, path=str(broken)))
    assert "broken.tflite" in caught.value.message


def test_a_batch_that_does_not_fit_into_memory_is_named(request_: WorkerRequest) -> None:
    # 784 TB: no system promises that much, however freely it does.
    with pytest.raises(MeasurementError, match="not enough memory for a batch of 1,000,000,000,000 images") as caught:
        measure("tflite-int8", msgspec.structs.replace(request_, batch_size=10**12))
    assert "--batch-size" in caught.value.hint


def test_a_defect_in_the_process_is_an_error_with_its_last_words(request_: WorkerRequest, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="ended with status 1") as caught:
        measure("tflite-int8", msgspec.structs.replace(request_, images=str(tmp_path / "missing.npy")))
    assert "missing.npy" in caught.value.hint


def test_what_libraries_write_never_reaches_the_terminal(
    request_: WorkerRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    measure("tflite-float32", msgspec.structs.replace(request_, path=request_.path.replace("int8", "float32")))
    assert capfd.readouterr() == ("", "")


SCENARIOS: dict[str, Scenario] = {
    "offline": Offline(batch_sizes=[1, 2], nanoseconds=1_000_000),
    "server": Server(rate=2_000.0, limit=1, samples=400, nanoseconds=0, seed=0),
    "duty-cycle": DutyCycle(rate=2_000.0, samples=50, nanoseconds=0),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_disturbed_scenario_is_played_again_and_marked_in_the_end(name: str, request_: WorkerRequest) -> None:
    asked = msgspec.structs.replace(request_, scenario=SCENARIOS[name])
    # No machine adds the arrays in a nanosecond: held against that, every attempt is disturbed.
    played = process.measure("tflite-int8", asked, ScenarioReport, repeats=1, quietest=1.0)
    assert played.attempts == 2
    assert any("fixed work took" in words for words in played.taints)
    assert len(played.report.reference) == 2
    assert all(100 < reference < 1_000_000 for reference in played.report.reference)


@linux_only
def test_a_scenario_whose_queries_wait_for_other_processes_says_so(request_: WorkerRequest) -> None:
    hog = f"import os; os.sched_setaffinity(0, {request_.cpus}); print(flush=True)\nwhile True: pass"
    asked = msgspec.structs.replace(request_, scenario=SCENARIOS["server"])
    with subprocess.Popen([sys.executable, "-c", hog], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            played = process.measure("tflite-int8", asked, ScenarioReport, repeats=0)
        finally:
            other.kill()
    assert any("other processes had the CPU" in words for words in played.taints)


def measuring_for(parent: int) -> list[int]:
    """Return the processes that measure for another one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            started_by = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if started_by == parent and "edgemnist.bench.worker" in command:
            found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@linux_only
@pytest.mark.parametrize("name", ["SIGKILL", "SIGILL"])
def test_a_process_that_is_killed_is_an_error_that_names_artifact_and_signal(
    name: str, request_: WorkerRequest
) -> None:
    caught: list[MeasurementError] = []

    def run() -> None:
        try:
            measure("tflite-int8", msgspec.structs.replace(request_, nanoseconds=60_000_000_000))
        except MeasurementError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: measuring_for(os.getpid()))
    os.kill(measuring_for(os.getpid())[0], signal.Signals[name])
    thread.join(30)
    assert caught[0].message == f"tflite-int8 could not be measured: its process was killed by {name}"
    assert caught[0].hint


@linux_only
def test_an_interrupted_run_leaves_no_process_behind(request_: WorkerRequest, tmp_path: Path) -> None:
    code = (
        "import sys, msgspec, edgemnist.bench.process as p\n"
        "from edgemnist.bench.protocol import WorkerReport, WorkerRequest\n"
        "p.measure('tflite-int8', msgspec.json.decode(sys.stdin.buffer.read(), type=WorkerRequest), WorkerReport)\n"
    )
    request = tmp_path / "request.json"
    request.write_bytes(msgspec.json.encode(msgspec.structs.replace(request_, nanoseconds=60_000_000_000)))
    with (
        request.open() as stdin,
        subprocess.Popen([sys.executable, "-c", code], stdin=stdin, stderr=subprocess.DEVNULL) as run,
    ):
        try:
            wait_for(lambda: measuring_for(run.pid))
            (child,) = measuring_for(run.pid)
            # To the run alone, as `kill -INT` sends it; a terminal would send it to both.
            run.send_signal(signal.SIGINT)
            assert run.wait(30) != 0
            wait_for(lambda: not Path(f"/proc/{child}").exists(), 5)
        finally:
            run.kill()


def test_the_process_imports_the_same_package_and_nothing_that_lies_about(
    request_: WorkerRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong NumPy')")
    monkeypatch.chdir(tmp_path)
    assert isinstance(measure("tflite-int8", request_), Measured)
