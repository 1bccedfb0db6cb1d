"""Parity in a test of pytest, which loads this module by itself wherever edgemnist is installed.

def test_the_converted_model_is_still_mine(assert_parity):
    assert_parity("model.onnx", "model.tflite", data="test.npz", max_drop=0.5)

Everything of edgemnist is imported in the first such test: pytest itself starts as fast as before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgemnist.ground.results.verify import VerifyResult
    from edgemnist.pipeline.verify.gate import GateTable

File: TypeAlias = "str | os.PathLike[str]"
FIRST: Final = 5
"""Flips that a failure lists."""


def assert_parity(
    source: File,
    artifact: File,
    *,
    data: File | npt.ArrayLike | tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    max_drop: float | None = None,
    max_flips: float | None = None,
    gate: File | None = None,
) -> VerifyResult:
    """Verify an artifact as `edgemnist verify` does, and return the result.

    `source` is the model file that `artifact`, a file or `FILE@RUNTIME`, is compared with, or an export directory that
    has an artifact of this name. `data` are what to ask, as for `--data`, or inputs [N, ...], uint8 or float32, or a
    pair of them and their labels, int64 [N]; an export directory has its own. `max_drop` is in percentage points of
    accuracy, `max_flips` in per cent of the labels; `gate` is a gate file, by default the one that `verify` would take.

    Raises AssertionError, with the table of `verify`, the first flips and their cause, where the gate is missed or that
    is unknown; and EdgemnistError for wrong input, such as an artifact that is missing or damaged.
    """
    __tracebackhide__ = True
    from edgemnist.errors import EdgemnistError
    from edgemnist.ground.console import as_text
    from edgemnist.pipeline.verify.gate import DROP, FLIPS, GateTable, read_gates
    from edgemnist.pipeline.verify.screen import verify_page

    try:
        given = GateTable() if gate is None else read_gates(Path(gate))
        limits = {DROP: max_drop, FLIPS: max_flips}
        gates = GateTable(given.changes, given.sha256, {key: one for key, one in limits.items() if one is not None})
        with tempfile.TemporaryDirectory() as directory:
            result = _verified(os.fspath(source), os.fspath(artifact), data, gates, Path(directory))
    except EdgemnistError as error:
        # The sentence says it all: nobody wants to see where in edgemnist it was raised.
        if error.hint:
            error.add_note(error.hint)
        raise error.with_traceback(None) from None
    if not result.passed:
        reason = f"{result.verdict.outcome}: {result.verdict.reasons[0]}"
        raise AssertionError(f"{reason}\n\n{as_text(verify_page(result, flips=True, first=FIRST))}")
    return result


def _verified(
    source: str,
    artifact: str,
    data: Any,  # noqa: ANN401 - a file or arrays, as `assert_parity` takes them
    gates: GateTable,
    directory: Path,
) -> VerifyResult:
    import numpy as np

    from edgemnist.errors import UsageError
    from edgemnist.model.exports import Exports, find_exports
    from edgemnist.model.exports.models import file_model, understood
    from edgemnist.pipeline.verify.files import evaluation_for, inputs_for, verify_files
    from edgemnist.pipeline.verify.run import verify

    if Path(source).is_dir():
        if data is not None:
            raise UsageError(f"{source} has inputs of its own, and so data cannot be given")
        return verify(Exports.open(source), [artifact], gates=gates, why=True)
    if data is None or isinstance(data, str | os.PathLike):
        named = None if data is None else Path(data)
        evaluation = evaluation_for(source, find_exports(None, fall_back=False), named, download=False)
    else:
        parts = data if isinstance(data, tuple) else (data,)
        if isinstance(data, list) or len(parts) not in {1, 2}:
            raise UsageError(f"data is a {type(data).__name__} of {len(data)}", hint="Give an array, or (x, y).")
        arrays: dict[str, Any] = dict(zip("xy", parts, strict=False))
        np.savez(directory / "data.npz", **arrays)
        evaluation = inputs_for(understood(file_model(source)), directory / "data.npz")
    return verify_files(source, [artifact], evaluation, gates=gates, why=True)


@pytest.fixture(name="assert_parity")
def _assert_parity() -> Callable[..., VerifyResult]:
    """Return `edgemnist.testing.assert_parity`, which compares a model file with the one that it was made of."""
    return assert_parity
