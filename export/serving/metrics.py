"""What the server counts, in the form that Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.answers = Counter("mspose_answers", "Answers to predict requests", ["code"], registry=registry)
        self.persons = Counter("mspose_persons", "Persons whose keypoints were answered", registry=registry)
        self.seconds = Histogram(
            "mspose_request_seconds",
            "From the head of a predict request to its answer",
            buckets=SECONDS,
            registry=registry,
        )
        self.batch = Histogram(
            "mspose_batch_crops", "Crops of one call of the network", buckets=(1, 2, 4, 8, 16, 32), registry=registry
        )
        self.in_work = Gauge("mspose_requests_in_work", "Predict requests not answered yet", registry=registry)
