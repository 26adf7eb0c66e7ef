"""Sweep driver: starts trials, reads their outcomes, and records them in a resumable study."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from prenda.config.convert import as_plain, typed
from prenda.config.identity import describe_run, fingerprint, make_run_name
from prenda.config.schema import SearchConfig, TrackingKind, TrainConfig
from prenda.errors import ConfigError, UserError
from prenda.search.job import LOG, Job, TrialAddress
from prenda.search.launchers.base import Ended, TrialLauncher
from prenda.search.outcome import Outcome, read_outcome
from prenda.search.plan import Plan, content_of, trial_overrides
from prenda.search.progress import SweepProgress, duration
from prenda.search.space import display_values, text
from prenda.search.study import open_study
from prenda.system.atomic_write import write_atomically
from prenda.system.signals import stop_deferred
from prenda.tracking.run_folder import status
from prenda.tracking.runs import Run, record_failure
from prenda.training.starting_point import identified

TICK = 1.0  # seconds to wait for the end of a trial
STUDY = ".study"  # in a sweep's folder: the study's name in its database


@dataclass
class Sweep:
    """One sweep, new or resumed.

    Attributes:
        gave_up: Whether the sweep stopped after `search.max_failures` failed trials.
    """

    plan: Plan
    launcher: TrialLauncher
    folder: Path
    study: Study
    record: Run
    gave_up: bool = False
    _running: dict[int, _Started] = field(default_factory=dict)  # by number
    _done: dict[str, FrozenTrial] = field(default_factory=dict)  # finished and pruned trials by fingerprint
    _duplicates: dict[str, list[Trial]] = field(default_factory=dict)  # of running trials, by fingerprint
    _waiting: list[Trial] = field(default_factory=list)  # interrupted trials, to resume
    _started: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get("retry_of") for trial in trials} - {None}
        for trial in trials:
            if trial.number not in retried:
                self._count_earlier_trial(trial)
        self.total = self._queue_grid(trials) if self.plan.search.sampler is None else self._n_trials
        self._spent = float(self.study.user_attrs.get("seconds", 0))
        self._since = time.monotonic()

    def run(self) -> None:
        """Run the remaining trials. After an interruption, running trials stay open in the study and can be resumed."""
        progress = SweepProgress(self.total, self.ended)
        try:
            while True:
                while len(self._running) < self.launcher.workers and self._start_next(progress):
                    pass
                if not self._running:
                    return
                ended = self.launcher.ended(TICK)
                with stop_deferred():
                    for end in ended:
                        self._conclude(end, progress)
                    self._show(progress)
        finally:
            progress.close()
            self.study.set_user_attr("seconds", self._spent + time.monotonic() - self._since)

    @property
    def ended(self) -> int:
        return sum(self._counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials in each state, and of those left to run."""
        states = {state: self._counts[state] for state in ("finished", "pruned", "failed", "skipped")}
        return states | {"left": max(0, (self.total or 0) - self.ended)}

    @property
    def _n_trials(self) -> int | None:
        n_trials: int | None = self.plan.search.n_trials
        return n_trials

    def _count_earlier_trial(self, trial: FrozenTrial) -> None:
        """Count a trial of an earlier start of this sweep; queue it again if it failed and is to be retried."""
        if trial.state is TrialState.FAIL and self.plan.search.retry_failed:
            attributes = {"retry_of": trial.number, "folder": trial.user_attrs.get("folder")}
            self.study.enqueue_trial(trial.params, user_attrs=attributes)
        elif trial.state is TrialState.RUNNING:
            self._started += 1
            self._waiting.append(Trial(self.study, trial._trial_id))
        elif trial.state is not TrialState.WAITING:
            self._started += 1
            self._count(trial)

    def _count(self, trial: FrozenTrial) -> None:
        self._counts[state_of(trial)] += 1
        if trial.state is not TrialState.FAIL:
            self._done.setdefault(trial.user_attrs["fingerprint"], trial)

    def _queue_grid(self, trials: list[FrozenTrial]) -> int:
        """Queue every combination that the study does not hold yet; return the number of trials to run."""
        queued = {_fixed(trial.system_attrs.get("fixed_params", {})) for trial in trials}
        grid = list(self.plan.space.grid())
        for chosen in grid:
            if _fixed(chosen) not in queued:
                self.study.enqueue_trial(chosen)
        return min(len(grid), self._n_trials or len(grid))

    def _start_next(self, progress: SweepProgress) -> bool:
        """Start the next trial; return whether there was one."""
        with stop_deferred():
            trial = self._next()
            if trial is not None:
                self._start(trial, progress)
        return trial is not None

    def _next(self) -> Trial | None:
        """Return the next trial to start, or None if no more trials are to start."""
        if self._waiting:
            return self._waiting.pop(0)
        search = self.plan.search
        self.gave_up = search.max_failures is not None and self._counts["failed"] >= search.max_failures
        out_of_time = search.hours is not None and self._spent + time.monotonic() - self._since >= search.hours * 3600
        if self.gave_up or out_of_time or (self.total is not None and self._started >= self.total):
            return None
        self._started += 1
        return self.study.ask()

    def _start(self, trial: Trial, progress: SweepProgress) -> None:
        try:
            chosen = self.plan.space.choose(trial)
            config = identified(self.plan.configuration(chosen))
        except UserError as error:
            self._tell(trial, Outcome("failed", note=str(error)), None, progress)
            return
        trial_fingerprint = fingerprint(config, content_of(config.data))
        trial.set_user_attr("fingerprint", trial_fingerprint)
        running = {started.fingerprint for started in self._running.values()}
        if trial_fingerprint in self._done:
            self._skip(trial, self._done[trial_fingerprint], progress)
        elif trial_fingerprint in running:
            self._duplicates.setdefault(trial_fingerprint, []).append(trial)
        else:
            started = _Started(trial, trial_fingerprint, self._job(trial, config, trial_fingerprint, chosen))
            if status(started.job.folder) not in ("FINISHED", "PRUNED"):  # else it ended while no driver ran
                self._running[trial.number] = started
                self.launcher.start(started.job)
            else:
                outcome = read_outcome(started.job.folder, list(self.plan.search.objectives))
                self._tell(trial, outcome, None, progress)

    def _job(self, trial: Trial, config: TrainConfig, trial_fingerprint: str, chosen: dict[str, Any]) -> Job:
        trial_folder = trial.user_attrs.get("folder") or f"trials/{trial.number:04d}-{trial_fingerprint[:8]}"
        trial.set_user_attr("folder", trial_folder)
        common, own = trial_overrides(self.plan, config, chosen)
        tracking = replace(
            config.tracking,
            parent=None if config.tracking.kind is TrackingKind.offline else str(self.record.folder),
            required=False,
            command=shlex.join(["prenda", "train", *common, *own]),
            run_name=f"{trial.number:03d}-{make_run_name(config, own)}",
        )
        threads = config.trainer.threads or max(1, self.launcher.cores // max(1, config.trainer.devices))
        config = replace(config, tracking=tracking, trainer=replace(config.trainer, threads=threads))
        pruner = self.plan.search.pruner
        address = None
        if pruner is not None:
            address = TrialAddress(
                _storage(self.plan.search, self.folder), self.study.study_name, trial._trial_id, pruner
            )
        metric = self.plan.search.objectives[0]
        plain = as_plain(config)
        del plain["search"], plain["workers"]
        return Job(trial.number, self.folder / trial_folder, plain, metric, address)

    def _conclude(self, end: Ended, progress: SweepProgress) -> None:
        started = self._running.pop(end.number)
        outcome = read_outcome(started.job.folder, list(self.plan.search.objectives), end.lost)
        if outcome.lost:
            if started.tries <= self.plan.search.retries:
                progress.say(f"trial {end.number} resumes: {outcome.note}")
                self._running[end.number] = started.next_try()
                self.launcher.start(started.job)
                return
            self._record_lost(started.job, outcome.note, progress)
        self._tell(started.trial, outcome, time.monotonic() - started.since, progress)
        for duplicate in self._duplicates.pop(started.fingerprint, []):
            self._skip(duplicate, self._done.get(started.fingerprint), progress, outcome)

    def _record_lost(self, job: Job, note: str, progress: SweepProgress) -> None:
        config = typed(job.config)
        try:
            record_failure(config.tracking, describe_run(config), job.folder, RuntimeError(note))
        except OSError as error:
            progress.say(f"trial {job.number}: its failure could not be recorded ({error})")

    def _tell(self, trial: Trial, outcome: Outcome, seconds: float | None, progress: SweepProgress) -> None:
        """Record the outcome of a trial in the study and print it."""
        if outcome.note:
            trial.set_user_attr("note", outcome.note)
        if seconds is not None:
            trial.set_user_attr("seconds", seconds)
            self._seconds.append(seconds)
        states = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        recorded = (
            self.study.tell(trial, outcome.values)
            if outcome.state == "finished"
            else self.study.tell(trial, state=states[outcome.state])
        )
        self._count(recorded)
        log = self.folder / str(trial.user_attrs.get("folder")) / LOG
        where = f"; see {log}" if outcome.state == "failed" and log.is_file() else ""
        note = f"  {outcome.note}{where}" if outcome.note else ""
        values = "  ".join(f"{value:.4g}" for value in outcome.values)
        chosen = " ".join(f"{setting}={text(value)}" for setting, value in display_values(trial.params).items())
        elapsed = f"  {duration(seconds)}" if seconds is not None else ""
        progress.say(f"trial {trial.number:<3} {outcome.state:<8}  {values or '–':<8}{elapsed}  {chosen}{note}")
        if outcome.state == "finished":
            self._log_best()

    def _skip(
        self, trial: Trial, same: FrozenTrial | None, progress: SweepProgress, outcome: Outcome | None = None
    ) -> None:
        """Give a trial the result of the trial with the same settings."""
        if same is None:  # the trial with the same settings failed
            assert outcome is not None
            self._tell(trial, outcome, None, progress)
            return
        trial.set_user_attr("same_as", same.number)
        if same.state is TrialState.COMPLETE:
            self._count(self.study.tell(trial, list(same.values)))
        else:
            self._count(self.study.tell(trial, state=TrialState.PRUNED))
        progress.say(f"trial {trial.number:<3} skipped   the same settings as trial {same.number}")

    def _log_best(self) -> None:
        name, best = self.plan.search.objectives[0], best_trials(self.study)
        self.record.log_metrics({f"best/{name}": best[0].values[0]}, step=self.ended)

    def _show(self, progress: SweepProgress) -> None:
        best = best_trials(self.study) if progress.is_live else []
        score = f"{best[0].values[0]:.4f} (trial {best[0].number})" if best else "–"
        seconds_left = None
        if self._seconds and self.total is not None:
            mean = sum(self._seconds) / len(self._seconds)
            seconds_left = mean * max(0, self.total - self.ended) / self.launcher.workers
        progress.update(self.ended, self.total, len(self._running), score, seconds_left)


@dataclass
class _Started:
    trial: Trial
    fingerprint: str
    job: Job
    tries: int = 1
    since: float = field(default_factory=time.monotonic)

    def next_try(self) -> _Started:
        return _Started(self.trial, self.fingerprint, self.job, self.tries + 1, self.since)


@contextmanager
def driver_lock(folder: Path) -> Iterator[None]:
    """Lock the sweep's folder against other drivers.

    Raises:
        ConfigError: If another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".driver"
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        raise ConfigError(
            f"Another process runs the sweep in {folder}: wait for it, or start another sweep with search.name=…"
        ) from error
    finally:
        if [path.name for path in folder.iterdir()] == [lock.name]:  # the sweep wrote nothing
            lock.unlink()
            folder.rmdir()


def open_sweep_study(plan: Plan, folder: Path) -> Study:
    """Return the study of the folder's sweep, new or as an earlier start left it.

    Raises:
        ConfigError: If its database does not answer, or the sampler or pruner cannot be built.
    """
    path = folder / STUDY
    name = path.read_text(encoding="utf-8") if path.is_file() else f"{plan.name}-{uuid4().hex[:6]}"
    study = open_study(plan.search, _storage(plan.search, folder), name)
    write_atomically(path, name)
    return study


def state_of(trial: FrozenTrial) -> str:
    """Return a trial's state as the sweep shows it: finished, pruned, failed, skipped or interrupted."""
    if "same_as" in trial.user_attrs:
        return "skipped"
    states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return states.get(trial.state, "interrupted")


def best_trials(study: Study) -> list[FrozenTrial]:
    """Return the best finished trial, the first of equals, or the Pareto front sorted by the first objective."""
    finished = [trial for trial in study.best_trials if "same_as" not in trial.user_attrs]
    sign = -1 if study.directions[0].name == "MAXIMIZE" else 1
    finished.sort(key=lambda trial: (sign * trial.values[0], trial.number))
    return finished if len(study.directions) > 1 else finished[:1]


def _storage(search: SearchConfig, folder: Path) -> str:
    return search.storage or f"sqlite:///{folder / 'study.db'}"


def _fixed(chosen: dict[str, Any]) -> str:
    return json.dumps(chosen, sort_keys=True)
