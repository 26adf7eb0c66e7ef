from __future__ import annotations

import own_photos
from tests.prediction.bundles import COLORS, photo


def photos(folder, count):
    for garment in COLORS:
        for number in range(count):
            photo(folder / garment.replace("/", "-") / f"{number}.jpg", garment)
    return folder


def test_a_draw_takes_at_most_half_and_scores_on_all_others(tmp_path):
    own_photos.choose(photos(tmp_path / "photos", 12), 20, 0, tmp_path / "drawn")
    counts = {
        split: len(list((tmp_path / "drawn" / split / "Bag").iterdir())) for split in ("train", "validation", "test")
    }
    assert counts == {"train": 5, "validation": 1, "test": 6}
    assert len({path.name for path in tmp_path.glob("drawn/*/Bag/*")}) == 12


def test_the_table_has_means_over_draws(tmp_path, monkeypatch, capsys):
    accuracies = iter([0.9, 0.94])
    monkeypatch.setattr(own_photos, "train", lambda *_: own_photos.Draw(next(accuracies), 30.0))
    arguments = ["--photos", photos(tmp_path, 4), "--shop", "bundle", "--each", 2, "--draws", 2, "trainer.threads=1"]
    assert own_photos.main(list(map(str, arguments))) == 0
    assert "2 photos a class, draw 1: 94.00% in 30 s" in (printed := capsys.readouterr().out)
    assert [cell.strip() for cell in printed.splitlines()[-1].split("|")[1:-1]] == ["2", "92.0%", "2.0%", "30"]
