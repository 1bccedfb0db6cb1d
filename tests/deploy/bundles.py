"""Small export directories with real models, and bundles of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgemnist.board.agent import Apply, SelfTestLimits
from edgemnist.fleet.bundle.pack import BundleConfig, make_bundle
from edgemnist.fleet.deploy.run import LocalBundle, open_bundle
from edgemnist.ground.storage import sha256
from edgemnist.model.exports import Exports
from edgemnist.model.exports.golden import ANSWERS_FILE, GoldenPack, answer_all, encode_answers, read_golden
from edgemnist.model.exports.manifest import MANIFEST_FILE, FileRecord, GoldenRecord, read_manifest, read_recorded

IMAGES = 200
"""Of the golden pack, the fewest to judge by: a self-test is to take no time here."""


def small_exports(
    source: Path,
    target: Path,
    names: Sequence[str],
    *,
    images: int = IMAGES,
    change: Callable[[GoldenPack], GoldenPack] = lambda pack: pack,
) -> Path:
    """Make an export directory of some artifacts with a part of the golden pack, which `change` may spoil."""
    manifest = read_manifest(source)
    pack = read_golden(source, manifest)
    chosen = slice(0, images)
    pack = change(
        replace(pack, images=pack.images[chosen], truth=pack.labels[chosen], probabilities=pack.probabilities[chosen])
    )
    artifacts = [manifest.artifact(name) for name in names]
    target.mkdir()
    for artifact in artifacts:
        (target / artifact.file).write_bytes(read_recorded(source, artifact))
    golden = pack.encode()
    answers = encode_answers(answer_all(target, artifacts, pack.images))
    (target / "golden.npz").write_bytes(golden)
    (target / "answers.npz").write_bytes(answers)
    assert manifest.golden is not None
    record = GoldenRecord(
        file="golden.npz",
        bytes=len(golden),
        sha256=sha256(golden),
        images=images,
        model_sha256=manifest.golden.model_sha256,
    )
    narrowed = msgspec.structs.replace(
        manifest, artifacts=artifacts, golden=record, answers=FileRecord.of(ANSWERS_FILE, answers), model=None
    )
    (target / MANIFEST_FILE).write_bytes(narrowed.encode())
    return target


def of_another_model(pack: GoldenPack) -> GoldenPack:
    """Return a pack whose answers belong to other images: no artifact agrees with it."""
    return replace(pack, probabilities=np.roll(pack.probabilities, 1, axis=0))


def bundled(exports: Path, **options: Any) -> LocalBundle:
    """Bundle an export directory beside it, with what the service needs: one environment does for all boards."""
    output = exports.with_suffix(".zip")
    config = BundleConfig(**{"serve": True, **options})
    make_bundle(Exports.open(exports), output, config)
    return open_bundle(output)


def request_for(bundle: LocalBundle, *, timeout_s: float = 120.0, **options: object) -> dict[str, object]:
    """Return what the board is asked to do with a bundle."""
    limits = SelfTestLimits(timeout_s=timeout_s)
    apply = Apply(sha256=bundle.sha256, identity=bundle.record.identity(), limits=limits)
    return {"sha256": apply.sha256, "identity": apply.identity, "limits": msgspec.to_builtins(limits), **options}
