"""What a trial is told, light enough for a driver that never waits for torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG = "log.txt"  # in a trial's folder: what it printed


@dataclass(frozen=True)
class TrialAddress:
    """Where a trial is counted, for its own process to find: the study's database and name, the trial, the pruner."""

    storage: str
    study: str
    trial_id: int
    pruner: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What a trial needs, on whichever machine.

    Attributes:
        number: Of the trial in its sweep.
        folder: The trial's own, on a disk that the driver sees too.
        config: Resolved, in plain types.
        metric: What its pruner looks at.
        address: Where it is counted; None where nothing is pruned.
    """

    number: int
    folder: Path
    config: dict[str, Any]
    metric: str = "val/accuracy"
    address: TrialAddress | None = None


@dataclass(frozen=True)
class Problem:
    """What is wrong with a configuration that was tried without training.

    Attributes:
        text: In words for the user, or the last line of the traceback.
        traceback: Of an error that the user cannot correct; empty where it is a matter of settings or of the machine.
    """

    text: str
    traceback: str = ""
