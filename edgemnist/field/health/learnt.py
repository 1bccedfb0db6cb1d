"""`python -m edgemnist.field.health.learnt EXPORTS SHA256`, for `health --on`: prints what a model has learnt from."""

import contextlib
import sys
from pathlib import Path

import msgspec

from edgemnist.errors import EdgemnistError
from edgemnist.model.exports import Exports


def learnt_by(directory: Path | None, sha256: str) -> frozenset[str]:
    """Return the hashes of the samples that a model file has learnt from, as its export directory records them.

    None named is `exports/`. Without a record of this very file there are none.
    """
    with contextlib.suppress(EdgemnistError):
        manifest = Exports.open(directory).manifest
        models = {one.model_sha256 for one in manifest.artifacts if one.sha256 == sha256}
        if manifest.learnt is not None and manifest.learnt.model_sha256 in models:
            return frozenset(manifest.learnt.samples)
    return frozenset()


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(sorted(learnt_by(Path(sys.argv[1]), sys.argv[2]))).decode())
