"""The child process that tries model files of unknown origin, with limits of time and memory.

It imports what a file needs once, which takes seconds, and forks for each file; where processes cannot fork, it ends
after one.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import select
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from edgemnist.arrays import IMAGE_SIDE
from edgemnist.errors import ArtifactError

READING_S: Final = 2.0
"""Of the processor, to read a Keras file: 784-512-10 takes 0.005. With two bytes changed, HDF5 may never end."""
BUILDING_S: Final = 60.0
"""Of the processor, to build the network and to execute it: one of 2,000 layers takes 10."""
LOADING_S: Final = 10.0
"""Of the processor, for a runtime to load a file and to answer a few images: 784-512-10 takes 0.01."""
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

KERAS: Final = "keras"
"""The runtime whose files are read and built before it executes them."""
IDLE_S: Final = 20
"""A child that has nothing to do for so long ends: it holds 400 MB."""
NO_MEMORY: Final = (
    *("OOM when allocating", "bad_alloc", "Unable to allocate", "MemoryError", "ResourceExhausted"),
    "Failed to allocate memory",  # ONNX Runtime
)
MAX_WORDS: Final = 20_000
READ, BUILD, LOAD, EXECUTE = "read", "build", "load", "execute"
NEVER_ENDS: Final = {
    READ: "reading its contents never ends",
    BUILD: f"{{}} does not build it within {BUILDING_S:g} s",
    LOAD: f"{{}} does not load it and answer an image within {LOADING_S:g} s",
    EXECUTE: f"{{}} does not answer an image within {BUILDING_S:g} s",
}
FAILED: Final = {
    # Ended by a signal, as by a fault of the HDF5 library, a child leaves no words.
    READ: "its contents cannot be read",
    BUILD: "{} fails to build it",
    LOAD: "it makes {} crash",
    EXECUTE: "{} fails to execute it",
}
LACKS_MEMORY: Final = {
    READ: "reading its contents takes gigabytes",
    BUILD: "its layers take gigabytes",
    EXECUTE: "its layers take gigabytes for an image",
}
SLOW: Final = f"it takes more than {ENOUGH_S:g} s for an image"


def _serve(requests: IO[bytes], reports: IO[bytes]) -> None:
    """Try each file that is asked for. Where processes cannot fork, the first is the only one."""

    def report(**values: Any) -> None:  # noqa: ANN401 - any JSON
        reports.write(json.dumps(values).encode() + b"\n")
        reports.flush()

    while request := _next(requests):
        runtime = request["runtime"]
        if runtime == KERAS:
            import keras  # noqa: F401 - what its import takes is not the file's fault
        if "path" not in request:
            continue
        trial = _try_keras if runtime == KERAS else partial(_try_runtime, runtime)
        if sys.platform == "win32":
            trial(Path(request["path"]), report)
            report(ended=0)
            return
        at_work, held = os.pipe()
        child = os.fork()
        if not child:
            try:
                trial(Path(request["path"]), report)
            finally:
                os._exit(0)
        os.close(held)
        _wait(at_work, requests.fileno())
        os.close(at_work)
        report(ended=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _wait(at_work: int, requests: int) -> None:
    """Wait for the end of a fork, which held the other end of a pipe, or end with it once nobody waits for its report.

    A parent that was killed ends nothing, and what never ends may take no time of the processor.
    """
    ends = select.poll()
    for end in (at_work, requests):
        # That the other end is closed is told in any case.
        ends.register(end, 0)
    if requests in dict(ends.poll()):
        os.killpg(0, signal.SIGKILL)


def _next(requests: IO[bytes]) -> dict[str, Any]:
    """Return the next request, empty where none will come."""
    if sys.platform == "win32":
        line = requests.readline()
    else:
        signal.alarm(IDLE_S)
        line = requests.readline()
        signal.alarm(0)
    return dict(json.loads(line or b"{}"))


def _try_keras(path: Path, report: Callable[..., None]) -> None:
    """Read, build and execute a Keras file, and report how far that went."""
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
    # A model that takes no images, or refuses them, is left to those who can say why.
    if (shape := _image_shape(model)) is not None:
        import keras

        dtype = model.inputs[0].dtype
        _execute(lambda count: model(keras.ops.zeros((count, *shape), dtype=dtype), training=False), report)


def _try_runtime(runtime: str, path: Path, report: Callable[..., None]) -> None:
    """Load and execute a file in a runtime, and report how far that went."""
    from edgemnist.runtimes import RUNTIMES

    report(phase=LOAD)
    _limit(path, LOADING_S)
    try:
        classifier = RUNTIMES[runtime].load().load(path)
    except Exception as error:  # noqa: BLE001 - of memory, runtimes raise whatever they like
        if _lacks_memory(error):
            report(wrong=LACKS_MEMORY[EXECUTE])
        elif isinstance(error, ArtifactError):
            report(refused=[error.message, error.hint])
        else:
            report(wrong=FAILED[LOAD].format(runtime))
        return
    images = np.zeros((AT_ONCE[-1], IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    _execute(lambda count: classifier.predict_proba(images[:count]), report)


def _limit(path: Path, seconds: float) -> None:
    """Limit the time of the processor that this process may take from now on, and on Linux its memory."""
    _limit_time(path, seconds)
    if now := data_bytes():
        import resource

        most = now + MEMORY + COPIES * _size(path)
        with contextlib.suppress(OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def data_bytes() -> int:
    """Return the bytes that RLIMIT_DATA counts, private and writable ones, or 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return 1024 * int(status.partition("VmData:")[2].split()[0])


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
        # LiteRT fails without a word.
        if isinstance(error, MemoryError) or words == "RuntimeError " or any(sign in words for sign in NO_MEMORY):
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


def _image_shape(model: Any) -> tuple[int, ...] | None:  # noqa: ANN401 - Keras has no types
    """Return the shape of an image as a Keras model takes it, or None where it takes none."""
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or inputs[0].shape[0] is not None or None in inputs[0].shape[1:]:
        return None
    shape = tuple(inputs[0].shape[1:])
    return shape if math.prod(shape) == IMAGE_SIDE**2 else None


def _execute(answer: Callable[[int], object], report: Callable[..., None]) -> None:
    """Have more and more images answered at once, and report after each success."""
    before, started = _peak_bytes(), time.process_time()
    for count in AT_ONCE:
        try:
            answer(count)
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


def main() -> None:
    """Serve requests from stdin, a line of JSON each, and write reports of the same kind to stdout."""
    requests, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What libraries print is no report, and no request is theirs.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    _serve(requests, reports)
