"""One run: training, scoring and recording, from its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.callbacks import Callback
from rich.console import Console

from prenda.config.convert import as_plain, as_yaml
from prenda.config.identity import check_folder, describe_run, run_name
from prenda.config.schema import TrainConfig
from prenda.config.validation import check
from prenda.data.datamodule import ImageDataModule, Split
from prenda.errors import UserError
from prenda.report import terminal
from prenda.system.atomic_write import write_atomically
from prenda.system.signals import stop_on_signal
from prenda.tracking.runs import PRUNED, DataUsed, Pruned, Run, recorded
from prenda.training import checkpoints
from prenda.training.build import build_callbacks, build_classifier, build_data, prepare_process, resolve_device
from prenda.training.distributed import Torchrun, fit_in_processes
from prenda.training.features import kept_features
from prenda.training.finish import TrainResult, finish
from prenda.training.fit import fit
from prenda.training.initial_weights import load_initial
from prenda.training.photos import record_photos
from prenda.training.profile import TRACE
from prenda.training.starting_point import identified


def train(config: TrainConfig, folder: Path, callbacks: Sequence[Callback] = ()) -> TrainResult:
    """Train the network that the configuration describes, score its best epoch, and record both.

    All settings are checked before anything is recorded. If the folder holds an interrupted run of the same settings,
    that run resumes after its last complete epoch; the result is bit-identical to an uninterrupted run.

    Args:
        config: Configuration of the run.
        folder: Folder of the run.
        callbacks: Further Lightning callbacks. With several processes, each process gets a pickled copy.

    Raises:
        UserError: If a setting cannot work, by its dotted name, or if the folder's run has other settings.
        Pruned: If a callback pruned the run, by writing the reason to `pruned.txt` in the folder.
    """
    check(config)
    config = identified(config, folder)
    check_folder(config, folder)
    torchrun = Torchrun.found()
    device, processes = resolve_device(config.trainer)
    prepare_process(config, processes if torchrun is None else torchrun.processes)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    initial = load_initial(config, classifier, data, folder)
    build_callbacks(config)  # raises its errors here, before anything is recorded
    console = Console()
    terminal.show_config(console, as_plain(config), f"prenda train: {run_name(config)}")
    terminal.show_network(console, classifier, data.image_shape)
    _check_images(folder, data)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.yaml", as_yaml(config))
    record_photos(console, data, folder)
    with stop_on_signal(), recorded(config.tracking, describe_run(config), folder) as run:
        run.log_tags({"device": device} | ({"initial_weights": initial} if initial else {}))
        run.log_data(_data_used(data))
        pruned = folder / PRUNED
        if not pruned.is_file():
            if torchrun is not None:
                fit(config, classifier, data, folder, callbacks, torchrun.processes, torchrun.nodes)
                torchrun.leave()
            elif processes == 1:
                classifier.features = kept_features(config, classifier, data, folder)
                fit(config, classifier, data, folder, callbacks)
            else:
                fit_in_processes(config, folder, callbacks, processes)
        if pruned.is_file():
            raise Pruned(pruned.read_text(encoding="utf-8"))
        result = finish(config, classifier, data, run)
    _show(console, config, result, run)
    return result


def join(config: TrainConfig, folder: Path) -> None:
    """Train in a process of torchrun that is not the first; the first one runs `train`.

    Args:
        config: Configuration of the run.
        folder: Folder of the run, as the first process has it; all machines must see it.
    """
    check(config)
    torchrun = Torchrun.found()
    assert torchrun is not None
    prepare_process(config, torchrun.processes)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    load_initial(config, classifier, data, folder)
    with stop_on_signal():
        fit(config, classifier, data, folder, (), torchrun.processes, torchrun.nodes)


def _check_images(folder: Path, data: ImageDataModule) -> None:
    """Raise UserError if the run in the folder was started with other images: their files may have changed since."""
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return
    recorded_hash = checkpoints.read(last)["prenda"]["content_hash"]
    if recorded_hash != data.content_hash:
        raise UserError(
            f"{folder} holds a run that was started with images of content {recorded_hash[:12]}…, "
            f"but {data.data_name} in {data.data_dir} now has {data.content_hash[:12]}…: restore the images, "
            "or give another folder."
        )


def _data_used(data: ImageDataModule) -> DataUsed:
    parts: tuple[Split, ...] = ("train", "val", "test")
    split = {
        "classes": ", ".join(data.class_names),
        "val_size": len(data.split("val")),
        "split_seed": data.selection.split_seed,
    }
    sizes = {str(part): len(data.split(part)) for part in parts}
    return DataUsed(data.data_name, data.content_hash, str(data.data_dir), split, sizes)


def _show(console: Console, config: TrainConfig, result: TrainResult, run: Run) -> None:
    title = f"{run_name(config)}: epoch {result.best_epoch} of {config.trainer.epochs}, chosen by val/accuracy"
    places = {
        "Trained in": f"{result.train_seconds:.1f} s",
        "Run folder": terminal.relative(result.folder),
        "Checkpoint": terminal.relative(result.checkpoint),
    }
    files = {
        "Report": "report.html",
        "Confusion matrix": "confusion/test.png",
        "Bundle": "bundle",
        "Trace": TRACE.as_posix(),
    }
    for name, file in files.items():
        if (result.folder / file).exists():
            places[name] = terminal.relative(result.folder / file)
    places["On disk"] = run.disk_text()
    if run.id is not None:
        places |= {"MLflow run": f"{run.id} in {config.tracking.uri}", "See it": "make ui, or prenda ui"}
    terminal.show_result(console, title, {split: score.metrics for split, score in result.scores.items()}, places)
