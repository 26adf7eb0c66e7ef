"""Delivery of a run's journal to a store: each record once and in order, even if the store fails in between."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from prenda.errors import TrackingError
from prenda.system.atomic_write import write_atomically
from prenda.system.redaction import without_passwords
from prenda.tracking import run_folder
from prenda.tracking.journal import Destination, Journal, Position, Record
from prenda.tracking.run_folder import RUN_ID
from prenda.tracking.send import send
from prenda.tracking.store import CANNOT_BE_USED, connect, experiment_id, import_mlflow, is_server, reason_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRecord

POLL = 1.0  # seconds between two looks at a journal that other processes add to
LONGEST_PAUSE = 30.0  # seconds between two attempts at a store that fails
REQUEST_TIMEOUT = "20"  # seconds for one answer of a server
START, END, END_OF_ABSENT = 5.0, 60.0, 5.0  # seconds that a run waits for its server
DATABASE_ERROR = re.compile(r"\((\w+\.)+\w+\) ")  # SQLAlchemy's messages; for many of them MLflow's code is BAD_REQUEST
REJECTED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")  # error codes


class Target:
    """The record of one journal in one store.

    Attributes:
        rejected: Records that the store rejected, with its reasons.
    """

    def __init__(self, journal: Journal, destination: Destination) -> None:
        assert destination.uri is not None
        self.journal, self.destination, self.uri = journal, destination, destination.uri
        self.rejected: list[str] = []
        self._client: MlflowClient | None = None
        self._in_doubt = not journal.is_new  # whether the next record may have arrived without a mark

    @property
    def client(self) -> MlflowClient:
        """Return the client of the store, connected at the first use."""
        if self._client is None:
            self._client = connect(self.uri)
        return self._client

    def waiting(self) -> int:
        """Return the number of records that the store does not hold yet."""
        return self.journal.waiting(self.uri)

    def deliver(self) -> None:
        """Send every record that the store lacks.

        Raises:
            Exception: Whatever the store raises. Records that arrived before are marked.
        """
        if not self.waiting():
            return
        with FileLock(self.journal.folder / ".journal.lock"):
            try:
                self._deliver(self.journal.records())
            except BaseException:
                self._in_doubt = True
                raise

    def _deliver(self, records: list[Record]) -> None:
        started_over = False
        while (position := self.journal.position(self.uri)).count < len(records):
            run_id = position.run_id
            if run_id is None:
                position = Position(self._create(records[0]), 1)
            elif self._send(run_id, records[position.count], records, may_be_gone=not started_over):
                position = Position(run_id, position.count + 1)
            else:  # the run was deleted, or the store is another one: the journal holds all records of a new run
                store = without_passwords(self.uri)
                print(
                    f"prenda: {store} does not hold MLflow run {run_id} any more: a new run takes its place.",
                    file=sys.stderr,
                )
                position, started_over = Position(), True
            self.journal.mark(self.uri, position)
            self._in_doubt = started_over and position.run_id is None

    def _create(self, record: Record) -> str:
        """Create the run, or find it if an earlier attempt did; return its id."""
        experiment = experiment_id(self.client, self.destination.experiment, self.destination.artifacts)
        tags = {**record["tags"], **_parent(record)}
        found = []
        if self._in_doubt:
            begun = self.client.search_runs([experiment], f"attributes.start_time = {record['time']}")
            found = [run.info.run_id for run in begun if run.data.tags.get("folder") == tags.get("folder")]
        created = found or [
            self.client.create_run(experiment, record["time"], tags, record["name"]).info.run_id,
        ]
        run_id = str(created[0])
        write_atomically(self.journal.folder / RUN_ID, run_id)
        return run_id

    def _send(self, run_id: str, record: Record, records: list[Record], may_be_gone: bool) -> bool:
        """Send a record; return False if the store has no such run any more."""
        from mlflow.exceptions import MlflowException

        try:
            send(self.client, run_id, record, records, self.journal.folder, self._in_doubt)
        except MlflowException as error:
            if error.error_code not in REJECTED or DATABASE_ERROR.match(str(error)):
                raise
            if may_be_gone and self._is_gone(run_id):
                return False
            self.rejected.append(f"{record['kind']}: {reason_of(error)}")
        return True

    def _is_gone(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException, RestException

        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "deleted")
        except MlflowException as error:
            answered = isinstance(error, RestException) or not self.uri.startswith("http")
            return answered and error.error_code == "RESOURCE_DOES_NOT_EXIST"


def _parent(record: Record) -> dict[str, str]:
    """Return the tag that makes a run the child of a sweep's.

    Raises:
        TrackingError: If the sweep's run is not delivered yet.
    """
    parent = record.get("parent")
    if parent is None:
        return {}
    folder = Path(parent)
    if not folder.is_absolute():
        return {"mlflow.parentRunId": parent}
    if not folder.is_dir():  # the sweep's folder was moved or removed
        return {}
    run_id = run_folder.run_id(folder)
    if run_id is None:
        raise TrackingError(f"the record of the sweep in {folder} is not delivered yet")
    return {"mlflow.parentRunId": run_id}


class Delivery:
    """Thread that delivers a run's journal while the run goes on.

    Attributes:
        error: The store's error at the last attempt; None if that succeeded, or before the first.
    """

    def __init__(self, journal: Journal, destination: Destination) -> None:
        self.target = Target(journal, destination)
        self.error: Exception | None = None
        self._is_server = is_server(self.target.uri)
        self._changed = threading.Condition()
        self._wake, self._urgent, self._end = threading.Event(), threading.Event(), threading.Event()
        self._finishing = False  # whether `finish` was called
        self._gave_up = False  # whether an attempt that began since has failed
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    @property
    def run_id(self) -> str | None:
        """Id of the run in the store; None if it has none yet."""
        return self._position().run_id

    def adopt(self, run_id: str) -> None:
        """Continue a run that the store already has."""
        self.target.journal.mark(self.target.uri, Position(run_id))

    def start(self) -> TrackingError | None:
        """Start, and wait a short while for the run in the store; return the error if there is none, else None.

        Raises:
            TrackingError: If MLflow is not installed.
        """
        import_mlflow()
        if self._is_server:  # a failed request is repeated here, after asking what arrived
            os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", REQUEST_TIMEOUT)
        self._thread.start()
        self._wait(lambda: self.error is not None or self._position().count > 0, START)
        if self._position().count > 0:
            return None
        if isinstance(self.error, TrackingError):
            return self.error
        reason = f"it does not answer within {START:g} seconds" if self.error is None else reason_of(self.error)
        return TrackingError(CANNOT_BE_USED.format(without_passwords(self.target.uri), reason))

    def wake(self) -> None:
        """Look at the journal now."""
        self._wake.set()

    def finish(self) -> str | None:
        """Wait for the delivery of all records and end the thread; return what is missing and why, or None.

        The wait ends if the store fails or does not answer in time. The records stay in the journal.
        """
        absent = self.error is not None or self.run_id is None
        self._finishing = True
        self._urgent.set()
        self._wake.set()
        self._wait(lambda: not self.target.waiting() or self._gave_up, END_OF_ABSENT if absent else END)
        self.stop()
        return self.missing()

    def stop(self) -> None:
        """End the thread after its current request."""
        self._end.set()
        self._urgent.set()
        self._wake.set()

    def missing(self) -> str | None:
        """Return which records are missing and why, as the start of a sentence; None if none is missing."""
        waiting, uri = self.target.waiting(), without_passwords(self.target.uri)
        if waiting:
            reason = "it does not answer in time" if self.error is None else reason_of(self.error)
            return f"{waiting} records are not delivered to {uri} yet ({reason})"
        if self.target.rejected:
            return f"{uri} refused {len(self.target.rejected)} records (first {self.target.rejected[0]})"
        return None

    def local_record(self) -> MlflowRecord | None:
        """Return the run's record in a store on this machine; None for a server's, or if the store fails."""
        if self._is_server or self.run_id is None:
            return None
        try:
            return self.target.client.get_run(self.run_id)
        except Exception:  # each kind of store has its own
            return None

    def _position(self) -> Position:
        return self.target.journal.position(self.target.uri)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition; without a limit if the store is on this machine."""
        with self._changed:
            self._changed.wait_for(condition, seconds if self._is_server else None)

    def _run(self) -> None:
        pause = 0.0
        while not self._end.is_set():
            self._wake.clear()
            last = self._finishing  # an attempt that began before the end is followed by another
            try:
                self.target.deliver()
                self.error, pause = None, 0.0
            except Exception as error:  # each kind of store has its own
                self.error, self._gave_up = error, last
                pause = min(max(1.0, 2 * pause), LONGEST_PAUSE)
            with self._changed:
                self._changed.notify_all()
            if self._gave_up:
                return
            (self._urgent if pause else self._wake).wait(pause or POLL)
