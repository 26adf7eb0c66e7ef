"""Corrections: photos with the type that a person gave them, in the layout that `data=folder` trains on."""

from __future__ import annotations

import hashlib
import io
import logging
import unicodedata
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from PIL import Image

from prenda.errors import PhotoError
from prenda.photos.decode import decode
from prenda.photos.resize import resize_longest
from prenda.prediction.names import RESERVED, folder_names
from prenda.server.model import Model
from prenda.server.options import MIB, Options
from prenda.server.refusals import RefusedError
from prenda.system.atomic_write import write_atomically

LOGGER = logging.getLogger("prenda")
LONGEST_SIDE = 2048  # pixels of a kept photo; networks are trained on fewer
QUALITY = 95  # of its JPEG
LONGEST_TYPE = 60  # characters
PUNCTUATION = " -_'&+"
SPLIT_FOLDERS = ("train", "validation", "val", "valid", "test")  # `data=folder` reads these as splits
EXTENSION = ".jpg"


class Kept(NamedTuple):
    """A correction that was kept.

    Attributes:
        type: The type's name, as the folder bears it.
        photo: Hash of the photo's pixels, which is its name.
        moved_from: Type that an earlier correction had given it; None if there is none.
    """

    type: str
    photo: str
    moved_from: str | None


class Corrections:
    """A folder with one sub-folder for each type. Photos are written without metadata, upright, as JPEG.

    A photo is known by its pixels: sent again it is kept once, and with another type it moves there.

    Args:
        folder: The folder; it is made when the first correction comes.
        options: Limits of disk space and of a photo's pixels.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder, self._options = folder, options

    def keep(self, photo: bytes, given: str, model: Model) -> Kept:
        """Keep a photo under a type.

        Args:
            photo: A picture file.
            given: A class of the model, its label in any language, or a new type.
            model: The model that answers.

        Raises:
            RefusedError: If the type is no name, the photo cannot be read, the disk space is used up, or the folder
                cannot be written.
        """
        kind = _folder(given, model)
        name, content = self._written(photo)
        try:
            return self._place(kind, name, content)
        except OSError as error:
            LOGGER.error("prenda: a correction was not kept: %s", error)
            raise RefusedError("not_kept") from None

    def _place(self, kind: str, name: str, content: bytes) -> Kept:
        """Write a new photo, or move an earlier one to its type."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock"):
            kind = next((each for each in self._types() if each.casefold() == kind.casefold()), kind)
            target = self._folder / kind / name
            earlier = next((path for each in self._types() if (path := self._folder / each / name).is_file()), None)
            if earlier is None:
                self._check_room(len(content))
            target.parent.mkdir(exist_ok=True)
            if earlier is None:
                write_atomically(target, content)
            elif earlier != target:
                earlier.replace(target)
                if not any(earlier.parent.iterdir()):  # `data=folder` refuses a class without photos
                    earlier.parent.rmdir()
        moved_from = None if earlier in (None, target) else earlier.parent.name
        return Kept(kind, name.removesuffix(EXTENSION), moved_from)

    def tidy(self) -> None:
        """Delete what a killed server had begun: unfinished files, and folders without photos.

        `data=folder` refuses a class without photos.

        Raises:
            OSError: If the folder cannot be written.
        """
        if not self._folder.is_dir():
            return
        with FileLock(self._folder / ".lock"):
            for kind in self._types():
                for unfinished in (self._folder / kind).glob(f"*{EXTENSION}.part"):
                    unfinished.unlink()
                if not any((self._folder / kind).iterdir()):
                    (self._folder / kind).rmdir()

    def _types(self) -> list[str]:
        return [path.name for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith(".")]

    def _written(self, photo: bytes) -> tuple[str, bytes]:
        """Return the name and content of the file; encoded anew, it has no EXIF and nothing after the photo."""
        try:
            image = decode(photo, draft=LONGEST_SIDE, most_pixels=self._options.max_pixels).image
        except PhotoError as error:
            raise RefusedError("unreadable_photo", en=str(error), es=error.message.es) from None
        if max(image.size) > LONGEST_SIDE:
            image = resize_longest(image, LONGEST_SIDE)
        digest = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()[:32]
        return digest + EXTENSION, _jpeg(image)

    def _check_room(self, size: int) -> None:
        used = sum(path.stat().st_size for path in self._folder.glob(f"*/*{EXTENSION}"))
        if used + size > self._options.keep_at_most * MIB:
            raise RefusedError("no_room", limit=self._options.keep_at_most)


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _folder(given: str, model: Model) -> str:
    """Return the folder's name of a type, which may be the label of a class in any language.

    Raises:
        RefusedError: If it is no name of a type.
    """
    name = unicodedata.normalize("NFC", given).strip()
    classes = model.bundle.class_names
    for place, folder in enumerate(folder_names(classes)):
        if name.casefold() in {text.casefold() for text in (classes[place], folder, *model.labels[place].values())}:
            return folder
    spelled = all(character.isalnum() or character in PUNCTUATION for character in name)
    if not (spelled and len(name) <= LONGEST_TYPE and any(map(str.isalnum, name))):
        raise RefusedError("wrong_type")
    if name.casefold() in {*RESERVED, *SPLIT_FOLDERS}:
        raise RefusedError("wrong_type")
    return name
