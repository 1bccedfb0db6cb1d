"""Every model has its turn once a round, in processes of its own, and what cannot be measured says so."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest

from edgemnist.board.machine import Conditions, usable_cpus, waited_ns
from edgemnist.errors import MeasurementError
from edgemnist.ground.progress import SILENT
from edgemnist.pipeline.bench import turns
from edgemnist.pipeline.bench.figures import disturbances, percentiles
from edgemnist.pipeline.bench.process import Process
from edgemnist.pipeline.bench.turns import Plan, Subject, in_turns, measure
from edgemnist.pipeline.bench.worker import Ask, Open, Opened, Timed, timed_calls, typical_call

ASK = Ask(cpus=usable_cpus()[-1:], nanoseconds=0, calls=50)


@pytest.fixture
def request_(made_exports: Path, tmp_path: Path) -> Open:
    """The int8 artifact."""
    images = tmp_path / "images.npy"
    np.save(images, np.zeros((3, 28, 28), np.uint8))
    path = str(made_exports / "tflite-int8.tflite")
    return Open(runtime="litert", path=path, threads=1, cpus=usable_cpus()[-1:], images=str(images))


def test_each_has_another_place_in_each_round() -> None:
    rounds = [in_turns("abcd", number) for number in range(4)]
    assert all(sorted(one) == [*"abcd"] for one in rounds)
    assert all(len({one.index(name) for one in rounds}) == 4 for name in "abcd")
    assert in_turns("abcd", 4) == rounds[0]


class Fake:
    """A process that answers at once; its clock goes on by a second a block and a start."""

    now = 0.0
    log: list[str]

    def __init__(self, subject: str, _: Open) -> None:
        self._subject = subject
        Fake.log.append(f"start {subject}")
        Fake.now += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        Fake.log.append(f"end {self._subject}")

    def is_open(self, timeout: float | None = None) -> bool:
        return self._subject != "slow" or timeout is None

    def opened(self) -> tuple[Opened, int]:
        return Opened(answered_at=0, load=1, first_call=1, peak_rss=None), 7

    def time(self, ask: Ask) -> Timed:
        Fake.log.append(f"{self._subject} {ask.batch_size}")
        Fake.now += 1
        return Timed(typical=1e3, fixed=1e3, waited=0.0, samples=[1000])


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fake processes and a clock that only they move."""
    Fake.now, Fake.log = 0.0, []
    monkeypatch.setattr(turns, "Process", Fake)
    monkeypatch.setattr(turns, "monotonic", lambda: Fake.now)
    monkeypatch.setattr(turns, "busy_cpus", set)
    yield
    monkeypatch.undo()


def subjects(request: Open, *names: str, **more: Any) -> list[Subject]:
    return [Subject(name=name, request=request, **more) for name in names]


@pytest.mark.usefixtures("fakes")
def test_the_time_is_shared_out_over_rounds_and_fresh_processes(request_: Open) -> None:
    found = subjects(request_, "a", "b")
    measure(found, Plan(threads=1, batch_size=10, seconds=60, calls=1), SILENT)
    starts = [number for number, words in enumerate(Fake.log) if words == "start a"]
    assert len(starts) == len(found[0].starts) == len(found[0].opened) > 2
    assert len(found[0].blocks) == len(found[1].blocks) > len(starts)
    assert Fake.now <= 66, "no more than a round too long"
    # In turns: no model has a second block before the other had one.
    blocks = [words[0] for words in Fake.log if words[1:] == " 1"]
    assert all({*blocks[place : place + 2]} == {"a", "b"} for place in range(0, len(blocks), 2))
    assert found[0].batch is not None
    assert found[0].cold_start == 7
    assert Fake.log.count("start a") == Fake.log.count("end a")


@pytest.mark.usefixtures("fakes")
def test_without_time_there_is_one_round(request_: Open) -> None:
    found = subjects(request_, "a", "b")
    measure(found, Plan(threads=1, batch_size=10, seconds=0, calls=7), SILENT)
    assert [len(one.blocks) for one in found] == [1, 1]
    assert [one.starts for one in found] == [[0], [0]]
    assert found[0].batch is None


@pytest.mark.usefixtures("fakes")
def test_what_starts_slowly_is_started_once_and_is_not_waited_for_unless_it_is_needed(request_: Open) -> None:
    for needed in (False, True):
        artifact, (keras,) = subjects(request_, "a"), subjects(request_, "slow", once=True, needed=needed)
        measure([*artifact, keras], Plan(threads=1, batch_size=10, seconds=60, calls=1), SILENT)
        assert bool(keras.blocks) == needed
        assert len(keras.opened) == needed
        assert len(keras.blocks) < len(artifact[0].blocks)
        assert keras.cold_start is None, "it did not start alone"


def test_a_process_opens_a_model_and_times_blocks_of_it(request_: Open) -> None:
    with Process("tflite-int8", request_) as process:
        opened, cold_start = process.opened()
        block, batch = process.time(ASK), process.time(msgspec.structs.replace(ASK, batch_size=8, calls=1))
    assert 0 < opened.load + opened.first_call < cold_start
    assert sys.platform == "win32" or 20e6 < (opened.peak_rss or 0) < 150e6
    assert len(block.samples) >= 50
    assert 0 < block.typical <= float(np.median(block.samples))
    assert (block.fixed > 0, batch.typical > 0, 0 <= block.waited <= 1) == (True, True, True)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"path": "broken.tflite"}, "tflite-int8 cannot be measured: .*broken.tflite", ""),
        # 784 TB: no system promises that much, however freely it does.
        ({"batch_size": 10**12}, "not enough memory for a batch of 1,000,000,000,000$", "--batch-size"),
        ({"images": "missing.npy"}, "ended with status 1", "missing.npy"),
        ({"signal": signal.SIGKILL}, "was killed by SIGKILL$", "--batch-size"),
    ],
)
def test_what_cannot_be_measured_is_told_with_its_reason(
    change: dict[str, Any], message: str, hint: str, request_: Open, tmp_path: Path
) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    paths = {name: str(tmp_path / value) for name, value in change.items() if isinstance(value, str)}

    def measure(process: Process) -> None:
        process.opened()
        if "signal" in change:
            os.kill(process._running.pid, change["signal"])
        process.time(msgspec.structs.replace(ASK, batch_size=change.get("batch_size", 1)))

    with (
        Process("tflite-int8", msgspec.structs.replace(request_, **paths)) as process,
        pytest.raises(MeasurementError, match=message) as caught,
    ):
        measure(process)
    assert hint in caught.value.hint
    assert process._running.returncode is not None, "no process is left"


def test_what_libraries_write_reaches_no_terminal(request_: Open, capfd: pytest.CaptureFixture[str]) -> None:
    with Process("tflite-int8", request_) as process:
        process.opened()
    assert capfd.readouterr() == ("", "")


def test_the_process_imports_the_same_package_and_nothing_that_lies_about(
    request_: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong NumPy')")
    monkeypatch.chdir(tmp_path)
    with Process("tflite-int8", request_) as process:
        assert process.opened()


def test_calls_are_timed_until_there_are_enough() -> None:
    asked: list[int] = []
    assert len(timed_calls(asked.append, [1, 2], calls=5)) == 5
    assert asked == [1, 2, 1, 2, 1]
    assert sys.platform != "linux" or waited_ns() is not None


@pytest.mark.parametrize(
    ("taken", "elapsed", "lost", "alone", "typical"),
    [
        ([400, 410, 420], 1_300, 0, 1_290, 410),
        # One call of many is interrupted: the median says nothing of it.
        ([400, 410, 9_000], 10_000, 8_600, 1_300, 410),
        # All calls are: what is left without that time.
        ([5_000, 6_000, 7_000], 18_000, 15_000, 2_900, 1_000),
        # The waiting fills the block, as far as the system counts it: a call takes no less than its thread ran.
        ([5_000, 6_000, 7_000], 18_000, 18_000, 2_700, 900),
        ([400, 410, 420], 20_000, 20_000, 1_300, 410),
    ],
)
def test_a_typical_call_is_that_of_a_quiet_machine(
    taken: list[int], elapsed: int, lost: int, alone: int, typical: float
) -> None:
    assert typical_call(taken, elapsed=elapsed, lost=lost, alone=alone) == typical


def test_percentiles_are_given_where_ten_samples_lie_beyond_them() -> None:
    few, more, most = (percentiles(list(range(1, count + 1))) for count in (99, 100, 1_000))
    assert (few["p90_us"], more["p90_us"], more["p99_us"]) == (None, pytest.approx(0.0901), None)
    assert most["p99_us"] == pytest.approx(np.percentile(np.arange(1, 1001), 99) / 1e3)
    assert sum(most["histogram"].counts) == most["samples"] == 1_000
    edges = percentiles([0, 1_000, 2_000])["histogram"].edges_us
    assert edges == [pytest.approx(0.001, rel=0.03), 1.0, 2.0]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (Conditions(khz=1_000), Conditions(khz=1_040), ""),
        (Conditions(khz=1_000), Conditions(khz=900), "its clock changed"),
        (Conditions(throttle_events=3), Conditions(throttle_events=4), "it was throttled 1 time because of heat"),
        (Conditions(), Conditions(celsius=85, limit_celsius=85), "at 85 °C it slows itself down"),
        (
            Conditions(firmware=0),
            Conditions(firmware=0x50005),
            "the voltage was too low (power supply or cable); the firmware throttled the CPU",
        ),
        (Conditions(), Conditions(), ""),
    ],
)
def test_what_disturbs_a_machine_is_named(before: Conditions, after: Conditions, said: str) -> None:
    assert "; ".join(disturbances(before, after)) == said
