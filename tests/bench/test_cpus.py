"""The CPUs to measure on are the right ones on machines of every make."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgemnist.machine import busy_cpus, choose_cpus, pin, usable_cpus


def machine(root: Path, cores: list[tuple[str, int]]) -> Path:
    """Lay out /sys/devices/system/cpu for CPUs given as (siblings on the same core, highest frequency)."""
    for cpu, (siblings, frequency) in enumerate(cores):
        (root / f"cpu{cpu}/topology").mkdir(parents=True)
        (root / f"cpu{cpu}/topology/thread_siblings_list").write_text(f"{siblings}\n")
        (root / f"cpu{cpu}/cpufreq").mkdir()
        (root / f"cpu{cpu}/cpufreq/cpuinfo_max_freq").write_text(f"{frequency}\n")
    return root


def test_on_a_raspberry_pi_the_last_cores_are_taken(tmp_path: Path) -> None:
    sysfs = machine(tmp_path, [(str(cpu), 2_400_000) for cpu in range(4)])
    assert choose_cpus(1, range(4), sysfs) == [3]
    assert choose_cpus(2, range(4), sysfs) == [2, 3]
    assert choose_cpus(4, range(4), sysfs) == [0, 1, 2, 3]


def test_fast_cores_come_before_efficient_ones(tmp_path: Path) -> None:
    # Two fast cores with two threads each, then four efficient ones.
    fast = [("0-1", 5_000_000), ("0-1", 5_000_000), ("2-3", 5_000_000), ("2-3", 5_000_000)]
    sysfs = machine(tmp_path, [*fast, *((str(cpu), 3_800_000) for cpu in range(4, 8))])
    assert choose_cpus(1, range(8), sysfs) == [2]
    assert choose_cpus(2, range(8), sysfs) == [0, 2]


def test_two_threads_share_a_core_only_where_there_is_no_other(tmp_path: Path) -> None:
    # Siblings as Linux numbers them on a server: the second threads come after all the first ones.
    sysfs = machine(tmp_path, [("0,2", 3_000_000), ("1,3", 3_000_000), ("0,2", 3_000_000), ("1,3", 3_000_000)])
    assert choose_cpus(2, range(4), sysfs) == [0, 1]
    assert choose_cpus(3, range(4), sysfs) == [0, 1, 3]


def test_only_cpus_that_the_process_may_use_are_chosen(tmp_path: Path) -> None:
    assert choose_cpus(1, [0, 5], tmp_path) == [5]
    assert set(choose_cpus(1, usable_cpus())) <= set(usable_cpus())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a program choose its CPUs")
def test_a_pinned_process_stays_on_its_cpus() -> None:
    before = usable_cpus()
    try:
        assert pin(before[:1])
        assert os.sched_getaffinity(0) == {before[0]}
    finally:
        pin(before)


def test_cpus_that_others_keep_busy_are_left_to_them(tmp_path: Path) -> None:
    # CPU 1 worked for 9 of 10 steps, CPU 0 for 1 and CPU 2 not at all.
    looks = iter(
        [
            "cpu 9 0 9 90 0 0 0\ncpu0 5 0 5 50 0 0 0 0\ncpu1 5 0 5 50 0 0 0 0\ncpu2 0 0 0 9 1 0 0 0\nintr 7",
            "cpu 9 0 9 90 0 0 0\ncpu0 6 0 5 59 0 0 0 0\ncpu1 9 0 9 51 0 0 0 1\ncpu2 0 0 0 9 11 0 0 0\nintr 9",
        ]
    )
    busy = busy_cpus(lambda: next(looks), seconds=0)
    assert busy == {1}
    assert choose_cpus(1, [0, 1], sysfs=tmp_path) == [1]
    assert choose_cpus(1, [0, 1], sysfs=tmp_path, busy=busy) == [0]
    assert choose_cpus(1, [1], sysfs=tmp_path, busy=busy) == [1], "there is no other"


def test_a_system_that_does_not_count_has_no_busy_cpus() -> None:
    assert busy_cpus(lambda: "", seconds=0) == set()
