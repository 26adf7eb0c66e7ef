"""Run or bundle that `init_from` names, whose weights a new run starts from. Needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prenda.bundle.format import DESCRIPTION, WEIGHTS, Bundle, checksum, read
from prenda.config import recorded
from prenda.config.schema import TrainConfig
from prenda.errors import AmbiguousRunError, ConfigError, TrackingError
from prenda.tracking.lookup import bundle_in, resolve
from prenda.tracking.run_folder import is_finished
from prenda.tracking.store import store_address

LAST = Path("checkpoints/last.ckpt")


def identified(config: TrainConfig, folder: Path | None = None) -> TrainConfig:
    """Return the configuration with `init_sha256`, the content of the weights that `init_from` names.

    The content decides the result, wherever it lies, so it belongs to the run's fingerprint. A run that resumes in its
    folder keeps the recorded content, and needs the source no more.

    Raises:
        ConfigError: If `init_from` names nothing that was trained, or its weights are not those of `init_sha256`.
    """
    if config.init_from is None:
        if config.init_sha256 is not None:
            raise ConfigError(f"init_sha256 is {config.init_sha256}, but init_from is null: give both or neither.")
        return config
    if folder is not None and (folder / LAST).is_file():
        earlier = recorded.load(folder / "config.yaml")
        if earlier.init_from == config.init_from and config.init_sha256 in (None, earlier.init_sha256):
            return replace(config, init_sha256=earlier.init_sha256)
    return replace(config, init_sha256=verified(config)[1])


def verified(config: TrainConfig) -> tuple[Bundle, str]:
    """Return the bundle that `init_from` names, and the SHA-256 of its weights.

    Raises:
        ConfigError: If there is none, or the SHA-256 is not `init_sha256`.
    """
    assert config.init_from is not None
    bundle = read(_bundle_folder(config.init_from, Path(config.paths.outputs)))
    sha256 = checksum(bundle.weights)
    if config.init_sha256 not in (None, sha256):
        raise ConfigError(
            f"init_sha256 is {config.init_sha256}, but {WEIGHTS} of init_from={config.init_from} has {sha256}: name "
            "the run or bundle that is meant, or leave init_sha256=null."
        )
    return bundle, sha256


def _bundle_folder(source: str, outputs: Path) -> Path:
    path = Path(source).expanduser()
    for folder in (path, path / "bundle", path.parent.parent / "bundle"):
        if path.exists() and (folder / DESCRIPTION).is_file():
            return folder
    if path.exists():
        raise ConfigError(
            f"init_from is {source!r}, where no bundle is: name the folder of a finished run, or of its bundle "
            f"(with {DESCRIPTION}). A run with report=none has none."
        )
    try:
        found = resolve(store_address(), source)
    except AmbiguousRunError as error:
        raise ConfigError(f"init_from is {source!r}, where one run is needed: {error}") from error
    except TrackingError as error:
        newest = _newest(source, outputs)
        if newest is None:
            raise ConfigError(
                f"init_from is {source!r}, but nothing of that name was trained here: name a finished run (its folder, "
                "id or name; `prenda runs` lists them), the folder of a bundle, or an experiment. `make shop` trains "
                "the runs that init_from=shop finds."
            ) from error
        return newest
    recorded_bundle = bundle_in(store_address(), found, outputs)
    if recorded_bundle is None:
        raise ConfigError(
            f"init_from is {source!r}, a run without bundle: name one that finished with report=full or report=light; "
            f"`prenda export {found.paste} --to FOLDER` makes a bundle that init_from takes."
        )
    return recorded_bundle


def _newest(name: str, outputs: Path) -> Path | None:
    """Return the bundle of the newest finished run of this name, or of this experiment (`NAME-…`); None without one."""
    for folder in sorted(outputs.glob("runs/*/*"), reverse=True):  # named by date and time
        if (folder / "bundle" / DESCRIPTION).is_file() and is_finished(folder):
            run_name = _name(folder)
            if run_name == name or run_name.startswith(f"{name}-"):
                return folder / "bundle"
    return None


def _name(folder: Path) -> str:
    """Return the name of the folder's run; empty if this version cannot read it."""
    try:
        return recorded.load(folder / "config.yaml").tracking.run_name or ""
    except ConfigError:
        return ""
