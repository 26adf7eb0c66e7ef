from __future__ import annotations

import json
import os

import pytest

import overrides
from prenda.training.lightning_overrides import NVML_CHECK, IdleProfiler, ModelCheckpoint


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setenv("PRENDA_HOME", "nowhere")  # set back after the benchmark has set its own
    monkeypatch.setattr(overrides, "BLOCK", 5)
    monkeypatch.setattr(overrides, "SETTLE", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_each_override_has_a_row_for_each_network(tmp_path, capsys):
    asked = ["--rounds", "2", "--images", "1280", "--data", "generated", "--output", str(tmp_path)]
    assert overrides.main(asked) == 0
    content = json.loads((tmp_path / "overrides.json").read_text())
    table = (tmp_path / "overrides.md").read_text()
    assert table in capsys.readouterr().out
    for network in ("dense", "tiny"):
        assert content[network]["pairs"] == {"dense": 2, "tiny": 6}[network]
        assert content[network]["gains"].keys() == overrides.CHANGES.keys()
    assert all(table.count(f"| {name} ") == 2 for name in overrides.CHANGES)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_one_override_is_measured_alone_and_leaves_the_table(tmp_path, capsys):
    asked = ["--only", "nvml", "--networks", "tiny", "--rounds", "1", "--images", "1280", "--data", "generated"]
    assert overrides.main([*asked, "--output", str(tmp_path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "| tiny " in line]
    assert [row.split("|")[1].strip() for row in rows] == [overrides.NOTHING, "disable_nvml_check"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", overrides.CHANGES)
def test_a_change_is_undone(name, monkeypatch):
    def state() -> list[object]:
        return [
            dict(vars(IdleProfiler)),
            dict(vars(ModelCheckpoint)),
            dict(vars(overrides.LightningModule)),
            os.environ.copy(),
        ]

    monkeypatch.delenv(NVML_CHECK, raising=False)
    before = state()
    with overrides.CHANGES[name]():
        assert (state() == before) == (name == overrides.NOTHING)
    assert state() == before


def test_the_gain_of_a_dropped_override_is_what_it_would_save():
    (dropped, *_), (kept, *_) = overrides.DROPPED, overrides.KEPT
    switch = overrides.Switch([], 0)
    switch._blocks = [
        overrides.Block(name, changed, 110 if changed else 100, 0)
        for name in (dropped, kept)
        for changed in (True, False)
    ]
    assert switch.gains(kept, "cpu") == [10]
    assert switch.gains(dropped, "cpu") == [-10]
