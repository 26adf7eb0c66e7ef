"""Time that a whole run spends outside its training steps, and its peak memory.

    python benchmarks/around.py                     the default run with report=light
    python benchmarks/around.py backbone=dense      another run

Each run is `prenda train` in its own process and terminal. All runs share one new $PRENDA_HOME, so the first one also
creates MLflow's store; it is listed separately. Memory is measured in three more runs without a watch. The time around
the epochs is everything but their steps: the start, the end, and validation, checkpoints and records between epochs. It
is also given for the default number of epochs, with the seconds of `prenda --help` and `prenda train --help`. The table
is printed and written to benchmarks/results/around.md, every run to around.json. Run it on an idle machine.
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
    """Run `prenda …` in this process and write its moments and durations to a file."""
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
    """Measure a whole run, in seconds by part."""
    output = Path(home) / "moments.json"
    command = [sys.executable, __file__, "inside", str(output), "train", *arguments]
    ended = run(command, {"PRENDA_HOME": home})
    seen = json.loads(output.read_text(encoding="utf-8"))
    return parts(seen, ended.started, ended.ended)


def peak(home: str, arguments: Sequence[str]) -> float:
    """Return the peak MiB of a run without a watch, which itself takes some 40 MiB."""
    return run([sys.executable, "-m", "prenda", "train", *arguments], {"PRENDA_HOME": home}).peak_mib


def parts(seen: dict[str, Any], started: float, ended: float) -> dict[str, Any]:
    """Return the seconds of each part between two moments; the parts add up to the whole."""
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
    """Return the seconds that a run of so many epochs spends outside its steps."""
    return sum(taken[part] for part in START + END) + epochs * taken["between epochs"] / taken["epochs"]


def summary(taken: dict[str, Any]) -> dict[str, float]:
    """Return the lines of the table, in seconds."""
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
    """Measure the seconds of the help commands."""
    commands = {" ".join(["prenda", *words]): [sys.executable, "-m", "prenda", *words] for words in HELP}
    return {name: [run(command).seconds for _ in range(repeats)] for name, command in commands.items()}


def text_of(
    command: str,
    first: dict[str, Any],
    repeated: list[dict[str, Any]],
    peaks: list[float],
    help_seconds: dict[str, float],
) -> str:
    """Return the report in Markdown: the machine, the table and the peak memory."""
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
            f"Peak memory: {median(peaks):,.0f} MiB, {min(peaks):,.0f} to {max(peaks):,.0f} in {len(peaks)} runs.",
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
