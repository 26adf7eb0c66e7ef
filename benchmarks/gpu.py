"""Checks and measures prenda on an NVIDIA GPU, in one call of less than nine minutes.

    python benchmarks/gpu.py                                   everything, on Fashion-MNIST in data/
    python benchmarks/gpu.py --data DIR --parts speed ddp      some parts, with the data set in another folder
    python benchmarks/gpu.py --device cpu --tiny               whether the script itself works, without a GPU

    backbones    each backbone trains an epoch, is scored, and is exported as a bundle
    speed        an epoch of three networks, beside a bare loop: eager, and compiled with CUDA graphs
    resume       a run that is killed with SIGKILL and resumed, compared with an undisturbed one
    repetition   two runs of the same settings with trainer.deterministic=true, compared to the bit
    precision    each optimiser in each precision with gradient clipping: the loss is finite and falls
    ddp          data-parallel training on one GPU, and on all where there are more
    tracking     the GPU's load among the metrics of a run in MLflow
    sweep        trials an hour: one at a time, and two at a time
    recipes      training time and validation accuracy of experiment=fast and experiment=strong

Each part is a process of its own, which is stopped when the --minutes are over. What did not run by then is listed as
left out. The exit code is 1 if a check failed. The table is printed and written to gpu.md, all figures to gpu.json, in
benchmarks/results/; a trial on the CPU or with --tiny writes them only where --results says. Without Fashion-MNIST,
generated images take its place, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil
import torch

from gpu_parts import PARTS, Check, Part, Task, ready_processes
from machine import machine
from written import RESULTS, table, told, write

DATA = Path(__file__).parents[1] / "data"
MARKS = {True: "ok", False: "FAILED", None: "-"}
LAST_LINES = 15  # of a failed check's output


@dataclass(frozen=True)
class Row:
    """Outcome of a check.

    Attributes:
        ok: None if it is a measurement, or was left out.
        seconds: Time that it took.
        output: Last lines that it printed, if it failed.
    """

    part: str
    what: str
    result: str
    ok: bool | None
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    output: str = ""


def measure(parts: Sequence[Part], task: Task, ends: float) -> list[Row]:
    """Run the parts in turn until time.monotonic() reaches `ends`; print each row as it is ready."""
    rows = []
    for part in parts:
        if ends - time.monotonic() < part.seconds:
            found = [_left_out(part, check) for check in part.checks(task)]
            _show(found)
        else:
            found = _in_process(part, task, ends)
        rows += found
    return rows


def _left_out(part: Part, check: Check) -> Row:
    return Row(part.name, check.what, "left out: no time", None)


def _show(rows: Sequence[Row]) -> None:
    for row in rows:
        print(f"{MARKS[row.ok]:<6} {row.part}: {row.what}: {row.result} ({row.seconds:.0f} s)", flush=True)
        if row.output:
            print(row.output, flush=True)


def _in_process(part: Part, task: Task, ends: float) -> list[Row]:
    """Run a part in a process of its own, until the time is over."""
    log = Path(task.home) / f"{part.name}.log"
    context = ready_processes()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(part, task, there, log, dict(os.environ)))
    process.start()
    there.close()
    rows: list[Row] = []
    try:
        while (remaining := ends - time.monotonic()) > 0:
            if here not in wait([here, process.sentinel], remaining):
                break
            rows.append(here.recv())
            _show(rows[-1:])
    except EOFError:
        process.join(10)
    finally:
        ended = process.exitcode
        _kill(process.pid)
        process.join()
    missing = part.checks(task)[len(rows) :]
    if ended is None:
        late = [_left_out(part, check) for check in missing]
    else:
        late = [Row(part.name, c.what, f"the process ended with {ended}", False, output=_tail(log)) for c in missing]
    _show(late)
    return rows + late


def _kill(group: int | None) -> None:
    assert group is not None
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _run(part: Part, task: Task, rows: Connection, log: Path, environment: dict[str, str]) -> None:
    """Run the checks of a part in this process, and send a row for each."""
    os.setsid()  # so that it is stopped with the programs that it starts
    os.environ.update(environment | {"PRENDA_HOME": task.home})
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.stdout = open(1, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    for check in part.checks(task):
        rows.send(_checked(part.name, check, log))
    rows.close()


def _checked(part: str, check: Check, log: Path) -> Row:
    started = time.perf_counter()
    try:
        found = check.run()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        result = f"{type(error).__name__}: {' '.join(str(error).split())}"[:120]
        return Row(part, check.what, result, False, time.perf_counter() - started, output=_tail(log))
    output = _tail(log) if found.ok is False else ""
    return Row(part, check.what, found.result, found.ok, time.perf_counter() - started, found.figures, output)


def _tail(log: Path) -> str:
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])


def gpu() -> dict[str, Any]:
    """Return driver, GPUs and the versions of CUDA and cuDNN; this process starts nothing on the GPU."""
    import pynvml

    found = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {**found, "driver": None, "gpus": []}
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    gib = [round(pynvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30, 1) for handle in handles]
    names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    gpus = [f"{name}, {size} GiB" for name, size in zip(names, gib, strict=True)]
    return {**found, "driver": pynvml.nvmlSystemGetDriverVersion(), "gpus": gpus}


def text_of(rows: Sequence[Row], where: dict[str, Any], device: dict[str, Any], words: str, data: str) -> str:
    """Return the report in Markdown: the machine, the table, and the output of failed checks."""
    gpus = "; ".join(device["gpus"]) or "none"
    shown = [[row.part, row.what, row.result, MARKS[row.ok], f"{row.seconds:.1f}"] for row in rows]
    failed = [row for row in rows if row.ok is False]
    left_out = list(dict.fromkeys(row.part for row in rows if row.result == "left out: no time"))
    return "\n\n".join(
        [
            "# On a GPU",
            f"{date.today().isoformat()}, `{words}`, data: {data}.\n{told(where)}\n"
            f"GPU: {gpus}; CUDA {device['cuda']}, cuDNN {device['cudnn']}, driver {device['driver'] or 'none'}.",
            table(["part", "check", "result", "", "s"], shown, left=4),
            f"Checks that failed: {len(failed)}. Left out: {', '.join(left_out) or 'nothing'}.",
            *(f"## {row.part}: {row.what}\n\n```\n{row.output}\n```" for row in failed),
        ]
    )


def _data(folder: Path, tiny: bool) -> str:
    from prenda.data.datasets.fashion_mnist import DATA_SET

    return "generated" if tiny or DATA_SET.absent(folder) else "fashion_mnist"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME", help=" ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=8.5, help="for all of it (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="with FashionMNIST/ (default: data/)")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--tiny", action="store_true", help="generated images, and as few of them as possible")
    parser.add_argument("--results", type=Path, help="folder (default: benchmarks/results)")
    asked = parser.parse_args(arguments)
    if asked.results is None and asked.device == "gpu" and not asked.tiny:
        asked.results = RESULTS
    return asked


def main(arguments: Sequence[str], imported: float = 0.0) -> int:
    """Return the exit code; `imported` is how many seconds of the time are over."""
    asked = _parse(arguments)
    ends = time.monotonic() - imported + asked.minutes * 60
    data = _data(asked.data, asked.tiny)
    if asked.device == "gpu" and not torch.cuda.is_available():
        print("PyTorch finds no CUDA GPU; `--device cpu --tiny` tries this script without one.", file=sys.stderr)
        return 2
    where, device = machine("torch", "pytorch-lightning", "mlflow"), gpu()
    print(f"{told(where)}\n{device}\ndata: {data}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        task = Task(asked.device, asked.tiny, data, str(asked.data.resolve()), home)
        rows = measure([PARTS[name] for name in asked.parts], task, ends)
    words = " ".join(["python benchmarks/gpu.py", *arguments])
    content = {
        "date": date.today().isoformat(),
        "machine": where | device,
        "settings": {"parts": asked.parts, "minutes": asked.minutes, "device": asked.device, "data": data},
        "rows": [asdict(row) for row in rows],
    }
    text = text_of(rows, where, device, words, data)
    if asked.results is not None:
        write("gpu", content, text, asked.results)
    print(f"\n{text}")
    return int(any(row.ok is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], time.time() - psutil.Process().create_time()))
