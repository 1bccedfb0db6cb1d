"""What /proc/cpuinfo says about the processor, which every architecture writes in its own way."""

from __future__ import annotations

from typing import Any

FLAGS = (
    # x86: width of the vectors, and dot products of int8 (VNNI)
    "sse4_1",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    # Arm: vectors (NEON), half precision, dot products and matrix products of int8
    "neon",
    "asimd",
    "fphp",
    "asimdhp",
    "asimddp",
    "i8mm",
    "sve",
)
"""Flags worth reporting: those that decide which kernels LiteRT's XNNPACK and ONNX Runtime's MLAS take."""

# Part numbers of Arm's own cores (implementer 0x41), from their technical reference manuals: the MIDR_EL1 register.
_ARM_PARTS = {
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd49": "Neoverse-N2",
}
_ARM = "0x41"


def parse_cpuinfo(text: str) -> dict[str, Any]:
    """Return `cpu`, the processor's name, and `flags`, the known ones it has; what is not told is left out."""
    # Fields of the first processor, and those that Linux on Arm appends for the whole machine.
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip().lower(), value.strip())
    # A 32-bit kernel on Arm has a model name too, which says no more than "ARMv7 Processor".
    cpu = _arm_core(fields) or fields.get("model name")
    present = (fields.get("flags") or fields.get("features") or "").split()
    found = {"cpu": cpu, "flags": [flag for flag in FLAGS if flag in present]}
    return {name: value for name, value in found.items() if value}


def _arm_core(fields: dict[str, str]) -> str:
    if fields.get("cpu implementer") != _ARM:
        return ""
    part = fields.get("cpu part", "")
    return _ARM_PARTS.get(part, f"Arm part {part}")
