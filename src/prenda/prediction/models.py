"""Choice of the bundle that answers: the champion, the newest run, or one that is named."""

from __future__ import annotations

import json
from pathlib import Path

from prenda.bundle import champions
from prenda.bundle.format import DESCRIPTION, UNREADABLE, Bundle, read
from prenda.config.paths import home
from prenda.errors import BundleError, UserError

CHAMPION = "champion"


def choose(model: str, scratch: Path) -> Bundle:
    """Return the bundle that answers, verified.

    `champion` is the newest champion on this machine's disk, else the bundle of the newest run. Among champions, and
    among runs, a model that learned from photos comes first. MLflow is imported only for a run that is named by its
    id or name, and after a promotion that was killed.

    Args:
        model: `champion`; the folder of a bundle or of a run; a checkpoint of a run; or a run's id or name.
        scratch: Folder for a bundle that MLflow holds and this machine's outputs do not.

    Raises:
        UserError: If there is none, or it is not for photos.
        BundleError: If it is damaged.
    """
    return for_photos(read(_default() if model == CHAMPION else _named(model, scratch)), model)


def for_photos(bundle: Bundle, model: str) -> Bundle:
    """Return a bundle that is for photos.

    Args:
        bundle: The bundle.
        model: Its name in the error.

    Raises:
        UserError: If its pictures are not made from photos.
    """
    if bundle.preparation is None:
        raise UserError(
            f"--model is {model!r}, but its pictures are not made from photos (data set {bundle.data['name']!r}): name "
            "a model of another data set, such as one that `prenda train data=fashion_mnist` trained."
        )
    return bundle


def _default() -> Path:
    if champions.is_promoted():
        from prenda.tracking.interrupted_promotion import settle

        settle()
    for newest_first in (champions.kept, _runs):
        if folders := newest_first():
            return next(filter(_learned_from_photos, folders), folders[0])
    raise UserError(
        f"--model is {CHAMPION!r}, but {home()} holds neither a champion nor a finished run: `make shop` trains a "
        "model on photos, or `prenda train` one on another data set; `--model FOLDER` names a bundle that is elsewhere."
    )


def _runs() -> list[Path]:
    """Return the bundles of the runs in outputs/runs, the newest first; only finished runs have one."""
    descriptions = (home() / "outputs" / "runs").glob(f"*/*/bundle/{DESCRIPTION}")
    return [path.parent for path in sorted(descriptions, key=lambda path: path.stat().st_mtime, reverse=True)]


def _learned_from_photos(folder: Path) -> bool:
    """Read only the description: a thousand runs take a second, and the chosen bundle is verified later."""
    try:
        return bool(json.loads((folder / DESCRIPTION).read_bytes())["preparation"]["kind"] == "pad")
    except (OSError, *UNREADABLE):
        return False


def _named(model: str, scratch: Path) -> Path:
    path = Path(model).expanduser()
    if path.is_file() and path.name == DESCRIPTION:
        return path.parent
    if path.is_file() and path.suffix == ".ckpt":
        path = path.parent.parent  # RUN/checkpoints/best.ckpt
    if not path.is_dir():
        return _recorded(model, scratch)
    folder = next((each for each in (path, path / "bundle") if (each / DESCRIPTION).is_file()), None)
    if folder is None:
        raise BundleError(
            f"--model is {model!r}, which holds no bundle: name the folder of a run that finished, or a bundle, which "
            f"is a folder with {DESCRIPTION}."
        )
    return folder


def _recorded(run: str, scratch: Path) -> Path:
    from prenda.tracking.lookup import bundle_of
    from prenda.tracking.store import store_address

    return bundle_of(store_address(), run, scratch)
