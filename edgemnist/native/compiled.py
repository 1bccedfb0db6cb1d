"""C files as `edgemnist export --format c` writes them, compiled on this machine and called."""

from __future__ import annotations

import ctypes
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgemnist.errors import ArtifactError, temporary_files_failed
from edgemnist.native.amalgamation import is_own
from edgemnist.native.build import WARNINGS, CompilerError, compile_c
from edgemnist.runtimes.files import C_SOURCE, read_model
from edgemnist.runtimes.interface import ChunkedClassifier
from edgemnist.runtimes.pixels import Numbers, dequantize_scores

if TYPE_CHECKING:
    from edgemnist.arrays import Images, Probabilities

_OPTIONS: Final = ("-O3", "-shared", *WARNINGS, "-Werror")


@dataclass(frozen=True)
class _Functions:
    """What a compiled file offers."""

    classify: Any
    classes: int
    scale: float
    zero_point: int
    labels: tuple[str, ...]


class CompiledClassifier(ChunkedClassifier):
    """The C file of a network, as a microcontroller runs it, on this machine.

    The file is compiled when it is loaded, without a warning or not at all, so it takes a C compiler. Calls from
    several threads take turns, because the functions of the file keep their memory between calls.

    A C file may be any program. Only the engine's own code is compiled, with whatever network.
    """

    def __init__(self, source: bytes, path: Path, *, labels: Sequence[str] | None = None) -> None:
        """`source` is the contents of a C file, `path` its name in messages."""
        if not is_own(source):
            raise ArtifactError(
                f"{path} is not compiled: its code or its numbers are not those that this version of edgemnist writes, "
                "so it might do anything",
                hint="Make it again with: edgemnist export --format c",
            )
        self._functions = _compiled(source, path)
        self._lock = threading.Lock()
        output = Numbers(np.dtype(np.uint8), self._functions.scale, self._functions.zero_point)
        self._decoded = dequantize_scores(output)
        self._set_up(path, self._functions.labels if labels is None else labels)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        threads: int = 1,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
    ) -> CompiledClassifier:
        """Compile a C file; see `Classifier.load`.

        One thread executes it, whatever `threads` is, and what its pixels mean is part of it. Raises ArtifactError,
        too, where the compiler fails, with its first error, and for a file with other code than edgemnist writes.
        """
        del threads, input_range
        return cls(read_model(path, C_SOURCE), path, labels=labels)

    def _scores(self, images: Images) -> Probabilities:
        images = np.ascontiguousarray(images)
        scores = np.empty((len(images), self._functions.classes), dtype=np.uint8)
        classify = self._functions.classify
        first, step = images.ctypes.data, images[0].size
        target, row = scores.ctypes.data, self._functions.classes
        with self._lock:
            for index in range(len(images)):
                classify(ctypes.c_void_p(first + index * step), ctypes.c_void_p(target + index * row))
        return self._decoded.take(scores)


def _compiled(source: bytes, path: Path) -> _Functions:
    """Compile a C file in a directory of its own, and load what comes out."""
    with tempfile.TemporaryDirectory(prefix="edgemnist-c-", ignore_cleanup_errors=True) as directory:
        # What is compiled is what was looked at, whatever happens to the original.
        copy, made = Path(directory) / "classifier.c", Path(directory) / "classifier.so"
        try:
            copy.write_bytes(source)
        except OSError as error:
            raise temporary_files_failed(error) from error
        try:
            compile_c([copy], made, options=_OPTIONS)
            library = ctypes.CDLL(str(made))
            classify = library.edgemnist_classify
            count = int(ctypes.c_int.in_dll(library, "edgemnist_class_count").value)
            scale = float(ctypes.c_float.in_dll(library, "edgemnist_score_scale").value)
            zero_point = int(ctypes.c_int.in_dll(library, "edgemnist_score_zero_point").value)
            names = (ctypes.c_char_p * count).in_dll(library, "edgemnist_labels")
        except CompilerError as error:
            raise ArtifactError(f"{path} cannot be compiled: {error}") from error
        except (OSError, AttributeError, ValueError) as error:
            raise ArtifactError(
                f"{path} is not a classifier written by edgemnist: {error}",
                hint="Make one with: edgemnist export --format c",
            ) from error
    return _Functions(classify, count, scale, zero_point, tuple((name or b"").decode() for name in names))
