"""Promotion of a run's model to champion, if it is significantly better than the current one."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prenda.bundle import champions
from prenda.bundle.tasks import FIRST_MODEL, model_name
from prenda.errors import UserError
from prenda.model_selection.chance import excluded
from prenda.model_selection.listing import check_name
from prenda.report.card import card
from prenda.report.tables import UNREADABLE, read_predictions
from prenda.scoring.metrics import HEADLINE
from prenda.scoring.significance import SIGNIFICANCE, McNemar, difference_interval, mcnemar
from prenda.system.signals import stop_deferred
from prenda.tracking.interrupted_promotion import settle
from prenda.tracking.lookup import download
from prenda.tracking.registry import CHAMPION, UNFINISHED, RecordedModel, Registry, Version
from prenda.tracking.store import store_address

NEEDED = 5  # images that one of both must have right alone for p < 0.05: 0.5 ** 5 = 0.031


@dataclass(frozen=True)
class _Tested:
    """A run's model with its result on the test images: which are right, (N,), and the true classes, (N,)."""

    model: RecordedModel
    right: NDArray[np.bool_]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class _Decision:
    """Decision about a run's model; `champion` is the model that stays champion, None if the run's becomes it."""

    outcome: Literal["first", "better", "forced", "kept out"]
    because: str
    test: McNemar | None = None
    champion: RecordedModel | None = None


def promote(run: str, model: str | None = None, force: str | None = None, uri: str | None = None) -> str:
    """Register a run's bundle, and move the alias `champion` to it if it is significantly better than the champion.

    The test is McNemar's on the same test images, exact and one-sided, with p < 0.05. Where several seeds of both
    configurations are recorded, the reason also gives Welch's test over them; see `prenda.model_selection.chance`. The
    version's tag `prenda.decision` records the outcome; its description keeps every decision. The champion's bundle is
    left on this machine's disk.

    Args:
        run: Id or name of the run.
        model: Name of the registered model; None takes that of the run's task.
        force: Reason to move the alias whatever the test says; None leaves the decision to the test.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.

    Returns:
        The decision and its reason, as a sentence.

    Raises:
        UserError: If the run was not scored, its bundle is damaged, or the champion was tested on other images.
    """
    if model is not None:
        check_name(model)
    if force is not None and not force.strip():
        raise UserError(f"--force is {force!r}: give the reason, which is recorded with the version.")
    registry = Registry(store_address(uri))
    with tempfile.TemporaryDirectory() as scratch, registry.promotion_lock():
        settle()
        _complete(registry, run, Path(scratch))
        entrant = _tested(registry.model_of_run(run, Path(scratch) / "entrant"))
        own = _model_of_task(registry, entrant.model.bundle.task, Path(scratch) / "first")
        model = model or own
        variant = None if model == own else model
        versions = registry.versions(model)
        champion = next((version for version in versions if CHAMPION in version.aliases), None)
        if champion is not None and champion.run_id == entrant.model.run_id:
            registry.finish(model, champion)
            champions.keep(entrant.model.bundle, variant)
            return f"{_title(champion, model)} is champion already: nothing is changed."
        decision = _decide(registry, entrant, champion, force, Path(scratch) / "champion")
        registered = next((version for version in versions if version.run_id == entrant.model.run_id), None)
        version = registered or _register(registry, entrant.model, model)
        history = _history(decision, champion, force)
        with stop_deferred():  # else the version would be "unfinished" until the command is repeated
            _record(registry, model, version.number, decision, history, entrant.model, variant)
    return _told(decision, _title(version, model), None if champion is None else _title(champion, model), force)


def _record(
    registry: Registry,
    model: str,
    number: int,
    decision: _Decision,
    history: str,
    entrant: RecordedModel,
    variant: str | None,
) -> None:
    """Write a decision so that a kill after any write leaves the old champion or the new one, for every command.

    The alias decides. Before it moves, the version is "unfinished"; the copy on the disk follows the alias.
    """
    registry.decide(model, number, UNFINISHED)
    registry.describe(model, number, history)
    if decision.champion is None:
        with champions.promotion(entrant.bundle, variant, registry.uri, model, number):
            registry.set_champion(model, number)
    else:
        champions.keep(decision.champion.bundle, variant)
    registry.decide(model, number, decision.outcome)


def _complete(registry: Registry, run: str, scratch: Path) -> None:
    """Make the bundle of a sweep's run, which has none, from its checkpoint."""
    found = registry.scores_without_bundle(run, scratch)
    if found is None:
        return
    from prenda.training.exporting import write_again  # torch, which a promotion does without otherwise

    run_id, scores = found
    if "temperature" not in scores:
        raise UserError(f"{run!r} was recorded before runs had bundles: train it again.")
    tested = download(registry.uri, run_id, "predictions/test.npz", scratch)
    write_again(run_id, scores, tested, scratch / "bundle", run_id, uri=registry.uri)
    registry.add_bundle(run_id, scratch / "bundle")


def _model_of_task(registry: Registry, task: str, scratch: Path) -> str:
    """Return the registered model of a task: `prenda` for the first task of a store, `prenda-TASK` for any other."""
    own = model_name(task)
    first = [] if registry.versions(own) else registry.versions(FIRST_MODEL)
    if not first:
        return own if registry.versions(own) else FIRST_MODEL
    holder = next((version for version in first if CHAMPION in version.aliases), first[0])
    return FIRST_MODEL if _task(registry, holder, scratch) == task else own


def _task(registry: Registry, version: Version, scratch: Path) -> str:
    """Return the task of a version; those of 0.1.0 have no tag for it."""
    if "prenda.task" in version.tags:
        return version.tags["prenda.task"]
    try:
        return registry.model_of_run(version.run_id, scratch).bundle.task
    except UserError:  # its run was deleted, or its files
        return version.tags.get("prenda.data", "")


def _tested(model: RecordedModel) -> _Tested:
    try:
        recorded = read_predictions(model.predictions)
    except UNREADABLE as error:
        raise UserError(
            f"predictions/test.npz of run {model.run_name!r} is damaged ({error}): train the run again."
        ) from error
    return _Tested(model, recorded.logits.argmax(1) == recorded.labels, recorded.labels)


def _decide(
    registry: Registry, entrant: _Tested, champion: Version | None, force: str | None, scratch: Path
) -> _Decision:
    if champion is None:
        return _Decision("first", "there was no champion to beat")
    try:
        champion_tested = _tested(registry.model_of_run(champion.run_id, scratch))
        test = _test(champion_tested, entrant)
    except UserError as error:
        if force is None:
            raise UserError(
                f"No comparison with version {champion.number}, the champion: {error} --model NAME keeps a champion of "
                "its own; --force REASON moves the alias without a test."
            ) from error
        return _Decision("forced", f"there was no test: {error}")
    significant = test.p_value < SIGNIFICANCE
    because = _result(test, len(entrant.labels), champion.number)
    if not significant:
        because += _too_few(test, int((~champion_tested.right).sum()), len(entrant.labels))
    theirs, ours = (registry.seeds(run_id) for run_id in (champion.run_id, entrant.model.run_id))
    because += f". {excluded(significant, theirs, ours)}"
    if significant:
        return _Decision("better", because, test)
    if force is not None:
        return _Decision("forced", because, test)
    return _Decision("kept out", because, test, champion_tested.model)


def _result(test: McNemar, images: int, champion: int) -> str:
    points = 100 * (test.only_second - test.only_first) / images
    low, high = (100 * bound for bound in difference_interval(test.only_first, test.only_second, images))
    significant = "statistically" if test.p_value < SIGNIFICANCE else "not"
    return (
        f"of {images:,} test images it has {test.only_second:,} right that version {champion} has wrong, and "
        f"{test.only_first:,} the other way round ({points:+.2f} points, 95% interval {low:+.2f} to {high:+.2f}): "
        f"{significant} significant over test images (McNemar, exact, one-sided, p = {test.p_value:.2g}; the limit is "
        f"{SIGNIFICANCE})"
    )


def _too_few(test: McNemar, champion_wrong: int, images: int) -> str:
    """Return a sentence that says so if no p-value below the limit was possible, and what helps; else nothing."""
    if test.only_first + test.only_second >= NEEDED:
        return ""
    because = (
        f"the champion has only {champion_wrong} of {images:,} test images wrong, so no run can be significantly better"
        if champion_wrong < NEEDED
        else "too few answers differ"
    )
    return (
        f". A significant result takes at least {NEEDED} images that only one of both has right, and {because}: a "
        "larger test set can show a difference, and so can several seeds of both recipes (`prenda compare`)"
    )


def _test(champion: _Tested, entrant: _Tested) -> McNemar:
    """Test whether the entrant is better; raise UserError if both were not tested on the same images."""
    first, second = champion.model.bundle, entrant.model.bundle
    theirs, ours = (f"{model.data['name']} {model.data['content_hash'][:12]}…" for model in (first, second))
    if first.data["content_hash"] != second.data["content_hash"]:
        raise UserError(
            f"The run was tested on {ours}, the champion on {theirs}: only scores on the same data can be compared."
        )
    if first.class_names != second.class_names or not np.array_equal(champion.labels, entrant.labels):
        raise UserError(
            f"The run was tested on {len(entrant.labels)} images of {len(second.class_names)} classes, the champion on "
            f"others ({len(champion.labels)} images of {len(first.class_names)} classes): train with the same "
            "data.classes."
        )
    return mcnemar(champion.right, entrant.right, "greater")


def _register(registry: Registry, recorded: RecordedModel, model: str) -> Version:
    scores = recorded.bundle.scores
    rows = json.loads(recorded.classes.read_text(encoding="utf-8"))
    about = recorded.bundle
    facts = {"run": recorded.run_name, "backbone": recorded.backbone, "data": about.data["name"], "task": about.task}
    names = [f"test/{metric.name}" for metric in HEADLINE]
    facts |= {name: f"{scores[name]:.4f}" for name in names if name in scores}
    tags = {f"prenda.{name}": value for name, value in facts.items()}
    text = card(recorded.bundle, rows, recorded.run_name)
    return registry.register(model, recorded.run_id, recorded.model_id, text, tags)


def _history(decision: _Decision, champion: Version | None, force: str | None) -> str:
    """Return the line about a decision that the version's description keeps."""
    against = "nobody" if champion is None else f"version {champion.number}, run {champion.run_id}"
    forced = "" if force is None else f"; forced: {force}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {decision.outcome} against {against}: {decision.because}{forced}"
    )


def _told(decision: _Decision, entrant: str, champion: str | None, force: str | None) -> str:
    outcome = {
        "first": f"{entrant} is the champion",
        "better": f"{entrant} is the champion now, in place of {champion}",
        "forced": f"{entrant} is the champion now, in place of {champion}, forced ({force})",
        "kept out": f"{entrant} is registered, but not champion, which stays {champion}",
    }[decision.outcome]
    hint = " --force REASON makes it champion all the same." if decision.outcome == "kept out" else ""
    return f"{outcome}: {decision.because.rstrip('.')}.{hint}"


def _title(version: Version, model: str) -> str:
    return f"{version.tags.get('prenda.run', version.run_id)} (version {version.number} of {model})"
