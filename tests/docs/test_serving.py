"""Examples of docs/serving.md. `tests/cluster/test_proxies.py` runs those of reverse proxies."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from prenda.config.paths import REPOSITORY
from prenda.server.metrics import Metrics
from tests.docs.documents import FENCE

PAGE = (REPOSITORY / "docs/serving.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = (match["text"] for match in FENCE.finditer(PAGE) if match["language"] == language)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path):
    program = tmp_path / "prenda"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "prenda.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program}", block("ini"), flags=re.M))
    command = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_metric_that_the_page_names_is_served():
    served = set(re.findall(r"^# TYPE (\S+)", Metrics().text().decode(), re.M))
    named = set(re.findall(r"\bprenda_[a-z_]+", PAGE))
    assert named
    assert {re.sub(r"_bucket$", "", name) for name in named} <= served


def test_alerts_are_rules_with_an_expression():
    (group,) = yaml.safe_load(block("yaml"))["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [
        "PrendaFails",
        "PrendaRefusesChampion",
        "PrendaUnsureMore",
        "PrendaTypeShareMoved",
    ]
    assert all(rule["expr"] for rule in group["rules"])
