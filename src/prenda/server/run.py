"""Processes, port and signals of a server."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from pathlib import Path

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from prenda.errors import UserError
from prenda.prediction import models
from prenda.server import connections
from prenda.server.corrections import Corrections
from prenda.server.options import LOOPBACK, TOKEN, Options
from prenda.system.signals import Stopped, stop_on_signal

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
LOGGER = logging.getLogger("prenda")


def serve(options: Options) -> None:
    """Serve until Ctrl-C or SIGTERM, which end in `Stopped`.

    Raises:
        UserError: If there is no model, it is damaged, or the token is unusable.
        OSError: If the port is in use, or the folder of corrections cannot be written.
        Stopped: When the server has stopped.
    """
    if options.keep_corrections is not None:
        Corrections(options.keep_corrections, options).tidy()
    _warn(options)
    _log_to_stderr()
    with stop_on_signal(), _listening(options) as listening:
        if options.workers == 1:
            _serve_alone(options, listening)
        else:
            _serve_in_processes(options, listening)


def _serve_alone(options: Options, listening: socket.socket) -> None:
    from prenda.server.app import application

    app = application(options)
    connections.bound(options.max_connections, options.timeout)
    _say(options, listening)
    uvicorn.Server(_configuration(options, lambda: app)).run([listening])


def _serve_in_processes(options: Options, listening: socket.socket) -> None:
    options.token()
    if options.tracking_uri is None:
        with tempfile.TemporaryDirectory(prefix="prenda-") as scratch:
            models.choose(options.model, Path(scratch))  # one error instead of one from each process
    with tempfile.TemporaryDirectory(prefix="prenda-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        _say(options, listening)
        supervisor = _Supervisor(_configuration(options, functools.partial(_worker_application, options)), [listening])
        supervisor.run()
    if supervisor.signum is None:
        raise UserError("The processes of the server could not start; the reason stands above.")
    raise Stopped(supervisor.signum)


class _Supervisor(Multiprocess):
    """uvicorn's supervisor, which starts a dead process anew; this one remembers the signal that stopped it."""

    signum: int | None = None

    def keep_subprocess_alive(self) -> None:
        from prenda.server.metrics import forget_process

        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            forget_process(pid)

    def handle_int(self) -> None:
        self.signum = signal.SIGINT
        super().handle_int()

    def handle_term(self) -> None:
        self.signum = signal.SIGTERM
        super().handle_term()


def _worker_application(options: Options) -> object:
    """Return the application of one of several processes."""
    from prenda.server.app import application

    _log_to_stderr()
    connections.bound(options.max_connections, options.timeout)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return application(options)
    except UserError as error:
        print(f"prenda: {error}", file=sys.stderr)
        sys.exit(STARTUP_FAILURE)


def _end_with_parent() -> None:
    """Stop this process when its parent has been killed: nobody would stop it otherwise."""
    parent = parent_process()
    while parent is not None and parent.is_alive():
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _configuration(options: Options, factory: Callable[[], object]) -> uvicorn.Config:
    return uvicorn.Config(
        factory,
        factory=True,
        workers=options.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(options.grace)),
        **connections.SETTINGS,
    )


@contextlib.contextmanager
def _listening(options: Options) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listening = socket.create_server((options.host.strip("[]"), options.port), family=family, backlog=2048)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UserError(
            f"--host is {options.host!r}, which is no address of this machine: give one, or 0.0.0.0 for all."
        ) from None
    with listening:
        listening.set_inheritable(True)
        yield listening


def _warn(options: Options) -> None:
    if options.host not in LOOPBACK and options.token() is None:
        print(
            f"prenda: {options.host} can be reached from other machines, and whoever reaches it may ask: set {TOKEN} "
            "or --token-file to ask for a token.",
            file=sys.stderr,
        )


def _say(options: Options, listening: socket.socket) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"prenda: serves at http://{host}:{listening.getsockname()[1]} until Ctrl-C", file=sys.stderr, flush=True)


def _log_to_stderr() -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # clients cause its warnings; the gate logs failures
