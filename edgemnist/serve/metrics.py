"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edgemnist import __version__

if TYPE_CHECKING:
    from edgemnist.field.drift.monitor import Monitor

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
PATHS: Final = frozenset(
    {"/v1/predict", "/v1/read", "/v1/corrections", "/v1/artifacts", "/healthz", "/metrics", "/openapi.json"}
)
"""That are counted by their own names."""
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_STAGE_SECONDS: Final = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
OTHER: Final = "other"
"""The path of requests that lead nowhere, so that strangers cannot make up new ones."""


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self, artifact: str, release: str | None, pages: Collection[str] = ()) -> None:
        """`pages` are the paths of the page's own files, which are counted as one."""
        # When a counter was made is of no use to anybody, and doubles the document.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as the client library has it
        self._pages = pages
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Counter(
            "edgemnist_requests", "Requests that were answered.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "edgemnist_request_seconds", "From a request's header to the end of its answer.", ["path"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._stages = Histogram(
            "edgemnist_stage_seconds",
            "Parts of an answer.",
            ["endpoint", "stage"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("edgemnist_requests_in_flight", "Requests that are being answered.", registry=registry)
        self.jobs = Gauge("edgemnist_large_pictures", "Large pictures that are worked on, or wait.", registry=registry)
        self.held = Gauge("edgemnist_body_bytes", "Bytes of bodies in memory.", registry=registry)
        self._answers = Counter(
            "edgemnist_pictures", "Pictures that were answered.", ["endpoint", "artifact"], registry=registry
        )
        build = Gauge(
            "edgemnist_build_info", "What answers; always 1.", ["version", "artifact", "release"], registry=registry
        )
        build.labels(__version__, artifact, release or "").set(1)
        ProcessCollector(registry=self.registry)

    def watch(self, monitor: Monitor) -> None:
        """Tell what a monitor counts, too."""
        self.registry.register(_Health(monitor))

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        label = "page" if path in self._pages else path if path in PATHS else OTHER
        self._requests.labels(label, str(status)).inc()
        self._seconds.labels(label).observe(seconds)

    def stage(self, endpoint: str, stage: str, seconds: float) -> None:
        """Count a part of an answer."""
        self._stages.labels(endpoint, stage).observe(seconds)

    def answered(self, endpoint: str, artifact: str, pictures: int) -> None:
        """Count pictures."""
        self._answers.labels(endpoint, artifact).inc(pictures)

    def text(self) -> bytes:
        """Return the document that Prometheus reads."""
        return generate_latest(self.registry)


class _Health(Collector):
    """What `edgemnist health` computes from: over the latest 500 to 1,000 images."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the shares and the evidence of now."""
        from edgemnist.field.drift.evidence import alarmed, means

        record = self._monitor.record
        if record is None:
            return
        recent = record.recent
        answered, images = max(1, recent.answered), max(1, recent.images)
        for name, words, value in (
            ("images", "Latest images that were counted.", recent.images),
            ("confidence", "Mean confidence of the latest answers.", recent.confidence / answered),
            ("doubtful_ratio", "Share of the latest answers with a confidence below 0.9.", recent.doubtful / answered),
            ("refused_ratio", "Share of the latest images without an answer.", recent.refused / images),
            ("alarm", "1 if something has changed beyond chance.", bool(alarmed(record.evidence))),
        ):
            yield GaugeMetricFamily(f"edgemnist_health_{name}", words, value=float(value))
        evidence = GaugeMetricFamily(
            "edgemnist_health_evidence", "Natural logarithm of the evidence for a change.", labels=["quantity"]
        )
        for name, log in means(record.evidence).items():
            evidence.add_metric([name], log)
        yield evidence
