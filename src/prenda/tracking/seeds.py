"""Recorded runs of one configuration with different seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prenda.tracking.records import COMPARISONS, REPRODUCES, TEST, content_hash, search

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONFIGURATION = "prenda.configuration"  # tag: `prenda.config.identity.configuration`, of runs after version 0.1.0


@dataclass(frozen=True)
class Seeds:
    """Test accuracies of the seeds of a configuration.

    Attributes:
        configuration: Hash of the configuration; None if the run did not record it.
        accuracies: Accuracy by seed, on the same test images.
    """

    configuration: str | None
    accuracies: Mapping[str, float]


def seeds_of(client: MlflowClient, run_id: str) -> Seeds:
    """Return the accuracies of all seeds of a run's configuration, among the finished runs of the store."""
    run = client.get_run(run_id)
    configuration = run.data.tags.get(CONFIGURATION)
    if configuration is None:
        return Seeds(None, {})
    experiments = [found.experiment_id for found in client.search_experiments() if found.name != COMPARISONS]
    condition = f"attributes.status = 'FINISHED' and tags.`{CONFIGURATION}` = '{configuration}'"
    same_images = [
        other
        for other in search(client, experiments, condition)
        if content_hash(other) == content_hash(run) and REPRODUCES not in other.data.tags
    ]
    return Seeds(
        configuration,
        {
            other.data.tags["seed"]: other.data.metrics[TEST]
            for other in (*same_images, run)
            if "seed" in other.data.tags and TEST in other.data.metrics
        },
    )
