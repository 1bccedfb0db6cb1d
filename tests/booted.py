"""A real systemd, as the first process of namespaces of its own, above a layer that takes whatever it writes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import comes_true

_SPACES = ["--mount", "--pid", "--ipc", "--uts", "--cgroup"]
_BOOT = """
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay root
cd root
mount -t proc proc proc
mount --bind -o ro proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in dev run tmp; do mount -t tmpfs tmpfs $place; done
mkdir dev/pts dev/shm
ln -s pts/ptmx dev/ptmx
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 dev/${node%:*} c 1 ${node#*:}; done
for place; do mkdir -p .$place; mount --rbind $place .$place; done
pivot_root . mnt
umount --lazy /mnt
mount --make-rshared /
exec env -i container=tests /lib/systemd/systemd --unit=basic.target
"""


class Systemd:
    """What is done inside."""

    def __init__(self, outside: int) -> None:
        self._children = Path(f"/proc/{outside}/task/{outside}/children")

    @property
    def enter(self) -> list[str]:
        """What comes before a command of root's that is to run inside."""
        return ["nsenter", *_SPACES, "--target", self._children.read_text().strip(), "env", "-C", "/", "-u", "TMPDIR"]

    def run(self, *words: str | Path) -> str:
        """Return what a command prints, which must be successful."""
        done = subprocess.run([*self.enter, *words], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + self.run("journalctl", "--output=cat", "--lines=50")
        return done.stdout


@contextmanager
def booted(*shared: Path) -> Iterator[Systemd]:
    """Boot; the network and the directories `shared` are those of the test."""
    places = [*shared, Path(__file__).parents[1], Path(sys.prefix)]
    command = ["unshare", *_SPACES, "--fork", "--kill-child", "sh", "-euc", _BOOT, "sh", *map(str, places)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as outside:
        systemd = Systemd(outside.pid)

        def is_up() -> bool:
            # Its word counts: before its root is there, systemctl ignores what it is asked, and returns 0.
            asked = [*systemd.enter, "systemctl", "is-active", "basic.target"]
            return subprocess.run(asked, check=False, capture_output=True, text=True).stdout == "active\n"

        try:
            assert comes_true(lambda: outside.poll() is not None or is_up())
            yield systemd
        finally:
            outside.kill()
