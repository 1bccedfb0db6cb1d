"""The engine's shared library and its structures in memory, as Python sees them: see `engine.h` and `library.c`."""

from __future__ import annotations

import copy
import ctypes
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgemnist.errors import ArtifactError
from edgemnist.model.native import BUILD, find_library
from edgemnist.model.native.layout import Rows, WeightForm, lay_out
from edgemnist.model.native.network import Network
from edgemnist.model.native.structures import LAYER, MODEL, WINDOW

ALIGNMENT: Final = 64
"""Bytes, a cache line: of weights and of scratch memory."""


class Kernel(ctypes.Structure):
    """`edgemnist_kernel`."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("group", ctypes.c_uint8),
        ("weights", ctypes.c_uint8),
        ("squares", ctypes.c_uint8),
        ("rows", ctypes.c_uint8),
        ("small_block", ctypes.c_uint16),
        ("block", ctypes.c_uint16),
        ("scratch_bytes", ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p)),
        ("run", ctypes.c_void_p),
        ("run_batch", ctypes.c_void_p),
    ]


_Layer: Final = LAYER.native()
_Window: Final = WINDOW.native()
_Model: Final = MODEL.native()


class Call(ctypes.Structure):
    """`edgemnist_call`."""

    kept: tuple[object, ...] = ()
    """What the addresses lead to."""
    _fields_: ClassVar = [
        *((name, ctypes.c_void_p) for name in ("kernel", "model", "images")),
        ("count", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("scores", "answers", "scratch")),
        *((name, ctypes.c_float) for name in ("step", "zero")),
    ]


MOST_DIMENSIONS: Final = 5
"""Of an array that the library takes or makes for Python."""


class Single(ctypes.Structure):
    """`edgemnist_single`."""

    kept: tuple[object, ...] = ()
    """What the addresses in the call lead to."""
    _fields_: ClassVar = [
        ("call", Call),
        ("otherwise", ctypes.py_object),
        ("taken", ctypes.c_void_p),
        *((name, ctypes.c_size_t) for name in ("dimensions", "made_dimensions")),
        *((name, ctypes.c_ssize_t * MOST_DIMENSIONS) for name in ("shape", "made_shape")),
        *((name, ctypes.c_void_p) for name in ("levels", "scales", "offsets")),
        ("input_step", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("input_zero_point", "made")),
        *((name, ctypes.c_uint8) for name in ("lowest", "made_lowest")),
    ]


def aligned(size: int, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    """Return an array of zeros, [size], that begins on a cache line."""
    dtype = np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size * dtype.itemsize].view(dtype)


class PreparedModel:
    """A network in the layout of one kernel; keeps alive what the structures point to.

    Raises ValueError for one that does not fit them.
    """

    def __init__(self, network: Network, kernel: Kernel) -> None:
        self._kept: list[object] = []
        laid_out = lay_out(
            network,
            group=kernel.group,
            block=kernel.block,
            small_block=kernel.small_block,
            form=WeightForm(kernel.weights),
            squares=bool(kernel.squares),
            rows=Rows(kernel.rows),
            alignment=ALIGNMENT,
        )
        layers = (_Layer * len(laid_out.layers))(
            *(
                _Layer(**{name: self._address(table) for name, table in layer.tables.items()}, **layer.numbers)
                for layer in laid_out.layers
            )
        )
        windows = (_Window * len(laid_out.windows))(*(_Window(**window) for window in laid_out.windows))
        self._kept += [layers, windows]
        self.structure = _Model(
            pixel_map=self._address(laid_out.pixel_map),
            layers=ctypes.addressof(layers),
            windows=ctypes.addressof(windows) if windows else None,
            **laid_out.numbers,
        )

    def with_map(self, table: npt.NDArray[np.uint8]) -> PreparedModel:
        """Return the model of other inputs, where this one has a map: each byte becomes what a table, [256], says."""
        made = copy.copy(self)
        made.structure = _Model.from_buffer_copy(self.structure)
        made.structure.pixel_map, made.structure.pixel_maps = self._address(table), 1
        return made

    def _address(self, values: npt.NDArray[Any] | None) -> int | None:
        """Return where a copy of an array lies from now on."""
        if values is None:
            return None
        copy = aligned(values.size, values.dtype)
        copy[:] = values
        self._kept.append(copy)
        return int(copy.ctypes.data)


ABI: Final = 17
"""As in `library.c`."""
_METH_O: Final = 0x8
"""Of Python's stable ABI: a built-in function of one argument."""
_NUMPY_ABI: Final = 2
"""Of NumPy 2: compiled extensions rely on how it lays out its arrays, and on its table of functions."""
_ABI_VERSION, _NEW_ARRAY = 0, 93
"""Where PyArray_GetNDArrayCVersion and PyArray_New stand in that table."""


class _Method(ctypes.Structure):
    """`PyMethodDef` of Python's stable ABI."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _PythonFacts(ctypes.Structure):
    """`python_facts` in `library.c`."""

    _fields_: ClassVar = [
        ("head", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("array", "new_array", "call", "pointer")),
    ]


@dataclass(frozen=True, eq=False)
class Library:
    """The functions of the library."""

    kernels: tuple[Kernel, ...]
    """That this processor can run, the fastest first; the portable one is always there."""
    answer: Callable[[object], None]
    """Answers a `Call`, handed over by reference, while other threads of Python run."""
    method: _Method
    """A built-in function that answers an input, whose `self` is a capsule of a `Single`."""
    is_direct: bool
    """Whether there is `single`."""
    kept: tuple[object, ...]
    """What the library points to."""

    def single(self, single: Single) -> Callable[[Any], Any]:
        """Return a built-in function that answers one input with a new array, both as `single` describes them.

        Anything else goes to `single.otherwise`. It takes half as long as a method of Python that calls by `ctypes`.
        """
        capsule = _python_function("PyCapsule_New", ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        new = _python_function("PyCFunction_NewEx", ctypes.POINTER(_Method), ctypes.py_object, ctypes.py_object)
        # The third is the function's module by name, and a reference that the function keeps in any case.
        function: Callable[[Any], Any] = new(self.method, capsule(ctypes.addressof(single), None, None), single)
        return function


@functools.cache
def open_library(file: Path | None = None) -> Library:
    """Load the library, by default this system's.

    Raises ArtifactError where the file is of another version, or of another system.
    """
    file = file or find_library()
    hint = f"Compile it again with: {BUILD}"
    try:
        library = ctypes.CDLL(str(file))
        abi, kernel_number = library.edgemnist_abi, library.edgemnist_kernel_number
    except (OSError, AttributeError) as error:
        raise ArtifactError(f"The native library {file} cannot be loaded: {error}", hint=hint) from error
    if (found := abi()) != ABI:
        raise ArtifactError(f"The native library {file} is of another version: {found} instead of {ABI}", hint=hint)
    kernel_number.restype, kernel_number.argtypes = ctypes.POINTER(Kernel), [ctypes.c_size_t]
    kernels: list[Kernel] = []
    while pointer := kernel_number(len(kernels)):
        kernels.append(pointer.contents)
    facts = _python_facts()
    if facts is not None:
        library.edgemnist_use_python(ctypes.byref(facts))
    library.edgemnist_answer.restype = None
    method = _Method(b"answer", ctypes.cast(library.edgemnist_answer_one, ctypes.c_void_p).value, _METH_O, None)
    return Library(tuple(kernels), library.edgemnist_answer, method, facts is not None, (library, facts))


def _python_facts() -> _PythonFacts | None:
    """Return what the library needs to know of CPython with its lock and of NumPy 2, or None for any other."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        # Where compiled extensions find them, too.
        from numpy._core._multiarray_umath import _ARRAY_API  # type: ignore[import-not-found]
    except ImportError:
        return None
    find = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    table = ctypes.cast(
        find(("PyCapsule_GetPointer", ctypes.pythonapi))(_ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p)
    )
    if ctypes.CFUNCTYPE(ctypes.c_uint)(table[_ABI_VERSION] or 0)() >> 24 != _NUMPY_ABI:
        return None
    return _PythonFacts(
        head=object.__basicsize__,
        array=id(np.ndarray),
        new_array=table[_NEW_ARRAY],
        call=_address("PyObject_CallOneArg"),
        pointer=_address("PyCapsule_GetPointer"),
    )


def _address(name: str) -> int | None:
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value


def _python_function(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - types of ctypes
    """Return a function of Python's C interface that returns an object."""
    return ctypes.PYFUNCTYPE(ctypes.py_object, *arguments)((name, ctypes.pythonapi))
