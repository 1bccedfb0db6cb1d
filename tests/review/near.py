"""A board for `edgemnist review --on` that is a directory here, and a page on which somebody labels at once.

What fetches, copies, labels and sends is the product's; only ssh and the browser are left out. Each label that the page
has taken is noted in a file, which a killed process leaves.
"""

import os
from pathlib import Path
from typing import Any

import edgemnist.app
import edgemnist.field.review.routes
import edgemnist.field.review.run
import edgemnist.field.review.transfer
import edgemnist.ground.web.protocol
from edgemnist.field.samples import Sample
from edgemnist.field.samples.store import SampleStore

TAKEN = "taken"
"""File with the labels that the page has taken, a line each."""
LABELS = "TEST_LABELS"
"""Environment variable: how many samples are labelled on the page."""


def _samples_on(_: Any, directory: str) -> list[Sample]:
    with SampleStore.open(Path(directory)) as store:
        return store.samples()


def _merge_samples_on(_: Any, directory: str, samples: list[Sample]) -> None:
    with SampleStore.open(Path(directory)) as store:
        store.merge(samples)


def _page(store: SampleStore, writer: str, *_: Any) -> None:
    for sample in store.samples()[: int(os.environ[LABELS])]:
        store.label(sample.id, str(sample.answer), writer)
        with Path(TAKEN).open("a") as taken:
            print(sample.answer, file=taken)


def prepare() -> None:
    """Leave out ssh and the browser, in this process."""
    for module, name, near in (
        (edgemnist.field.review.run, "samples_on", _samples_on),
        (edgemnist.field.review.run, "merge_samples_on", _merge_samples_on),
        (edgemnist.field.review.run, "run_page", _page),
    ):
        assert hasattr(module, name)
        setattr(module, name, near)
