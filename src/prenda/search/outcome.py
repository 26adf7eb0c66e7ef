"""How a trial ended, as its folder tells."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prenda.scoring.metrics import METRICS
from prenda.tracking.runs import PRUNED, status

EACH_EPOCH = {f"val/{metric.name}": metric.larger_is_better for metric in METRICS}
AT_THE_END = {"parameters": False, "latency/seconds": False}
OBJECTIVES = EACH_EPOCH | AT_THE_END  # by name, whether larger is better


@dataclass(frozen=True)
class Outcome:
    """finished, pruned or failed; the value of each objective where it finished; why, where it did not.

    Attributes:
        lost: Whether the process ended without a word.
    """

    state: str
    values: Sequence[float] = ()
    note: str = ""
    lost: bool = False


def judge(folder: Path, objectives: Sequence[str], lost: str | None = None) -> Outcome:
    """Looks at what the trial left.

    Args:
        folder: The trial's.
        objectives: Some of `OBJECTIVES`.
        lost: How its process ended, where it did not end by itself.
    """
    match status(folder):
        case "FINISHED":
            return _finished(folder, objectives)
        case "PRUNED":
            return Outcome("pruned", note=(folder / PRUNED).read_text(encoding="utf-8"))
        case "FAILED":
            return Outcome("failed", note=_last_line(folder / "error.txt"))
        case "KILLED":
            return Outcome("failed", note="it was told to stop")
    return Outcome("failed", note=lost or "its process ended without a result", lost=True)


def _finished(folder: Path, objectives: Sequence[str]) -> Outcome:
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    values = [float(scores[f"best/{name}" if name.startswith("val/") else name]) for name in objectives]
    if not all(map(math.isfinite, values)):
        return Outcome("failed", note=f"{', '.join(objectives)} came out as {values}")
    return Outcome("finished", values)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").strip().splitlines() if path.is_file() else []
    return lines[-1] if lines else "no traceback was kept"
