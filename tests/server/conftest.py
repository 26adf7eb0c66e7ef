from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from prenda.server.access_log import AccessLog
from prenda.server.app import application
from prenda.server.options import Options
from tests.prediction.bundles import COLORS, write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("server") / "bundle")


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def serve(bundle: Path, log: io.StringIO) -> Iterator[Callable[..., TestClient]]:
    """Starts the application with these options; returns a client."""
    clients = []

    def start(**options: Any) -> TestClient:
        app = application(Options(**{"model": str(bundle), **options}), AccessLog(log))
        client = TestClient(app, base_url="http://127.0.0.1:8000")
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    return serve()


def jpeg(garment: str = "Dress", side: int = 32, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), COLORS[garment]).save(file, "JPEG", **options)
    return file.getvalue()
