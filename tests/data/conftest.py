from __future__ import annotations

import gzip
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prenda.data import datasets
from prenda.data.contract import CardText
from prenda.data.idx_files import FILES, IdxDataSet


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def put(files: dict[str, bytes], folder: Path, *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


@pytest.fixture
def official() -> dict[str, bytes]:
    """Four files of a data set as small as one can be."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (count, 28, 28), dtype=np.uint8) for count in (20, 10)]
    labels = [np.arange(count, dtype=np.uint8) % 10 for count in (20, 10)]
    arrays = (images[0], labels[0], images[1], labels[1])
    return {name: idx(array) for name, array in zip(FILES, arrays, strict=True)}


@pytest.fixture
def tiny(official, tmp_path, monkeypatch) -> IdxDataSet:
    """The data set of these files, with a system folder of its own and no other way to be had."""
    import torchvision

    monkeypatch.setattr(torchvision.datasets, "Tiny", type("Tiny", (), {"mirrors": []}), raising=False)
    return IdxDataSet(
        class_names=tuple("0123456789"),
        card=CardText("Noise.", "None."),
        title="Tiny",
        checksums=tuple(hashlib.md5(official[name]).hexdigest() for name in FILES),
        system_dirs=(str(tmp_path / "system"),),
    )


@pytest.fixture
def add(tmp_path, monkeypatch) -> Callable[[str], None]:
    """Put a module of this source among the data sets, as `own`."""

    def put(source: str) -> None:
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "own.py").write_text(source)
        monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path / "more")])

    monkeypatch.setitem(sys.modules, "prenda.data.datasets.own", None)  # to be forgotten with what the test imports
    del sys.modules["prenda.data.datasets.own"]
    return put
