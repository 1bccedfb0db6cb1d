"""Systems and processors that the engine is compiled for from any machine, by the compiler in `ziglang`.

Standard library only and nothing of edgemnist: the build hook reads it before edgemnist is installed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WheelTarget:
    """What a wheel is made for."""

    triple: str
    """Zig's name of the system: architecture, operating system with the oldest version, C library."""
    tags: str
    """Platform tags of the wheel, a set with dots between."""
    library: str
    """Name of the shared library there."""
    options: tuple[str, ...] = ()
    """Further options of the compiler."""


_BARE = ("-nostdlib", "-fno-unwind-tables", "-D__MM_MALLOC_H")
"""What little the library takes from libc is found in the process that loads it, whichever libc that has. The macro
keeps the compiler's <immintrin.h> from including a header of libc."""

WHEELS: dict[str, WheelTarget] = {
    "linux-x86_64": WheelTarget(
        "x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64", "engine.so", _BARE
    ),
    "linux-aarch64": WheelTarget(
        "aarch64-linux-gnu.2.17",
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "engine.so",
        (*_BARE, "-mcpu=generic"),
    ),
    "linux-armv7l": WheelTarget(
        "arm-linux-gnueabihf.2.17",
        "manylinux_2_17_armv7l.manylinux2014_armv7l.musllinux_1_1_armv7l",
        "engine.so",
        # Not every ARMv7 has NEON, so only the kernel that is chosen where it is there uses it.
        (*_BARE, "-mcpu=generic+v7a+vfp3d16-neon"),
    ),
    # No manylinux has been defined for it: Raspberry Pi OS takes this from piwheels or from a file.
    "linux-armv6l": WheelTarget("arm-linux-gnueabihf", "linux_armv6l", "engine.so", (*_BARE, "-mcpu=arm1176jzf_s")),
    "macos-x86_64": WheelTarget("x86_64-macos.11.0", "macosx_11_0_x86_64", "engine.dylib"),
    "macos-arm64": WheelTarget("aarch64-macos.11.0", "macosx_11_0_arm64", "engine.dylib"),
    "windows-x86_64": WheelTarget("x86_64-windows-gnu", "win_amd64", "engine.dll"),
    "windows-arm64": WheelTarget("aarch64-windows-gnu", "win_arm64", "engine.dll"),
}
"""By the name that `EDGEMNIST_WHEEL_TARGET` and `make wheels` use."""
