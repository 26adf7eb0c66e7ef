"""Epochs that each pruner saves, by replaying the recorded curves of one search.

    python benchmarks/pruning.py                   needs a search whose trials were all trained fully:
    prenda train -m search=optimizer search/sampler=random search/pruner=none search.n_trials=40 backbone=dense …

Each pruner sees the same trials in the same orders, epoch by epoch. Its best score, pruned trials and trained epochs
are compared with those without a pruner: median and worst of shuffled orders.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from prenda.report.tables import read_history

RESULTS = Path(__file__).parent / "results"
METRIC = "val/accuracy"


def curves(folder: Path) -> list[list[float]]:
    """Return the validation score of each epoch, for each trial that trained fully."""
    histories = [read_history(path)[METRIC] for path in sorted(folder.glob("trials/*/metrics/metrics.csv"))]
    longest = max(map(len, histories))
    return [[curve[epoch] for epoch in sorted(curve)] for curve in histories if len(curve) == longest]


def pruners(epochs: int) -> dict[str, Any]:
    """Return makers of the pruners in conf/search/pruner."""
    return {
        "none": lambda: optuna.pruners.NopPruner(),
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    }


def replay(order: list[list[float]], pruner: Any) -> dict[str, float]:
    """Replay the trials one after another until the pruner stops them."""
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    epochs = 0
    for curve in order:
        trial = study.ask()
        pruned = False
        for epoch, score in enumerate(curve, start=1):
            trial.report(score, epoch)
            epochs += 1
            if epoch < len(curve) and trial.should_prune():
                pruned = True
                break
        study.tell(trial, state=TrialState.PRUNED) if pruned else study.tell(trial, max(curve))
    pruned_trials = len(study.get_trials(states=[TrialState.PRUNED]))
    return {
        "epochs": epochs / sum(map(len, order)),
        "pruned": pruned_trials,
        "lost": max(map(max, order)) - study.best_value,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder of a finished search without a pruner")
    parser.add_argument("--orders", type=int, default=20)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trained = curves(asked.sweep)
    makers = pruners(len(trained[0]))
    rows: dict[str, Any] = {}
    print(f"{len(trained)} trials of {len(trained[0])} epochs, {asked.orders} orders: median (worst)")
    print(f"{'pruner':<10} {'epochs trained':<16} {'trials pruned':<16} {'accuracy lost':<14}")
    for name, make in makers.items():
        results = [replay(random.Random(order).sample(trained, len(trained)), make()) for order in range(asked.orders)]  # noqa: S311
        rows[name] = {key: [result[key] for result in results] for key in results[0]}
        cells = {key: (statistics.median(values), max(values)) for key, values in rows[name].items()}
        print(
            f"{name:<10} {cells['epochs'][0]:.0%} ({cells['epochs'][1]:.0%})".ljust(28)
            + f"{cells['pruned'][0]:.0f} ({cells['pruned'][1]:.0f})".ljust(17)
            + f"{cells['lost'][0]:.4f} ({cells['lost'][1]:.4f})"
        )
    RESULTS.mkdir(exist_ok=True)
    content = {"trials": len(trained), "epochs": len(trained[0]), "orders": asked.orders, "pruners": rows}
    (RESULTS / "pruning.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
