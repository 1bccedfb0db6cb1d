"""A board for `edgemnist review --on` that is a directory here, and a page on which somebody labels at once.

What fetches, copies, labels and sends is the product's; only ssh and the browser are left out. Each label that the page
has taken is noted in a file, which a killed process leaves.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import edgemnist.app
import edgemnist.review.routes
import edgemnist.review.run
import edgemnist.review.transfer
import edgemnist.serve.server
from edgemnist.samples import Sent, decode_sent, encode_sent
from edgemnist.samples.store import SampleStore

TAKEN = "taken"
"""File with the labels that the page has taken, a line each."""
LABELS = "TEST_LABELS"
"""Environment variable: how many samples are labelled on the page."""


def _samples_on(_: Any, directory: str) -> list[Sent]:
    with SampleStore.open(Path(directory)) as store:
        return decode_sent(encode_sent(store.sent()), "board")


def _merge_samples_on(_: Any, directory: str, samples: list[Sent]) -> None:
    with SampleStore.open(Path(directory)) as store:
        store.merge(decode_sent(encode_sent(samples), "board"))


_run_page = edgemnist.review.run.run_page


def _page(store: SampleStore, writer: str, *rest: Any) -> None:
    if LABELS not in os.environ:
        _run_page(store, writer, *rest)
        return
    for sample in store.samples()[: int(os.environ[LABELS])]:
        store.label(sample.id, str(sample.answer), writer)
        with Path(TAKEN).open("a") as taken:
            print(sample.answer, file=taken)


def prepare() -> None:
    """Leave out ssh and the browser, in this process."""
    for module, name, near in (
        (edgemnist.review.run, "samples_on", _samples_on),
        (edgemnist.review.run, "merge_samples_on", _merge_samples_on),
        (edgemnist.review.run, "run_page", _page),
    ):
        assert hasattr(module, name)
        setattr(module, name, near)
