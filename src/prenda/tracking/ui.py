"""`prenda ui`: MLflow's own UI on this project's store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from prenda.errors import UserError
from prenda.system.signals import Stopped, stop_on_signal
from prenda.tracking import score_view
from prenda.tracking.records import COMPARISONS
from prenda.tracking.store import connect, local_store, store_address


def serve(host: str, port: int) -> int:
    """Serve the UI until Ctrl-C; print the address of the table of runs with their scores once it answers.

    Raises:
        UserError: If the port is taken or cannot be used.
    """
    _check_free(host, port)
    store = local_store()
    if (other := store_address()) != store:
        print(f"This is the UI of {store}. MLFLOW_TRACKING_URI names {other}, which records the runs.", file=sys.stderr)
    client = connect(store)  # creates the store if there is none yet
    experiments = [found for found in client.search_experiments() if found.name not in ("Default", COMPARISONS)]
    address = f"http://{host}:{port}/#/experiments"
    if experiments:
        first = experiments[0].experiment_id
        address += f"/{first}/runs?workflowType=machine_learning&{score_view.share(client, first)}"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--workers", "1"]
    command += ["--host", host, "--port", str(port), "--uvicorn-opts", "--log-level warning"]
    # The job runner serves features for language models, in a process and 2 GiB of its own.
    quiet = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    with (
        stop_on_signal(),
        subprocess.Popen(
            command, env=os.environ | quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        ) as server,
    ):
        try:
            if _answers(host, port, server):
                print(f"{address}\nCtrl-C ends it.", flush=True)
            return server.wait()
        except Stopped:
            return 0
        finally:  # its own children too
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)


def _answers(host: str, port: int, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; return False if it ended instead."""
    while server.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False


def _check_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--port is {port}, which cannot be used on {host} ({error}): give another, such as --port 5001."
        ) from error
