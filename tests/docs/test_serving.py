"""Examples of docs/serving.md, checked by the programs that they are for; a program that is absent skips its test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from prenda.config.paths import REPOSITORY
from prenda.server.metrics import Metrics
from tests.docs.documents import FENCE

PAGE = (REPOSITORY / "docs/serving.md").read_text("utf-8")
SYSTEM_PROGRAMS = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])


def block(language: str) -> str:
    (found,) = (match["text"] for match in FENCE.finditer(PAGE) if match["language"] == language)
    return found


def check(*command: str | Path) -> None:
    program = shutil.which(command[0], path=SYSTEM_PROGRAMS)
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_systemd_takes_the_unit(tmp_path):
    program = tmp_path / "prenda"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "prenda.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={program}", block("ini"), flags=re.M))
    check("systemd-analyze", "verify", "--man=no", unit)


def test_nginx_takes_its_configuration(tmp_path):
    site = re.sub(r"listen 443 ssl;|^ +ssl_certificate.*$", "", block("nginx"), flags=re.M)  # needs a certificate
    server = site.replace("server {", "server { listen 127.0.0.1:8080;", 1)
    whole = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {server} }}"
    (tmp_path / "nginx.conf").write_text(whole)
    check("nginx", "-t", "-q", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf")


def test_caddy_takes_its_configuration(tmp_path):
    (tmp_path / "Caddyfile").write_text(block("caddyfile"))
    check("caddy", "adapt", "--config", tmp_path / "Caddyfile", "--validate")


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
