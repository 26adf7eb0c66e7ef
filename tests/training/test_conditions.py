from __future__ import annotations

import importlib
import json

import pytest

from prenda.errors import UserError
from prenda.training import conditions
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE


def test_a_start_under_other_conditions_is_added(tmp_path, monkeypatch):
    config = configured(*TINY, *DENSE)
    first = conditions.current(config, "cpu", 1, 1)
    assert first["variables"] == "none"
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    second = conditions.current(config, "cpu", 1, 2)
    for start in (first, first, second):
        conditions.add(tmp_path, start)
    assert conditions.read(tmp_path / conditions.FILE) == [first, second]
    assert (second["threads"], second["variables"]) == (2, "MKL_CBWR=AVX2")


def test_the_source_of_a_backbone_of_ones_own_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    config = configured(*TINY, *DENSE, "backbone._target_=own_nets.net.Net")
    digests = [conditions.source_digest(configured(*TINY, *DENSE)), conditions.source_digest(config)]
    (tmp_path / "own_nets").mkdir()  # without __init__.py
    importlib.invalidate_caches()
    for text in ("a = 1", "a = 2"):
        (tmp_path / "own_nets/net.py").write_text(text)
        digests.append(conditions.source_digest(config))
    assert len(set(digests)) == 3
    assert digests[0] == digests[1]  # a package that is not there


@pytest.mark.parametrize("content", ["[", "3", json.dumps([1])])
def test_a_damaged_file_is_told(content, tmp_path):
    path = tmp_path / conditions.FILE
    path.write_text(content)
    with pytest.raises(
        UserError, match=r"conditions\.json is damaged \(.*\): restore the file as the run wrote it, or"
    ):
        conditions.read(path)
