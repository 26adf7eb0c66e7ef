"""Cost of a sweep: speed-up of two workers, memory over many trials, and overhead of a trial.

    python benchmarks/sweep.py workers            eight dense trials with one worker and with two, A B A B
    python benchmarks/sweep.py memory             the peak memory of a sweep's processes, over 50 trials
    python benchmarks/sweep.py cost               the cost of a trial for the driver and an MLflow server on sqlite

Each prints a table and writes benchmarks/results/sweep_<name>.json. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from machine import machine

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[1] / "data"
DENSE = ["backbone=dense", "trainer=cpu", "trainer.epochs=4", f"data.dir={DATA}"]


def sweep(home: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "prenda", "train", "-m", *DENSE, *arguments]
    return subprocess.Popen(command, env=os.environ | {"PRENDA_HOME": home}, stdout=subprocess.DEVNULL)


def seconds(workers: int, trials: int) -> float:
    """Return the seconds of a whole sweep, from the command to its end."""
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        if sweep(home, f"workers={workers}", f"seed=range({trials})").wait():
            raise RuntimeError(f"the sweep with {workers} workers failed")
        return time.perf_counter() - started


def workers(repeats: int) -> dict[str, Any]:
    """Measure eight trials with one worker and with two, alternating."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for count in taken:
            taken[count].append(seconds(count, trials=8))
            print(f"{count} worker{'s'[: count > 1]}: {taken[count][-1]:.1f} s", flush=True)
    one, two = (statistics.median(taken[count]) for count in (1, 2))
    return {"seconds": taken, "median_1": one, "median_2": two, "ratio": one / two}


def memory(trials: int) -> dict[str, Any]:
    """Measure the resident memory of the driver and the largest trial in MiB, early and late in a sweep."""
    by_trial: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as home:
        process = sweep(home, "workers=2", f"seed=range({trials})", "trainer.epochs=1", "data.limit_train=10000")
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            done = len(list(Path(home).rglob("scores.json")))
            seen = by_trial.setdefault(done, {"driver": 0, "others": 0})
            seen["driver"] = max(seen["driver"], _mib(driver))
            seen["others"] = max(seen["others"], max(map(_mib, driver.children(recursive=True)), default=0))
            time.sleep(0.2)
    tenth = max(1, trials // 5)
    first = [seen for done, seen in by_trial.items() if 1 <= done <= tenth]
    last = [seen for done, seen in by_trial.items() if trials - tenth < done < trials]  # before the report is drawn
    return {
        f"{who}_{when}_mib": max(seen[who] for seen in part)
        for who in ("driver", "others")
        for when, part in (("first_fifth", first), ("last_fifth", last))
    }


def cost(trials: int) -> dict[str, Any]:
    """Measure requests and CPU seconds of an MLflow server, and CPU seconds of the driver, for each trial."""
    with tempfile.TemporaryDirectory() as home, (Path(home) / "server.log").open("w") as log:
        port = _free_port()
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        where = ["--backend-store-uri", f"sqlite:///{home}/m.db", "--artifacts-destination", f"{home}/artifacts"]
        options = ["--uvicorn-opts", "--access-log --log-level info"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        server = subprocess.Popen([*command, *where, *options], env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(port)
            settings = ["tracking=server", f"tracking.uri=http://127.0.0.1:{port}", "data.limit_train=10000"]
            seen = {count: _sweep_cost(home, server, settings, count) for count in (1, 1 + trials)}
        finally:
            server.terminate()
            server.wait()
    return {name: (seen[1 + trials][name] - seen[1][name]) / trials for name in seen[1]}


def _sweep_cost(home: str, server: subprocess.Popen[bytes], settings: list[str], trials: int) -> dict[str, float]:
    """Measure the cost of a sweep with so many trials."""
    served, log = psutil.Process(server.pid), Path(home) / "server.log"
    before = _processor([served, *served.children(recursive=True)]), log.read_text().count("HTTP/1.1")
    folder = Path(home) / f"sweep_{trials}"
    process = sweep(str(folder), *settings, f"seed=range({trials})", "trainer.epochs=4")
    driver, spent = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        spent = max(spent, _processor([driver]))
        time.sleep(0.1)
    size = sum(path.stat().st_size for path in folder.rglob("trials/*/**/*") if path.is_file())
    return {
        "server_seconds": _processor([served, *served.children(recursive=True)]) - before[0],
        "server_requests": float(log.read_text().count("HTTP/1.1") - before[1]),
        "driver_seconds": spent,
        "folder_mib": size / 2**20,
    }


def _processor(processes: list[psutil.Process]) -> float:
    """Return the CPU seconds that the processes have used."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return total


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.5)
    raise RuntimeError("the MLflow server did not start")


def _mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("workers", "memory", "cost"))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--trials", type=int, default=50)
    asked = parser.parse_args()
    measures = {
        "workers": lambda: workers(asked.repeats),
        "memory": lambda: memory(asked.trials),
        "cost": lambda: cost(asked.trials),
    }
    figures = measures[asked.name]()
    result = {"machine": machine("torch", "pytorch-lightning", "optuna", "mlflow"), **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"sweep_{asked.name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, value in result.items():
        print(f"{name:<24} {value}")


if __name__ == "__main__":
    main()
