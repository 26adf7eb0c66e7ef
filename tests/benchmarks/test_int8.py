from __future__ import annotations

import int8
from tests.prediction.bundles import COLORS, photo, write_bundle


def test_float32_and_int8_are_compared(tmp_path, capsys):
    for garment in COLORS:
        photo(tmp_path / "photos" / garment.replace("/", "-") / "a.jpg", garment)
    names = [garment.replace("/", "-") for garment in COLORS]
    bundle = write_bundle(tmp_path / "bundle", class_names=names, labels={"en": names})
    folder = str(tmp_path / "photos")
    assert int8.main(["--bundle", str(bundle), "--calibrate", folder, "--photos", folder]) == 0
    rows = [line.split("|")[1:4] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["float32", "100.00%", "100.00%"],
        ["int8", "100.00%", "100.00%"],
    ]
