"""Keras model files of unknown origin: a child process with limits reads, builds and executes each before we do.

A damaged HDF5 file can send its library into an endless loop, a small archive can unpack to gigabytes, and a layer can
pad an image to terabytes. The child is this very file, run as a script. It imports Keras once, which takes seconds, in
which its parent does the same, and forks for each file; where processes cannot fork, it ends after one.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

TIMEOUT_S: Final = 300.0
"""By the clock: a machine with other work may take a minute to start a process, and that is not the file's fault. What
never ends is ended by the limits of the processor's time."""
READING_S: Final = 2.0
"""Of the processor, to read the contents: 784-512-10 takes 0.005. With two bytes changed, HDF5 may never end."""
BUILDING_S: Final = 60.0
"""Of the processor, to build the network and to execute it: one of 2,000 layers takes 10."""
ENOUGH_S: Final = 5.0
"""Of the processor: a network that takes longer for one image is none for digits, and is not tried on more images."""
BYTES_A_SECOND: Final = 10 << 20
"""A larger file gets a second more for each of these."""
MEMORY: Final = 1 << 30
"""Bytes that a file may take beside `COPIES` of itself: two thousand times 784-512-10. Only Linux holds it to them."""
COPIES: Final = 4
MAX_BYTES: Final = 1 << 30
"""That the contents of a file may take in memory."""
MAX_CONFIG: Final = 4 << 20
"""Bytes of a model's configuration, and of any other JSON: a network of 300 layers has 0.2 MB."""
MAX_LAYERS: Final = 2000
"""Of a network of functions, which Keras builds in 10 s."""
SEQUENTIAL: Final = 200
"""Layers of a Sequential that take as long: Keras builds it from the start for each of them."""
LONG_CONFIG: Final = f"its configuration takes more than {MAX_CONFIG >> 20} MB"
TOO_LARGE: Final = f"its contents take more than {MAX_BYTES >> 30} GB"
AT_ONCE: Final = (1, 10, 100, 1000)
"""Images that are tried at once, as many as any runtime gets."""
PIXELS: Final = 28 * 28
IDLE_S: Final = 20
"""A child that has nothing to do for so long ends: it holds 400 MB."""
ENVIRONMENT: Final = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "OPENBLAS_NUM_THREADS": "1"} | {
    # The allocator of oneDNN waits ten seconds for memory that never comes.
    "TF_ENABLE_ONEDNN_OPTS": "0"
}
NO_MEMORY: Final = ("OOM when allocating", "bad_alloc", "Unable to allocate", "MemoryError", "ResourceExhausted")
MAX_WORDS: Final = 20_000
READ, BUILD, EXECUTE = "read", "build", "execute"
NEVER_ENDS: Final = {
    READ: "reading its contents never ends",
    BUILD: f"Keras does not build it within {BUILDING_S:g} s",
    EXECUTE: f"Keras does not answer an image within {BUILDING_S:g} s",
}
FAILED: Final = {
    # Ended by a signal, as by a fault of the HDF5 library, a child leaves no words.
    READ: "its contents cannot be read",
    BUILD: "Keras fails to build it",
    EXECUTE: "Keras fails to execute it",
}
LACKS_MEMORY: Final = {
    READ: "reading its contents takes gigabytes",
    BUILD: "its layers take gigabytes",
    EXECUTE: "its layers take gigabytes for an image",
}
SLOW: Final = f"Keras takes more than {ENOUGH_S:g} s for an image"


class Trial(NamedTuple):
    """What became of a file."""

    wrong: str = ""
    """What is wrong with it, empty if nothing is."""
    unbounded: bool = False
    """Whether what is wrong is that it takes more time or memory than any classifier of digits."""
    at_once: int = AT_ONCE[-1]
    """How many images at once Keras answers within the limit of memory."""


class _Child:
    """The process that tries files, one after the other."""

    def __init__(self) -> None:
        # Not isolated: what its parent imports from PYTHONPATH or the user's site directory it has to find as well.
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, path: Path) -> dict[str, Any]:
        """Return what it reports of a file; without `ended` if it ended itself before that."""
        reports: dict[str, Any] = {}
        requests, lines = self._process.stdin, self._process.stdout
        if requests is None or lines is None:
            raise ValueError("a child has pipes")
        with contextlib.suppress(BrokenPipeError):
            requests.write(json.dumps(str(path)).encode() + b"\n")
            requests.flush()
        for line in lines:
            reports |= json.loads(line)
            if "ended" in reports:
                break
        return reports

    def end(self) -> None:
        """End it and whatever it has forked."""
        with contextlib.suppress(OSError), self._process:
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)


_TURN: Final = threading.Lock()
_children: list[_Child] = []
if hasattr(os, "register_at_fork"):
    # It is its parent's child, and would end with any of its siblings.
    os.register_at_fork(after_in_child=_children.clear)


def start_child() -> None:
    """Start the child, if there is none: it takes as long as TensorFlow, which may be imported meanwhile."""
    with _TURN:
        _child()


def try_model(path: Path, *, timeout: float = TIMEOUT_S) -> Trial:
    """Read, build and execute a `.keras` or `.h5` file in a child process, within `timeout` seconds at most.

    On Windows and macOS nothing limits the memory that it takes.
    """
    with _TURN:
        reports: dict[str, Any] = {}
        # One that has had nothing to do may end in this very moment.
        for _ in range(2):
            child, late = _child(), threading.Event()
            timer = threading.Timer(timeout, lambda child=child, late=late: (late.set(), child.end()))
            timer.start()
            try:
                reports = child.ask(path)
            finally:
                timer.cancel()
                if "ended" not in reports:
                    child.end()
            if reports or late.is_set():
                break
    return _trial(reports, f"its contents cannot be read within {timeout:g} s" if late.is_set() else "")


def _child() -> _Child:
    if not _children or not _children[-1].alive:
        end_child()
        _children.append(_Child())
    return _children[-1]


@atexit.register
def end_child() -> None:
    """End the child, if there is one."""
    while _children:
        _children.pop().end()


def _trial(reports: dict[str, Any], late: str) -> Trial:
    at_once = int(reports.get("answered", 0))
    if wrong := reports.get("wrong"):
        return Trial(wrong, unbounded=wrong in {SLOW, *LACKS_MEMORY.values()})
    if at_once or reports.get("ended") == 0:
        return Trial(at_once=at_once or AT_ONCE[-1])
    phase = reports.get("phase", READ)
    if late or reports.get("ended") == -getattr(signal, "SIGPROF", 0):
        return Trial(late or NEVER_ENDS[phase], unbounded=True)
    return Trial(FAILED[phase])


def _serve(requests: IO[bytes], reports: IO[bytes]) -> None:
    """Try each file that is asked for. Where processes cannot fork, the first is the only one."""

    def report(**values: Any) -> None:  # noqa: ANN401 - any JSON
        reports.write(json.dumps(values).encode() + b"\n")
        reports.flush()

    while True:
        if sys.platform == "win32":
            path = requests.readline()
        else:
            signal.alarm(IDLE_S)
            path = requests.readline()
            signal.alarm(0)
        if not path:
            return
        if sys.platform == "win32":
            _try(Path(json.loads(path)), report)
            report(ended=0)
            return
        child = os.fork()
        if not child:
            try:
                _try(Path(json.loads(path)), report)
            finally:
                os._exit(0)
        report(ended=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _try(path: Path, report: Callable[..., None]) -> None:
    """Read, build and execute a file, and report how far that went."""
    phase = READ
    try:
        report(phase=phase)
        _limit(path, READING_S)
        _read(path)
        phase = BUILD
        report(phase=phase)
        _limit_time(path, BUILDING_S)
        model = _build(path)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of the readers of ZIP, HDF5 and JSON
        words = str(error).strip() or type(error).__name__
        report(wrong=LACKS_MEMORY[phase] if _lacks_memory(error) else words[:MAX_WORDS])
        return
    report(phase=EXECUTE)
    _execute(model, report)


def _limit(path: Path, seconds: float) -> None:
    """Limit the time of the processor that this process may take from now on, and on Linux its memory."""
    _limit_time(path, seconds)
    with contextlib.suppress(OSError):
        # Private and writable, as the limit counts it.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        now = 1024 * int(status.partition("VmData:")[2].split()[0])
        import resource

        most = now + MEMORY + COPIES * _size(path)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(path: Path, seconds: float) -> None:
    if sys.platform != "win32":
        # The signal ends the process, also where a library never comes back.
        signal.setitimer(signal.ITIMER_PROF, seconds + _size(path) / BYTES_A_SECOND)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _lacks_memory(error: BaseException | None) -> bool:
    """Tell whether an error comes from a limit of memory: Keras wraps errors in others, and quotes their words."""
    while error is not None:
        words = f"{type(error).__name__} {error}"
        if isinstance(error, MemoryError) or any(sign in words for sign in NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _build(path: Path) -> Any:  # noqa: ANN401 - Keras has no types
    import keras
    import tensorflow as tf

    # Each thread has a stack, and all of them count.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _execute(model: Any, report: Callable[..., None]) -> None:  # noqa: ANN401 - Keras has no types
    """Answer more and more images at once, and report after each success.

    A model that takes no images, or refuses them, is left to those who can say why.
    """
    import keras

    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or inputs[0].shape[0] is not None or None in inputs[0].shape[1:]:
        return
    shape = tuple(inputs[0].shape[1:])
    if math.prod(shape) != PIXELS:
        return
    before, started = _peak_bytes(), time.process_time()
    for count in AT_ONCE:
        try:
            model(keras.ops.zeros((count, *shape), dtype=inputs[0].dtype), training=False)
        except Exception as error:  # noqa: BLE001 - layers refuse values with exceptions of every kind
            if _lacks_memory(error) and count == AT_ONCE[0]:
                report(wrong=LACKS_MEMORY[EXECUTE])
            return
        took = time.process_time() - started
        if took > ENOUGH_S and count == AT_ONCE[0]:
            report(wrong=SLOW)
            return
        report(answered=count)
        # Ten times as many are not tried where they would take more memory.
        if took > ENOUGH_S or 10 * (_peak_bytes() - before) > MEMORY:
            return


def _peak_bytes() -> int:
    """Return the most memory that this process has had, or 0 on Windows."""
    if sys.platform == "win32":
        return 0
    import resource

    # macOS counts in bytes, others in KB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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


def _main() -> None:
    requests, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What libraries print is no report, and no request is theirs.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    import keras  # noqa: F401 - what their imports take is not the file's fault

    _serve(requests, reports)


if __name__ == "__main__":
    _main()
