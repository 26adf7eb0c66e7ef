"""Attack prenda's commands again and again, and count what is lost.

    python -m tests.reliability.torture --minutes 60

Each command has the same share of the time. Each round has a seed, from which all its faults are drawn. A loss prints
the command that repeats its round.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from tests.orphans import guard
from tests.reliability.commands import Commands
from tests.reliability.prediction import Predict
from tests.reliability.promotion import Promote
from tests.reliability.scenario import Scenario
from tests.reliability.serving import Serve
from tests.reliability.sweeps import Sweep
from tests.reliability.training import Resume, Train

SCENARIOS: tuple[type[Scenario], ...] = (Train, Resume, Sweep, Promote, Predict, Serve)


@dataclass
class Count:
    """Rounds of a scenario, the faults in them, the rounds in which something was lost, and the time of all."""

    rounds: int = 0
    faults: int = 0
    lost: int = 0
    seconds: float = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack until the time is over; return 1 if anything was lost."""
    given = _parser().parse_args(arguments)
    guard()
    chosen = [scenario for scenario in SCENARIOS if given.scenario in (None, scenario.name)]
    counts = {scenario.name: Count() for scenario in chosen}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prenda-torture-") as scratch, ExitStack() as stack:
        ready = []
        for scenario in chosen:
            folder = Path(scratch) / scenario.name
            folder.mkdir()
            made = scenario(stack.enter_context(Commands(folder, scenario.modules)))
            made.prepare()
            ready.append(made)
        until = time.monotonic() + 60 * given.minutes
        with suppress(KeyboardInterrupt):  # the table of what was tried so far
            for scenario in _turns(ready, counts, given.rounds, until):
                _attack(scenario, given.seed + counts[scenario.name].rounds, counts[scenario.name])
    _show(counts, time.monotonic() - begun, given.seed)
    return int(any(count.lost for count in counts.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.reliability.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="end after so many minutes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="end after so many rounds of each scenario")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round (default: %(default)s)")
    parser.add_argument("--scenario", choices=[scenario.name for scenario in SCENARIOS], help="attack this one alone")
    return parser


def _turns(
    scenarios: Sequence[Scenario], counts: Mapping[str, Count], rounds: int | None, until: float
) -> Iterator[Scenario]:
    """Yield the scenario that has had the least time, until the time is over or each has had its rounds."""
    while time.monotonic() < until:
        left = [scenario for scenario in scenarios if rounds is None or counts[scenario.name].rounds < rounds]
        if not left:
            return
        yield min(left, key=lambda scenario: counts[scenario.name].seconds)


def _attack(scenario: Scenario, seed: int, count: Count) -> None:
    """Run one round; print what was lost and how to repeat it."""
    before, begun = scenario.faults, time.monotonic()
    try:
        scenario.round(random.Random(f"{scenario.name} {seed}"))
    except Exception:  # whatever it is, the promise was not kept
        count.lost += 1
        again = f"python -m tests.reliability.torture --scenario {scenario.name} --seed {seed} --rounds 1"
        print(f"LOST in {scenario.name}, seed {seed}: `{again}`", traceback.format_exc(), sep="\n", flush=True)
    count.rounds += 1
    count.faults += scenario.faults - before
    count.seconds += time.monotonic() - begun


def _show(counts: Mapping[str, Count], seconds: float, seed: int) -> None:
    print(f"{'Scenario':<12}{'Rounds':>8}{'Faults':>8}{'Lost':>8}{'Minutes':>9}")
    every = list(counts.values())
    total = Count(*(sum(getattr(count, field.name) for count in every) for field in fields(Count)))
    for name, count in [*counts.items(), ("all", total)]:
        print(f"{name:<12}{count.rounds:>8}{count.faults:>8}{count.lost:>8}{count.seconds / 60:>9.1f}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{seconds / 60:.1f} minutes, first seed {seed}, {cores} cores, {platform.platform()}")


if __name__ == "__main__":
    sys.exit(main())
