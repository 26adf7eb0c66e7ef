"""Engines that other tests run on: each is set up on loopback once, and ended completely."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.conftest import Sweeps

from .postgres import Postgres, running_mlflow, running_postgres
from .ray_nodes import RayNodes, running_ray
from .slurm import Slurm, running_slurm


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    """Sweeps whose drivers start as those of users do: Ray and Slurm start processes of their own."""
    monkeypatch.setattr(sys, "argv", sys.argv)  # which Hydra's front takes its arguments from
    return Sweeps(tmp_path / "home", forks=False)


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """Two nodes of one processor each."""
    with running_slurm() as slurm:
        yield slurm


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def mlflow_server(postgres: Postgres) -> Iterator[str]:
    """The address of a server with its runs in PostgreSQL, its artifacts in a folder that only it writes."""
    with running_mlflow(postgres.database("mlflow")) as address:
        yield address


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[RayNodes]:
    """Two nodes of one processor each."""
    with running_ray() as ray_nodes:
        yield ray_nodes
