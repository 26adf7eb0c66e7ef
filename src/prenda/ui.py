"""`prenda ui`: MLflow's own UI on this project's store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from prenda.config import home
from prenda.tracking import connect


def serve(host: str, port: int) -> int:
    """Serves the UI until Ctrl-C; prints the address that opens on the runs table.

    Raises:
        ValueError: If the port is taken or cannot be used.
    """
    _check_free(host, port)
    store = f"sqlite:///{home() / 'mlruns' / 'mlflow.db'}"
    client = connect(store)  # creates the store if there is none yet
    experiments = [found for found in client.search_experiments() if found.name != "Default"]
    page = f"experiments/{experiments[0].experiment_id}/runs" if experiments else "experiments"
    print(f"http://{host}:{port}/#/{page}?workflowType=machine_learning", flush=True)
    print("Ctrl-C ends it.", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--workers", "1"]
    command += ["--host", host, "--port", str(port)]
    # The job runner serves features for language models, in a process and 2 GiB of its own.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0


def _check_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"--port is {port}, which cannot be used on {host} ({error}): give another, such as --port {5001}."
        ) from error
