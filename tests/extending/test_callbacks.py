from __future__ import annotations

import pytest

from prenda.report.tables import read_history
from tests.conftest import TINY
from tests.extending.pages import copy_with


@pytest.mark.slow
def test_a_callback_takes_one_file_and_one_yaml(prenda, tmp_path):
    source = copy_with("callbacks.md", tmp_path / "copy")
    run = f"hydra.run.dir={tmp_path}/run"
    done = prenda("train", *TINY, "callbacks=[early_stopping,weight_norm]", run, PYTHONPATH=str(source))
    assert done.returncode == 0, done.stderr
    assert read_history(tmp_path / "run/metrics/metrics.csv")["val/weight_norm"][1] > 0
