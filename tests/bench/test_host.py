"""Facts about the host are found on a PC and on every Raspberry Pi, and are left out where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgemnist import __version__
from edgemnist.agent.facts import parse_cpuinfo
from edgemnist.machine import host_facts, linux_facts, usable_cpus

PI_5 = """\
processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x4
CPU part	: 0xd0b
CPU revision	: 1

Revision	: c04170
Model		: Raspberry Pi 5 Model B Rev 1.0
"""
PI_4 = """\
processor	: 0
Features	: fp asimd evtstrm crc32 cpuid
CPU implementer	: 0x41
CPU part	: 0xd08
"""
PI_3_32_BIT = """\
processor	: 0
model name	: ARMv7 Processor rev 4 (v7l)
Features	: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32
CPU implementer	: 0x41
CPU part	: 0xd03
Hardware	: BCM2835
"""
PC = """\
processor	: 0
vendor_id	: GenuineIntel
model name	: Intel(R) Core(TM) i7-12700
flags		: fpu sse4_1 avx f16c avx2 fma avx_vnni
"""


@pytest.mark.parametrize(
    ("text", "cpu", "flags"),
    [
        (PI_5, "Cortex-A76", ["asimd", "fphp", "asimdhp", "asimddp"]),
        (PI_4, "Cortex-A72", ["asimd"]),
        (PI_3_32_BIT, "Cortex-A53", ["neon"]),
        (PC, "Intel(R) Core(TM) i7-12700", ["sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni"]),
    ],
)
def test_processors_are_known_by_name_and_by_the_instructions_that_matter(
    text: str, cpu: str, flags: list[str]
) -> None:
    found = parse_cpuinfo(text)
    assert found["cpu"] == cpu
    assert sorted(found["flags"]) == sorted(flags)


def test_a_part_that_is_not_in_the_list_is_given_by_its_number() -> None:
    assert parse_cpuinfo("CPU implementer : 0x41\nCPU part : 0xfff\n") == {"cpu": "Arm part 0xfff"}


@pytest.mark.parametrize("text", ["", "nonsense", "processor : 0\n"])
def test_what_cpuinfo_does_not_tell_is_left_out(text: str) -> None:
    assert parse_cpuinfo(text) == {}


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
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    facts = linux_facts(tmp_path)
    assert facts["machine"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert facts["cpu"] == "Cortex-A76"
    assert (facts["governor"], facts["max_mhz"]) == ("ondemand", 2400)
    assert facts["caches"] == {"L1 data": "64K", "L2": "512K"}
    assert facts["memory_mb"] == 8454
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert facts["kernel"] == "6.12.25+rpt-rpi-2712"


def test_a_system_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert not any(linux_facts(tmp_path).values())


def test_this_machine_is_described_by_what_json_can_hold() -> None:
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpus"] == len(usable_cpus())
    assert facts["cpu"]
    assert facts["memory_mb"] > 100
    assert facts["versions"]["edgemnist"] == __version__
    assert {"numpy", "ai-edge-litert", "onnxruntime"} <= set(facts["versions"])
    assert host_facts() == facts
