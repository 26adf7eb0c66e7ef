"""PostgreSQL, and an MLflow server that keeps its runs there."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from .host import LOOPBACK, Server, find, free_ports, install, needs, output_of, short_folder

USER = "prenda"


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL that belongs to the tests."""

    port: int
    password: str

    def database(self, name: str) -> str:
        """Creates an empty database; returns its address as SQLAlchemy and MLflow read it."""
        connection = self.connect("postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()
        return f"postgresql+psycopg2://{USER}:{self.password}@{LOOPBACK}:{self.port}/{name}"

    def connect(self, database: str) -> Any:
        """A connection of psycopg2, which the caller closes."""
        import psycopg2

        return psycopg2.connect(
            host=LOOPBACK, port=self.port, user=USER, password=self.password, dbname=database, connect_timeout=5
        )

    def serves(self) -> bool:
        import psycopg2

        with suppress(psycopg2.OperationalError):
            self.connect("postgres").close()
            return True
        return False


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Installs, configures and starts PostgreSQL, which refuses to run as root."""
    needs("psycopg2")
    install(["postgresql"], ["initdb", "postgres"])
    owner = "postgres" if os.geteuid() == 0 else None
    with short_folder("postgres") as folder:
        postgres = Postgres(free_ports(1)[0], secrets.token_hex(16))
        secret = folder / "password"
        secret.touch(0o600)
        secret.write_text(postgres.password)
        for path in (folder, secret) if owner else ():
            shutil.chown(path, owner, owner)
        server = _start(postgres, folder, secret, owner)
        try:
            server.wait_until(postgres.serves)
            yield postgres
        finally:
            server.stop(signal.SIGINT)  # SIGTERM would wait for clients to leave


def _start(postgres: Postgres, folder: Path, secret: Path, owner: str | None) -> Server:
    as_owner: dict[str, Any] = {"user": owner, "group": owner, "extra_groups": []} if owner else {}
    data = folder / "data"
    create = [str(find("initdb")), f"--pgdata={data}", f"--username={USER}", f"--pwfile={secret}", "--no-sync"]
    output_of([*create, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"], cwd=folder, **as_owner)
    settings = {"listen_addresses": LOOPBACK, "port": postgres.port, "unix_socket_directories": "", "fsync": "off"}
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [str(find("postgres")), "-D", str(data), *options]
    return Server(command, folder / "postgres.log", cwd=folder, **as_owner)


@contextmanager
def running_mlflow(database: str) -> Iterator[str]:
    """Starts an MLflow server on a database; yields its address."""
    (port,) = free_ports(1)
    address = f"http://{LOOPBACK}:{port}"
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["MLFLOW_BACKEND_STORE_URI"] = database  # on a command line anybody could read it
    with short_folder("mlflow") as folder:
        command = [sys.executable, "-m", "mlflow", "server", f"--host={LOOPBACK}", f"--port={port}", "--workers=1"]
        command.append(f"--artifacts-destination={folder}/artifacts")
        server = Server(command, folder / "mlflow.log", environment, cwd=folder)
        try:
            server.wait_until(lambda: _healthy(address), seconds=120)
            yield address
        finally:
            server.stop()


def _healthy(address: str) -> bool:
    with suppress(URLError, ConnectionError, TimeoutError), urlopen(f"{address}/health", timeout=5) as answer:
        return answer.status == 200
    return False
