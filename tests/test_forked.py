"""A forked command is like one that was started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil
import pytest

from prenda import __version__
from tests import forked
from tests.conftest import TINY

DENSE = ("backbone=dense", "backbone.units=[16]")


@pytest.mark.slow
def test_it_prints_and_ends_as_a_new_process_does(prenda, new_python):
    for words in (["--version"], ["nonsense"], ["train", "optimizer.lrr=1"]):
        one, two = prenda(*words), new_python(*words)
        assert (one.returncode, one.stdout, one.stderr) == (two.returncode, two.stdout, two.stderr), words
    assert prenda("--version").stdout == f"prenda {__version__}\n"


@pytest.mark.slow
def test_it_has_its_own_folder_environment_group_and_pipes(tmp_path):
    settings = ["train", *TINY, *DENSE, "tracking=mlflow", "trainer.epochs=100000"]
    environment = os.environ | {"PRENDA_HOME": str(tmp_path / "its own")}
    with forked.ForkedCommand(
        settings,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            end = time.monotonic() + 100
            while not list((tmp_path / "its own").rglob("last.ckpt")):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < end
                time.sleep(0.1)
            assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
            assert psutil.Process(process.pid).cwd() == str(tmp_path)
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "the run is recorded as KILLED" in printed
    assert "Epoch 1/100000" in printed


def test_a_copy_of_the_package_is_imported_where_the_path_names_one(prenda, tmp_path):
    package = tmp_path / "copy/prenda"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys; print('the copy', *sys.argv[1:]); sys.exit(5)\n")
    done = prenda("a", "b", PYTHONPATH=str(tmp_path / "copy"))
    assert (done.returncode, done.stdout) == (5, "the copy a b\n")
