"""`verify.json`: what is known to be equal to the Keras model, for the commands that come later."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgemnist.errors import ManifestError
from edgemnist.manifest import Manifest, read_manifest
from edgemnist.progress import SILENT, Reporter
from edgemnist.results import VerifyResult
from edgemnist.saved import read_saved, write_saved

VERIFY_FILE = "verify.json"


def read_verification(exports: Path) -> VerifyResult | None:
    """Return the saved result of an export directory, or None where nothing was verified yet.

    Raises ManifestError where the file is broken or of a newer schema version.
    """
    return read_saved(exports / VERIFY_FILE, VerifyResult, hint="Make it anew with: edgemnist verify")


def save_verification(exports: Path, result: VerifyResult, reporter: Reporter = SILENT) -> bool:
    """Save a result beside the manifest, and return whether that was possible.

    Artifacts that were not verified this time keep their earlier result, as long as they are the same files and were
    held against the same golden pack. Where nothing can be written, a notice says so.
    """
    try:
        earlier = read_verification(exports)
    except ManifestError as error:
        reporter.notice(f"{error.message}: it is replaced.")
        earlier = None
    if earlier is not None:
        result = _merge(earlier, result, read_manifest(exports))
    return write_saved(exports / VERIFY_FILE, result, reporter)


def verified_names(exports: Path, manifest: Manifest) -> list[str]:
    """Return the artifacts that passed their gate, in the manifest's order, unless they or the model have changed."""
    saved = read_verification(exports)
    if saved is None or manifest.golden is None or saved.model_sha256 != manifest.golden.model_sha256:
        return []
    if manifest.model is not None and saved.model_sha256 != manifest.model.sha256:
        return []
    passed = {parity.name: parity.sha256 for parity in saved.artifacts if parity.passed}
    return [artifact.name for artifact in manifest.artifacts if passed.get(artifact.name) == artifact.sha256]


def current(result: VerifyResult, manifest: Manifest) -> VerifyResult:
    """Return what a result says about the very files of a manifest, in the manifest's order."""
    hashes = {artifact.name: artifact.sha256 for artifact in manifest.artifacts}
    found = {parity.name: parity for parity in result.artifacts if hashes.get(parity.name) == parity.sha256}
    layers = [
        one
        for one in result.layers
        if (hashes.get(one.name), hashes.get(one.reference)) == (one.sha256, one.reference_sha256)
    ]
    voters = {voter.artifact for voter in result.vote.voters} if result.vote else set()
    return msgspec.structs.replace(
        result,
        artifacts=[found[name] for name in hashes if name in found],
        layers=layers,
        vote=result.vote if voters <= found.keys() else None,
    )


def _merge(earlier: VerifyResult, result: VerifyResult, manifest: Manifest) -> VerifyResult:
    if (earlier.model_sha256, earlier.data) != (result.model_sha256, result.data):
        return result
    before = current(earlier, manifest)
    new = {parity.name for parity in result.artifacts}
    compared = {one.name for one in result.layers}
    merged = current(
        msgspec.structs.replace(
            result,
            artifacts=[*(one for one in before.artifacts if one.name not in new), *result.artifacts],
            layers=[*(one for one in before.layers if one.name not in compared), *result.layers],
            # One voter alone says nothing about the others, whose files are as they were.
            vote=result.vote or before.vote,
        ),
        manifest,
    )
    return msgspec.structs.replace(merged, passed=all(parity.passed for parity in merged.artifacts))
