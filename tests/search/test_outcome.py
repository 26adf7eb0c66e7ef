from __future__ import annotations

from pathlib import Path

import pytest

from prenda.search.outcome import read_outcome
from prenda.tracking.run_folder import STATUS

TRACEBACK = """Traceback (most recent call last):
  File "first.py", line 1, in <module>
    first()
OSError: the cause

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "second.py", line 2, in second
    raise ValueError(text)
    ^^^^^^^^^^^^^^^^^^^^^^
ValueError: training diverged
with a second line
Run folder: /a/folder
The MLflow record is incomplete: no answer
"""


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        (TRACEBACK, "ValueError: training diverged"),
        ("prenda.errors.UserError: no traceback\n", "prenda.errors.UserError: no traceback"),
        ("", "no traceback was recorded"),
    ],
)
def test_a_failure_is_told_by_its_error_and_not_by_a_note(tmp_path: Path, recorded, told):
    (tmp_path / STATUS).write_text("FAILED")
    (tmp_path / "error.txt").write_text(recorded)
    outcome = read_outcome(tmp_path, ["val/accuracy"])
    assert (outcome.state, outcome.note) == ("failed", told)
