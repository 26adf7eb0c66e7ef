"""Fixtures of all tests, and what keeps `make test` quick on two cores.

A new Python that imports torch, Lightning and MLflow costs 6 to 8 s of processor time, a training on a few generated
images half a second, a bundle 2 s, a new MLflow store 2 s. Therefore:

- `prenda(…)` and `tests.forked.ForkedCommand` start a command in a process of its own that is forked from one that has
  imported everything: for exit codes, signals, printed text, environment. `new_python(…)` starts Python anew: only for
  what importing itself does. Where no process border is tested, call `prenda.cli.main` or `train` in the test.
- `forked.ready()` is a `multiprocessing` context whose processes start as quickly: for functions in other processes.
- Tests that only read a run share it through a fixture of their module, and copy its folder if they change it, as
  `interrupted` and `cut` of `tests/training/test_resume.py`. `--dist worksteal` keeps most modules in one process.
- `unwritten` leaves out the figures and the bundle of full reports where a test looks at their scores alone.
- A local MLflow store is a copy of an empty one, and torch's ONNX operators are read once, as `tests.once` says.
- `pytest.mark.slow` leaves a test of more than a second or two to `make test-all` and `.ci/run`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prenda.config.paths import CONFIG_DIR, REPOSITORY
from prenda.data.datasets.fashion_mnist import DATA_SET as FASHION_MNIST
from tests import forked
from tests.once import operators_registered_once, stores_copied_from
from tests.orphans import guard

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from prenda.config.schema import TrainConfig

# The least that trains: 200 generated pictures, one epoch, no MLflow, no pictures.
TINY = ("data=generated", "data.limit_train=200", "trainer=cpu", "trainer.epochs=1", "tracking=offline", "report=none")
REAL_DATA = REPOSITORY / "data"

_SKIP = pytest.mark.skipif(
    bool(FASHION_MNIST.absent(REAL_DATA)),
    reason="Fashion-MNIST is not in data/: `make train` or `prenda data fetch` brings it",
)


def pytest_configure() -> None:
    guard()
    os.environ.setdefault("OC_CAUSE", "0")  # OmegaConf's errors are others where a debugger or coverage watches


def needs_real_data(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.real_data(_SKIP(test))


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test writes below its own folder, with one thread so that parallel tests leave each other alone."""
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("PRENDA_TRUSTED_TARGETS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    if torch := sys.modules.get("torch"):  # the tests of prediction run without it too
        torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _no_tracking_server() -> None:
    """MLflow sets this variable when it downloads; a run that a module's tests share must not follow it."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def configured(*overrides: str) -> TrainConfig:
    """The configuration that `prenda train` would compose from the same overrides."""
    from prenda.config.convert import typed

    return typed(_composed(*overrides))


@cache
def _composed(*overrides: str) -> DictConfig:
    """A composition, which takes 0.3 s; what it takes from the environment is resolved each time it is typed."""
    from hydra import compose, initialize_config_dir

    from prenda.config.convert import register

    register()
    with initialize_config_dir(str(CONFIG_DIR)):
        return compose("train", ["trainer.threads=1", *overrides])


@pytest.fixture(scope="session", autouse=True)
def _once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Create one MLflow store for all processes of pytest, and read torch's operators once in each."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    forked.template = shared / "empty_store.db"
    stores_copied_from(forked.template)
    if "pytorch_lightning" in sys.modules:
        operators_registered_once()


@contextmanager
def unwritten() -> Iterator[None]:
    """Score runs as `report=full` does, without drawing its figures and exporting a bundle: 5 s."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_full", "_bundle"):
            patch.setattr(f"prenda.training.finish.{name}", lambda *_: None)
        yield


@pytest.fixture
def prenda(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a process of its own, forked from one that has imported everything, in the test's folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return forked.run(arguments, env=os.environ | environment, cwd=tmp_path)

    return run


@pytest.fixture
def new_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a new Python, as its users do, in the test's folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prenda", *arguments],
            env=os.environ | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


def metrics_of(result: Any) -> dict[str, float]:
    return {f"{split}/{name}": value for split, s in result.scores.items() for name, value in s.metrics.items()}
