"""Conditions of a training that no setting names: source code, packages, processor, threads and device."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch

from prenda.config.paths import PACKAGE
from prenda.config.schema import TrainConfig
from prenda.errors import UserError
from prenda.system.atomic_write import write_atomically
from prenda.tracking.runs import environment

Conditions: TypeAlias = dict[str, str | int]
FILE = "conditions.json"  # in the folder of a run: its conditions at each start, if they changed
# Variables that choose the kernels of PyTorch and of the libraries that it computes with.
VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
VERSIONED = ("prenda", "pytorch_lightning", "torch")  # packages of targets that are recorded otherwise


def current(config: TrainConfig, device: str, processes: int, threads: int) -> Conditions:
    """Return the conditions of a training in this process.

    Args:
        config: Configuration of the run.
        device: Accelerator: `cpu`, `gpu` or `mps`.
        processes: Number of processes that train.
        threads: Number of threads of each process.
    """
    return {
        "source": source_digest(config),
        "packages": hashlib.sha256(environment().encode()).hexdigest(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": f"gpu ({torch.cuda.get_device_name()})" if device == "gpu" else device,
        "processes": processes,
        "threads": threads,
        "variables": " ".join(f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ) or "none",
    }


def add(folder: Path, conditions: Conditions) -> None:
    """Write the conditions of a run that starts or resumes; nothing is added if they are those of its last start."""
    earlier = read(folder / FILE)
    if earlier[-1:] != [conditions]:
        write_atomically(folder / FILE, json.dumps([*earlier, conditions], indent=2) + "\n")


def read(path: Path) -> list[Conditions]:
    """Return the conditions of each start of a run; none if it recorded none, as earlier versions did.

    Raises:
        UserError: If the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))
        return [dict(start) for start in starts]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): restore the file as the run wrote it, or delete it.") from error


def source_digest(config: TrainConfig) -> str:
    """Return the SHA-256 of the Python files of prenda, and of the packages of other targets that the settings name."""
    digest = hashlib.sha256()
    for name, path in sorted(_sources(config)):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _sources(config: TrainConfig) -> Iterator[tuple[str, Path]]:
    groups = (config.backbone, config.optimizer, config.scheduler, *config.callbacks.values())
    packages = {_package(group) for group in groups if group} - {*VERSIONED, ""}
    yield from _files("prenda", PACKAGE)
    for package in packages:
        spec = importlib.util.find_spec(package)  # imports nothing
        if spec is None:
            continue  # the training says what is wrong
        for folder in spec.submodule_search_locations or ():
            yield from _files(package, Path(folder))
        if spec.origin is not None and Path(spec.origin).is_file():  # a module, or the package's own file again
            yield package, Path(spec.origin)


def _files(package: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*.py"):
        yield f"{package}/{path.relative_to(folder).as_posix()}", path


def _package(group: Mapping[str, Any]) -> str:
    return str(group.get("_target_", "")).partition(".")[0]


def _processor() -> str:
    """Return the name of the processor, as Linux or else Python tells it."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or "unknown")
