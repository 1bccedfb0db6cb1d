"""Model files of strangers: a child process with limits of time and memory tries each before we open it.

A damaged HDF5 file can send its library into an endless loop, a small archive can unpack to gigabytes, and a layer can
make terabytes of an image, in Keras, ONNX Runtime and LiteRT alike. A file whose hash the manifest records is not a
stranger's; where others depend on it, it is tried all the same: a runtime may die of it on this machine alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from edgemnist.errors import ArtifactError, ModelError, UsageError
from edgemnist.ground.inputs import InputSpec
from edgemnist.ground.storage import sha256
from edgemnist.model.runtimes import RUNTIMES, read_file
from edgemnist.model.runtimes.interface import Classifier, Options

TIMEOUT_S: Final = 300.0
"""By the clock: a machine with other work may take a minute to start a process, and that is not the file's fault. What
never ends is ended by the limits of the processor's time."""
BUILDING_S: Final = 60.0
"""Of the processor, for Keras to build a network and to execute it: one of 2,000 layers takes 10. With two bytes
changed, reading an HDF5 file may never end."""
LOADING_S: Final = 10.0
"""Of the processor, for another runtime to load a file and to answer a few images: 400,000 weights take 0.01."""
ENOUGH_S: Final = 5.0
"""Of the processor: a network that takes longer for one image is no small one, and is not tried on more images."""
BYTES_A_SECOND: Final = 10 << 20
"""A larger file gets a second more for each of these."""
MEMORY: Final = 1 << 30
"""Bytes that a file may take beside `COPIES` of itself: 250 million weights in float32. Only Linux enforces it."""
COPIES: Final = 4
AT_ONCE: Final = (1, 10, 100, 1000)
"""Images that are tried at once, as many as any runtime gets."""
NO_MEMORY: Final = (
    *("OOM when allocating", "bad_alloc", "Unable to allocate", "MemoryError", "ResourceExhausted"),
    "Failed to allocate memory",  # ONNX Runtime
)
HINT: Final = "A small classifier takes megabytes and milliseconds: leave out the layer that takes more."
DAMAGED: Final = (
    "It may be damaged: convert or download it again. Or the runtime does not work on this machine: edgemnist doctor"
)
ENDLESS: Final = "{} does not load it and answer an image within {:g} s"
CRASHES: Final = "it makes {} crash"
LACKS_MEMORY: Final = "its layers take gigabytes of memory"
SLOW: Final = f"it takes more than {ENOUGH_S:g} s for an image"

_KERAS: Final = "keras"
_CODE: Final = """
import json, sys
# What its parent can import it has to find as well.
sys.path[:] = json.loads(sys.argv[1])
from edgemnist.model.runtimes import untrusted
untrusted.main(*sys.argv[2:])
"""
_COMMAND: Final = [sys.executable, "-P", "-c", _CODE]
_ENVIRONMENT: Final = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "OPENBLAS_NUM_THREADS": "1"} | {
    # The allocator of oneDNN waits ten seconds for memory that never comes.
    "TF_ENABLE_ONEDNN_OPTS": "0"
}
_Tried: TypeAlias = tuple[str, Path, str, InputSpec | None, bool | None]
"""A runtime or a reader, a path, the SHA-256 of what is there, what it reads, and whether it answers
with numbers, where that is known."""
_TRIED: Final[dict[_Tried, int | ArtifactError]] = {}
"""What became of files that this process had tried: the number of images at once."""


def try_file(path: Path, runtime: str, spec: InputSpec | None = None, *, numbers: bool | None = None) -> int:
    """Return how many images at once a runtime answers with a model file within the limits, in a child process.

    On Windows and macOS nothing limits the memory that it takes. A C file is only compared with what this edgemnist
    writes for the TFLite file beside it.

    Raises ArtifactError for a file that goes beyond the limits, and for one that the runtime refuses or dies of.
    """
    data = read_file(path)
    if RUNTIMES[runtime].origin:
        pkgutil.resolve_name(RUNTIMES[runtime].origin)(data, path)
        return AT_ONCE[-1]
    return _tried((runtime, path, sha256(data), spec, numbers))


def try_reader(path: Path, reader: str) -> None:
    """Have a child process call `module:function`, which makes a Keras model of a file, within the limits.

    Raises ArtifactError for a file that goes beyond them or ends the process, and with the words of a UsageError.
    """
    _tried((reader, path, sha256(read_file(path)), None, None))


def _tried(file: _Tried) -> int:
    _try_in_child([file])
    if isinstance(outcome := _TRIED[file], ArtifactError):
        raise ArtifactError(outcome.message, hint=outcome.hint)
    return outcome


def try_files(files: Iterable[tuple[Path, str]]) -> None:
    """Have files tried by a runtime each, as many as possible in one child, so that `try_file` need not wait for one.

    Those that cannot be read are left to it.
    """
    _try_in_child([(runtime, path, sha256(path.read_bytes()), None, None) for path, runtime in files if path.is_file()])


def _try_in_child(files: Sequence[_Tried]) -> None:
    files = [file for file in files if file not in _TRIED]
    while files:
        reports = _reports(files)
        for tried, report in zip(files, reports, strict=False):
            try:
                _TRIED[tried] = _judged(report, tried[1], tried[0])
            except ArtifactError as error:
                _TRIED[tried] = error
        # Those that follow one of which the child died.
        files = files[len(reports) :]


def _reports(files: Sequence[_Tried]) -> list[dict[str, Any]]:
    """Return what a child reports of each file that it has begun.

    The last one has `code`, how the child ended, None where it had to be ended.
    """
    named = [(name, str(path), spec and msgspec.to_builtins(spec), numbers) for name, path, _, spec, numbers in files]
    with subprocess.Popen(  # noqa: S603 - our own code
        [*_COMMAND, json.dumps(sys.path), json.dumps(named)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | _ENVIRONMENT,
    ) as child:
        try:
            if any(_is_keras(name) for name, *_ in named):
                import keras  # noqa: F401 - what takes seconds is done in both processes at once
            output, code = child.communicate(timeout=len(files) * TIMEOUT_S)[0], child.returncode
        except subprocess.TimeoutExpired:
            child.kill()
            output, code = child.communicate()[0], None
        except BaseException:
            child.kill()
            raise
    reports: list[dict[str, Any]] = []
    for line in output.splitlines():
        report = json.loads(line)
        if "file" in report or not reports:
            reports.append({"code": 0})
        reports[-1] |= report
    # What ends before it begins is the first one's fault.
    reports = reports or [{}]
    reports[-1]["code"] = code
    return reports


def _judged(reports: dict[str, Any], path: Path, runtime: str) -> int:
    """Return how many images were answered at once. Raises ArtifactError if something is wrong with the file."""
    if refused := reports.get("refused"):
        raise ArtifactError(refused[0], hint=refused[1])
    code, answered = reports["code"], int(reports.get("answered", 0))
    title = "Keras" if _is_keras(runtime) else f"the runtime {runtime}"
    hint = HINT
    if not (wrong := reports.get("wrong", "")):
        # One that answers no image is left to those who can say why.
        if answered or code == 0:
            return answered or AT_ONCE[0]
        if code is None:
            wrong = f"nothing came of it within {TIMEOUT_S:g} s"
        elif code == -getattr(signal, "SIGPROF", 0):
            wrong = ENDLESS.format(title, _seconds(runtime))
        else:
            wrong, hint = CRASHES.format(title), DAMAGED
    raise ArtifactError(f"{path} is not opened: {wrong}", hint=hint)


def _seconds(runtime: str) -> float:
    return BUILDING_S if _is_keras(runtime) else LOADING_S


def _is_keras(runtime: str) -> bool:
    return runtime.startswith(_KERAS) or _is_reader(runtime)


def _is_reader(runtime: str) -> bool:
    return ":" in runtime


def main(files: str) -> None:
    """Try files, pairs of runtime and path in JSON, and write reports to stdout, a line of JSON each."""
    # What libraries print is not a report.
    with os.fdopen(os.dup(1), "wb") as reports:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

        def report(**values: Any) -> None:  # noqa: ANN401 - any JSON
            reports.write(json.dumps(values).encode() + b"\n")
            reports.flush()

        for runtime, name, stored, numbers in json.loads(files):
            report(file=name)
            spec = msgspec.convert(stored, InputSpec | None)
            _try(runtime, Path(name), {"spec": spec, "numbers": numbers}, report)
    os._exit(0)


def _try(runtime: str, path: Path, options: Options, report: Callable[..., None]) -> None:
    """Load and execute a file, and report how far that went."""
    if _is_keras(runtime):
        import keras  # noqa: F401 - what its import takes is not the file's fault

    _limit(path, _seconds(runtime))
    try:
        if _is_reader(runtime):
            pkgutil.resolve_name(runtime)(path)
            return
        classifier = RUNTIMES[runtime].load().load(path, **options)
    except ImportError:
        # That the runtime does not load is not the file's fault: whoever needs it says why.
        return
    except Exception as error:
        if _lacks_memory(error):
            report(wrong=LACKS_MEMORY)
        elif not isinstance(error, ArtifactError | UsageError):
            raise
        elif not runtime.startswith(_KERAS) or isinstance(error.__cause__, ModelError):
            # A Keras model that cannot be executed is left to those who can say why.
            report(refused=[error.message, error.hint])
        return
    _answer(classifier, report)


def _answer(classifier: Classifier, report: Callable[..., None]) -> None:
    """Have more and more images answered at once, and report after each success."""
    inputs = np.zeros((AT_ONCE[-1], *classifier.spec.shape), classifier.spec.dtype)
    before, started = _peak_bytes(), time.process_time()
    for count in AT_ONCE:
        try:
            classifier.answer(inputs[:count])
        except Exception as error:  # noqa: BLE001 - layers refuse values with exceptions of every kind
            if _lacks_memory(error) and count == AT_ONCE[0]:
                report(wrong=LACKS_MEMORY)
            return
        took = time.process_time() - started
        if took > ENOUGH_S and count == AT_ONCE[0]:
            report(wrong=SLOW)
            return
        report(answered=count)
        # Ten times as many are not tried where they would take more memory.
        if took > ENOUGH_S or 10 * (_peak_bytes() - before) > MEMORY:
            return


def _limit(path: Path, seconds: float) -> None:
    """Limit the time of the processor that this process may take from now on, and on Linux its memory."""
    if sys.platform == "win32":
        return
    size = path.stat().st_size
    # The signal ends the process, also where a library never comes back.
    signal.setitimer(signal.ITIMER_PROF, seconds + size / BYTES_A_SECOND)
    if now := data_bytes():
        import resource

        most = now + MEMORY + COPIES * size
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def data_bytes() -> int:
    """Return the bytes that RLIMIT_DATA counts, private and writable ones, or 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return 1024 * int(status.partition("VmData:")[2].split()[0])


def _lacks_memory(error: BaseException | None) -> bool:
    """Return whether an error comes from a limit of memory: Keras wraps errors in others, and quotes their words."""
    while error is not None:
        words = f"{type(error).__name__} {error}"
        # LiteRT fails without a word.
        if isinstance(error, MemoryError) or words == "RuntimeError " or any(sign in words for sign in NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _peak_bytes() -> int:
    """Return the most memory that this process has had, or 0 on Windows."""
    if sys.platform == "win32":
        return 0
    import resource

    # macOS counts in bytes, others in KB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
