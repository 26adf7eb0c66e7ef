"""Restoring a damaged or missing `best.ckpt` from an intact `last.ckpt`, before a run resumes."""

from __future__ import annotations

import sys

import torch

from prenda.tracking.runs import Run
from prenda.training.checkpoint_digest import damage
from prenda.training.checkpoints import BEST, AtomicCheckpointIO, Checkpoint, best_so_far, is_best, to_resume
from prenda.training.starting_point import LAST

TAG = "best.lost"


def restore_best(run: Run) -> None:
    """Write `best.ckpt` from `last.ckpt` if it is damaged or missing.

    If the last epoch is the best so far, the result stays bit-identical. Otherwise the best epoch is chosen from the
    last one on, and a tag of the run says so.

    Raises:
        CheckpointError: If the run cannot be resumed; see `prenda.training.checkpoints.to_resume`.
    """
    best = run.folder / BEST
    last = to_resume(run.folder)
    if last is None or last.path == best or not (reason := damage(best)):
        return
    problem = "missing" if reason == "it is missing" else f"damaged ({reason})"
    if is_best(last):
        print(f"prenda: {best} is {problem}: it is written again from {LAST.name}, the same epoch.", file=sys.stderr)
    else:
        lost = float(best_so_far(last)["best_model_score"])
        text = f"val/accuracy {lost:.4f}; chosen from epoch {last.epochs} on"
        print(
            f"prenda: {best} is {problem}: the best epoch so far is lost ({text}). The result may differ from that of "
            "an uninterrupted run.",
            file=sys.stderr,
        )
        run.log_tags({TAG: text})  # before the files, which no longer tell
        _choose_from(last)
    AtomicCheckpointIO().save_checkpoint(dict(last.content), best)


def _choose_from(last: Checkpoint) -> None:
    """Make the last epoch the best so far, in its checkpoint."""
    score = torch.tensor(last.accuracy)
    path = str(last.path.with_name(BEST.name))
    scores = {"best_model_score": score, "current_score": score, "kth_value": score}
    best_so_far(last).update(
        scores | {"best_model_path": path, "kth_best_model_path": path, "best_k_models": {path: score}}
    )
    AtomicCheckpointIO().save_checkpoint(dict(last.content), last.path)
