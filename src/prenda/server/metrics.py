"""Metrics of a server, for Prometheus. With several processes, each writes its own files and any of them adds up.

`PROMETHEUS_MULTIPROC_DIR` names the folder of those files; it is set before this module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.process_collector import ProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STEP_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


disable_created_metrics()


class Metrics:
    """Counters, histograms and gauges of one application."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "prenda_requests", "Requests, by path, method and status", ("path", "method", "status"), registry=registry
        )
        self.refused = Counter("prenda_requests_refused", "Refused requests, by code", ("code",), registry=registry)
        self.answers = Counter("prenda_answers", "Photos that got this type", ("type",), registry=registry)
        self.unsure = Counter("prenda_unsure", "Photos answered unsure, by reason", ("reason",), registry=registry)
        self.photos_refused = Counter(
            "prenda_photos_refused", "Photos that cannot be read, by code", ("code",), registry=registry
        )
        self.corrections = Counter("prenda_corrections", "Corrections that were kept", registry=registry)
        self.request_seconds = Histogram(
            "prenda_request_seconds", "Seconds of a request, by path", ("path",), registry=registry, buckets=SECONDS
        )
        self.decode_seconds = _steps("prenda_decode_seconds", "Seconds of decoding and preparing a photo", registry)
        self.network_seconds = _steps("prenda_network_seconds", "Seconds of the network for a photo", registry)
        self.in_flight = _gauge("prenda_requests_in_flight", "Requests in work", (), registry)
        self.waiting = _gauge("prenda_requests_waiting", "Requests that wait for work to begin", (), registry)
        self.model = _gauge(
            "prenda_model_info",
            "Processes that answer with this model",
            ("name", "version", "registry_version"),
            registry,
        )
        self.reloads = Counter("prenda_reloads", "New champions that were taken", registry=registry)
        self.reload_failures = Counter(
            "prenda_reload_failures", "New champions that were not taken, by code", ("code",), registry=registry
        )
        if FOLDER not in os.environ:
            ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's format, of all processes."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        everything = CollectorRegistry()
        multiprocess.MultiProcessCollector(everything)
        return generate_latest(everything)


def forget_process(pid: int | None) -> None:
    """Leave the gauges of a process that ended out of the sums."""
    multiprocess.mark_process_dead(pid)


def _steps(name: str, text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, registry=registry, buckets=STEP_SECONDS)


def _gauge(name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, labels, registry=registry, multiprocess_mode="livesum")
