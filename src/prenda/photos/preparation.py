"""Description of how a photo becomes the pixels of a network. Needs the standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["pad", "thumbnail"]


@dataclass(frozen=True)
class Preparation:
    """Description of how a photo becomes the pixels of a network; `prenda.photos.prepare` carries it out.

    Attributes:
        kind: `pad` resizes the photo and pads it with white to a square, for networks that learned from photos.
            `thumbnail` repeats the steps by which Fashion-MNIST was made from photos: trim, resize the longest edge,
            centre, negate, grey (arXiv 1708.07747, section 2).
        size: Pixels a side of the result.
        channels: 1 (grey) or 3 (RGB).
        native: Pixels a side at which `thumbnail` carries out its steps, before the result is resized to `size`.
    """

    kind: Kind
    size: int
    channels: int
    native: int = 28

    def as_plain(self) -> dict[str, Any]:
        """Return the description as a mapping of plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Preparation:
        """Return the description that `as_plain` has written.

        Raises:
            ValueError: If a value is invalid; the text names it.
        """
        kind, channels = content["kind"], content["channels"]
        size, native = int(content["size"]), int(content["native"])
        if kind not in get_args(Kind) or channels not in (1, 3) or not 1 <= size <= 4096 or not 1 <= native <= 4096:
            raise ValueError(f"preparation {dict(content)} is invalid")
        return cls(kind, size, channels, native)
