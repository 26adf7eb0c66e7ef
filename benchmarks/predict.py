"""Throughput of `prenda predict`, beside what its parts take alone and beside torch with torchvision's transforms.

    python benchmarks/predict.py                                      generated photos, an untrained network
    python benchmarks/predict.py --bundle FOLDER --photos FOLDER      a bundle of a photo model, and photos of your own

    pipeline    what `prenda predict` runs: photos to answers, on all cores
    decoding    Pillow alone, on all cores: open, decode and convert to RGB
    preparing   `prenda.photos.prepare.load`: decoding at a reduced scale, resizing, padding
    network     ONNX Runtime on ready pixels, in the pipeline's batches
    torch       the same files through torchvision's transforms and torchvision's network of that size, on all cores

The goal is a share: photos a second of the pipeline, of cores / (seconds of a core that preparing and the network take
for a photo). Both are measured alone in one thread, in turn with the pipeline, and figures are medians of the rounds.
This needs an idle machine. The second share is of work: the seconds of a core of both parts, of those of the pipeline.
Other load hardly changes it, and the rest is what threads and Python cost. The table is printed, and written to
benchmarks/results/ with --write.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from machine import cores, machine
from prenda.bundle.format import Bundle, read
from prenda.photos.find import Found, find
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import load
from prenda.prediction import pipeline
from prenda.prediction.predictor import Predictor
from written import table, told, write

GOAL = 0.85
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCH_BATCH = 32
PARTS = ("pipeline", "decoding", "preparing", "network", "torch")
ONE_CORE = ("preparing", "network")
Seconds: TypeAlias = dict[str, list[float]]  # by part, for each round


@dataclass
class Setup:
    """What is measured: photos, a model, and threads for the parts that use all cores."""

    photos: list[Found]
    bundle: Bundle
    network: str
    threads: int

    def __post_init__(self) -> None:
        self.predictor = Predictor(self.bundle)
        assert self.bundle.preparation is not None
        self.preparation: Preparation = self.bundle.preparation
        self.pixels = np.stack([load(found.path, self.preparation).pixels for found in self.photos])


def generate(folder: Path, count: int, size: tuple[int, int]) -> list[Found]:
    """Write JPEGs with the detail of photos: noise of several scales, quality 90."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        picture = np.zeros((size[1], size[0], 3), np.float32)
        for scale, strength in ((4, 90), (16, 40), (64, 20), (256, 8)):
            noise = random.normal(0, strength, (scale, scale, 3)).astype(np.float32)
            layers = [Image.fromarray(noise[..., c]).resize(size, Image.Resampling.BICUBIC) for c in range(3)]
            picture += np.stack([np.asarray(layer) for layer in layers], axis=-1)
        image = Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8))
        content = io.BytesIO()
        image.save(content, "JPEG", quality=90)
        (folder / f"{number:05}.jpg").write_bytes(content.getvalue())
    return list(find([str(folder)]))


def untrained(folder: Path, network: str, size: int) -> Bundle:
    """Write the bundle of an untrained network of torchvision, for RGB photos."""
    import torch

    from prenda.backbones.torchvision import TorchvisionNet
    from prenda.bundle import export

    backbone = TorchvisionNet((3, size, size), 10, network).eval()
    mean, std = (torch.tensor(values)[:, None, None] * 255 for values in (MEAN, STD))
    description = {
        "class_names": [f"class {number}" for number in range(10)],
        "labels": {},
        "image_shape": [3, size, size],
        "pixels": {"mean": mean.flatten().tolist(), "std": std.flatten().tolist(), "polarity": "as seen"},
        "preparation": Preparation("pad", size, 3).as_plain(),
        "temperature": 1.0,
        "unsure": {},
        "task": "benchmark",
        "config": {},
        "data": {"name": "generated photos", "content_hash": ""},
        "scores": {},
        "run_id": None,
    }
    export.write(folder, backbone, 3, [], description)
    return read(folder)


def run_pipeline(setup: Setup) -> None:
    outcomes = list(pipeline.predict(setup.photos, setup.predictor, setup.preparation, setup.threads))
    assert not any(outcome.error for outcome in outcomes)


def run_decoding(setup: Setup) -> None:
    with ThreadPoolExecutor(setup.threads) as pool:
        list(pool.map(_decode, setup.photos))


def run_preparing(setup: Setup) -> None:
    for found in setup.photos:
        load(found.path, setup.preparation)


def run_network(setup: Setup) -> None:
    for start in range(0, len(setup.pixels), pipeline.BATCH):
        setup.predictor(setup.pixels[start : start + pipeline.BATCH])


def torch_runner(setup: Setup) -> Callable[[Setup], None]:
    """Return the usual loop: a DataLoader that decodes in the threads' place, and batches through torch."""
    import torch
    from torchvision import transforms

    from prenda.backbones.torchvision import TorchvisionNet

    size = setup.preparation.size
    network = TorchvisionNet((3, size, size), 10, setup.network).eval()
    prepare = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )

    def picture(found: Found) -> torch.Tensor:
        with Image.open(found.path) as image:
            tensor: torch.Tensor = prepare(image.convert("RGB"))
        return tensor

    def run(setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        with torch.inference_mode(), ThreadPoolExecutor(setup.threads) as pool:
            for start in range(0, len(setup.photos), TORCH_BATCH):
                network(torch.stack(list(pool.map(picture, setup.photos[start : start + TORCH_BATCH]))))

    return run


def measure(setup: Setup, rounds: int) -> tuple[Seconds, Seconds]:
    """Return seconds a photo of each part, by the clock and of the cores; the parts alternate in each round."""
    runners = {
        "pipeline": run_pipeline,
        "decoding": run_decoding,
        "preparing": run_preparing,
        "network": run_network,
        "torch": torch_runner(setup),
    }
    clock: Seconds = {name: [] for name in PARTS}
    core: Seconds = {name: [] for name in PARTS}
    for number in range(rounds + 1):
        for name, runner in runners.items():
            before = time.perf_counter(), time.process_time()
            runner(setup)
            taken = time.perf_counter() - before[0], time.process_time() - before[1]
            if number:  # the first round warms up
                clock[name].append(taken[0] / len(setup.photos))
                core[name].append(taken[1] / len(setup.photos))
    return clock, core


def summary(clock: Seconds, core: Seconds, threads: int) -> dict[str, float]:
    """Return photos a second of each part on all cores, the ideal of the pipeline, and both shares."""
    wall, work = ({name: statistics.median(values) for name, values in each.items()} for each in (clock, core))
    parts = sum(work[name] for name in ONE_CORE)
    rates = {name: threads / work[name] if name in ONE_CORE else 1 / wall[name] for name in PARTS}
    shares = {"share": rates["pipeline"] * parts / threads, "share of work": parts / work["pipeline"]}
    return {**rates, "ideal": threads / parts, **shares}


def text(found: dict[str, float], core: Seconds, setup: Setup) -> str:
    """Return the table with a sentence of conclusion."""
    rows = [
        [name, f"{found[name]:.1f}", f"{statistics.median(core[name]) * 1e3:.2f}" if name in core else ""]
        for name in (*PARTS, "ideal")
    ]
    return "\n\n".join(
        [
            table(["part", "photos/s, all cores", "ms of a core for a photo"], rows),
            f"{len(setup.photos)} photos, {setup.network}, {setup.threads} threads. The pipeline reaches "
            f"{found['share']:.0%} of cores / (preparing + network); the goal is {GOAL:.0%}. Of its work, "
            f"{found['share of work']:.0%} is preparing and network.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle (default: an untrained network of torchvision)")
    parser.add_argument("--network", default="mobilenet_v2", help="network of torchvision (default: %(default)s)")
    parser.add_argument("--size", type=int, default=224, help="pixels a side of that network (default: %(default)s)")
    parser.add_argument("--photos", type=Path, help="folder of photos (default: generated)")
    parser.add_argument("--count", type=int, default=200, help="generated photos (default: %(default)s)")
    parser.add_argument("--photo-size", default="900x1200", help="of generated photos (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="that count (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=cores(), help="(default: all cores)")
    parser.add_argument("--least", type=float, default=0.0, help="fail if the share is smaller")
    parser.add_argument(
        "--write", action="store_true", help="write the table and every figure to benchmarks/results/ too"
    )
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        width, height = map(int, asked.photo_size.split("x"))
        photos = list(find([str(asked.photos)])) if asked.photos else _generated(scratch, asked.count, (width, height))
        bundle = read(asked.bundle) if asked.bundle else untrained(Path(scratch) / "bundle", asked.network, asked.size)
        setup = Setup(photos, bundle, asked.network, asked.threads)
        clock, core = measure(setup, asked.rounds)
    found = summary(clock, core, asked.threads)
    shown = text(found, core, setup)
    print(shown)
    if asked.write:
        described = machine("onnxruntime", "pillow", "numpy", "torch", "torchvision")
        content: dict[str, Any] = {"machine": described, "clock": clock, "core": core, **found}
        write("predict", content, f"# Throughput of prenda predict\n\n{shown}\n\n{told(described)}\n")
    return int(found["share"] < asked.least)


def _generated(scratch: str, count: int, size: tuple[int, int]) -> list[Found]:
    return generate(Path(scratch) / "photos", count, size)


def _decode(found: Found) -> None:
    with Image.open(found.path) as image:
        image.convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
