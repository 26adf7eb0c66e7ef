"""Agreement of a run's record with what this machine would train now."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from prenda.config.identity import configuration, decisive, differences
from prenda.config.recorded import restore
from prenda.config.schema import RESULTS_VERSION, TrainConfig
from prenda.data.parallel import cores
from prenda.errors import UserError
from prenda.tracking.runs import COMMIT, DIRTY, environment, git_tags
from prenda.tracking.seeds import CONFIGURATION
from prenda.training import conditions
from prenda.training.build import build_data, resolve_device
from prenda.training.conditions import Conditions
from prenda.training.original import Original, versions
from prenda.training.starting_point import identified

YES, NO, MINOR, UNKNOWN = "yes", "no", "no (minor)", "not recorded"
COMPUTING = re.compile(
    r"torch|torchvision|torchmetrics|pytorch-lightning|timm|numpy|scipy|pillow|triton|(nvidia|cuda|mkl|intel)-.*"
)
CHANGED = " and changes"  # of a commit: the files were not those of the commit
MOST_LISTED = 12  # packages in a cell
SHOWN = 12  # characters of a hash
LABELS = {  # of conditions
    "python": "Python",
    "system": "system",
    "processor": "processor",
    "instructions": "vector instructions",
    "device": "device",
    "processes": "processes",
    "threads": "threads",
    "variables": "environment variables",
}


@dataclass(frozen=True)
class Row:
    """A part of a run's record beside its present value.

    Attributes:
        what: Name of the part.
        recorded: Recorded value; several, if the run was resumed under other conditions.
        now: Value now.
        agrees: `YES`, `NO`, `MINOR` for a difference that decides no result, or `UNKNOWN`.
    """

    what: str
    recorded: str
    now: str
    agrees: str


@dataclass(frozen=True)
class Agreement:
    """Comparison of a run's record with the present.

    Attributes:
        rows: Its parts.
        refusals: Reasons why the run cannot be trained again; none if it can.
        current: Conditions of a training now.
    """

    rows: tuple[Row, ...]
    refusals: tuple[str, ...]
    current: Conditions

    @property
    def differing(self) -> list[Row]:
        """The rows that differ and can decide the result."""
        return [row for row in self.rows if row.agrees == NO]


def with_threads(config: TrainConfig, starts: Sequence[Conditions]) -> TrainConfig:
    """Return the configuration with the number of threads that the run had, if this process has as many cores.

    Raises:
        ConfigError: If this machine lacks the device of the configuration.
    """
    _, processes = resolve_device(config.trainer)
    if config.trainer.threads is not None:
        return config
    most = max(1, cores() // processes)
    threads = min(most, int(starts[-1]["threads"])) if starts else most
    return replace(config, trainer=replace(config.trainer, threads=threads))


def agreement(original: Original, config: TrainConfig) -> Agreement:
    """Compare the record of a run with the present; a data set that is missing is fetched.

    Args:
        original: The run.
        config: Configuration of its reproduction, with its threads.

    Raises:
        UserError: If this machine lacks the device of the configuration, or a file of the record is damaged.
    """
    assert config.trainer.threads is not None
    refusals: list[str] = []
    device, processes = resolve_device(config.trainer)
    current = conditions.current(config, device, processes, config.trainer.threads)
    rows = [
        _version_row(original, refusals),
        _configuration_row(original, refusals),
        _data_row(original, config, refusals),
        *_weights_rows(config, refusals),
        *_code_rows(original, current),
        *_package_rows(original),
        *(_condition_row(original, current, name) for name in LABELS),
    ]
    return Agreement(tuple(rows), tuple(refusals), current)


def _row(what: str, recorded: str | None, now: str, difference: str = NO) -> Row:
    if recorded is None:
        return Row(what, "–", now, UNKNOWN)
    return Row(what, recorded, now, YES if recorded == now else difference)


def _attempt(value: Callable[[], str], refusals: list[str]) -> str | None:
    """Return a value; if the user has to correct something first, add that to the refusals."""
    try:
        return value()
    except UserError as error:
        refusals.append(str(error))
        return None


def _short(digest: str | None) -> str:
    return "not available" if digest is None else digest[:SHOWN]


def _version_row(original: Original, refusals: list[str]) -> Row:
    recorded = original.config.results_version
    if recorded != RESULTS_VERSION:
        refusals.append(
            f"Run {original.name!r} has results version {recorded}, but this prenda has results version "
            f"{RESULTS_VERSION}, whose training differs: reproduce it with the prenda that trained it. The git commit "
            "in its record and its environment.txt name that version."
        )
    return _row("results version", str(recorded), str(RESULTS_VERSION))


def _configuration_row(original: Original, refusals: list[str]) -> Row:
    """Compare config.yaml with its copy in the checkpoint; without a checkpoint, with the hash in the tags."""
    now = _short(configuration(original.config))
    if original.best is None:
        tag = original.tags.get(CONFIGURATION)
        return _row("configuration", tag and _short(tag), now)
    trained = restore(original.best.config, str(original.best.path))
    different = differences(decisive(trained), decisive(original.config), origin="now")
    if different:
        refusals.append(
            f"config.yaml of run {original.name!r} has changed since the training ({different}): restore the file. "
            f"{original.best.path} holds the settings of the training."
        )
    return _row("configuration", _short(configuration(trained)), now if not different else f"{now} (changed)")


def _data_row(original: Original, config: TrainConfig, refusals: list[str]) -> Row:
    recorded = original.content_hash
    now = _attempt(lambda: _content(config), refusals)
    if None not in (recorded, now) and recorded != now:
        refusals.append(
            f"data.dir is {config.data.dir}, where {config.data.name} has the content {_short(now)}…, but run "
            f"{original.name!r} was trained on {_short(recorded)}…: restore the images, or give data.dir=…."
        )
    return _row("data", recorded and _short(recorded), _short(now))


def _content(config: TrainConfig) -> str:
    """Return the content hash of the images that a run would use now."""
    data = build_data(config)
    data.prepare_data()
    data.setup()
    return data.content_hash


def _weights_rows(config: TrainConfig, refusals: list[str]) -> list[Row]:
    """Compare the weights that the run started from, if it started from those of another run."""
    if config.init_from is None:
        return []
    now = _attempt(lambda: str(identified(config).init_sha256), refusals)
    return [_row("initial weights", _short(config.init_sha256), _short(now))]


def _code_rows(original: Original, current: Conditions) -> list[Row]:
    """Compare the source code, and the commit, which decides only where the source code was not recorded."""
    source = _row("source code", _recorded(original.starts, "source", SHOWN), str(current["source"])[:SHOWN])
    commit = _row("git commit", _commit(original.tags), _commit(git_tags()) or "–", MINOR)
    if source.agrees == UNKNOWN and commit.agrees == MINOR:
        commit = replace(commit, agrees=NO)
    elif source.agrees == UNKNOWN and CHANGED in commit.recorded:
        commit = replace(commit, agrees=UNKNOWN)
    return [source, commit]


def _commit(tags: Mapping[str, str]) -> str | None:
    commit = tags.get(COMMIT)
    return commit and commit[:SHOWN] + (CHANGED if tags.get(DIRTY) == "true" else "")


def _package_rows(original: Original) -> list[Row]:
    """Compare versions: a row for each difference among packages that compute, and one for all others."""
    recorded, now = original.packages, versions(environment())
    if not recorded:
        return [Row("packages", "–", f"{len(now)} packages", UNKNOWN)]
    changed = [name for name in sorted(recorded.keys() | now.keys()) if recorded.get(name) != now.get(name)]
    computing = [name for name in changed if COMPUTING.fullmatch(name)]
    others = [name for name in changed if name not in computing]
    rows = [_row(name, recorded.get(name, "absent"), now.get(name, "absent")) for name in computing]
    if not computing:
        rows = [_row("packages that compute", *2 * [f"{len([*filter(COMPUTING.fullmatch, now)])} versions"])]
    texts = [f"{name} {recorded.get(name, 'absent')} → {now.get(name, 'absent')}" for name in others[:MOST_LISTED]]
    texts += [f"{len(others) - MOST_LISTED} more"] if len(others) > MOST_LISTED else []
    count = f"{len(recorded.keys() - set(computing))} versions"
    rows.append(_row("other packages", count, ", ".join(texts) or count, MINOR))
    if len({start["packages"] for start in original.starts}) > 1:
        rows.append(Row("packages while it was trained", "changed when it was resumed", "–", NO))
    return rows


def _condition_row(original: Original, current: Conditions, name: str) -> Row:
    recorded = _recorded(original.starts, name)
    return _row(LABELS[name], recorded, str(current[name]), MINOR if name == "python" else NO)


def _recorded(starts: Sequence[Conditions], name: str, shown: int | None = None) -> str | None:
    """Return a recorded condition; its values one after the other, if the run was resumed under others."""
    values = dict.fromkeys(str(start[name])[:shown] for start in starts if name in start)
    return " then ".join(values) or None
