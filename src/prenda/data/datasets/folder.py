"""A shop's own labelled photos: `data.dir` has a sub-folder for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prenda.config.paths import home
from prenda.data.contract import CardText
from prenda.data.photo_files import PhotoDataSet
from prenda.errors import DataError


@dataclass(frozen=True)
class Folder(PhotoDataSet):
    """Photos in the sub-folders of `data.dir`."""

    def folder(self, data_dir: Path) -> Path:
        """Return `data_dir` itself.

        Raises:
            DataError: If it is the folder of prenda's own files: `data.dir` was not given.
        """
        if data_dir.resolve() in (home(), home() / "data"):
            raise DataError(
                f"data.dir is {data_dir}, the folder of prenda's own files: give data.dir=… the folder of your photos, "
                "which has a sub-folder for each class."
            )
        return data_dir


DATA_SET = Folder(
    class_names=(),  # those of the folders
    card=CardText(
        description="Photos from a folder of the person who trained the model, labelled by its sub-folders.",
        intended_use="Sorting photos like those that it was trained on, where a person sees the unsure ones. Not for "
        "any decision about a person.",
        limits=(
            "Its scores are those of photos from the same folder: another camera, background or shop may score lower.",
        ),
    ),
)
