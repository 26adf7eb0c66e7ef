"""The parts of benchmarks/gpu.py: lists of checks, each of which trains as the command `prenda` does."""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from loops import command
from loops.bare import train_epoch
from loops.task import WARM_UP, composed
from loops.watch import Watch
from prenda.cli import main
from prenda.config.instantiate import build
from prenda.report.tables import read_history
from prenda.search.launchers.base import ready_processes
from prenda.tracking.store import connect, local_store
from prenda.training.equality import BITS, Results, compare, verdict

QUIET = ("tracking=offline", "report=none")
DETERMINISTIC = ("trainer.deterministic=true", "augment=erase", "ema=0.9")  # what draws, or keeps a state of its own
NETWORKS = {
    "default": ("augment=none",),
    "keras_cnn": ("experiment=keras_cnn",),
    "resnet": ("backbone=resnet", "augment=none"),
}
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "muon")
FUSED = ("adam", "adamw", "sgd")  # which prenda refuses to clip in 16-mixed
FALLEN = 0.9  # of the first epoch's loss, which the last one's must be below
ACCURACY = "best/val/accuracy"  # in scores.json
GENERATED = 1792  # training images, in whole batches


@dataclass(frozen=True)
class Task:
    """What every part trains on.

    Attributes:
        device: gpu or cpu.
        tiny: Whether to train as little as possible.
        data: A file of conf/data.
        data_dir: Folder of its files.
        home: $PRENDA_HOME of all runs.
    """

    device: str
    tiny: bool
    data: str
    data_dir: str
    home: str

    def overrides(self, images: int, epochs: int, *more: str) -> list[str]:
        """Return settings of a run with so many training images, or as many as there are; `more` may change them."""
        images = 256 if self.tiny else images if self.data == "fashion_mnist" else min(images, GENERATED)
        length = [f"data.limit_train={images}", f"trainer.epochs={min(epochs, 2) if self.tiny else epochs}"]
        small = ["trainer.threads=1", "data.batch_size=32"] if self.tiny else []
        data = [f"data={self.data}", f"data.dir={self.data_dir}"]
        return [f"trainer={self.device}", *data, *length, *small, *more]


@dataclass(frozen=True)
class Found:
    """Result of a check; `ok` is None if it only measures."""

    result: str
    ok: bool | None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    what: str
    run: Callable[[], Found]


@dataclass(frozen=True)
class Part:
    """Checks that share a process.

    Attributes:
        seconds: Time that must be left for it to start.
        checks: Returns its checks without running them.
    """

    name: str
    seconds: float
    checks: Callable[[Task], list[Check]]


def trained(task: Task, name: str, settings: list[str], *callbacks: Callback) -> Path:
    """Train in this process, and return the run's folder."""
    folder = Path(task.home) / "runs" / name
    command.run(["train", *settings, f"hydra.run.dir={folder}"], *callbacks)
    return folder


def scores(run: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    return found


def backbones(task: Task) -> list[Check]:
    names = ["dense", "cnn", "cnn_batch_norm", "resnet", "resnet9", "torchvision"]
    if task.tiny:
        names = ["dense", "cnn"]
    elif importlib.util.find_spec("timm"):
        names.append("timm")
    return [Check(name, partial(_backbone, task, name)) for name in names]


def _backbone(task: Task, name: str) -> Found:
    report = "full"
    if task.tiny:  # a full report takes seconds, and so does a bundle
        report = "light" if name == "dense" else "none"
    settings = task.overrides(12_800, 1, "tracking=offline", f"backbone={name}", f"report={report}")
    run = trained(task, f"backbone-{name}", settings)
    accuracy, bundle = scores(run)[ACCURACY], (run / "bundle" / "model.onnx").is_file()
    shown = f"validation accuracy {accuracy:.2%}, " + ("with a bundle" if bundle else "without a bundle")
    return Found(shown, math.isfinite(accuracy) and bundle == (report != "none"), {ACCURACY: accuracy})


def speed(task: Task) -> list[Check]:
    return [Check(name, partial(_speed, task, name)) for name in (("keras_cnn",) if task.tiny else NETWORKS)]


def _speed(task: Task, name: str) -> Found:
    """Train with prenda, eagerly and with CUDA graphs in turn; the steps of an epoch are compared."""
    images, epochs = 54_912, 3 if task.data == "fashion_mnist" else 20  # whole batches: one graph each
    settings = task.overrides(images, WARM_UP + epochs, *NETWORKS[name], "tracking=local", "report=none")
    compiled = "CUDA graphs" if task.device == "gpu" else "traced"
    samples: dict[str, list[dict[str, Any]]] = {"prenda": [], "eager": [], compiled: []}
    for turn in range(1 if task.tiny else 2):
        samples["prenda"].append(_watched(task, f"speed-{name}-{turn}", settings))
        samples["eager"].append(_bare(task, settings, compiled=False))
        samples[compiled].append(_bare(task, settings, compiled=True))
    seconds = {who: statistics.median(taken["seconds"] for taken in each) for who, each in samples.items()}
    trained_on = samples["eager"][0]["images"]
    ratio = seconds["prenda"] / min(seconds["eager"], seconds[compiled])
    parts = [
        f"{who} {taken:.3f} s ({trained_on / taken:,.0f} images/s, {samples[who][0]['peak_mib']:.0f} MiB)"
        for who, taken in seconds.items()
    ]
    whole = statistics.median(taken["whole"] for taken in samples["prenda"])
    parts.append(f"prenda / best {ratio:.2f}, epoch with validation and records {whole:.3f} s")
    return Found("; ".join(parts), None, {"samples": samples, "ratio": ratio})


def _watched(task: Task, name: str, settings: list[str]) -> dict[str, Any]:
    """Return seconds of a steady epoch of prenda: its steps, and the whole with validation and records."""
    _forget(task)
    watch = Watch(partial(_moment, task))
    trained(task, name, settings, watch)
    measured = watch.measured()
    return {
        "seconds": statistics.median(measured.steps),
        "whole": statistics.median(measured.whole),
        "epochs": measured.steps,
        "peak_mib": _peak_mib(task),
    }


def _bare(task: Task, settings: list[str], compiled: bool) -> dict[str, Any]:
    """Return seconds of a steady epoch of a loop that only trains, on images that lie normalised on the device."""
    _forget(task)
    config, data = composed(settings)
    device = torch.device("cuda" if task.device == "gpu" else "cpu")
    network = build(config.backbone, "backbone", image_shape=data.image_shape, num_classes=len(data.class_names))
    network = network.train().to(device, memory_format=torch.channels_last)
    images: Tensor = data.normalized(data.split("train").images).to(device)
    labels = data.split("train").labels.to(device)
    optimizer = build(config.optimizer, "optimizer")(network.parameters())
    scheduler = build(config.scheduler, "scheduler")(
        optimizer, config.trainer.epochs * -(-len(labels) // config.data.batch_size)
    )
    forward = _compiled(task, network) if compiled else network
    epochs = []
    for _ in range(config.trainer.epochs):
        started = _moment(task)
        train_epoch(forward, optimizer, scheduler, images, labels, config.data.batch_size, config.trainer.precision)
        epochs.append(_moment(task) - started)
    steady = epochs[WARM_UP:]
    return {
        "seconds": statistics.median(steady),
        "epochs": steady,
        "peak_mib": _peak_mib(task),
        "images": len(labels),
        "first": epochs[0],
    }


def _compiled(task: Task, network: nn.Module) -> Any:
    if task.device == "cpu":  # CUDA graphs are the GPU's, and a compiler of C++ takes half a minute
        return torch.compile(network, backend="eager")
    return torch.compile(network, mode="reduce-overhead")


def _moment(task: Task) -> float:
    if task.device == "gpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def _forget(task: Task) -> None:
    """Free what the last participant left on the GPU."""
    torch.compiler.reset()
    gc.collect()
    if task.device == "gpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_mib(task: Task) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if task.device == "gpu" else 0.0


class KillInTheMiddle(Callback):
    """Sends SIGKILL to its own process after the first step of the second epoch."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def resume(task: Task) -> list[Check]:
    return [
        Check(name, partial(_resumed, task, name, settings)) for name, settings in _deterministic_networks(task).items()
    ]


def repetition(task: Task) -> list[Check]:
    return [
        Check(name, partial(_repeated, task, name, settings))
        for name, settings in _deterministic_networks(task).items()
    ]


def _deterministic_networks(task: Task) -> dict[str, list[str]]:
    networks = {"default": [], "resnet9, muon": ["backbone=resnet9", "optimizer=muon"]}
    if task.tiny:
        networks = {"dense": ["backbone=dense"]}
    return {name: task.overrides(12_800, 3, *QUIET, *DETERMINISTIC, *more) for name, more in networks.items()}


def _resumed(task: Task, name: str, settings: list[str]) -> Found:
    killed = Path(task.home) / "runs" / f"killed-{name[:7]}"
    process = ready_processes().Process(target=_until_killed, args=(task, killed.name, settings, dict(os.environ)))
    process.start()
    process.join()
    if process.exitcode != -signal.SIGKILL:
        raise RuntimeError(f"the run that was to be killed ended with {process.exitcode}")
    if code := main(["resume", str(killed)]):
        raise RuntimeError(f"prenda resume ended with {code}")
    return _compared(trained(task, f"whole-{name[:7]}", settings), killed)


def _until_killed(task: Task, name: str, settings: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    trained(task, name, settings, KillInTheMiddle())


def _repeated(task: Task, name: str, settings: list[str]) -> Found:
    return _compared(*(trained(task, f"{turn}-{name[:7]}", settings) for turn in ("first", "second")))


def _compared(one: Path, two: Path) -> Found:
    parts = compare(*(Results.read(partial(_file, run)) for run in (one, two)))
    differing = [f"{part.what}: {part.difference:.1e} ({part.where})" for part in parts if not part.same]
    shown = "; ".join([verdict(parts), *differing]) + f" ({len(parts)} parts)"
    return Found(shown, verdict(parts) == BITS)


def _file(run: Path, name: str) -> Path | None:
    return run / name if (run / name).is_file() else None


def precision(task: Task) -> list[Check]:
    precisions = ("bf16-mixed", "16-mixed", "auto") if task.device == "gpu" else ("bf16-mixed",)
    optimizers = ("sgd", "muon") if task.tiny else OPTIMIZERS
    return [
        Check(f"{optimizer}, {kind}", partial(_falls, task, optimizer, kind))
        for kind in precisions
        for optimizer in optimizers
    ]


def _falls(task: Task, optimizer: str, kind: str) -> Found:
    unfused = ["optimizer.fused=false"] if kind == "16-mixed" and optimizer in FUSED else []
    named = [f"optimizer={optimizer}", f"trainer.precision={kind}", "trainer.gradient_clip=1", *unfused]
    run = trained(task, f"precision-{optimizer}-{kind}", task.overrides(12_800, 3, *QUIET, *named))
    losses = read_history(run / "metrics" / "metrics.csv")["train/loss"]
    first, last = losses[min(losses)], losses[max(losses)]
    falls = math.isfinite(first) and last < FALLEN * first
    return Found(f"training loss {first:.3f}, then {last:.3f}", falls, {"losses": list(losses.values())})


def ddp(task: Task) -> list[Check]:
    if task.device == "cpu":
        return [Check("two processes on the CPU", partial(_parallel, task, "ddp_cpu", 2))]
    count = torch.cuda.device_count()
    found = [Check("one GPU", partial(_parallel, task, "ddp", 1))]
    return found + ([Check(f"{count} GPUs", partial(_parallel, task, "ddp", count))] if count > 1 else [])


def _parallel(task: Task, trainer: str, devices: int) -> Found:
    more = [f"trainer={trainer}", f"trainer.devices={devices}", *QUIET]
    run = trained(task, f"ddp-{devices}", task.overrides(12_800, 2, *more))
    accuracy = scores(run)[ACCURACY]
    return Found(f"validation accuracy {accuracy:.2%}", math.isfinite(accuracy), {ACCURACY: accuracy})


def tracking(task: Task) -> list[Check]:
    return [Check("system metrics", partial(_system_metrics, task))]


def _system_metrics(task: Task) -> Found:
    os.environ["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"] = "0.2"  # seconds; 10 would outlast the run
    settings = ["tracking=local", "report=none", "tracking.run_name=gpu-tracking"]
    trained(task, "tracking", task.overrides(12_800, 3, *settings))
    client = connect(local_store())
    experiment = client.get_experiment_by_name("prenda")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'gpu-tracking'")
    wanted = "system/gpu" if task.device == "gpu" else "system/cpu"
    names = sorted(name for name in run.data.metrics if name.startswith(wanted))
    values = {name: run.data.metrics[name] for name in names}
    return Found(", ".join(names) or f"none of {wanted}*", bool(names), values)


def sweep(task: Task) -> list[Check]:
    return [Check("one trial at a time, then two", partial(_sweeps, task))]


def _sweeps(task: Task) -> Found:
    trials = 2 if task.tiny else 4
    _sweep(task.overrides(256, 1, *QUIET, "seed=0", "search.name=gpu-warm-up"))  # what is imported once
    rates = {}
    for workers in (1, 2):
        more = (f"workers={workers}", f"seed=range({trials})", f"search.name=gpu-{workers}")
        rates[workers] = trials / _sweep(task.overrides(54_912, 3, *QUIET, *more)) * 3600
    shown = f"{rates[1]:.0f} trials/h, then {rates[2]:.0f}: {rates[2] / rates[1]:.2f} times"
    return Found(shown, None, {"trials_per_hour": rates})


def _sweep(settings: list[str]) -> float:
    """Return the seconds of a sweep."""
    started = time.perf_counter()
    if code := main(["train", "-m", *settings]):
        raise RuntimeError(f"prenda train -m {' '.join(settings)} ended with {code}")
    return time.perf_counter() - started


def recipes(task: Task) -> list[Check]:
    return [Check(name, partial(_recipe, task, name)) for name in (("fast",) if task.tiny else ("fast", "strong"))]


def _recipe(task: Task, name: str) -> Found:
    settings = [
        f"experiment={name}",
        f"trainer={task.device}",
        f"data={task.data}",
        f"data.dir={task.data_dir}",
        *QUIET,
    ]
    if task.tiny:
        settings += ["data.limit_train=256", "trainer.epochs=1", "trainer.threads=1"]
    found = scores(trained(task, f"recipe-{name}", settings))
    figures = {key: found[key] for key in ("train/seconds", ACCURACY)}
    shown = f"{figures['train/seconds']:.1f} s of training, validation accuracy {figures[ACCURACY]:.2%}"
    return Found(f"{shown} ({task.data})", None, figures)


PARTS = {
    part.name: part
    for part in (
        Part("backbones", 20, backbones),
        Part("speed", 60, speed),
        Part("resume", 30, resume),
        Part("repetition", 20, repetition),
        Part("precision", 20, precision),
        Part("ddp", 15, ddp),
        Part("tracking", 15, tracking),
        Part("sweep", 60, sweep),
        Part("recipes", 30, recipes),
    )
}
