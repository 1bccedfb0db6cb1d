"""Everything that one `edgemnist verify` does, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgemnist.arrays import Images
from edgemnist.errors import UsageError
from edgemnist.exports import find_exports, keeps_results
from edgemnist.golden import read_golden
from edgemnist.manifest import read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import VerifyResult
from edgemnist.storage import write_file
from edgemnist.verify.files import verify_files
from edgemnist.verify.gate import LimitOverrides, gate_for
from edgemnist.verify.gatefile import GateTable, own_gates
from edgemnist.verify.images import find_evaluation
from edgemnist.verify.junit import junit_xml
from edgemnist.verify.run import save_verification, verify
from edgemnist.verify.sheet import flips_png


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for."""

    artifacts: Sequence[str]
    """Names, or model files where there is a `reference`; empty for all."""
    limits: LimitOverrides = field(default_factory=LimitOverrides)
    gates: GateTable = field(default_factory=GateTable)
    exports: Path | None = None
    """None for the usual place, see `find_exports`."""
    runtime: str | None = None
    layers: bool = False
    reference: Path | None = None
    """A model file that model files are compared with, instead of artifacts with the Keras model."""
    quantization: str | None = None
    """Whose gate holds for model files."""
    data: Path | None = None
    """Whose test images model files are compared on."""
    download: bool = True
    sheet: Path | None = None
    junit: Path | None = None


def run_request(request: Request, reporter: Reporter = SILENT) -> VerifyResult:
    """Verify, save the result where it is one of an export directory, and write what else was asked for.

    Raises UsageError for options that do not go together, StorageError where a file cannot be written, and what
    `verify` and `verify_files` raise.
    """
    # Files that are compared on images that were named have nothing to do with any export directory.
    named = request.reference is not None and request.data is not None
    directory = find_exports(request.exports, SILENT if named else reporter)
    result, images = (
        _files(request, directory, reporter) if request.reference else _artifacts(request, directory, reporter)
    )
    if request.sheet is not None:
        write_file(request.sheet, flips_png(result, images()))
        result = msgspec.structs.replace(result, flip_sheet=str(request.sheet))
    if request.junit is not None:
        write_file(request.junit, junit_xml(result))
    return result


def _artifacts(request: Request, directory: Path, reporter: Reporter) -> tuple[VerifyResult, Callable[[], Images]]:
    for option, value in (("--as", request.quantization), ("--data", request.data)):
        if value is not None:
            raise UsageError(
                f"{option} is for model files only", hint="Name the file to compare with: --reference FILE."
            )
    result = verify(
        directory,
        request.artifacts,
        request.limits,
        reporter,
        gates=request.gates,
        runtime=request.runtime,
        layers=request.layers,
    )
    # What another runtime answers says nothing about the one that will execute the artifact.
    kept = request.runtime is None and keeps_results(directory) and save_verification(directory, result, reporter)
    if kept and own_gates(result.artifacts):
        reporter.notice(
            "The verdict is kept with the limits that were asked for, and recommend, report and predict go by it; "
            "to go back to the built-in ones: edgemnist verify"
        )
    return result, lambda: read_golden(directory, read_manifest(directory)).images


def _files(request: Request, directory: Path, reporter: Reporter) -> tuple[VerifyResult, Callable[[], Images]]:
    reference = request.reference
    if reference is None or not request.artifacts:
        raise UsageError(
            "There is no model file to compare with the reference",
            hint="Name one or more: edgemnist verify --reference a.onnx b.tflite",
        )
    if request.runtime is not None or request.layers:
        raise UsageError("--runtime and --layers are for the artifacts of an export directory, not for --reference")
    if request.quantization is not None:
        gate_for(request.quantization)
    evaluation = find_evaluation(directory, request.data, download=request.download, reporter=reporter)
    result = verify_files(
        reference,
        [Path(file) for file in request.artifacts],
        images=evaluation.images,
        labels=evaluation.labels,
        class_labels=evaluation.class_labels,
        data=evaluation.identity,
        limits=request.limits,
        gates=request.gates,
        quantization=request.quantization,
        reporter=reporter,
    )
    return result, lambda: evaluation.images
