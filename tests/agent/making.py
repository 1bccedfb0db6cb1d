"""Records of bundles, and boards without what is slow."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgemnist.board.agent.bundle import RECORD_FILE, BundledFile, BundleRecord, encode_archive
from edgemnist.board.agent.install import needs, venv_key
from edgemnist.board.agent.store import COMPLETE_FILE

PACKAGE = "wheels/edgemnist-1.whl"
PASSING_PYTHON = """#!/bin/sh
case "$*" in
    *selftest*) echo '{"passed": true, "images": 3}' ;;
    *) echo "$@" ;;
esac
"""
"""Stands for the Python of a release: says what it was asked to run, and passes every self-test."""


def record_of(contents: Mapping[str, bytes], **fields: Any) -> BundleRecord:
    """Return the record of a bundle that has these files, the package among them, and any other fields."""
    files = [BundledFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in contents.items()]
    usual = {
        "schema_version": 1, "edgemnist": "1.2", "package": PACKAGE, "extras": ["tflite"], "constraints": ["numpy==2"],
        "machine": "any", "pythons": [], "artifacts": ["a"], "labels": ["0"],
    }  # fmt: skip
    return BundleRecord(**{**usual, "files": files, **fields})


def contents_of(name: str) -> dict[str, bytes]:
    """Return what is in a bundle of one artifact: every file but the package holds its own path."""
    paths = (f"exports/{name}.tflite", "exports/golden.npz", "exports/below/manifest.json")
    return {PACKAGE: encode_archive({}), **{path: path.encode() for path in paths}}


def bundle_of(record: BundleRecord) -> bytes:
    """Return the bundle of one artifact whose record this is."""
    return encode_archive({**contents_of(record.artifacts[0]), RECORD_FILE: record.encode()})


def with_environment(root: Path, record: BundleRecord, python: str = PASSING_PYTHON) -> Path:
    """Give a board the environment that a bundle needs, and return the board."""
    venv = root / "venvs" / venv_key(record)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(python)
    (venv / "bin" / "python").chmod(0o755)
    (venv / COMPLETE_FILE).write_text(json.dumps(needs(record)))
    return root
