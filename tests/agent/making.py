"""Records of bundles, and boards without what is slow."""

import hashlib
from collections.abc import Mapping
from typing import Any

from edgemnist.board.agent.bundle import BundledFile, BundleRecord, encode_archive

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
