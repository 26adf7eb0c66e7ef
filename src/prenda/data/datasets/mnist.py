"""MNIST: 70,000 grey handwritten digits (LeCun, Cortes and Burges)."""

from __future__ import annotations

from prenda.data.contract import CardText
from prenda.data.idx_files import IdxDataSet

DATA_SET = IdxDataSet(
    class_names=tuple("0123456789"),
    card=CardText(
        description="MNIST: handwritten digits, grey, centred, 28x28 pixels.",
        intended_use="Telling single handwritten digits apart, as an exercise and a reference. Not for reading whole "
        "numbers.",
    ),
    translations={"es": ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")},
    title="MNIST",
    checksums=(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)
