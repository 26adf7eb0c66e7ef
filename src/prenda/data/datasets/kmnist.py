"""Kuzushiji-MNIST: 70,000 grey cursive Japanese characters (Clanuwat and others, arXiv 1812.01718)."""

from __future__ import annotations

from prenda.data.contract import CardText
from prenda.data.idx_files import IdxDataSet

DATA_SET = IdxDataSet(
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    card=CardText(
        description="Kuzushiji-MNIST: ten cursive Japanese characters from old books, grey, 28x28 pixels.",
        intended_use="Telling ten cursive characters apart, as an exercise and a reference. Not for reading old books.",
    ),
    title="KMNIST",
    # The checksums that torchvision publishes for the official .gz files.
    checksums=(
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    compressed=True,
)
