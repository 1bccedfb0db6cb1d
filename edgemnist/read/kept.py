"""Digits of pages as samples, and as counts: what `--collect` of `read` and `watch` keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgemnist.agent.store import release_of
from edgemnist.progress import SILENT, Reporter

if TYPE_CHECKING:
    from edgemnist.drift.monitor import Monitor
    from edgemnist.exports import Exports
    from edgemnist.exports.models import Model
    from edgemnist.read.assemble import SeenDigit
    from edgemnist.runtimes.interface import Classifier
    from edgemnist.samples.collector import CollectConfig, Collector


class Keeper:
    """Takes the digits of a page: for samples, for counts, for both or for neither."""

    def __init__(self, labels: Sequence[str], collector: Collector | None, monitor: Monitor | None) -> None:
        self._labels = list(labels)
        self._collector, self._monitor = collector, monitor

    def take(self, digits: Sequence[SeenDigit], source: str) -> None:
        """Take what a page of a source shows."""
        if self._collector is not None:
            for one in digits:
                self._collector.offer(one.image, source=source, answer=one.answer, confidence=one.confidence)
        if self._monitor is not None and digits:
            answers = [-1 if one.answer is None else self._labels.index(one.answer) for one in digits]
            # That of the model alone, as on the golden pack.
            self._monitor.see(np.stack([one.image for one in digits]), [one.probability for one in digits], answers)


@contextmanager
def keeping(
    collect: CollectConfig | None,
    health: Path | None,
    model: Model,
    classifier: Classifier,
    exports: Exports | None,
    *,
    reporter: Reporter = SILENT,
) -> Iterator[Keeper | None]:
    """Give what takes the digits that a model reads on pages; None if nothing is to be kept."""
    with ExitStack() as stack:
        collector = monitor = None
        release = None if exports is None else release_of(exports.directory)
        if collect is not None:
            collector = stack.enter_context(
                # A page has more digits at once than may wait.
                collect.open(artifact=model.name, release=release, patient=True, reporter=reporter)
            )
        if health is not None:
            from edgemnist.drift.monitor import Monitor, no_counts

            monitor = stack.enter_context(
                Monitor(health, lambda: no_counts(model, classifier, exports, release), reporter=reporter)
            )
        yield None if collector is None and monitor is None else Keeper(classifier.labels, collector, monitor)
