from __future__ import annotations

import argparse
import errno
import os
import platform
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from omegaconf import OmegaConf

from prenda import __version__, cli
from prenda.cli import _parser, main
from prenda.config.schema import TrainConfig
from prenda.data.datasets import names
from prenda.errors import DataError
from tests.conftest import TINY

OFFERED = [
    "train",
    "resume",
    "runs",
    "sync",
    "evaluate",
    "reproduce",
    "compare",
    "promote",
    "export",
    "models",
    "predict",
    "serve",
    "data",
    "ui",
]
HEAVY = {"torch", "numpy", "mlflow", "pytorch_lightning", "matplotlib", "scipy", "onnxruntime", "optuna", "hydra"}


def commands(parser: argparse.ArgumentParser) -> list[list[str]]:
    """The words of every command that a parser knows, its actions' too."""
    choices = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = {name: sub for named in choices for name, sub in named.items()}
    return [[], *([name, *words] for name, sub in below.items() for words in commands(sub))]


@pytest.mark.slow
def test_help_imports_nothing_heavy():
    """One process shows the help of every command, `train` last: its help is the Hydra application's own."""
    every = sorted(commands(_parser()), key=lambda words: words == ["train"])
    script = (
        "import sys\nfrom prenda.cli import main\n"
        f"for command in {every}:\n"
        "    print('HELP', *command, flush=True)\n"
        "    try:\n        main([*command, '--help'])\n    except SystemExit:\n        pass\n"
        "    allowed = {'hydra'} if command == ['train'] else set()\n"
        f"    heavy = ({HEAVY} - allowed) & set(sys.modules)\n"
        "    assert not heavy, (command, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.split("HELP")[1:]
    assert len(shown) == len(every) > 12
    for words, text in zip(every, shown, strict=True):
        assert f"prenda {' '.join(words)}".strip() in text


@pytest.mark.slow
def test_train_help_explains_groups_and_shows_examples(prenda):
    printed = prenda("train", "--help").stdout
    assert "dense            Fully connected network on the flattened image" in printed
    assert "mps              The GPU of an Apple computer" in printed
    assert "prenda train -m backbone=dense,cnn seed=0,1,2" in printed


def test_cfg_job_prints_the_settings_without_running(prenda, tmp_path):
    done = prenda("train", "--cfg", "job", "backbone=dense")
    assert "_target_: prenda.backbones.dense.DenseNetwork" in done.stdout
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_tab_completion_offers_groups_and_their_files(tmp_path):
    """The script that README has one install, asked as bash asks it when Tab is pressed."""
    (tmp_path / "prenda").write_text(f'#!/bin/sh\nexec {sys.executable} -m prenda "$@"\n')
    (tmp_path / "prenda").chmod(0o755)
    empty = tmp_path / "empty"
    empty.mkdir()

    def press_tab(line: str) -> list[str]:
        words = len(line.split(" ")) - 1
        script = (
            'eval "$(prenda train -sc install=bash)"; complete -p prenda >&2\n'
            f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_CWORD={words}\n"
            'hydra_bash_completion; printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(  # in a folder without files, which it would offer too
            ["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=60, cwd=empty
        )
        assert "-F hydra_bash_completion prenda" in done.stderr
        return done.stdout.split()

    assert press_tab("prenda ") == OFFERED
    assert press_tab("prenda evaluate --da") == ["--data-dir"]
    assert set(OFFERED).isdisjoint(press_tab("prenda evaluate "))
    assert "backbone=" in press_tab("prenda train back")
    assert press_tab("prenda train backbone=d") == ["backbone=dense"]
    assert "trainer.epochs=" in press_tab("prenda train backbone=dense trainer.ep")


def test_a_wrong_override_is_refused_in_one_sentence(prenda):
    done = prenda("train", "optimizer.lrr=1")
    assert done.returncode == 2
    assert done.stderr.startswith("prenda: There is no setting optimizer.lrr (optimizer.lrr=1). Did you mean optimizer")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [[], ["-m", "seed=0,1"]], ids=["run", "sweep"])
def test_a_group_that_a_plus_would_add_is_refused(words, capsys, tmp_path):
    assert main(["train", *words, *TINY, "+backbon=cnn"]) == 2
    assert capsys.readouterr().err.startswith(
        "prenda: There is no setting backbon (+backbon=cnn). Did you mean backbone?"
    )
    assert not list((tmp_path / "home").rglob("environment.txt"))  # with which the record of a run begins


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["-m"]], ids=["run", "sweep"])
def test_a_setting_that_cannot_work_is_told_in_its_own_lines_alone(words, capfd):
    """Hydra would print `Error executing job with overrides` before it."""
    assert main(["train", *words, *TINY, "backbone=cnn", "backbone.filters=[8,8,8,8,8]"]) == 2
    told = capfd.readouterr().err
    assert told.startswith("prenda: backbone.filters is [8, 8, 8, 8, 8]: nothing is left of images of 28x28 after")
    assert told.count("\n") == (2 if words else 1)  # a sweep says where it was found, too


BUGS = {
    "zip": ("[*zip([1], [], strict=True)]", "ValueError: zip() argument 2 is shorter than argument 1"),
    "max": ("max([])", "ValueError: max() "),
    "int": ("int('x')", "ValueError: invalid literal for int() with base 10: 'x'"),
    "key": ("{}['a']", "KeyError: 'a'"),
    "omegaconf": (
        "OmegaConf.structured(TrainConfig).epohcs",
        "ConfigAttributeError: Key 'epohcs' not in 'TrainConfig'",
    ),
}


def bug_of(code: str, module: str) -> Callable[..., None]:
    """A function of the package, as its file and frames show, in which C code raises an error that nobody meant."""
    source = f"def with_a_bug(*arguments, **settings):\n    {code}\n"
    namespace = {"OmegaConf": OmegaConf, "TrainConfig": TrainConfig}
    exec(compile(source, str(Path(cli.__file__).parent / module), "exec"), namespace)
    return cast(Callable[..., None], namespace["with_a_bug"])


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_keeps_its_traceback_and_says_what_to_attach(bug, monkeypatch, capfd):
    code, told = BUGS[bug]
    monkeypatch.setattr("prenda.report.samples.fetch", bug_of(code, "report/samples.py"))
    assert main(["data", "fetch", "generated"]) == 1
    printed = capfd.readouterr().err
    assert "Traceback (most recent call last):" in printed
    assert "in with_a_bug" in printed
    assert told in printed
    assert "prenda: this is a bug, not a mistake in the command." in printed
    assert f"prenda {__version__}, Python {platform.python_version()}, {platform.platform()}" in printed
    assert "Command: prenda data fetch generated\n" in printed
    assert "Attach the output of `pip freeze`." in printed


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_a_training_names_the_run_folder(bug, monkeypatch, capfd, tmp_path):
    code, told = BUGS[bug]
    monkeypatch.setattr("prenda.training.train.fit", bug_of(code, "training/fit.py"))
    folder = tmp_path / "run"
    assert main(["train", *TINY, f"hydra.run.dir={folder}", "tracking.uri=http://me:secret@host"]) == 1
    printed = capfd.readouterr().err
    assert told in printed
    assert "in with_a_bug" in printed
    assert "Error executing job" not in printed
    assert f"  Run folder: {folder}\n  Attach its config.yaml, error.txt and environment.txt." in printed
    assert {"config.yaml", "error.txt", "environment.txt"} <= {path.name for path in folder.iterdir()}
    assert "secret" not in printed


@pytest.mark.slow
def test_a_bug_that_the_rehearsal_of_a_sweep_finds_keeps_its_traceback(prenda, tmp_path):
    """Through a class of the user's own, which alone can be wrong in the process that rehearses."""
    (tmp_path / "shop.py").write_text("class Net:\n    def __init__(self, **settings):\n        {}['a']\n")
    target = ["backbone=dense", "backbone._target_=shop.Net", "seed=0,1"]
    done = prenda("train", "-m", *TINY, *target, PYTHONPATH=_path(tmp_path), PRENDA_TRUSTED_TARGETS="shop.*")
    assert done.returncode == 1
    assert "shop.py" in done.stderr
    assert "KeyError: 'a'\nFound before the first trial, with seed=0. There:\nTraceback" in done.stderr
    assert "prenda: this is a bug" in done.stderr
    assert not list((tmp_path / "home").rglob("trials"))


def _path(folder: Path) -> str:
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (
            errno.ENOSPC,
            "make room on the disks of outputs/, mlruns/ and temporary files, then give the same command again",
        ),
        (errno.ENOENT, "correct the path, or restore the file"),
        (errno.EACCES, "give yourself permission, or name another folder; PRENDA_HOME moves outputs/ and mlruns/"),
        (errno.EROFS, "give yourself permission, or name another folder"),
        (errno.EADDRINUSE, "give another port, or end the program that uses it"),
    ],
)
def test_what_is_wrong_with_the_machine_is_told_in_a_line_with_the_remedy(number, remedy, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/a/file")

    monkeypatch.setattr("prenda.report.samples.fetch", fail)
    assert main(["data", "fetch", "generated"]) == 1
    told = capsys.readouterr().err
    assert f"prenda: [Errno {number}] {os.strerror(number)}: '/a/file': {remedy}" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            MemoryError(),
            "prenda: no memory is left: give smaller images (data.image_size), batches (data.batch_size) or",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "tried: give smaller images (data.image",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "allocate: give smaller images (data.image_size)"),
    ],
)
def test_too_little_memory_is_told_in_a_line_with_the_remedy(error, told, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("prenda.report.samples.fetch", fail)
    assert main(["data", "fetch", "generated"]) == 1
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("database is locked", "another program holds the database of runs or of the sweep: wait for its end, then"),
        ("attempt to write a readonly database", "give yourself permission, or name another folder"),
        ("database disk image is malformed", "the database of runs or of the sweep is damaged: restore it from a copy"),
        ("database or disk is full", "make room on the disks of outputs/, mlruns/ and temporary files, then give"),
    ],
)
def test_what_is_wrong_with_a_database_is_told_in_a_line_with_the_remedy(message, remedy, monkeypatch, capsys):
    def fail(*_: object) -> None:
        try:
            raise sqlite3.OperationalError(message)
        except sqlite3.OperationalError as error:
            raise RuntimeError(f"{error}\n[SQL: INSERT]") from error

    monkeypatch.setattr("prenda.report.samples.fetch", fail)
    assert main(["data", "fetch", "generated"]) == 1
    told = capsys.readouterr().err
    assert f"prenda: {message}: {remedy}" in told
    assert told.count("\n") == 1


def test_another_error_of_the_system_keeps_its_traceback(monkeypatch, capsys):
    monkeypatch.setattr("prenda.report.samples.fetch", bug_of("__import__('os').close(-1)", "report/samples.py"))
    assert main(["data", "fetch", "generated"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_installation_without_torch_names_the_package_and_the_command_that_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "prenda.commands.train_application", None)
    monkeypatch.setattr("prenda.cli.importlib.util.find_spec", lambda _: None)
    assert main(["train", "backbone=dense"]) == 2
    assert capsys.readouterr().err == (
        "prenda: the command train needs the package prenda.commands.train_application. This installation, without "
        "torch, has what predict and serve need for a bundle: run `pip install --constraint requirements.lock "
        "--editable '.[train]'` in prenda's repository.\n"
    )


def test_a_missing_package_of_a_whole_installation_is_a_bug(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "prenda.commands.train_application", None)
    assert main(["train", "backbone=dense"]) == 1
    assert "prenda: this is a bug" in capsys.readouterr().err


def test_the_notes_of_an_error_are_told_with_it(monkeypatch, capsys):
    def refuse(*_: object) -> None:
        error = DataError("data.name is wrong.")
        error.add_note("The record is not whole.")
        raise error

    monkeypatch.setattr("prenda.report.samples.fetch", refuse)
    assert main(["data", "fetch", "generated"]) == 2
    assert capsys.readouterr().err == "prenda: The name is wrong.\nThe record is not whole.\n"


@pytest.mark.slow
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
    assert f"The name is 'imagenet': choose one of {', '.join(names())}." in capsys.readouterr().err


@pytest.mark.slow
def test_commands_work_from_any_folder_without_a_warning(new_python, tmp_path):
    done = new_python("train", *TINY)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "home" / "outputs").rglob("best.ckpt"))) == 1
    assert [path.name for path in Path(tmp_path).iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["search=optimizer", "search.n_trials=3"], "search=optimizer search.n_trials=3"),
        (["+search/pruner=median"], "+search/pruner=median"),
        (["workers=2"], "workers=2"),
        (["--config-dir=conf", "experiment=mine"], "search=seeds"),
    ],
)
def test_settings_of_a_sweep_without_m_are_refused(words, named, monkeypatch, capfd, tmp_path):
    (tmp_path / "conf/experiment").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /search: seeds\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert main(["train", *TINY, *words]) == 2
    told = f"prenda: {named} is for a sweep, and this command trains one network: add -m (prenda train -m …), or leave "
    assert capfd.readouterr().err == f"{told}it out.\n"
    assert not list(tmp_path.glob("home/outputs/runs/*/*/config.yaml"))


@pytest.mark.parametrize("start", ["prenda", pytest.param("new_python", marks=pytest.mark.slow)])
def test_multirun_trains_each_combination(start, request, tmp_path):
    done = request.getfixturevalue(start)("train", "-m", *TINY, "backbone=dense", "backbone.units=[8],[16]")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "home" / "outputs" / "sweeps").rglob("best.ckpt"))) == 2


def test_ui_refuses_a_port_in_use(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 2
    assert f"--port is {port}, which cannot be used on 127.0.0.1" in capsys.readouterr().err
