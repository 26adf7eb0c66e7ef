"""Processes, port and signals of a server."""

from __future__ import annotations

import tempfile
from pathlib import Path

import uvicorn

from prenda.prediction import models
from prenda.server.app import application
from prenda.server.model import Model
from prenda.server.options import Options


def serve(options: Options) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="prenda-") as scratch:
        model = Model(models.choose(options.model, Path(scratch)))
    app = application(options, model)
    uvicorn.run(app, host=options.host, port=options.port, server_header=False, access_log=False)
