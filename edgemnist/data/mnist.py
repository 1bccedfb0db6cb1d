"""MNIST as published: its four files, their hashes, and where they can be had."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that mirrors offer under the same name."""

    name: str
    bytes: int
    """Size as published, gzipped: for the progress bar only, since a mirror may have compressed it anew."""
    sha256: str
    """Of the contents, unpacked."""


MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
"""Base URLs. The original, yann.lecun.com/exdb/mnist, no longer answers."""

FILES = (
    RemoteFile(
        name="train-images-idx3-ubyte.gz",
        bytes=9_912_422,
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    RemoteFile(
        name="train-labels-idx1-ubyte.gz",
        bytes=28_881,
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    RemoteFile(
        name="t10k-images-idx3-ubyte.gz",
        bytes=1_648_877,
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    RemoteFile(
        name="t10k-labels-idx1-ubyte.gz",
        bytes=4_542,
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

IDENTITY = "23dd870693787a55a31be9018c77f59e2cf71c091d36e92e19b1f38736629bd0"
"""`DataIdentity.sha256` of the whole set, by which it is recognized wherever it lies."""
