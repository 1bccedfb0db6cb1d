"""On a terminal nothing of the libraries is seen, also while a bar is drawn."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.all
def test_nothing_of_tensorflow_reaches_a_terminal(exports: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "edgemnist", "export", "--exports", str(exports)),
        *("--format", "tflite", "--quantize", "int8", "--golden", "20", "--calibration", "10", "--offline"),
    ]
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=follower, stderr=follower, stdin=follower)
    os.close(follower)
    seen = b""
    # Reading fails once the last process has closed the terminal.
    while piece := _read(leader):
        seen += piece
    os.close(leader)
    assert process.wait() == 0, seen.decode()
    words = seen.decode()
    assert "Exporting" in words
    assert "tflite-int8" in words
    # Nothing but colours and a line break stands between the words.
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\s+", " ", words)
    assert re.search(r"Wrote 1 artifact\. +Next: edgemnist verify --exports \S", plain), plain
    for chatter in ("Saved artifact", "Captures", "TensorSpec", "WARNING", "fully_quantize", "I0000", "INFO"):
        assert chatter not in words


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
