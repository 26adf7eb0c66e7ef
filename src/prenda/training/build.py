"""Construction of a run's parts from its configuration: device, data, classifier, callbacks, Lightning's Trainer."""

from __future__ import annotations

import copy
import logging
import os
import platform
import sys
import warnings
from dataclasses import replace
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import Profiler
from torch import nn

from prenda.config.convert import as_plain
from prenda.config.instantiate import build, refused
from prenda.config.schema import TrainConfig, TrainerConfig
from prenda.config.validation import check_image_size
from prenda.data.datamodule import ImageDataModule
from prenda.data.datamodule import from_config as data_from_config
from prenda.errors import ConfigError
from prenda.training.classifier import Classifier
from prenda.training.lightning_overrides import IdleProfiler, disable_nvml_check
from prenda.training.test_time_views import Views


def resolve_device(trainer: TrainerConfig) -> tuple[str, int]:
    """Return the accelerator and the number of processes.

    Raises:
        ConfigError: If this machine has no such device, or too few, or the device cannot train in that precision.
    """
    wanted, devices = trainer.accelerator, trainer.devices
    gpus = torch.cuda.device_count()
    mps = torch.backends.mps.is_available()
    accelerator = wanted if wanted != "auto" else "gpu" if gpus else "mps" if mps else "cpu"
    if accelerator == "gpu" and not gpus:
        raise ConfigError(
            "trainer.accelerator is gpu, but PyTorch finds no CUDA GPU on this machine: use trainer=cpu, "
            "or install the GPU's driver and a PyTorch built for it."
        )
    if accelerator == "mps" and not mps:
        raise ConfigError("trainer.accelerator is mps, but this is no Apple computer with Metal: use trainer=cpu.")
    count = gpus if accelerator == "gpu" and devices == -1 else devices
    available = {"gpu": gpus, "mps": 1}.get(accelerator, os.cpu_count() or 1)
    if not 1 <= count <= available:
        raise ConfigError(
            f"trainer.devices is {devices}, but this machine has {available} of {accelerator}: "
            f"give at most {available}."
        )
    if accelerator == "cpu" and trainer.precision == "16-mixed":
        raise ConfigError("trainer.precision is 16-mixed, which needs a GPU: use bf16-mixed or 32 on the CPU.")
    if accelerator == "cpu" and trainer.sync_batchnorm:
        raise ConfigError(
            "trainer.sync_batchnorm is true, which PyTorch supports on GPUs only: set it to false on the CPU."
        )
    return accelerator, count


def with_precision(config: TrainConfig) -> TrainConfig:
    """Return the configuration with the precision that `trainer.precision=auto` is on this machine.

    A run records this one, so it resumes and repeats on other machines in the same precision. If an x86 processor would
    only emulate the precision that was asked for, a line on stderr says so.

    Raises:
        ConfigError: As `resolve_device`.
    """
    wanted, (accelerator, _) = config.trainer.precision, resolve_device(config.trainer)
    native = _computes_bf16(accelerator)
    if wanted == "bf16-mixed" and accelerator == "cpu" and platform.machine() == "x86_64" and not native:
        print(
            "prenda: trainer.precision is bf16-mixed, which this processor only emulates, several times slower than "
            "float32: trainer.precision=auto chooses what is fast.",
            file=sys.stderr,
        )
    if wanted != "auto":
        return config
    return replace(config, trainer=replace(config.trainer, precision="bf16-mixed" if native else "32"))


def _computes_bf16(accelerator: str) -> bool:
    """Return whether the device has instructions for bf16."""
    if accelerator == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return accelerator == "cpu" and any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def prepare_process(config: TrainConfig, processes: int) -> None:
    """Set seeds and threads of this process, and silence known warnings of libraries."""
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # By design: the images are in memory, and worker processes would only copy them.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # Lightning calls a function that torch has deprecated; only Lightning can fix this.
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    # By design: every process has computed the same metrics over all processes.
    warnings.filterwarnings("ignore", message=r".*It is recommended to use `self.log\(.*sync_dist=True\)`")
    # By design: a frozen body stays in evaluation mode.
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
    # On a Slurm cluster too, prenda starts the processes itself.
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
    # The folder of a resumed run holds checkpoints.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(config.trainer.threads or max(1, cores // processes))
    pl.seed_everything(config.seed, verbose=False)
    if resolve_device(config.trainer)[0] == "cpu":
        disable_nvml_check()


def build_data(config: TrainConfig) -> ImageDataModule:
    """Return the datamodule of a run's images; nothing is read or fetched yet."""
    return data_from_config(config.data, config.augment, seed=config.seed, channels_last=config.trainer.channels_last)


def build_classifier(config: TrainConfig, data: ImageDataModule) -> Classifier:
    """Return the classifier around the configured backbone, for the images of `data`.

    Raises:
        ConfigError: If a setting of backbone, optimizer or scheduler cannot work, or does not fit the images, by its
            dotted name.
    """
    check_image_size(config, *data.image_shape[1:])
    backbone = build(config.backbone, "backbone", image_shape=data.image_shape, num_classes=len(data.class_names))
    _check_training_size(config.augment.size, data.image_shape, backbone)
    _check_single_images(config, backbone, data)
    if config.mirrored_scoring or config.shifted_scoring:
        stored = len(data.statistics()["mean"])  # channels
        pixel = torch.full((1, stored, 1, 1), data.background, dtype=torch.uint8)
        backbone = Views(backbone, data.normalized(pixel), config.mirrored_scoring, config.shifted_scoring)
    if config.trainer.channels_last:
        backbone = backbone.to(memory_format=torch.channels_last)
    if config.trainer.compile:
        backbone.compile()
    classifier = Classifier(
        backbone,
        len(data.class_names),
        optimizer=build(config.optimizer, "optimizer"),
        scheduler=build(config.scheduler, "scheduler"),
        label_smoothing=config.label_smoothing,
        seed=config.seed,
        class_weights=data.class_weights,
    )
    _check_optimizer(config, classifier)
    classifier.notes = {
        "config": as_plain(config),
        "class_names": list(data.class_names),
        "image_shape": list(data.image_shape),
        "pixels": data.statistics(),
        "content_hash": data.content_hash,
    }
    return classifier


def build_callbacks(config: TrainConfig) -> list[Callback]:
    """Return the configured callbacks; a name that is set to null has none.

    Raises:
        ConfigError: If a target cannot be built, or is no callback of Lightning's.
    """
    callbacks = []
    for name, settings in config.callbacks.items():
        if settings is None:
            continue
        callback = build(settings, f"callbacks.{name}")
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks.{name}._target_ is {settings['_target_']}, which is no pytorch_lightning.Callback: "
                "name a class that is, or set it to null."
            )
        callbacks.append(callback)
    return callbacks


def _check_training_size(size: int | None, image_shape: tuple[int, int, int], backbone: nn.Module) -> None:
    """Refuse training images of another size than the backbone takes."""
    channels, height, _ = image_shape
    if size is None or size == height:
        return
    try:
        with torch.inference_mode():
            backbone.eval()(torch.zeros(1, channels, size, size))
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"augment.size is {size}, but this backbone was built for images of {height} pixels and takes no others: "
            "set augment.size to null, or use a backbone that averages over positions (resnet, resnet9, timm)."
        ) from error
    backbone.train()


def _check_optimizer(config: TrainConfig, classifier: Classifier) -> None:
    """Build optimiser and schedule once, so that invalid settings are refused before anything is recorded."""
    with refused(config.optimizer, "optimizer"):
        optimizer = classifier.make_optimizer()
    with refused(config.scheduler, "scheduler"):
        classifier.make_scheduler(optimizer, 100)


def _check_single_images(config: TrainConfig, backbone: nn.Module, data: ImageDataModule) -> None:
    """Raise ConfigError if a step has a single image in a process, and the network cannot be trained on one.

    Batch normalisation of vectors has no statistics of one image. Images have many pixels, which is enough.
    """
    processes, images = resolve_device(config.trainer)[1], len(data.split("train"))
    if min(config.data.batch_size // processes, images) > 1:
        return
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            copy.deepcopy(backbone).train()(torch.zeros(1, *data.image_shape))
    except ValueError as error:
        raise ConfigError(
            f"data.batch_size is {config.data.batch_size}, with {images} training images and "
            f"trainer.devices={processes}: each step has a single image, on which this network cannot be trained "
            f"({error}). Give at least two images for each process, or a network without batch normalisation."
        ) from error


def build_trainer(trainer: TrainerConfig, profiler: Profiler | None = None, **settings: Any) -> pl.Trainer:
    """Return Lightning's Trainer without the parts that prenda replaces: summary, sanity check, distributed sampler."""
    device, _ = resolve_device(trainer)
    return pl.Trainer(
        accelerator=device,
        precision=cast(Any, trainer.precision),  # one of those that the schema allows
        deterministic=trainer.deterministic,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=0,  # metrics are logged once an epoch
        use_distributed_sampler=False,  # the datamodule's own samplers know the processes
        profiler=profiler or IdleProfiler(),
        **settings,
    )
