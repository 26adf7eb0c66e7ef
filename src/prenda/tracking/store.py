"""MLflow's store: a local sqlite database, or a server."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from prenda.config.paths import home
from prenda.errors import TrackingError
from prenda.system.redaction import complete, set_apart, without_passwords
from prenda.system.sqlite_address import mlflow_address, sqlite_address, sqlite_path
from prenda.system.startup import collector_paused

if TYPE_CHECKING:
    from mlflow import MlflowClient


SERVERS = ("http", "https", "postgresql", "mysql", "mssql")  # schemes of stores that another program serves
CANNOT_BE_USED = (
    "tracking.uri is {!r}, which cannot be used ({}): start the server or fix the store, name another with "
    "tracking.uri=…, or use tracking=offline."
)
NO_ENTRY = ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED")  # MLflow's error codes


class StoreRefusedError(TrackingError):
    """A store that answers, and refuses: waiting for it does not help."""


def local_store() -> str:
    """Return the address of this project's own store, whether or not it is there."""
    return sqlite_address(home() / "mlruns" / "mlflow.db")


def store_address(given: str | None = None) -> str:
    """Return the store that a command reads: `--tracking-uri`, else MLFLOW_TRACKING_URI, else this project's own.

    Its password is set apart.
    """
    return set_apart(given or mlflow_address(local_store()))


def is_server(uri: str) -> bool:
    """Return whether another program serves the store, so that it may be absent for a while."""
    return uri.partition(":")[0].partition("+")[0] in SERVERS


def reason_of(error: BaseException) -> str:
    """Return why a store fails, in one line without passwords: the innermost reason of a failed request."""
    cause = error.__cause__ if isinstance(error, TrackingError) else None
    text = (str(cause or error) or type(error).__name__).splitlines()[0]
    inner = re.search(r"Caused by \w+\(['\"]?(?:HTTPS?Connection(?:Pool)?\(.*?\): )?(.*?)['\"]?\)+$", text)
    return without_passwords(text if inner is None else inner[1])


def connect(uri: str) -> MlflowClient:
    """Return a client of a store or server. An sqlite store is created on first use, by one process at a time.

    Raises:
        TrackingError: If it cannot be reached or used, with what to do.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its default waits for minutes
    for name in ("alembic", "mlflow.tracking", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs a traceback for each failure
    import_mlflow()
    from mlflow import MlflowClient

    try:
        database = sqlite_path(uri)
        if database is None:
            client = MlflowClient(complete(uri))
            client.search_experiments(max_results=1)
            return client
        database.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that both create the tables would leave the database broken for good.
        with FileLock(database.with_suffix(".lock")), collector_paused():  # MLflow imports SQLAlchemy here
            if not database.exists():
                _create(database)
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
        return client
    except Exception as error:  # each kind of store has its own
        if getattr(error, "error_code", None) in NO_ENTRY:
            raise StoreRefusedError(
                f"tracking.uri is {without_passwords(uri)!r}, which refuses the user ({reason_of(error)}): set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            ) from error
        raise TrackingError(CANNOT_BE_USED.format(without_passwords(uri), reason_of(error))) from error


@contextmanager
def variable_kept() -> Iterator[None]:
    """Restore MLFLOW_TRACKING_URI, which MLflow sets when it downloads from a given address."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def import_mlflow() -> None:
    """Import MLflow.

    Raises:
        TrackingError: If it is not installed.
    """
    try:
        with collector_paused():
            import_module("mlflow")
    except ModuleNotFoundError as error:
        raise TrackingError(
            "tracking.kind is mlflow, but mlflow is not installed: install it or use tracking=offline."
        ) from error


def _create(database: Path) -> None:
    """Create the tables in a temporary file, and rename it when all are there.

    MLflow migrates a new database through its whole history: a process that is killed on the way would leave tables
    that no later one can finish.
    """
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = database.with_suffix(".unfinished")
    for left in database.parent.glob(f"{unfinished.name}*"):  # with its journal
        left.unlink()
    SqlAlchemyStore(sqlite_address(unfinished), DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
    unfinished.rename(database)


def experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Return the experiment's id; it is created if there is none, whichever process comes first."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            location = None if artifacts is None else Path(artifacts).resolve().as_uri()
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was first
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise StoreRefusedError(
            f"tracking.experiment is {name!r}, which was deleted: restore it in the MLflow UI (or by "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`), or give another name."
        )
    return found.experiment_id
