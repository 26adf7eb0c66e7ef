"""One run from its configuration to its record: trained, scored, recorded."""

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
from prenda.training.finish import TrainResult, finish
from prenda.training.fit import fit
from prenda.training.profile import TRACE


def train(config: TrainConfig, folder: Path, callbacks: Sequence[Callback] = ()) -> TrainResult:
    """Trains the network that the configuration describes, scores its best epoch, and records both.

    Nothing is recorded before the settings have been found to work. Where the folder holds an interrupted run of the
    same settings, it goes on from its last epoch, and ends as if nothing had happened, to the same bits.

    Args:
        config: The run's.
        folder: Its own.
        callbacks: More of Lightning's. Where there are several processes, each gets a pickled copy.

    Raises:
        ValueError: If a setting cannot work, by its dotted name, or if the folder's run has other settings.
        Pruned: If a callback gave the run up, by writing the reason to `pruned.txt` in the folder.
    """
    check(config)
    check_folder(config, folder)
    torchrun = Torchrun.found()
    device, processes = resolve_device(config.trainer)
    prepare_process(config, processes if torchrun is None else torchrun.processes)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    build_callbacks(config)  # refused here, before anything is recorded
    out = Console()
    terminal.show_config(out, as_plain(config), f"prenda train: {run_name(config)}")
    terminal.show_network(out, classifier, data.image_shape)
    _check_images(folder, data)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.yaml", as_yaml(config))
    with stop_on_signal(), recorded(config.tracking, describe_run(config), folder) as run:
        run.log_tags({"device": device})
        run.log_data(_data_used(data))
        reason = folder / PRUNED
        if not reason.is_file():
            if torchrun is not None:
                fit(config, classifier, data, folder, run.id, callbacks, torchrun.processes, torchrun.nodes)
                torchrun.leave()
            elif processes == 1:
                fit(config, classifier, data, folder, run.id, callbacks)
            else:
                fit_in_processes(config, folder, run.id, callbacks, processes)
        if reason.is_file():
            raise Pruned(reason.read_text(encoding="utf-8"))
        result = finish(config, classifier, data, run)
    _show(out, config, result, run)
    return result


def join(config: TrainConfig, folder: Path) -> None:
    """What every process that torchrun started does, but the first: trains along, and leaves the rest to `train`.

    Args:
        config: The run's.
        folder: The one of the first process; both machines must see it.
    """
    check(config)
    torchrun = Torchrun.found()
    assert torchrun is not None
    prepare_process(config, torchrun.processes)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    classifier = build_classifier(config, data)
    with stop_on_signal():
        fit(config, classifier, data, folder, None, (), torchrun.processes, torchrun.nodes)


def _check_images(folder: Path, data: ImageDataModule) -> None:
    """Refuse to resume a run on other images than it began with: a folder of images may have changed meanwhile."""
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return
    began_with = checkpoints.read(last)["prenda"]["content_hash"]
    if began_with != data.content_hash:
        raise UserError(
            f"{folder} holds a run that began with images of content {began_with[:12]}…, but {data.data_name} in "
            f"{data.data_dir} has {data.content_hash[:12]}… now: restore the images, or give another folder."
        )


def _data_used(data: ImageDataModule) -> DataUsed:
    parts: tuple[Split, ...] = ("train", "val", "test")
    split = {
        "classes": ", ".join(data.class_names),
        "val_size": data.selection.val_size,
        "split_seed": data.selection.split_seed,
    }
    sizes = {str(part): len(data.split(part)) for part in parts}
    return DataUsed(data.data_name, data.content_hash, str(data.data_dir), split, sizes)


def _show(out: Console, config: TrainConfig, result: TrainResult, run: Run) -> None:
    title = f"{run_name(config)}: epoch {result.best_epoch} of {config.trainer.epochs}, chosen by val/accuracy"
    places = {
        "Trained in": f"{result.train_seconds:.1f} s",
        "Run folder": terminal.relative(result.folder),
        "Checkpoint": terminal.relative(result.checkpoint),
    }
    made = {
        "Report": "report.html",
        "Confusion matrix": "confusion/test.png",
        "Bundle": "bundle",
        "Trace": TRACE.as_posix(),
    }
    for name, file in made.items():
        if (result.folder / file).exists():
            places[name] = terminal.relative(result.folder / file)
    if run.id is not None:
        places |= {"MLflow run": f"{run.id} in {config.tracking.uri}", "See it": "make ui, or prenda ui"}
    terminal.show_result(out, title, {split: score.metrics for split, score in result.scores.items()}, places)
