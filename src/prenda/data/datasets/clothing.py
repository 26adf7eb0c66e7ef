"""Clothing dataset, small: 3,781 photos of garments in ten classes (Alexey Grigorev and others, CC0)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prenda.data.contract import CardText
from prenda.data.photo_archive import fetch_archive
from prenda.data.photo_files import PhotoDataSet
from prenda.data.photo_index import Indexed
from prenda.data.photo_layout import Labelled
from prenda.errors import DataError

TITLE = "clothing-dataset-small"
COMMIT = "11961516512414bf9f6c150a832cfd21b54a6b54"
ARCHIVE = f"https://codeload.github.com/alexeygrigorev/{TITLE}/tar.gz/{COMMIT}"
FOLDERS = ("clothing", TITLE, f"{TITLE}-master")  # the first one is where the archive is unpacked
ARCHIVES = tuple(f"{name}{suffix}" for name in (TITLE, f"{TITLE}-master") for suffix in (".tar", ".tar.gz", ".zip"))
# SHA-256 of the lines `SHA-256 of the file, two spaces, split/class/name` of all photos, sorted by name.
CONTENT = "f8667cfe4a397f1be854d7d6c56118e4eaf6e9654ac37940e443dec3b4e55721"


@dataclass(frozen=True)
class Clothing(PhotoDataSet):
    """The photos with their official split, in `data.dir` as a folder or an archive, or fetched from GitHub."""

    def folder(self, data_dir: Path) -> Path:
        """Return the folder of the photos: the first of FOLDERS that is there."""
        present = [data_dir / name for name in FOLDERS if (data_dir / name).is_dir()]
        return present[0] if present else data_dir / FOLDERS[0]

    def fetch(self, data_dir: Path) -> None:
        """Unpack the archive, from `data_dir` or from GitHub, unless the photos are there.

        Raises:
            DataError: If the archive is not available or damaged.
        """
        if not self.folder(data_dir).is_dir():
            fetch_archive(data_dir / FOLDERS[0], [data_dir / name for name in ARCHIVES], ARCHIVE, TITLE)

    def verify(self, folder: Path, files: Sequence[Labelled], indexed: Sequence[Indexed]) -> None:
        """Raise DataError unless the photos are the official ones, by name and content."""
        names = sorted((file.name, one.digest) for file, one in zip(files, indexed, strict=True))
        content = hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in names).encode()).hexdigest()
        if content != CONTENT:
            raise DataError(
                f"data.dir is {folder.parent}, where the {len(files):,} files in {folder.name}/ are not those of "
                f"{TITLE} (SHA-256 {content[:12]}…, not {CONTENT[:12]}…). Remove {folder}, and `prenda data fetch "
                "clothing` brings it again. For photos of your own, use data=folder."
            )


DATA_SET = Clothing(
    class_names=("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"),
    card=CardText(
        description="Clothing dataset, small: 3,781 photos of single garments in the ten most frequent of its classes, "
        "taken by volunteers (Alexey Grigorev and others, CC0).",
        intended_use="Sorting photos of single garments into ten types, where a person sees the unsure ones. Not for "
        "pictures of people wearing clothes, for several articles in one picture, or for any decision about a person.",
        limits=(
            "Its training photos show garments that lie flat or hang, most of them on a plain background. On worn "
            "garments its accuracy is far lower.",
            "It has no class for bags, sandals, jewellery or underwear.",
            "Volunteers took all the photos, most of the validation photos by the same people as training photos: "
            "photos of a shop score lower.",
        ),
    ),
    content_is_fixed=True,
    translations={
        "en": (
            "dress",
            "hat",
            "long sleeve",
            "outerwear",
            "pants",
            "shirt",
            "shoes",
            "shorts",
            "skirt",
            "T-shirt",
        ),
        "es": (
            "vestido",
            "sombrero",
            "camiseta de manga larga",
            "ropa de abrigo",
            "pantalón",
            "camisa",
            "zapatos",
            "pantalón corto",
            "falda",
            "camiseta",
        ),
    },
)
