from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from prenda.cli import main
from tests.tracking.recorded_runs import BUNDLE, CHECKPOINT, Home


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Home:
    """Four runs and a sweep: `good`, `better` and `bare` finished, in this order; `stopped` did not."""
    home = Home(tmp_path_factory.mktemp("listed"))
    home.run("good", val=0.8, metrics={"test/loss": 0.3, "test/f1/Shirt": 0.2})
    home.run("better", val=0.9, metrics={"test/loss": 0.4, "test/f1/Shirt": 0.1})
    home.run("stopped", "KILLED")
    home.run("bare", data="other\tdata")
    home.run("the sweep", **{"prenda.kind": "sweep"})
    return home


@pytest.fixture
def rows(listed, monkeypatch, capsys):
    """The rows of `prenda runs`, as dictionaries."""
    monkeypatch.setenv("PRENDA_HOME", str(listed.home))

    def call(*arguments: str) -> list[dict[str, str]]:
        assert main(["runs", *arguments]) == 0
        heading, *lines = capsys.readouterr().out.splitlines()
        return [dict(zip(heading.split("\t"), line.split("\t"), strict=True)) for line in lines]

    return call


@pytest.mark.slow
def test_finished_runs_are_listed_with_full_figures_in_a_pipe(rows, listed):
    bare, better, good = rows()
    run = next(run for run in listed.client.search_runs([listed.experiment]) if run.info.run_name == "good")
    assert good["run"] == "good"
    assert good["id"] == run.info.run_id[:8]
    assert (good["backbone"], good["data"]) == ("dense", "generated")
    assert (good["val"], good["test"], good["seconds"]) == ("0.8", "0.79", "12.5")
    assert good["start"].startswith("20")
    assert int(good["bytes"]) > 2 * (CHECKPOINT + BUNDLE)  # its folder and the copy in MLflow
    assert (bare["val"], bare["data"], better["run"]) == ("", "other data", "better")
    assert "status" not in good


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--sort", "test"], ["better", "good", "bare"]),
        (["--sort", "test", "--reverse"], ["good", "better", "bare"]),
        (["--sort", "test/loss"], ["good", "better", "bare"]),
        (["--sort", "test/f1/Shirt"], ["good", "better", "bare"]),
        (["--sort", "name"], ["bare", "better", "good"]),
        (["--reverse"], ["good", "better", "bare"]),
        (["--limit", "1"], ["bare"]),
        (["--where", "metrics.`test/accuracy` > 0.8"], ["better"]),
        (["--experiment", "prenda", "--where", "attributes.run_name = 'none'"], []),
    ],
)
def test_runs_are_sorted_and_selected(rows, arguments, names):
    assert [row["run"] for row in rows(*arguments)] == names


def test_all_adds_unfinished_runs_and_sweeps_with_their_status(rows):
    found = {row["run"]: row["status"] for row in rows("--all")}
    assert found == {
        "the sweep": "sweep FINISHED",
        "bare": "FINISHED",
        "stopped": "KILLED",
        "better": "FINISHED",
        "good": "FINISHED",
    }
    assert {row["run"] for row in rows("--all", "--sort", "size")} == set(found)


def test_runs_that_were_left_out_are_counted_beside_the_list(rows, capsys):
    assert main(["runs", "--limit", "1"]) == 0
    assert capsys.readouterr().err == "2 more: --limit 3 lists them.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--sort", "colour"],
            "--sort is 'colour', which no listed run has: choose start, name, backbone, data, status,",
        ),
        (["--limit", "0"], "--limit is 0: give at least 1."),
        (["--where", "a b"], "--where is 'a b', which MLflow cannot read"),
        (["--experiment", "nothing"], "--experiment is 'nothing': choose one of prenda, Default."),
        (["--keep", "2"], "--keep is given without --prune: add --prune to free disk space, or leave it out."),
        (["--yes"], "--yes is given without --prune"),
        (["--prune", "--keep", "-1"], "--keep is -1: give 0 or more."),
    ],
)
def test_wrong_input_is_told(listed, arguments, told, monkeypatch, capsys):
    monkeypatch.setenv("PRENDA_HOME", str(listed.home))
    assert main(["runs", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--prune"]])
def test_without_a_store_the_next_step_is_told(arguments, capsys, tmp_path):
    assert main(["runs", *arguments]) == 2
    assert "There is no store at sqlite:///" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_a_terminal_gets_a_table_and_no_heavy_import(listed):
    """On a terminal of 120 columns, in a process of its own."""
    script = (
        "import sys\nfrom prenda.cli import main\ncode = main(['runs'])\n"
        "heavy = {'torch', 'pytorch_lightning', 'hydra', 'matplotlib', 'onnxruntime'} & set(sys.modules)\n"
        "print(code, heavy)\n"
    )
    ours, theirs = pty.openpty()
    environment = os.environ | {"PRENDA_HOME": str(listed.home), "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=theirs, env=environment) as process:
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 10000):
                printed += chunk
        except OSError:  # the other side has closed
            pass
        process.wait(timeout=60)
    os.close(ours)
    text = printed.decode()
    assert "0 set()" in text
    assert "90.00%" in text
    assert "89.00%" in text
    assert "kB" in text


def big(home: Home, run: str) -> list[Path]:
    """The checkpoints and bundles of a run that are still there."""
    places = [place for top in (home.folder(run), home.artifacts(run)) for place in top.iterdir()]
    return [place for place in places if place.name in ("checkpoints", "bundle")]


def prune(*arguments: str) -> int:
    return main(["runs", "--prune", *arguments])


@pytest.mark.slow
def test_pruning_frees_old_runs_and_trials_and_keeps_the_rest(home, capsys):
    best, old = home.run("best", val=0.9), home.run("old", val=0.8)
    again = home.run("best-reproduced", val=0.95, **{"prenda.reproduces": best})
    trial = home.run("trial", val=0.7, **{"mlflow.parentRunId": "a sweep"})
    lost = home.run("lost", "PRUNED", **{"mlflow.parentRunId": "a sweep"})
    running, killed, other = (
        home.run("now", "RUNNING"),
        home.run("killed", "KILLED"),
        home.run("other", val=0.1, data="b"),
    )
    registered, deleted = home.run("champion", val=0.2), home.run("deleted")
    home.client.create_registered_model("prenda")
    home.client.create_model_version("prenda", "file:///nowhere", registered)
    home.client.delete_run(deleted)
    kept = [best, running, killed, other, registered]
    before = {run: len(big(home, run)) for run in kept}
    assert prune("--keep", "1", "--yes") == 0
    printed = capsys.readouterr().out
    assert "Kept whole: 2 among the best of its data, 1 interrupted, to be resumed, 1 registered, 1 running." in printed
    assert "Freed " in printed
    assert {run: len(big(home, run)) for run in kept} == before
    assert {place.name for place in big(home, old)} == {place.name for place in big(home, again)} == {"bundle"}
    assert big(home, trial) == big(home, lost) == []
    assert not home.artifacts(deleted).exists()
    assert (home.artifacts(trial) / "predictions/test.npz").is_file()
    assert (home.folder(trial) / "predictions/test.npz").is_file()
    assert prune("--keep", "1", "--yes") == 0
    assert "Nothing to free." in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_pruned_is_told_by_evaluate(home, capsys):
    run = home.run("gone", val=0.5)
    assert prune("--keep", "0", "--yes") == 0
    for name in (run[:8], "gone", str(home.folder(run))):
        assert main(["evaluate", name]) == 2
        told = capsys.readouterr().err
        assert "holds no checkpoints/best.ckpt any more: `prenda runs --prune` freed it on 20" in told
        assert "train it again with the command in its description, or name another run." in told


def test_the_bundle_of_a_pruned_trial_is_told_too(home, capsys, tmp_path):
    trial = home.run("trial", val=0.5, **{"mlflow.parentRunId": "a sweep"})
    assert prune("--keep", "0", "--yes") == 0
    for command in (["export", trial, "--to", str(tmp_path / "out")], ["promote", trial]):
        assert main(command) == 2
        assert "`prenda runs --prune` freed it on" in capsys.readouterr().err


def test_a_filter_chooses_what_is_pruned(home):
    one, two = home.run("one", val=0.5), home.run("two", val=0.6)
    gone = home.run("gone")
    home.client.delete_run(gone)
    assert prune("--keep", "0", "--yes", "--where", "attributes.run_name = 'one'") == 0
    assert len(big(home, one)) == 2
    assert len(big(home, two)) == len(big(home, gone)) == 4


def test_pruning_asks_first(home, monkeypatch, capsys):
    run = home.run("old", val=0.5)
    assert prune("--keep", "0") == 2
    assert "--prune asks before it frees anything, and there is no terminal to answer on: add --yes." in (
        capsys.readouterr().err
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code, left in (("", 1, 4), ("n", 1, 4), ("y", 0, 2)):
        asked: list[str] = []
        monkeypatch.setattr("builtins.input", lambda text, say=answer, into=asked: into.append(text) or say)
        assert prune("--keep", "0") == code
        assert "Free 6.0 kB of 1 run? They can then not be evaluated or resumed. [y/N] " in asked
        assert len(big(home, run)) == left


def test_a_run_that_was_registered_meanwhile_is_kept(home, monkeypatch):
    run = home.run("old", val=0.5)

    def register(*_: object) -> bool:
        home.client.create_registered_model("prenda")
        home.client.create_model_version("prenda", "file:///nowhere", run)
        return True

    monkeypatch.setattr("prenda.commands.runs._agreed", register)
    assert prune("--keep", "0") == 0
    assert len(big(home, run)) == 4


def test_a_pruning_that_was_killed_is_finished_by_the_next(home, monkeypatch, capsys):
    home.run("old", val=0.5)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("prenda.tracking.pruning.shutil.rmtree", die)
        with pytest.raises(Killed):
            prune("--keep", "0", "--yes")
    assert list((home.home / "outputs").rglob(".checkpoints.removing/best.ckpt"))
    assert prune("--keep", "0", "--yes") == 0
    assert not list(home.home.rglob("*.ckpt"))


def test_what_is_a_link_is_left(home, tmp_path):
    run = home.run("old", val=0.5)
    place = home.folder(run) / "checkpoints"
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert prune("--keep", "0", "--yes") == 0
    assert (tmp_path / "elsewhere/best.ckpt").is_file()
