"""The engine's shared library, as Python sees it."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from edgemnist.errors import ArtifactError
from edgemnist.native import BUILD, find_library
from edgemnist.native.structures import Kernel, Single

ABI: Final = 9
"""As in `library.c`."""
HAS_LOCK: Final = bool(getattr(sys, "_is_gil_enabled", lambda: True)())
"""Whether one thread at a time runs Python, on which `Library.single` relies."""

_METH_O: Final = 0x8
"""Of Python's stable ABI: a built-in function of one argument."""
_PYTHON: Final = (
    "PyObject_GetBuffer",
    "PyBuffer_Release",
    "PyObject_CallNoArgs",
    "PyObject_CallOneArg",
    "PyCapsule_GetPointer",
    "PyErr_Clear",
)
"""`python_functions` in `library.c`."""


class _Method(ctypes.Structure):
    """`PyMethodDef` of Python's stable ABI."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


@dataclass(frozen=True, eq=False)
class Library:
    """The functions of the library."""

    kernels: tuple[Kernel, ...]
    """That this processor can run, the fastest first; the portable one is always there."""
    answer: Callable[[object], None]
    """Answers a `Call`, handed over by reference, while other threads of Python run."""
    method: _Method
    """A built-in function that answers an image, whose `self` is a capsule of a `Single`."""
    kept: tuple[object, ...]
    """What the library points to."""

    def single(self, single: Single) -> Callable[[Any], Any]:
        """Return a built-in function that answers one image, uint8 [1, 28, 28], with a new array.

        Anything else goes to `single.otherwise`. This saves half a microsecond beside a method of Python that calls by
        `ctypes`.
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
    functions = (ctypes.c_void_p * len(_PYTHON))(
        *(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value for name in _PYTHON)
    )
    library.edgemnist_use_python(functions)
    library.edgemnist_answer.restype = None
    method = _Method(b"answer", ctypes.cast(library.edgemnist_answer_one, ctypes.c_void_p).value, _METH_O, None)
    return Library(tuple(kernels), library.edgemnist_answer, method, (library, functions))


def _python_function(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - types of ctypes
    """Return a function of Python's C interface that returns an object."""
    return ctypes.PYFUNCTYPE(ctypes.py_object, *arguments)((name, ctypes.pythonapi))
