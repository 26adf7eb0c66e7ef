"""Every file and command of docs/extending/backbones.md, taken literally."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prenda.config.paths import REPOSITORY
from tests import forked

PAGE = REPOSITORY / "docs" / "extending" / "backbones.md"
INSIDE, OUTSIDE = "In this repository", "Outside this repository"
# The least that trains, added to the page's commands: generated images, one epoch, no MLflow.
TINY = "data=generated data.limit_train=200 trainer=cpu trainer.epochs=1 tracking=offline report=light"


def blocks(section: str, language: str) -> list[str]:
    """The fenced blocks of a language in a section of the page."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository's code and configuration."""
    for folder in ("src", "conf"):
        shutil.copytree(
            REPOSITORY / folder, tmp_path / "checkout" / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path / "checkout"


def write_files(section: str, folder: Path) -> None:
    """Puts each file of a section where its first line says."""
    for content in [*blocks(section, "python"), *blocks(section, "yaml")]:
        path = folder / content.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


# Stands for `prenda` where bash runs a page's commands: it notes what it was given.
NOTES = """#!{python} -IS
import json, os, sys
with open({file!r}, "a") as file:
    print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]), file=file)
"""


def type_commands(script: str, checkout: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the commands as bash gives them to the copy's prenda, up to the first that fails; returns the last."""
    program, noted = checkout / "bin" / "prenda", checkout / "commands"
    program.parent.mkdir(exist_ok=True)
    program.write_text(NOTES.format(python=sys.executable, file=str(noted)), encoding="utf-8")
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=environment, check=True, timeout=240)
    for arguments, where, given in map(json.loads, noted.read_text(encoding="utf-8").splitlines()):
        path = os.pathsep.join([f"{checkout}/src", *filter(None, [given.get("PYTHONPATH")])])
        done = forked.run([*arguments, *TINY.split()], cwd=where, env=given | {"PYTHONPATH": path})
        if done.returncode:
            break
    return done


def trained_parameters(home: Path) -> list[int]:
    """The number of parameters of each scored run, in the order of training."""
    scores = sorted(home.glob("outputs/runs/*/*/scores.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text(encoding="utf-8"))["parameters"] for path in scores]


@pytest.mark.slow
def test_a_backbone_in_the_repository_is_two_files_and_one_command(checkout, tmp_path):
    write_files(INSIDE, checkout)
    (commands,) = blocks(INSIDE, "sh")
    done = type_commands(commands, checkout, checkout)
    assert done.returncode == 0, done.stderr
    assert trained_parameters(tmp_path / "home") == [7850, 7840]  # with the bias, and without
    assert len(list((tmp_path / "home").rglob("model.onnx"))) == 2


@pytest.mark.slow
def test_a_backbone_outside_the_repository_is_importable_and_trusted(checkout, tmp_path):
    own = tmp_path / "own"
    write_files(OUTSIDE, own)
    (commands,) = blocks(OUTSIDE, "sh")
    done = type_commands(commands, checkout, own)
    assert done.returncode == 0, done.stderr
    assert trained_parameters(tmp_path / "home") == [784 * 32 + 32 + 32 * 10 + 10]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "told"), [("PRENDA_TRUSTED_TARGETS", "PRENDA_TRUSTED_TARGETS"), ("PYTHONPATH", "my_shop")]
)
def test_a_backbone_outside_the_repository_needs_both_variables(checkout, tmp_path, missing, told):
    own = tmp_path / "own"
    write_files(OUTSIDE, own)
    (commands,) = blocks(OUTSIDE, "sh")
    without = "\n".join(line for line in commands.splitlines() if not line.startswith(f"export {missing}="))
    assert without != commands.rstrip()
    done = type_commands(without, checkout, own)
    assert done.returncode == 2
    assert told in done.stderr
    assert trained_parameters(tmp_path / "home") == []
