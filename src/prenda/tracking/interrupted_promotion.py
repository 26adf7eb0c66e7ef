"""A promotion that was killed between the alias in MLflow and the champion on this machine's disk."""

from __future__ import annotations

import sys

from prenda.bundle import champions
from prenda.bundle.champions import Promotion
from prenda.errors import TrackingError
from prenda.tracking.registry import CHAMPION, Registry


def is_champion(promotion: Promotion) -> bool:
    """Return whether MLflow's alias is at the version that a promotion meant."""
    versions = Registry(promotion.uri).versions(promotion.model)
    return any(version.number == promotion.version and CHAMPION in version.aliases for version in versions)


def settle() -> None:
    """Make the champion on the disk that of MLflow, if a promotion was killed in between; else do nothing."""
    try:
        champions.settle(is_champion)
    except (TrackingError, OSError) as error:  # OSError: the champions belong to another user
        print(f"prenda: a promotion was interrupted, and may have changed the champion. {error}", file=sys.stderr)
