"""A short attack on a server with changed pictures; `hostile_clients` runs it for as long as one likes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.reliability import hostile_clients
from tests.reliability.hostile_clients import changed, pictures, write_model
from tests.server.process import serving
from tests.server.test_predict import kinds_of_photo


@pytest.mark.slow
def test_changed_pictures_are_answered_or_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    arguments = ("--model", str(write_model(tmp_path / "model")), "--keep-corrections", str(kept), "--max-body", "1")
    with serving(*arguments) as server:
        statuses = pictures(server, kept, iter(range(150)))

    assert statuses.total() == 150
    assert {200, 422} <= statuses.keys()


def test_a_missing_schemathesis_is_told_before_the_attack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(hostile_clients, "SCHEMATHESIS", tmp_path / "schemathesis")
    with pytest.raises(SystemExit):
        hostile_clients.main([])
    assert "pip install --constraint requirements.lock schemathesis" in capsys.readouterr().err


def test_changes_repeat_and_differ() -> None:
    content = kinds_of_photo()["plain.jpg"]
    results = [changed(random.Random(seed), content, content) for seed in (0, 1, 0)]

    assert results[0] == results[2] != content
    assert results[0] != results[1]
