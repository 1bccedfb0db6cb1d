"""Exporting twice gives the same files, whatever the format."""

from __future__ import annotations

from pathlib import Path

from edgemnist.export.interface import ExportConfig
from edgemnist.exports.manifest import read_manifest
from tests.conftest import Run


def test_a_second_export_in_another_process_gives_the_same_hashes_for_every_format(
    edgemnist: Run, made_exports: Path, exports: Path
) -> None:
    for artifact in read_manifest(exports).artifacts:
        (exports / artifact.file).unlink()
    done = edgemnist("export", "--exports", exports, env={"EDGEMNIST_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    first, second = read_manifest(made_exports), read_manifest(exports)
    assert {one.name for one in second.artifacts} == {spec.name for spec in ExportConfig.of().specs}
    assert {one.name: one.sha256 for one in second.artifacts} == {one.name: one.sha256 for one in first.artifacts}
    assert second.golden == first.golden
