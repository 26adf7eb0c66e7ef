"""Where the time of a whole run goes that its epochs do not take, and the memory that it holds.

    python benchmarks/around.py                     the default run with report=light
    python benchmarks/around.py backbone=dense      another run

Each runs `prenda train` in a process and a terminal of its own; all share one new $PRENDA_HOME, so the first one, which
is listed apart, also makes MLflow's store. Memory is that of three more runs, which nothing watches. Around the epochs
is everything but their steps: the start, the end, and between epochs validation, checkpoints and records. It is told
for a run of the default number of epochs too, beside the seconds of `prenda --help` and `prenda train --help`. Prints
the table and leaves it in benchmarks/results/around.md and every run in around.json. Run it on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from loops.terminal import run
from machine import machine
from prenda.config.schema import TrainerConfig
from prenda.system.startup import heavy_imports
from written import RESULTS, table, told, write

DATA = Path(__file__).parents[1] / "data"
DEFAULT_EPOCHS = TrainerConfig.epochs
START = ("imports and settings", "data, network, record")
END = ("scoring", "report", "bundle", "copying the record", "exit")
VERSIONED = ("torch", "pytorch-lightning", "mlflow")
HELP = (["--help"], ["train", "--help"])


def inside(output: Path, arguments: list[str]) -> None:
    """Runs `prenda …` in this process and leaves the moments and durations that it went through."""
    with heavy_imports():  # as prenda itself does
        from loops import command
        from loops.watch import Watch
        from prenda.training import finish, train

    watch, durations, called = Watch(time.time), dict[str, float](), list[float]()
    for module, name in ((finish, "evaluate"), (finish, "_bundle"), (train, "finish")):
        setattr(module, name, _timed(getattr(module, name), durations))
    train.check = _noted(train.check, called)  # the first thing that a run does
    command.run(arguments, watch)
    moments = {"called": called[0], "starts": watch.starts, "ends": watch.ends, "returned": time.time()}
    output.write_text(json.dumps(moments | {"durations": durations}), encoding="utf-8")


def _timed(function: Callable[..., Any], durations: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.time()
        try:
            return function(*args, **kwargs)
        finally:
            durations[function.__name__] = time.time() - started

    return timed


def _noted(function: Callable[..., Any], moments: list[float]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        moments.append(time.time())
        return function(*args, **kwargs)

    return noted


def one(home: str, arguments: Sequence[str]) -> dict[str, Any]:
    """A whole run, in seconds by part."""
    output = Path(home) / "moments.json"
    command = [sys.executable, __file__, "inside", str(output), "train", *arguments]
    ended = run(command, {"PRENDA_HOME": home})
    seen = json.loads(output.read_text(encoding="utf-8"))
    return parts(seen, ended.started, ended.ended)


def peak(home: str, arguments: Sequence[str]) -> float:
    """The most MiB that a run holds that nothing watches: the clock's own process holds some 40 more."""
    return run([sys.executable, "-m", "prenda", "train", *arguments], {"PRENDA_HOME": home}).peak_mib


def parts(seen: dict[str, Any], started: float, ended: float) -> dict[str, Any]:
    """Where the seconds between two moments went; all parts together are all of them."""
    starts, took = seen["starts"], {"_bundle": 0.0} | seen["durations"]  # report=none has no bundle
    steps = sum(end - start for start, end in zip(starts[:-1], seen["ends"], strict=True))
    return {
        "wall": ended - started,
        "epochs": len(starts) - 1,
        "steps": steps,
        "between epochs": sum(later - start for start, later in pairwise(starts)) - steps,
        "imports and settings": seen["called"] - started,
        "data, network, record": starts[0] - seen["called"],
        "scoring": took["evaluate"],
        "report": took["finish"] - took["evaluate"] - took["_bundle"],
        "bundle": took["_bundle"],
        "copying the record": seen["returned"] - starts[-1] - took["finish"],
        "exit": ended - seen["returned"],
    }


def around(taken: dict[str, Any], epochs: int) -> float:
    """Seconds that a run of so many epochs spends on everything but their steps."""
    return sum(taken[part] for part in START + END) + epochs * taken["between epochs"] / taken["epochs"]


def summary(taken: dict[str, Any]) -> dict[str, float]:
    """The lines of the table, in seconds."""
    return {
        **{part: taken[part] for part in START},
        "steps, each epoch": taken["steps"] / taken["epochs"],
        "validation, checkpoints, records, each epoch": taken["between epochs"] / taken["epochs"],
        **{part: taken[part] for part in END},
        f"whole run of {taken['epochs']} epochs": taken["wall"],
        f"around its epochs, of {taken['epochs']}": around(taken, taken["epochs"]),
        f"around its epochs, of {DEFAULT_EPOCHS}": around(taken, DEFAULT_EPOCHS),
    }


def helps(repeats: int) -> dict[str, list[float]]:
    """Seconds of the commands that only tell what there is."""
    commands = {" ".join(["prenda", *words]): [sys.executable, "-m", "prenda", *words] for words in HELP}
    return {name: [run(command).seconds for _ in range(repeats)] for name, command in commands.items()}


def text_of(
    command: str,
    first: dict[str, Any],
    repeated: list[dict[str, Any]],
    peaks: list[float],
    help_seconds: dict[str, float],
) -> str:
    """The table and what belongs to it."""
    lines = [summary(taken) for taken in repeated]
    rows = [
        [name, f"{median(line[name] for line in lines):,.2f}", f"{least:,.2f} to {most:,.2f}", f"{cold:,.2f}"]
        for name, cold in summary(first).items()
        for least, most in [(min(line[name] for line in lines), max(line[name] for line in lines))]
    ]
    rows += [[name, f"{seconds:.2f}", "", ""] for name, seconds in help_seconds.items()]
    headers = ["seconds", f"median of {len(repeated)}", "least to most", "first run"]
    return "\n\n".join(
        [
            "# Around the epochs",
            f"{date.today().isoformat()}, `{command}`.\n{told(machine(*VERSIONED))}",
            table(headers, rows),
            f"Most memory: {median(peaks):,.0f} MiB, {min(peaks):,.0f} to {max(peaks):,.0f} in {len(peaks)} runs.",
        ]
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="more settings of the run")
    parser.add_argument("--epochs", type=int, default=2, help="of each run (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs after the first (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder (default: benchmarks/results)")
    asked = parser.parse_args(arguments)
    settings = ["report=light", f"trainer.epochs={asked.epochs}", *asked.overrides]
    runs = []
    with tempfile.TemporaryDirectory() as home:
        for turn in range(1 + asked.repeats):
            runs.append(one(home, [f"data.dir={DATA}", *settings]))
            print(f"run {turn + 1}: {runs[-1]['wall']:.1f} s, {around(runs[-1], asked.epochs):.1f} around", flush=True)
        peaks = [peak(home, [f"data.dir={DATA}", *settings]) for _ in range(asked.repeats)]
        help_seconds = helps(asked.repeats)
    content = {
        "date": date.today().isoformat(),
        "machine": machine(*VERSIONED),
        "settings": settings,
        "first": runs[0],
        "repeated": runs[1:],
        "peak_mib": peaks,
        "help": help_seconds,
    }
    medians = {name: median(seconds) for name, seconds in help_seconds.items()}
    text = text_of(" ".join(["prenda", "train", *settings]), runs[0], runs[1:], peaks, medians)
    write("around", content, text, asked.results)
    print(f"\n{text}")


if __name__ == "__main__":
    inside(Path(sys.argv[2]), sys.argv[3:]) if sys.argv[1:2] == ["inside"] else main(sys.argv[1:])
