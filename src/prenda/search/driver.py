"""Runs a sweep: starts trials, judges how they ended, and keeps a count that survives this process."""

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
from prenda.config.schema import SearchConfig, TrainConfig
from prenda.errors import ConfigError, UserError
from prenda.search.job import LOG, Job, TrialAddress
from prenda.search.launchers.base import Ended, TrialLauncher
from prenda.search.outcome import Outcome, judge
from prenda.search.plan import Plan, content_of, told
from prenda.search.progress import SweepProgress, duration
from prenda.search.space import display_values, text
from prenda.search.study import open_study
from prenda.system.atomic_write import write_atomically
from prenda.system.signals import stop_deferred
from prenda.tracking.runs import Run, record_failure, status

TICK = 1.0  # seconds between two looks, where nothing happens
STUDY = ".study"  # in a sweep's folder: the study's name in its database


@dataclass
class Sweep:
    """One sweep, from its start or from where it was left.

    Attributes:
        hopeless: Whether it gave up after `search.max_failures`.
    """

    plan: Plan
    launcher: TrialLauncher
    folder: Path
    study: Study
    record: Run
    hopeless: bool = False
    _running: dict[int, _Started] = field(default_factory=dict)  # by number
    _done: dict[str, FrozenTrial] = field(default_factory=dict)  # finished and pruned ones by fingerprint
    _twins: dict[str, list[Trial]] = field(default_factory=dict)  # of running ones, by fingerprint
    _waiting: list[Trial] = field(default_factory=list)  # interrupted ones, to go on with
    _started: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get("retry_of") for trial in trials} - {None}
        for trial in trials:
            if trial.number not in retried:
                self._take_up(trial)
        self.total = self._queue_grid(trials) if self.plan.search.sampler is None else self._n_trials
        self._spent = float(self.study.user_attrs.get("seconds", 0))
        self._since = time.monotonic()

    def run(self) -> None:
        """Runs what is left. Ended from outside, it leaves its trials to be gone on with."""
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
        """How many trials ended how."""
        states = {state: self._counts[state] for state in ("finished", "pruned", "failed", "skipped")}
        return states | {"left": max(0, (self.total or 0) - self.ended)}

    @property
    def _n_trials(self) -> int | None:
        found: int | None = self.plan.search.n_trials
        return found

    def _take_up(self, trial: FrozenTrial) -> None:
        """Counts a trial of an earlier start of this sweep."""
        if trial.state is TrialState.FAIL and self.plan.search.retry_failed:
            marks = {"retry_of": trial.number, "folder": trial.user_attrs.get("folder")}
            self.study.enqueue_trial(trial.params, user_attrs=marks)
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
        """Puts every combination in the study's queue that is not there yet; says how many there are to run."""
        queued = {_fixed(trial.system_attrs.get("fixed_params", {})) for trial in trials}
        grid = list(self.plan.space.grid())
        for chosen in grid:
            if _fixed(chosen) not in queued:
                self.study.enqueue_trial(chosen)
        return min(len(grid), self._n_trials or len(grid))

    def _start_next(self, progress: SweepProgress) -> bool:
        """Starts the next trial; whether there was one."""
        with stop_deferred():
            trial = self._next()
            if trial is not None:
                self._start(trial, progress)
        return trial is not None

    def _next(self) -> Trial | None:
        """The next trial to start, if there is to be one."""
        if self._waiting:
            return self._waiting.pop(0)
        search = self.plan.search
        self.hopeless = search.max_failures is not None and self._counts["failed"] >= search.max_failures
        over = search.hours is not None and self._spent + time.monotonic() - self._since >= search.hours * 3600
        if self.hopeless or over or (self.total is not None and self._started >= self.total):
            return None
        self._started += 1
        return self.study.ask()

    def _start(self, trial: Trial, progress: SweepProgress) -> None:
        try:
            chosen = self.plan.space.choose(trial)
            config = self.plan.configuration(chosen)
        except UserError as error:
            self._tell(trial, Outcome("failed", note=str(error)), None, progress)
            return
        mark = fingerprint(config, content_of(config.data))
        trial.set_user_attr("fingerprint", mark)
        running = {started.mark for started in self._running.values()}
        if mark in self._done:
            self._skip(trial, self._done[mark], progress)
        elif mark in running:
            self._twins.setdefault(mark, []).append(trial)
        else:
            started = _Started(trial, mark, self._job(trial, config, mark, chosen))
            if status(started.job.folder) not in ("FINISHED", "PRUNED"):  # else it ended while nobody counted
                self._running[trial.number] = started
                self.launcher.start(started.job)
            else:
                self._tell(trial, judge(started.job.folder, list(self.plan.search.objectives)), None, progress)

    def _job(self, trial: Trial, config: TrainConfig, mark: str, chosen: dict[str, Any]) -> Job:
        inside = trial.user_attrs.get("folder") or f"trials/{trial.number:04d}-{mark[:8]}"
        trial.set_user_attr("folder", inside)
        common, own = told(self.plan, config, chosen)
        tracking = replace(
            config.tracking,
            parent=self.record.id,
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
        del plain["search"], plain["workers"]  # a trial is a run like any other, and passwords stay here
        return Job(trial.number, self.folder / inside, plain, metric, address)

    def _conclude(self, end: Ended, progress: SweepProgress) -> None:
        started = self._running.pop(end.number)
        outcome = judge(started.job.folder, list(self.plan.search.objectives), end.lost)
        if outcome.lost:
            if started.tries <= self.plan.search.retries:
                progress.say(f"trial {end.number} goes on: {outcome.note}")
                self._running[end.number] = started.again()
                self.launcher.start(started.job)
                return
            self._record_lost(started.job, outcome.note, progress)
        self._tell(started.trial, outcome, time.monotonic() - started.since, progress)
        for twin in self._twins.pop(started.mark, []):
            self._skip(twin, self._done.get(started.mark), progress, outcome)

    def _record_lost(self, job: Job, note: str, progress: SweepProgress) -> None:
        config = typed(job.config)
        try:
            record_failure(config.tracking, describe_run(config), job.folder, RuntimeError(note))
        except Exception as error:  # each kind of store has its own
            progress.say(f"trial {job.number}: its failure could not be recorded ({error})")

    def _tell(self, trial: Trial, outcome: Outcome, seconds: float | None, progress: SweepProgress) -> None:
        """Counts how a trial ended, and says so."""
        if outcome.note:
            trial.set_user_attr("note", outcome.note)
        if seconds is not None:
            trial.set_user_attr("seconds", seconds)
            self._seconds.append(seconds)
        states = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        counted = (
            self.study.tell(trial, outcome.values)
            if outcome.state == "finished"
            else self.study.tell(trial, state=states[outcome.state])
        )
        self._count(counted)
        log = self.folder / str(trial.user_attrs.get("folder")) / LOG
        where = f"; see {log}" if outcome.state == "failed" and log.is_file() else ""
        note = f"  {outcome.note}{where}" if outcome.note else ""
        values = "  ".join(f"{value:.4g}" for value in outcome.values)
        chosen = " ".join(f"{setting}={text(value)}" for setting, value in display_values(trial.params).items())
        took = f"  {duration(seconds)}" if seconds is not None else ""
        progress.say(f"trial {trial.number:<3} {outcome.state:<8}  {values or '–':<8}{took}  {chosen}{note}")
        if outcome.state == "finished":
            self._log_best(progress)

    def _skip(
        self, trial: Trial, same: FrozenTrial | None, progress: SweepProgress, outcome: Outcome | None = None
    ) -> None:
        """Gives a trial the result of the one with the same settings."""
        if same is None:  # which failed
            assert outcome is not None
            self._tell(trial, outcome, None, progress)
            return
        trial.set_user_attr("same_as", same.number)
        if same.state is TrialState.COMPLETE:
            self._count(self.study.tell(trial, list(same.values)))
        else:
            self._count(self.study.tell(trial, state=TrialState.PRUNED))
        progress.say(f"trial {trial.number:<3} skipped   the same settings as trial {same.number}")

    def _log_best(self, progress: SweepProgress) -> None:
        name, best = self.plan.search.objectives[0], best_trials(self.study)
        metrics = {f"best/{name}": best[0].values[0]}
        try:
            self.record.log_metrics(metrics, step=self.ended)
        except Exception as error:  # each kind of store has its own; the trials' own records are what counts
            progress.say(f"the best score so far could not be recorded ({error})")

    def _show(self, progress: SweepProgress) -> None:
        best = best_trials(self.study) if progress.is_live else []
        score = f"{best[0].values[0]:.4f} (trial {best[0].number})" if best else "–"
        left = None
        if self._seconds and self.total is not None:
            mean = sum(self._seconds) / len(self._seconds)
            left = mean * max(0, self.total - self.ended) / self.launcher.workers
        progress.update(self.ended, self.total, len(self._running), score, left)


@dataclass
class _Started:
    trial: Trial
    mark: str
    job: Job
    tries: int = 1
    since: float = field(default_factory=time.monotonic)

    def again(self) -> _Started:
        return _Started(self.trial, self.mark, self.job, self.tries + 1, self.since)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other drivers from the sweep's folder.

    Raises:
        ValueError: If one is at work there.
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
        if [path.name for path in folder.iterdir()] == [lock.name]:  # nothing came of it
            lock.unlink()
            folder.rmdir()


def open_sweep_study(plan: Plan, folder: Path) -> Study:
    """The study of the folder's sweep.

    Raises:
        ValueError: If its database does not answer, or sampler or pruner cannot be made.
    """
    kept = folder / STUDY
    name = kept.read_text(encoding="utf-8") if kept.is_file() else f"{plan.name}-{uuid4().hex[:6]}"
    study = open_study(plan.search, _storage(plan.search, folder), name)
    write_atomically(kept, name)
    return study


def state_of(trial: FrozenTrial) -> str:
    """A trial's state in the words of a sweep."""
    if "same_as" in trial.user_attrs:
        return "skipped"
    states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return states.get(trial.state, "interrupted")


def best_trials(study: Study) -> list[FrozenTrial]:
    """The best finished trial, the first of equals, or the Pareto front, by the first objective."""
    finished = [trial for trial in study.best_trials if "same_as" not in trial.user_attrs]
    sign = -1 if study.directions[0].name == "MAXIMIZE" else 1
    finished.sort(key=lambda trial: (sign * trial.values[0], trial.number))
    return finished if len(study.directions) > 1 else finished[:1]


def _storage(search: SearchConfig, folder: Path) -> str:
    return search.storage or f"sqlite:///{folder / 'study.db'}"


def _fixed(chosen: dict[str, Any]) -> str:
    return json.dumps(chosen, sort_keys=True)
