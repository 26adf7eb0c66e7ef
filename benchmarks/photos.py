"""Peak memory of a training on many photos that do not fit in `data.memory_gb`.

    python benchmarks/photos.py FOLDER                      draws 10,000 and 100,000 photos there, trains on each set
    python benchmarks/photos.py FOLDER --counts 2000        another number of photos

The photos are distinct JPEGs of 64x64 pixels in ten classes; 100,000 take 400 MB, and as much as 1.2 GB in the cache.
A tiny network trains for one epoch and writes `report=light`. Memory is resident memory, sampled twice a second: that
of the training process, and the shared pages counted once (PSS) of that process with its workers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

CLASSES = 10
TRAINING = (
    "data=folder", "data.image_size=64", "data.memory_gb=0.1", "data.batch_size=128", "trainer=cpu", "trainer.epochs=1",
    "backbone=dense", "backbone.units=[32]", "tracking=offline", "report=light",
)  # fmt: skip


def draw(folder: Path, count: int) -> Path:
    """Write `count` photos into sub-folders by class, unless they are there; return the folder."""
    root = folder / f"photos-{count}"
    for number in range(count):
        path = root / f"class{number % CLASSES}" / f"{number:06}.jpg"
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        blocks = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        blocks[:2] = (25 * (number % CLASSES), 250 - 25 * (number % CLASSES), 128)
        Image.fromarray(blocks).resize((64, 64), Image.Resampling.BICUBIC).save(path, quality=80)
    return root


def peak(photos: Path) -> tuple[float, float, float]:
    """Train on photos; return the seconds, and the peak MiB of the training process and with its workers."""
    command = [sys.executable, "-m", "prenda", "train", f"data.dir={photos}", *TRAINING]
    started, alone, together = time.monotonic(), 0, 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            training = psutil.Process(process.pid)
            alone = max(alone, training.memory_info().rss)
            everyone = [training, *training.children(recursive=True)]
            together = max(together, sum(one.memory_full_info().pss for one in everyone))
        except psutil.Error:  # a process has ended in between
            pass
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}.")
    return time.monotonic() - started, alone / 2**20, together / 2**20


def main() -> None:
    """Draw, train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    arguments = parser.parse_args()
    for count in arguments.counts:
        seconds, alone, together = peak(draw(arguments.folder, count))
        print(f"{count:,} photos: {alone:,.0f} MiB, with workers {together:,.0f} MiB (PSS), {seconds:.0f} s")


if __name__ == "__main__":
    main()
