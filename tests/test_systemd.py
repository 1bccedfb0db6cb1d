"""Units that systemd takes, and that leave a process what it needs and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgemnist.systemd import unit
from tests.conftest import Run

ANALYZE = shutil.which("systemd-analyze")


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line:
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_a_word_reaches_the_command_as_it_was_written() -> None:
    text = unit("x", ["/bin/echo", "a b", "50%", "$HOME", 'say "hi"', "", "back\\slash"],
                user="pi", directory="/home/pi", network=False)  # fmt: skip
    assert settings(text)["ExecStart"] == ['/bin/echo "a b" 50%% $$HOME "say \\"hi\\"" "" "back\\\\slash"']


@pytest.mark.parametrize(
    ("source", "families", "device"),
    [
        ("0", "AF_UNIX", ["char-video4linux rw"]),
        ("picamera", "AF_UNIX", ["char-video4linux rw", "char-media rw", "char-dma_heap rw"]),
        ("rtsp://camera/1", "AF_UNIX AF_INET AF_INET6", None),
        (".", "AF_UNIX", None),
    ],
)
def test_watching_may_use_its_source_and_nothing_else(
    source: str, families: str, device: list[str] | None, edgemnist: Run, tmp_path: Path
) -> None:
    done = edgemnist("watch", source, "--systemd", "--steady", "2", "--every")
    assert done.returncode == 0, done.stderr
    found = settings(done.stdout)
    assert found["RestrictAddressFamilies"] == [families]
    assert found.get("DeviceAllow") == device
    assert ("PrivateDevices" in found) == (device is None)
    assert found["ExecStart"][0].startswith(f"{sys.executable} -m edgemnist watch ")
    assert "--steady 2" in found["ExecStart"][0]
    assert found["ExecStart"][0].endswith("--every")
    assert found["WorkingDirectory"] == [str(tmp_path)]
    assert {"NoNewPrivileges", "ProtectSystem", "CapabilityBoundingSet", "SystemCallFilter"} <= set(found)
    if ANALYZE is not None:
        (tmp_path / "edgemnist.service").write_text(done.stdout)
        checked = subprocess.run(
            [ANALYZE, "verify", "--man=no", tmp_path / "edgemnist.service"], check=False, capture_output=True, text=True
        )
        assert "edgemnist.service" not in checked.stderr
