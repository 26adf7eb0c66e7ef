"""The installation without torch, which `make serve-env` sets up: its size, its content, and its other commands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from prenda.config.paths import REPOSITORY
from tests.prediction.bundles import photo, write_bundle

SERVE = REPOSITORY / ".venv-serve"
MOST_MIB = 400
ABSENT = ("torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "mlflow", "scipy", "matplotlib", "pandas")
OTHERS = [["train"], ["resume", "x"], ["evaluate", "x"], ["compare", "x"], ["promote", "x"], ["models"], ["ui"]]

pytestmark = pytest.mark.skipif(
    Path(sys.prefix).name != ".venv-serve-test", reason="`make test-serve` sets up .venv-serve and tests it"
)


@pytest.fixture
def prenda(tmp_path):
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [SERVE / "bin/prenda", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def site_packages() -> Path:
    (folder,) = SERVE.glob("lib/python*/site-packages")
    return folder


def test_it_takes_at_most_400_mib():
    used = int(subprocess.run(["du", "-sm", SERVE], capture_output=True, text=True, check=True).stdout.split()[0])
    assert used <= MOST_MIB


def test_libraries_of_training_are_absent():
    assert not [name for name in ABSENT if (site_packages() / name).exists()]


def test_every_version_is_that_of_the_lock():
    lines = (REPOSITORY / "requirements.lock").read_text("utf-8").splitlines()
    locked = {normal(name): version for name, _, version in (line.partition("==") for line in lines if "==" in line)}
    folders = [path.name.removesuffix(".dist-info") for path in site_packages().glob("*.dist-info")]
    installed = {normal(name): version for name, _, version in (folder.partition("-") for folder in folders)}
    installed.pop("prenda")
    assert {name: locked.get(name) for name in installed} == installed


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_predict_answers_from_a_bundle(prenda, tmp_path):
    done = prenda("predict", photo(tmp_path / "a.jpg"), "--model", write_bundle(tmp_path / "model"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 photo: 1 answered" in done.stdout


@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command[0])
def test_another_command_says_in_a_line_what_is_missing_and_what_installs_it(prenda, command):
    done = prenda(*command)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert re.match(rf"prenda: the command {command[0]} needs the package \w+\. This installation", done.stderr)
    assert "pip install --constraint requirements.lock --editable '.[train]'" in done.stderr


def test_following_a_registry_names_the_extra_for_it(prenda):
    done = prenda("serve", "--tracking-uri", "http://127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install --constraint requirements.lock --editable '.[registry]'" in done.stderr


def test_each_library_is_named_once_in_pyproject():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    light = {normal(re.match(r"[\w-]+", line)[0]) for line in project["dependencies"]}
    heavy = {normal(re.match(r"[\w-]+", line)[0]) for line in project["optional-dependencies"]["train"]}
    assert not light & heavy
