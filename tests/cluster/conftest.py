"""Engines that other tests run on: each is set up on loopback once, and ended completely."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.search.conftest import sweeps

from .postgres import Postgres, running_mlflow, running_postgres
from .ray_nodes import RayNodes, running_ray
from .slurm import Slurm, running_slurm

__all__ = ["mlflow_server", "postgres", "ray_nodes", "slurm", "sweeps"]


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
