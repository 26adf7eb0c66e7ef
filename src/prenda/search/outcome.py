"""Outcome of a trial, read from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prenda.scoring.metrics import METRICS
from prenda.tracking.run_folder import status
from prenda.tracking.runs import PRUNED

EACH_EPOCH = {f"val/{metric.name}": metric.larger_is_better for metric in METRICS}
AT_THE_END = {"parameters": False, "latency/seconds": False}
OBJECTIVES = EACH_EPOCH | AT_THE_END  # by name: whether larger is better


@dataclass(frozen=True)
class Outcome:
    """Outcome of a trial.

    Attributes:
        state: finished, pruned or failed.
        values: One for each objective of a finished trial.
        note: Why the trial did not finish.
        lost: Whether the process ended without recording a result.
    """

    state: str
    values: Sequence[float] = ()
    note: str = ""
    lost: bool = False


def read_outcome(folder: Path, objectives: Sequence[str], lost: str | None = None) -> Outcome:
    """Read the outcome from the status and scores in the trial's folder.

    Args:
        folder: Folder of the trial.
        objectives: Names from `OBJECTIVES`.
        lost: How the process ended, if it did not end by itself.
    """
    match status(folder):
        case "FINISHED":
            return _finished(folder, objectives)
        case "PRUNED":
            return Outcome("pruned", note=(folder / PRUNED).read_text(encoding="utf-8"))
        case "FAILED":
            return Outcome("failed", note=_error_line(folder / "error.txt"))
        case "KILLED":
            return Outcome("failed", note="it was stopped by a signal")
    return Outcome("failed", note=lost or "its process ended without a result", lost=True)


def _finished(folder: Path, objectives: Sequence[str]) -> Outcome:
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    values = [float(scores[f"best/{name}" if name.startswith("val/") else name]) for name in objectives]
    if not all(map(math.isfinite, values)):
        return Outcome("failed", note=f"not every objective is finite: {', '.join(objectives)} = {values}")
    return Outcome("finished", values)


def _error_line(path: Path) -> str:
    """Return the line of the error in a recorded traceback: the first below its last frame; notes come after it."""
    lines = path.read_text(encoding="utf-8").strip().splitlines() if path.is_file() else []
    if not lines:
        return "no traceback was recorded"
    frames = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    below = (line for line in lines[frames[-1] + 1 if frames else 0 :] if line and not line.startswith(" "))
    return next(below, lines[-1])
