from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prenda.cli import _guarded, _parser, main
from prenda.data.datasets import names
from tests.conftest import TINY

HEAVY = {"torch", "numpy", "mlflow", "pytorch_lightning", "matplotlib", "scipy", "onnxruntime", "optuna", "hydra"}


def commands(parser: argparse.ArgumentParser) -> list[list[str]]:
    """The words of every command that a parser knows, its actions' too."""
    choices = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = {name: sub for named in choices for name, sub in named.items()}
    return [[], *([name, *words] for name, sub in below.items() for words in commands(sub))]


@pytest.mark.parametrize("command", commands(_parser()), ids=" ".join)
def test_help_imports_nothing_heavy(command):
    allowed = {"hydra"} if command == ["train"] else set()  # its help is the Hydra application's own
    script = (
        "import sys\nfrom prenda.cli import main\n"
        f"try:\n    main([*{command}, '--help'])\nexcept SystemExit:\n    pass\n"
        f"heavy = {HEAVY - allowed} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"prenda {' '.join(command)}".strip() in done.stdout


def test_train_help_explains_groups_and_shows_examples(prenda):
    printed = prenda("train", "--help").stdout
    assert "backbone: cnn, cnn_batch_norm, dense, resnet, resnet9, torchvision" in printed
    assert "trainer: auto, cpu, ddp, ddp_cpu, gpu, mps" in printed
    assert "prenda train -m backbone=dense,cnn seed=0,1,2" in printed


def test_cfg_job_prints_the_settings_without_running(prenda, tmp_path):
    done = prenda("train", "--cfg", "job", "backbone=dense")
    assert "_target_: prenda.backbones.dense.DenseNetwork" in done.stdout
    assert not (tmp_path / "home").exists()


def test_tab_completion_offers_groups_and_their_files(tmp_path):
    """The script that README has one install, asked as bash asks it when Tab is pressed."""
    (tmp_path / "prenda").write_text(f'#!/bin/sh\nexec {sys.executable} -m prenda "$@"\n')
    (tmp_path / "prenda").chmod(0o755)

    def press_tab(line: str) -> list[str]:
        words = len(line.split(" ")) - 1
        script = (
            'eval "$(prenda train -sc install=bash)"; complete -p prenda >&2\n'
            f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_CWORD={words}\n"
            'hydra_bash_completion; printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=60)
        assert "-F hydra_bash_completion prenda" in done.stderr
        return done.stdout.split()

    assert press_tab("prenda ") == ["train", "resume", "evaluate", "compare", "promote", "models", "data", "ui"]
    assert "backbone=" in press_tab("prenda train back")
    assert press_tab("prenda train backbone=d") == ["backbone=dense"]
    assert "trainer.epochs=" in press_tab("prenda train backbone=dense trainer.ep")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("backbnoe=dense", "Could not override 'backbnoe'"),
        ("optimizer.lrr=1", "Key 'lrr' is not in struct"),
        ("data.colour=3", "Key 'colour' not in 'DataConfig'"),
        ("trainer.epochs=many", "Value 'many' of type 'str' could not be converted to Integer"),
        ("backbone=lstm", "Could not find 'backbone/lstm'"),
    ],
)
def test_a_wrong_override_is_refused_by_name(prenda, override, told):
    done = prenda("train", override)
    assert done.returncode == 2
    assert told in done.stderr
    assert override.split("=")[0].rpartition(".")[2] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_that_cannot_work_is_told_in_one_line(prenda):
    done = prenda("train", *TINY, "backbone=cnn", "backbone.filters=[8,8,8,8,8]")
    assert done.returncode == 2
    assert (
        "prenda: backbone.filters is [8, 8, 8, 8, 8]: nothing is left of images of 28x28 after stage 4" in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_an_error_that_is_not_the_users_keeps_its_traceback():
    with pytest.raises(ValueError, match="invalid literal"):
        _guarded(lambda: int("a library's own"))


def test_a_full_disk_is_told_with_what_to_do(capsys):
    def full() -> int:
        raise OSError(28, "No space left on device")

    assert _guarded(full) == 1
    assert "No space left on device: make room on the disks of outputs/, mlruns/" in capsys.readouterr().err


def test_data_show_writes_a_picture(tmp_path, capsys):
    picture = tmp_path / "samples.png"
    assert main(["data", "show", "generated", "--output", str(picture)]) == 0
    assert capsys.readouterr().out.strip() == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_data_show_refuses_more_samples_than_there_are(capsys):
    assert main(["data", "show", "generated", "--samples", "5000"]) == 2
    assert "--samples is 5000: give at least 1 and at most 200" in capsys.readouterr().err


def test_data_fetch_says_what_is_there(capsys):
    assert main(["data", "fetch", "generated"]) == 0
    assert "generated: 2,000 training and 500 test images of 10 classes, verified" in capsys.readouterr().out


def test_data_of_an_unknown_name_is_refused(capsys):
    assert main(["data", "fetch", "imagenet"]) == 2
    assert f"data.name is 'imagenet': choose one of {', '.join(names())}." in capsys.readouterr().err


def test_commands_work_from_any_folder(prenda, tmp_path):
    done = prenda("train", *TINY)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "home" / "outputs").rglob("best.ckpt"))) == 1
    assert [path.name for path in Path(tmp_path).iterdir()] == ["home"]


def test_multirun_trains_each_combination(prenda, tmp_path):
    done = prenda("train", "-m", *TINY, "backbone=dense", "backbone.units=[8],[16]")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "home" / "outputs" / "sweeps").rglob("best.ckpt"))) == 2


def test_ui_refuses_a_port_in_use(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 2
    assert f"--port is {port}, which cannot be used on 127.0.0.1" in capsys.readouterr().err
