"""Keras model files of unknown origin: everything in them is read once by a child process with limits.

A damaged HDF5 file can send its library into an endless loop, and a small archive can unpack to gigabytes. The child is
this very file, run as a script: it imports the standard library and h5py, which takes a fifth of a second, and not
TensorFlow, which takes four.
"""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

TIMEOUT_S: Final = 300.0
"""By the clock: a machine with other work may take a minute to start a process, and that is not the file's fault. What
never ends is ended by `CPU_S`."""
CPU_S: Final = 2.0
"""Of the processor, once h5py is there: 784-512-10 takes 0.005. With two bytes changed, its library may never end."""
BYTES_A_SECOND: Final = 10 << 20
"""A larger file gets a second more for each of these."""
MAX_BYTES: Final = 1 << 30
"""That the contents of a file may take in memory: two thousand times those of 784-512-10."""
MAX_CONFIG: Final = 4 << 20
"""Bytes of a model's configuration, and of any other JSON: a network of 300 layers has 0.2 MB."""
MAX_LAYERS: Final = 2000
"""Of a network of functions, which Keras builds in 10 s."""
SEQUENTIAL: Final = 200
"""Layers of a Sequential that take as long: Keras builds it from the start for each of them."""
ADDRESS_SPACE: Final = 4 << 30
LONG_CONFIG: Final = f"its configuration takes more than {MAX_CONFIG >> 20} MB"
TOO_LARGE: Final = f"its contents take more than {MAX_BYTES >> 30} GB"


def check_contents(path: Path, *, timeout: float = TIMEOUT_S) -> str:
    """Read everything in a `.keras` or `.h5` file in a child process. Return what is wrong with it, empty if nothing.

    The child may take `timeout` seconds and `ADDRESS_SPACE` bytes.
    """
    command = [sys.executable, "-I", __file__, str(path)]
    try:
        done = subprocess.run(  # noqa: S603 - our own script, with a path
            command, check=False, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"its contents cannot be read within {timeout:g} s"
    if done.returncode == 0:
        return ""
    if done.returncode == -getattr(signal, "SIGPROF", 0):
        return "reading its contents never ends"
    # Killed by a signal, as by a fault of the HDF5 library, it leaves no words.
    lines = done.stdout.decode(errors="replace").strip().split("\n")
    return lines[-1][:200] or "its contents cannot be read"


def _read(path: Path) -> None:
    """Read everything in a file. Raises what the libraries raise, and ValueError for contents that are too large."""
    data = path.read_bytes()
    if not data.startswith(b"PK"):
        _read_hdf5(io.BytesIO(data))
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
            raise ValueError(TOO_LARGE)
        for member in archive.infolist():
            if member.filename.endswith(".json") and member.file_size > MAX_CONFIG:
                raise ValueError(LONG_CONFIG)
            contents = archive.read(member)
            if member.filename.endswith(".h5"):
                _read_hdf5(io.BytesIO(contents))
            elif member.filename.endswith(".json"):
                _read_config(contents)


def _read_config(text: bytes | str) -> None:
    """Parse a configuration. Raises ValueError for one that is too large: Keras makes 30 times as much of it."""
    if len(text) > MAX_CONFIG:
        raise ValueError(LONG_CONFIG)
    nodes, layers = [json.loads(text)], 0
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            found = len(listed) if isinstance(listed := node.get("layers"), list) else 0
            layers += found if "output_layers" in node else found * found * MAX_LAYERS // SEQUENTIAL**2
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
    if layers > MAX_LAYERS:
        raise ValueError(f"it has more than {MAX_LAYERS:,} layers, or {SEQUENTIAL} in a Sequential")


def _read_hdf5(stream: io.BytesIO) -> None:
    import h5py

    size = 0

    def visit(name: str, node: Any) -> None:  # noqa: ANN401 - h5py has no types
        nonlocal size
        del name
        dict(node.attrs)
        if isinstance(node, h5py.Dataset):
            size += node.nbytes
            if size > MAX_BYTES:
                raise ValueError(TOO_LARGE)
            _ = node[()]

    with h5py.File(stream, "r") as file:
        for name, value in file.attrs.items():
            if name == "model_config" and isinstance(value, bytes | str):
                _read_config(value)
        file.visititems(visit)


def _main() -> int:
    path = Path(sys.argv[1])
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        import h5py  # noqa: F401 - its import is not the file's fault

        size = path.stat().st_size if path.exists() else 0
        # The signal ends the process, also where the library never comes back.
        signal.setitimer(signal.ITIMER_PROF, CPU_S + size / BYTES_A_SECOND)
    try:
        _read(path)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of the zip and HDF5 readers
        words = str(error).strip().split("\n", 1)[0]
        sys.stdout.write(f"{words or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
