"""CPUs, facts and conditions are found on a PC and on every Raspberry Pi, and are left out where they are not."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgemnist import __version__
from edgemnist.board.agent.facts import parse_cpuinfo
from edgemnist.board.machine import (
    Conditions,
    busy_cpus,
    choose_cpus,
    host_facts,
    linux_facts,
    pin,
    read_conditions,
    usable_cpus,
)

PI_5 = """\
processor	: 0
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU part	: 0xd0b
Model		: Raspberry Pi 5 Model B Rev 1.0
"""
PI_3_32_BIT = """\
model name	: ARMv7 Processor rev 4 (v7l)
Features	: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32
CPU implementer	: 0x41
CPU part	: 0xd03
"""
PC = """\
model name	: Intel(R) Core(TM) i7-12700
flags		: fpu sse4_1 avx f16c avx2 fma avx_vnni
"""


def laid_out(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


FAST = [("0-1", 5_000_000), ("0-1", 5_000_000), ("2-3", 5_000_000), ("2-3", 5_000_000)]


@pytest.mark.parametrize(
    ("cores", "chosen"),
    [
        # The last cores of a Raspberry Pi.
        ([(str(cpu), 2_400_000) for cpu in range(4)], {1: [3], 2: [2, 3], 4: [0, 1, 2, 3]}),
        # Fast cores with two threads each come before efficient ones.
        ([*FAST, *((str(cpu), 3_800_000) for cpu in range(4, 8))], {1: [2], 2: [0, 2]}),
        # Siblings as Linux numbers them on a server: two threads share a core only where there is no other.
        ([("0,2", 3_000_000), ("1,3", 3_000_000)] * 2, {2: [0, 1], 3: [0, 1, 3]}),
    ],
)
def test_the_cpus_to_measure_on(cores: list[tuple[str, int]], chosen: dict[int, list[int]], tmp_path: Path) -> None:
    for cpu, (siblings, frequency) in enumerate(cores):
        laid_out(
            tmp_path / f"cpu{cpu}",
            {"topology/thread_siblings_list": f"{siblings}\n", "cpufreq/cpuinfo_max_freq": f"{frequency}\n"},
        )
    assert {count: choose_cpus(count, range(len(cores)), tmp_path) for count in chosen} == chosen


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
    assert busy_cpus(lambda: "", seconds=0) == set(), "a system that does not count has none"


@pytest.mark.parametrize(
    ("text", "cpu", "flags"),
    [
        (PI_5, "Cortex-A76", {"asimd", "fphp", "asimdhp", "asimddp"}),
        (PI_3_32_BIT, "Cortex-A53", {"neon"}),
        (PC, "Intel(R) Core(TM) i7-12700", {"sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni"}),
        ("CPU implementer : 0x41\nCPU part : 0xfff\n", "Arm part 0xfff", None),
        ("", None, None),
        ("nonsense", None, None),
        ("processor : 0\n", None, None),
    ],
)
def test_processors_are_known_by_name_and_by_the_instructions_that_matter(
    text: str, cpu: str | None, flags: set[str] | None
) -> None:
    found = parse_cpuinfo(text)
    assert found.get("cpu") == cpu
    assert (set(found["flags"]) if "flags" in found else None) == flags


def test_a_raspberry_pi_tells_what_it_is(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu/cpu0"
    files = {
        "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/cpuinfo": PI_5,
        "proc/meminfo": "MemTotal:        8256144 kB\nMemFree:         1 kB\n",
        "proc/sys/kernel/osrelease": "6.12.25+rpt-rpi-2712\n",
        "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        f"{cpu}/cpufreq/scaling_governor": "ondemand\n",
        f"{cpu}/cpufreq/cpuinfo_max_freq": "2400000\n",
        f"{cpu}/cache/index0/level": "1",
        f"{cpu}/cache/index0/type": "Data",
        f"{cpu}/cache/index0/size": "64K",
        f"{cpu}/cache/index2/level": "2",
        f"{cpu}/cache/index2/type": "Unified",
        f"{cpu}/cache/index2/size": "512K",
    }
    wanted = {
        "machine": "Raspberry Pi 5 Model B Rev 1.0",
        "cpu": "Cortex-A76",
        "governor": "ondemand",
        "max_mhz": 2400,
        "caches": {"L1 data": "64K", "L2": "512K"},
        "memory_mb": 8454,
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.12.25+rpt-rpi-2712",
    }
    assert linux_facts(laid_out(tmp_path / "pi", files)).items() >= wanted.items()
    assert not any(linux_facts(tmp_path / "nothing").values())


def test_this_machine_is_described_by_what_json_can_hold() -> None:
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts == host_facts()
    assert facts["cpus"] == len(usable_cpus())
    assert facts["cpu"]
    assert facts["memory_mb"] > 100
    assert facts["versions"]["edgemnist"] == __version__
    assert {"numpy", "ai-edge-litert", "onnxruntime"} <= set(facts["versions"])


def test_the_conditions_of_a_raspberry_pi_are_read(tmp_path: Path) -> None:
    files = {
        "sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "1800000\n",
        "sys/class/thermal/thermal_zone0/temp": "58426\n",
        "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
        "sys/class/thermal/thermal_zone0/trip_point_0_temp": "110000\n",
        "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
        "sys/class/thermal/thermal_zone0/trip_point_1_temp": "85000\n",
    }
    assert read_conditions([3], laid_out(tmp_path, files), ["echo", "throttled=0x50005"]) == Conditions(
        khz=1_800_000, firmware=0x50005, celsius=58.426, limit_celsius=85.0
    )


@pytest.mark.parametrize("command", [["false"], ["echo", "error=2"], ["a-command-that-is-not-there"]])
def test_a_tool_that_does_not_answer_is_no_error(command: list[str], tmp_path: Path) -> None:
    assert read_conditions([0], tmp_path, command) == Conditions()
