"""Reproduction of a recorded run: comparison of its record, training again, and comparison of the results."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from prenda.config.paths import home
from prenda.config.schema import PathsConfig, TrackingConfig, TrackingKind, TrainConfig
from prenda.errors import ConfigError, UserError
from prenda.report import terminal
from prenda.report.page import Table
from prenda.report.tables import write_json
from prenda.system.sqlite_address import artifact_folder
from prenda.tracking.records import REPRODUCED, REPRODUCES
from prenda.tracking.run_folder import CONFIG, is_finished
from prenda.tracking.store import store_address
from prenda.tracking.sync import add_tags
from prenda.training import conditions
from prenda.training.agreement import UNKNOWN, Agreement, Row, agreement, with_threads
from prenda.training.conditions import Conditions
from prenda.training.equality import BITS, DIFFERENT, ROUNDING, TOLERANCE, Part, Results, compare, verdict
from prenda.training.original import Original
from prenda.training.train import train

FOLDER = "reproductions"  # in outputs/
RESULT = "reproduction.json"  # in the folder of a reproduction whose result was compared


def reproduce(run: str, *, check: bool = False, data_dir: str | None = None, uri: str | None = None) -> bool:
    """Train a recorded run again, in a folder of its own, and say whether its result is the same.

    The original run is only read. An interrupted reproduction resumes.

    Args:
        run: Id, name, folder or checkpoint of a finished run.
        check: Compare the record of the run with the present, without training.
        data_dir: Folder of the data set; None takes the recorded one.
        uri: Address of the MLflow store or server; None takes MLFLOW_TRACKING_URI, else this project's own store.

    Returns:
        Whether the result is equal to the bit or within rounding; with `check`, whether all that is recorded and can
        decide the result agrees.

    Raises:
        UserError: If there is no such run, it did not finish, or it cannot be trained again here.
    """
    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        original = Original.find(store_address(uri), run, Path(scratch))
        config = _configuration(original, data_dir)
        agreed = agreement(original, config)
        _show_agreement(console, original, agreed)
        if agreed.refusals:
            raise UserError("\n".join(agreed.refusals))
        if check:
            print(_agreement_sentence(original, agreed))
            return not agreed.differing
        recorded = Results.read(original.file)
        folder = _folder(original, agreed.current)
        if not is_finished(folder):
            train(config, folder, tags={REPRODUCES: original.found.id or str(original.found.folder)})
        compared = compare(recorded, Results.read(lambda name: path if (path := folder / name).is_file() else None))
        _show_result(console, original, config, compared)
        _record(original, folder, agreed.rows, compared)
        print(_sentence(original, agreed, compared))
    return verdict(compared) != DIFFERENT


def _configuration(original: Original, data_dir: str | None) -> TrainConfig:
    """Return the recorded configuration with the folders of this machine, and a name and a record of its own.

    Raises:
        ConfigError: If this machine lacks the device of the run.
    """
    config = original.config
    outputs = home() / "outputs"
    paths = PathsConfig(str(home()), str(home() / "data"), str(outputs), str(home() / "mlruns"))
    recorded_dir = paths.data if config.data.dir == config.paths.data else config.data.dir
    config = replace(
        config,
        paths=paths,
        data=replace(config.data, dir=data_dir or recorded_dir),
        tracking=_tracking(original),
    )
    try:
        return with_threads(config, original.starts)
    except ConfigError as error:
        raise ConfigError(f"Run {original.name!r} cannot be trained on this machine: {error}") from error


def _tracking(original: Original) -> TrackingConfig:
    """Return where the reproduction is recorded: where the original was found, else where it was recorded."""
    tracking = replace(
        original.config.tracking,
        run_name=f"{original.name}-reproduced",
        command=f"prenda reproduce {original.found.paste}",
        parent=None,
    )
    if original.found.record is None:
        return tracking
    artifacts = artifact_folder(original.store, str(home() / "mlruns" / "artifacts"))
    return replace(tracking, kind=TrackingKind.mlflow, uri=original.store, artifacts=artifacts)


def _folder(original: Original, current: Conditions) -> Path:
    """Return the folder of a reproduction: that of an unfinished one under the same conditions, else a new one."""
    outputs = home() / "outputs" / FOLDER / original.key
    for folder in sorted(outputs.glob("*"), reverse=True):
        started = (folder / CONFIG).is_file() and not (folder / RESULT).is_file()
        if started and conditions.read(folder / conditions.FILE)[-1:] == [current]:
            return folder
    return outputs / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"


def _show_agreement(console: Console, original: Original, agreed: Agreement) -> None:
    rows = [(row.what, row.recorded, row.now, row.agrees) for row in agreed.rows]
    title = f"{original.name}: its record and the present"
    terminal.show_table(console, title, Table(("", "recorded", "now", "agrees"), rows))


def _show_result(console: Console, original: Original, config: TrainConfig, compared: Sequence[Part]) -> None:
    rows = [(part.what, part.recorded, part.again, _figure(part), part.where) for part in compared]
    title = f"{original.name} and {config.tracking.run_name}"
    terminal.show_table(console, title, Table(("", "recorded", "now", "largest difference", "where"), rows))


def _figure(part: Part) -> str:
    return "0" if part.same else f"{part.difference:.1e}"


def _record(original: Original, folder: Path, rows: Sequence[Row], compared: Sequence[Part]) -> None:
    """Write both tables and the verdict to the folder of the reproduction, and the verdict to its record."""
    content = {
        "run": original.found.id or str(original.found.folder),
        "verdict": verdict(compared),
        "tolerance": TOLERANCE,
        "record": [asdict(row) for row in rows],
        "result": [asdict(part) | {"verdict": part.verdict} for part in compared],
    }
    undelivered = add_tags(folder, {REPRODUCED: verdict(compared)})
    write_json(content, folder / RESULT)
    if undelivered is not None:
        print(f"prenda: {undelivered}", file=sys.stderr)


def _agreement_sentence(original: Original, agreed: Agreement) -> str:
    """Return the result of `--check` in words."""
    if agreed.differing:
        return f"The record of {original.name} differs from the present in {_names(agreed.differing)}."
    unknown = [row for row in agreed.rows if row.agrees == UNKNOWN]
    known = f" in all that it holds; it lacks {_names(unknown)}" if unknown else ""
    return f"The record of {original.name} agrees with the present{known}."


def _sentence(original: Original, agreed: Agreement, compared: Sequence[Part]) -> str:
    """Return the verdict in words."""
    result = verdict(compared)
    if result == BITS:
        return f"{original.name} is reproduced, {result}: {', '.join(part.what for part in compared)}."
    cause = f"The record differs from the present in {_names(agreed.differing)}" if agreed.differing else ""
    cause = cause or "No part of the record differs from the present"
    if result == ROUNDING:
        worst = max(compared, key=lambda part: part.difference)
        return (
            f"{original.name} is reproduced, {result}: nothing differs by more than {worst.difference:.1e} "
            f"({worst.what}), where {TOLERANCE:g} is allowed. {cause}."
        )
    parts = "; ".join(f"{part.what} ({part.where})" for part in compared if part.verdict == DIFFERENT)
    return f"{original.name} is not reproduced, the result is {result}: {parts}. {cause}."


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(row.what for row in rows)
