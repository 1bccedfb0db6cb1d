"""What some tests need beside Python and its packages, whether it is here, and what brings it.

As a script it prints the Debian packages that are missing, or with `names` the names of all programs, and so imports
nothing that must be installed first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

DATA = os.environ.get("EDGEMNIST_DATA", "")
"""The directory with the full MNIST. Read once, since the tests hide the variable from the product."""
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that a test cannot do without."""

    found: Callable[[], bool]
    packages: tuple[str, ...] = ()
    """What brings it on Debian."""
    otherwise: str = ""
    """What brings it where no package does."""
    everywhere: bool = True
    """Whether a run that must leave nothing out, with EDGEMNIST_TESTS=all, fails without it."""


class Programs(tuple[str, ...]):
    """Names of programs."""

    __slots__ = ()

    def __call__(self) -> bool:
        """Return whether all of them are installed."""
        return all(shutil.which(name, path=PATH) for name in self)


def programs(*names: str) -> Programs:
    """Return what looks for all of these programs."""
    return Programs(names)


def has_namespaces() -> bool:
    """Return whether this user may mount file systems in a namespace of their own."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return programs("unshare")() and subprocess.run(command, check=False, capture_output=True).returncode == 0


def has_engine() -> bool:
    from edgemnist.model.native import find_library

    return find_library().is_file()


def has_root() -> bool:
    """Return whether this user may mount file systems for everybody."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and programs("mount")()


NEEDS = {
    "chromium": Need(
        found=programs("chromium", "chromedriver"), packages=("chromium", "chromium-driver", "fonts-dejavu-core")
    ),
    "cmake": Need(found=programs("cmake"), packages=("cmake",)),
    "curl": Need(found=programs("curl"), packages=("curl",)),
    "EDGEMNIST_DATA": Need(
        found=lambda: bool(DATA),
        otherwise="EDGEMNIST_DATA=DIR make test-all   (the four IDX files of MNIST)",
        everywhere=False,
    ),
    "engine": Need(found=has_engine, otherwise="python -m edgemnist.model.native   (needs a C compiler)"),
    "faketime": Need(found=programs("faketime"), packages=("faketime",)),
    "firefox": Need(found=programs("firefox"), packages=("firefox-esr",)),
    "mosquitto": Need(found=programs("mosquitto", "mosquitto_passwd"), packages=("mosquitto",)),
    "namespaces": Need(found=has_namespaces, otherwise="a Linux that lets its users mount file systems in a namespace"),
    "openssl": Need(found=programs("openssl"), packages=("openssl",)),
    **{
        name: Need(found=programs(name), packages=("qemu-user",))
        for name in ("qemu-aarch64", "qemu-arm", "qemu-riscv64", "qemu-x86_64")
    },
    "qemu-system-arm": Need(found=programs("qemu-system-arm"), packages=("qemu-system-arm",)),
    **{name: Need(found=programs(name), packages=(name,)) for name in ("clang", "g++", "gcc")},
    "wasm-ld": Need(found=programs("wasm-ld"), packages=("lld",)),
    **{
        f"{system}-gcc": Need(found=programs(f"{system}-gcc"), packages=(f"gcc-{system}", f"libc6-dev-{machine}-cross"))
        for system, machine in (
            ("aarch64-linux-gnu", "arm64"),
            ("arm-linux-gnueabi", "armel"),
            ("arm-linux-gnueabihf", "armhf"),
            ("riscv64-linux-gnu", "riscv64"),
        )
    },
    "cc": Need(found=programs("cc"), packages=("gcc",)),
    "arm-none-eabi-gcc": Need(
        found=programs("arm-none-eabi-gcc"), packages=("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
    ),
    "qemu": Need(found=programs("qemu-aarch64", "proot", "dpkg-deb"), packages=("qemu-user", "proot")),
    "root": Need(found=has_root, otherwise="sudo make test-all   (mounts small disks)"),
    "ssh-keygen": Need(found=programs("ssh-keygen"), packages=("openssh-client",)),
    "sshd": Need(found=programs("sshd", "ssh", "sftp", "ssh-keygen"), packages=("openssh-server", "openssh-client")),
    "systemd": Need(found=programs("systemctl", "systemd-analyze"), packages=("systemd", "dbus")),
}


def missing_packages() -> list[str]:
    """Return the Debian packages of everything that is not here."""
    found = {package for need in NEEDS.values() if need.packages and not need.found() for package in need.packages}
    return sorted(found)


def program_names() -> list[str]:
    """Return the names of all programs that some test cannot do without."""
    return sorted({name for need in NEEDS.values() if isinstance(need.found, Programs) for name in need.found})


if __name__ == "__main__":
    print(*(program_names() if sys.argv[1:] == ["names"] else missing_packages()))  # noqa: T201 - this is what the script is for
