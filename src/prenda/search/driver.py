"""Sweep driver: starts trials, reads their outcomes, and records them in a resumable study."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from prenda.config.convert import as_plain, typed
from prenda.config.identity import describe_run, fingerprint, make_run_name
from prenda.config.schema import TrackingKind, TrainConfig
from prenda.errors import UserError
from prenda.search.job import LOG, Job, TrialAddress
from prenda.search.launchers.base import Ended, TrialLauncher
from prenda.search.outcome import Outcome, read_outcome
from prenda.search.plan import Plan, content_of, trial_overrides
from prenda.search.progress import SweepProgress, duration
from prenda.search.running_time import RunningTime
from prenda.search.space import display_values, text
from prenda.search.study import best_trials, fixed, queued, state_of, storage_address
from prenda.system.signals import stop_deferred
from prenda.tracking.run_folder import status
from prenda.tracking.runs import Run, record_failure
from prenda.training.starting_point import identified

TICK = 1.0  # seconds to wait for the end of a trial
MOST_LISTED = 10_000  # combinations of a search space that are counted, to know when all have been tried
MOST_DUPLICATES = 100  # trials of known settings in a row, after which a search ends


@dataclass
class Sweep:
    """One sweep, new or resumed.

    Attributes:
        gave_up: Whether the sweep stopped after `search.max_failures` failed trials.
        left_out: Number of combinations of a grid beyond `search.n_trials`.
        exhausted: Whether a search ended because it draws nothing that it has not tried.
    """

    plan: Plan
    launcher: TrialLauncher
    folder: Path
    study: Study
    record: Run
    gave_up: bool = False
    exhausted: bool = False
    _running: dict[int, _Started] = field(default_factory=dict)  # by number
    _done: dict[str, FrozenTrial] = field(default_factory=dict)  # finished and pruned trials by fingerprint
    _duplicates: dict[str, list[Trial]] = field(default_factory=dict)  # of running trials, by fingerprint
    _waiting: list[Trial] = field(default_factory=list)  # interrupted trials, to resume
    _tried: set[str] = field(default_factory=set)  # combinations that trials have drawn
    _repeated: int = 0  # trials of known settings in a row
    _started: int = 0
    _counts: Counter[str] = field(default_factory=Counter)
    _seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get("retry_of") for trial in trials} - {None}
        for trial in trials:
            if trial.number not in retried:
                self._count_earlier_trial(trial)
        is_grid = self.plan.search.sampler is None
        self._grid = list(self.plan.space.grid()) if is_grid else []
        self._size = None if is_grid else self.plan.space.size(MOST_LISTED)
        n_trials: int | None = self.plan.search.n_trials
        self.total = min(len(self._grid), n_trials or len(self._grid)) if is_grid else n_trials
        self.left_out = len(self._grid) - (self.total or 0) if is_grid else 0
        self._time = RunningTime(self.study)

    def run(self) -> None:
        """Run the remaining trials. After an interruption, running trials stay open in the study and can be resumed."""
        progress = SweepProgress(self.total, self.ended)
        try:
            self._queue_grid()
            self._log_best()  # a killed driver may have left it out
            while True:
                while len(self._running) < self.launcher.workers and self._start_next(progress):
                    pass
                if not self._running:
                    return
                ended = self.launcher.ended(TICK)
                with stop_deferred():
                    for end in ended:
                        self._conclude(end, progress)
                    self._time.record_sometimes()
                    self._show(progress)
        finally:
            progress.close()
            self._time.record()

    @property
    def ended(self) -> int:
        return sum(self._counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials in each state, and of those left to run."""
        states = {state: self._counts[state] for state in ("finished", "pruned", "failed", "skipped")}
        return states | {"left": 0 if self.exhausted else max(0, (self.total or 0) - self.ended)}

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
            self._tried.add(fixed(trial.params))
            self._count(trial)

    def _count(self, trial: FrozenTrial) -> None:
        self._counts[state_of(trial)] += 1
        if trial.state is not TrialState.FAIL:
            self._done.setdefault(trial.user_attrs["fingerprint"], trial)

    def _queue_grid(self) -> None:
        """Queue every combination of a grid that the study does not hold yet."""
        earlier = queued(self.study) or set()
        for chosen in self._grid:
            if fixed(chosen) not in earlier:
                with stop_deferred():
                    self.study.enqueue_trial(chosen)

    def _start_next(self, progress: SweepProgress) -> bool:
        """Start the next trial; return whether there was one."""
        with stop_deferred():
            trial = self._next(progress)
            if trial is not None:
                self._start(trial, progress)
        return trial is not None

    def _next(self, progress: SweepProgress) -> Trial | None:
        """Return the next trial to start, or None if no more trials are to start."""
        if self._waiting:
            return self._waiting.pop(0)
        search = self.plan.search
        self.gave_up = search.max_failures is not None and self._counts["failed"] >= search.max_failures
        out_of_time = search.hours is not None and self._time.seconds >= search.hours * 3600
        if self.gave_up or out_of_time or (self.total is not None and self._started >= self.total):
            return None
        if self._is_exhausted(progress):
            return None
        self._started += 1
        return self.study.ask()

    def _is_exhausted(self, progress: SweepProgress) -> bool:
        """Whether a search draws nothing new any more; a trial that is to be retried waits in the study."""
        is_tried = self._size is not None and len(self._tried) >= self._size
        if not is_tried and self._repeated < MOST_DUPLICATES:
            return False
        if self.study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
            return False
        if not self.exhausted:
            self.exhausted = True
            all_of = "all" if is_tried else f"the last {self._repeated} drawn"
            progress.say(f"The search ends: {all_of} combinations of its space have been tried.")
        return True

    def _start(self, trial: Trial, progress: SweepProgress) -> None:
        try:
            chosen = self.plan.space.choose(trial)
            self._tried.add(fixed(trial.params))
            config = identified(self.plan.configuration(chosen))
        except UserError as error:
            self._tell(trial, Outcome("failed", note=str(error)), None, progress)
            return
        trial_fingerprint = fingerprint(config, content_of(config.data))
        trial.set_user_attr("fingerprint", trial_fingerprint)
        running = {started.fingerprint for started in self._running.values()}
        self._repeated = self._repeated + 1 if trial_fingerprint in {*self._done, *running} else 0
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
            command=shlex.join(["prenda", "train", *self.plan.config_folder, *common, *own]),
            run_name=f"{trial.number:03d}-{make_run_name(config, own)}",
        )
        threads = config.trainer.threads or max(1, self.launcher.cores // max(1, config.trainer.devices))
        config = replace(config, tracking=tracking, trainer=replace(config.trainer, threads=threads))
        pruner = self.plan.search.pruner
        address = None
        if pruner is not None:
            address = TrialAddress(
                storage_address(self.plan.search, self.folder), self.study.study_name, trial._trial_id, pruner
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
        chosen = " ".join(f"{setting}={text(value)}" for setting, value in display_values(trial).items())
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
        if best:
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
