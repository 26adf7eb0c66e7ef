from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from mlflow import MlflowClient

from prenda.bundle import champions
from prenda.bundle import format as bundle
from prenda.cli import main
from prenda.data.datasets import find
from prenda.data.datasets.fashion_mnist import GARMENTS
from prenda.errors import UserError
from prenda.model_selection.promote import promote as promote_run
from prenda.prediction.models import choose
from prenda.scoring.selective import fit_thresholds
from prenda.scoring.significance import welch
from prenda.tracking.registry import Registry, log_bundle
from prenda.tracking.store import connect, experiment_id
from prenda.training.train import train
from tests.bundle.format_1 import write_format_1
from tests.bundle.test_bundle import dense, write
from tests.conftest import TINY, configured
from tests.forked import ForkedCommand
from tests.training.test_train import DENSE

LABELS = np.arange(500) % 10
ROWS = [
    {"class": name, "precision": 0.8, "recall": 0.7, "f1-score": 0.5 + place / 100, "support": 50}
    for place, name in enumerate((*GARMENTS, "macro avg"))
]


class Store:
    """A store of runs that never trained: each has the bundle of one network, and answers as a test wants."""

    def __init__(self, home: Path) -> None:
        self.home, self.uri = home, f"sqlite:///{home}/mlruns/mlflow.db"
        self.client = connect(self.uri)
        self.registry = Registry(self.uri)
        self.experiment = experiment_id(self.client, "prenda", f"{home}/mlruns/artifacts")
        write(home / "bundle", dense())

    def run(self, name: str, right: int, *, start: int = 0, files=("predictions", "bundle"), **changes) -> str:
        """A run that has `right` of 500 test images right, from number `start` on."""
        run_id = self.client.create_run(self.experiment, run_name=name, tags={"backbone": "dense"}).info.run_id
        folder = self.home / run_id
        folder.mkdir()
        if "predictions" in files:
            labels = changes.pop("labels", LABELS)
            answers = np.where((np.arange(500) - start) % 500 < right, labels, (labels + 1) % 10)
            np.savez(folder / "test.npz", probabilities=np.eye(10)[answers], labels=labels, class_names=GARMENTS)
            self.client.log_artifact(run_id, str(folder / "test.npz"), "predictions")
        if "bundle" in files:
            (folder / "test.json").write_text(json.dumps(ROWS))
            self.client.log_artifact(run_id, str(folder / "test.json"), "classes")
            about = json.loads((self.home / "bundle/model.json").read_text())
            scores = {"test/accuracy": right / 500, "test/f1": 0.5, "test/loss": 0.25}
            content = json.dumps(about | {"run_id": run_id, "scores": scores} | changes)
            (self.home / "bundle/model.json").write_text(content)
            log_bundle(self.client, run_id, self.home / "bundle")
            (self.home / "bundle/model.json").write_text(json.dumps(about))
        return run_id

    def champion(self, model: str) -> str:
        return self.client.get_model_version_by_alias(model, "champion").run_id

    def history(self, model: str, number: int) -> list[str]:
        """The decisions about a version, the oldest first, without their times."""
        described = self.client.get_model_version(model, str(number)).description
        lines = described.partition("\n\n## Promotion\n\n")[2].splitlines()
        return [line.partition(" UTC: ")[2] for line in lines]

    def description(self, model: str, number: int) -> str:
        return str(self.client.get_model_version(model, str(number)).description)

    def tags(self, model: str, number: int) -> dict[str, str]:
        return self.client.get_model_version(model, str(number)).tags


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(shared, monkeypatch) -> Store:
    monkeypatch.setenv("PRENDA_HOME", str(shared.home))
    return shared


@pytest.fixture
def model(request) -> str:
    """A registered model of the test's own."""
    return request.node.name.replace("/", "").replace(":", "")


@pytest.fixture
def promote(capsys):
    def call(run: str, model: str, *more: str) -> tuple[int, str]:
        code = main(["promote", run, "--model", model, *more])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


@pytest.mark.slow
def test_the_first_becomes_champion_with_its_card(store, model, promote):
    run = store.run("first", 400)
    code, told = promote("first", model)
    assert (code, told) == (
        0,
        f"first (version 1 of {model}) is the champion: there was no champion to beat.\n",
    )
    version = store.client.get_model_version_by_alias(model, "champion")
    assert version.run_id == run
    assert "# first\n" in version.description
    assert "| Ankle boot | 0.800 | 0.700 | 0.590 | 50 |" in version.description
    assert version.tags["prenda.decision"] == "first"
    assert version.tags["prenda.test/accuracy"] == "0.8000"
    read = store.registry.download(f"{model}@champion", store.home / "fetched")
    assert read.run_id == run
    assert version.description.startswith((read.folder / "card.md").read_text())
    assert store.history(model, 1) == ["first against nobody: there was no champion to beat"]


@pytest.mark.slow
def test_a_version_has_few_and_short_tags(store, model, promote):
    store.run("one", 400)
    store.run("two", 420)
    promote("one", model)
    promote("two", model)
    promote("one", model, "--force", "a reason of " + "many words " * 20)
    assert set(store.tags(model, 1)) == {
        *(f"prenda.{name}" for name in ("run", "backbone", "data", "task", "decision")),
        *(f"prenda.test/{name}" for name in ("accuracy", "f1", "loss")),
    }
    assert all(len(value) < 40 for value in store.tags(model, 1).values())


@pytest.mark.slow
def test_only_a_significantly_better_one_takes_the_place(store, model, promote):
    runs = [store.run(name, right) for name, right in (("dull", 400), ("lucky", 404), ("good", 420))]
    promote("dull", model)
    code, told = promote("lucky", model)
    assert code == 0
    assert told == (
        f"lucky (version 2 of {model}) is registered, but not champion, which stays dull (version 1 of {model}): "
        "of 500 test images it has 4 right that version 1 has wrong, and 0 the other way round (+0.80 points, 95% "
        "interval -0.16 to +1.75): not significant over test images (McNemar, exact, one-sided, p = 0.062; the limit "
        "is 0.05). A significant result takes at least 5 "
        "images that only one of both has right, and too few answers differ: a larger test set can show a difference, "
        "and so can several seeds of both recipes (`prenda compare`). Chance in the choice of test images is not "
        "excluded. Chance in training is not excluded: that takes two or more recorded seeds of both configurations, "
        "and there are 1 of this one and 1 of the champion's. "
        "--force REASON makes it champion all the same.\n"
    )
    assert store.champion(model) == runs[0]
    code, told = promote("good", model)
    assert f"good (version 3 of {model}) is the champion now, in place of dull (version 1 of {model}): of 500" in told
    assert "20 right that version 1 has wrong, and 0 the other way round (+4.00 points, 95% interval +2.19 to" in told
    assert "statistically significant over test images (McNemar, exact, one-sided, p = 9.5e-07; the limit" in told
    assert "Chance in the choice of test images is excluded. Chance in training is not excluded: that takes two" in told
    assert store.champion(model) == runs[2]
    lost, won = store.tags(model, 2), store.tags(model, 3)
    assert (lost["prenda.decision"], won["prenda.decision"]) == ("kept out", "better")
    assert "p = 0.062" in store.history(model, 2)[0]
    assert store.history(model, 3)[0].startswith(
        f"better against version 1, run {runs[0]}: of 500 test images it has 20 "
    )


class Recipes:
    """Finished runs of configurations with several seeds."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def run(self, name: str, configuration: str, seed: int, right: int) -> str:
        run_id = self.store.run(name, right)
        for key, value in {"prenda.configuration": configuration, "seed": str(seed)}.items():
            self.store.client.set_tag(run_id, key, value)
        self.store.client.log_metric(run_id, "test/accuracy", right / 500)
        self.store.client.set_terminated(run_id)
        return run_id


@pytest.mark.slow
def test_chance_in_training_is_excluded_by_several_seeds(store, model, promote):
    recipes = Recipes(store)
    old = [recipes.run(f"{model}-old{seed}", f"{model}-old", seed, 400 + seed) for seed in range(3)]
    new = [recipes.run(f"{model}-new{seed}", f"{model}-new", seed, 430 + seed) for seed in range(3)]
    promote(old[0], model)
    told = promote(new[0], model)[1]
    assert (
        "Chance in the choice of test images is excluded. Chance in training is excluded: over 3 and 3 seeds, the "
        in told
    )
    expected = welch([0.8, 0.802, 0.804], [0.86, 0.862, 0.864], "greater")
    assert (
        f"mean accuracy of its configuration is +6.00 ± {100 * expected.half_width:.2f} points from that of the "
        f"champion's (Welch's t-test, one-sided, p = {expected.p_value:.2g})." in told
    )
    assert "Chance in training is excluded" in store.description(model, 2)


@pytest.mark.slow
def test_chance_in_training_is_not_excluded_where_seeds_vary_more(store, model, promote):
    recipes = Recipes(store)
    old = [recipes.run(f"{model}-old{seed}", f"{model}-old", seed, 400 + 40 * seed) for seed in range(2)]
    new = [recipes.run(f"{model}-new{seed}", f"{model}-new", seed, 430 + seed) for seed in range(2)]
    promote(old[0], model)
    told = promote(new[0], model)[1]
    assert "is the champion now" in told
    assert "Chance in the choice of test images is excluded. Chance in training is not excluded: over 2 and 2" in told


@pytest.mark.slow
def test_two_seeds_of_one_configuration_differ_by_chance_in_training(store, model, promote):
    recipes = Recipes(store)
    runs = [recipes.run(f"{model}{seed}", model, seed, 400 + 30 * seed) for seed in range(2)]
    promote(runs[0], model)
    told = promote(runs[1], model)[1]
    assert "is the champion now" in told
    assert "Chance in training is not excluded: both runs have one configuration and differ in their seed." in told


@pytest.mark.slow
def test_seeds_that_agree_exactly_allow_no_test(store, model, promote):
    recipes = Recipes(store)
    runs = [
        recipes.run(f"{model}{right}{seed}", f"{model}{right}", seed, right) for right in (400, 430) for seed in (0, 1)
    ]
    promote(runs[0], model)
    assert "accuracy does not vary over the recorded seeds, so no test is possible." in promote(runs[2], model)[1]


@pytest.mark.slow
def test_a_worse_one_stays_out_however_clear_the_difference(store, model, promote):
    best = store.run("best", 450)
    store.run("worst", 100, start=200)
    promote("best", model)
    assert "not significant over test images (McNemar, exact, one-sided, p = 1;" in promote("worst", model)[1]
    assert store.champion(model) == best


@pytest.mark.slow
def test_force_moves_the_alias_and_records_why(store, model, promote):
    store.run("old", 400)
    forced = store.run("forced", 399)
    promote("old", model)
    promote("forced", model)
    code, told = promote("forced", model, "--force", "the old one is too slow")
    assert code == 0
    assert f"forced (version 2 of {model}) is the champion now, in place of old" in told
    assert "forced (the old one is too slow): of 500 test images it has 0 right" in told
    assert store.champion(model) == forced
    assert store.tags(model, 2)["prenda.decision"] == "forced"
    history = store.history(model, 2)
    assert [entry.split(" against ")[0] for entry in history] == ["kept out", "forced"]
    assert "p = 1;" in history[1]
    assert history[1].endswith("; forced: the old one is too slow")


def test_promoting_again_changes_nothing(store, model, promote):
    store.run("again", 400)
    promote("again", model)
    before = store.tags(model, 1)
    code, told = promote("again", model)
    assert (code, told) == (0, f"again (version 1 of {model}) is champion already: nothing is changed.\n")
    assert len(store.registry.versions(model)) == 1
    assert store.tags(model, 1) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"data": {"name": "mnist", "content_hash": "cd" * 32}},
            "tested on mnist cdcdcdcdcdcd…, the champion on gener",
        ),
        (
            {"labels": (LABELS + 1) % 10},
            "the champion on others (500 images of 10 classes): train with the same data.cl",
        ),
        ({"class_names": list(reversed(GARMENTS))}, "train with the same data.classes"),
    ],
)
def test_runs_on_other_images_do_not_compare(store, model, promote, changes, told):
    champion = store.run("ours", 400)
    other = store.run("theirs", 500, **changes)
    promote(champion, model)
    code, printed = promote(other, model)
    assert code == 2
    assert told in printed
    assert "--model NAME keeps a champion of its own; --force REASON moves the alias without a test." in printed
    assert len(printed.splitlines()) == 1
    assert len(store.registry.versions(model)) == 1
    assert store.champion(model) == champion
    assert "there was no test: The run was tested" in promote(other, model, "--force", "a new season")[1]
    assert store.champion(model) == other


@pytest.mark.slow
def test_a_champion_whose_run_is_gone_is_told(store, model, promote):
    gone = store.run("gone", 400)
    store.run("next", 450)
    promote(gone, model)
    store.client.delete_run(gone)
    code, printed = promote("next", model)
    assert code == 2
    assert "No comparison with version 1, the champion: " in printed
    assert promote("next", model, "--force", "its run was deleted")[0] == 0


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("predictions",), "holds no scores.json: name a run that finished"),
        (("bundle",), "holds no predictions/test.npz: name a run that finished"),
    ],
)
def test_a_run_without_what_is_needed_is_told(store, model, promote, files, told):
    code, printed = promote(store.run("half", 400, files=files), model)
    assert code == 2
    assert f"Run 'half' (RUNNING) {told}" in printed
    assert store.registry.versions(model) == []


def test_a_run_from_before_bundles_is_told(store, model, promote, tmp_path):
    run = store.run("old", 400, files=("predictions",))
    (tmp_path / "scores.json").write_text('{"test/accuracy": 0.8}')
    store.client.log_artifact(run, str(tmp_path / "scores.json"))
    code, printed = promote(run, model)
    assert code == 2
    assert f"{run!r} was recorded before runs had bundles: train it again." in printed


def test_damaged_files_are_told(store, model, promote):
    run = store.run("damaged", 400)
    artifacts = store.home / "mlruns/artifacts"
    (artifacts / run / "artifacts/predictions/test.npz").write_bytes(b"PK\x03\x04")
    code, printed = promote(run, model)
    assert code == 2
    assert "predictions/test.npz of run 'damaged' is damaged (" in printed
    (output,) = store.client.get_run(run).outputs.model_outputs
    (artifacts / "models" / output.model_id / "artifacts" / bundle.NETWORK).write_bytes(b"")
    assert "model.onnx is damaged (its SHA-256 is" in promote(run, model)[1]
    (artifacts / "models" / output.model_id / "artifacts" / bundle.NETWORK).unlink()
    missing = promote(run, model)[1]
    place = artifacts / "models" / output.model_id / "artifacts"
    assert (
        f"The bundle of run 'damaged' ({run[:8]}) cannot be used (model.onnx is missing): restore the files" in missing
    )
    assert str(place) in missing
    assert "/tmp/tmp" not in missing
    assert store.registry.versions(model) == []


@pytest.mark.slow
def test_a_damaged_champion_is_named_by_its_run_also_in_tags(store, model, promote):
    first, second = store.run("old", 400), store.run("new", 450)
    promote(first, model)
    (output,) = store.client.get_run(first).outputs.model_outputs
    place = store.home / "mlruns/artifacts/models" / output.model_id / "artifacts"
    (place / bundle.NETWORK).write_bytes(b"")
    named = f"The bundle of run 'old' ({first[:8]}) cannot be used (model.onnx is damaged (its SHA-256 is"
    code, printed = promote(second, model)
    assert (code, f"No comparison with version 1, the champion: {named}" in printed) == (2, True)
    assert promote(second, model, "--force", "it is damaged")[0] == 0
    assert named in store.description(model, 2)
    assert "/tmp/tmp" not in store.description(model, 2)


def test_a_stop_before_the_alias_moves_waits_for_it(store, model, promote, monkeypatch):
    """Else a version would say "first" or "better" without being the champion."""
    run = store.run("stopped", 400)
    decide = Registry.decide

    def decide_and_stop(self: Registry, *arguments: Any) -> None:
        decide(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Registry, "decide", decide_and_stop)
    code, printed = promote(run, model)
    assert code == 143
    assert "prenda: stopped by SIGTERM; give the same command again." in printed
    assert store.tags(model, 1)["prenda.decision"] == "first"
    assert store.champion(model) == run


def test_an_unknown_run_is_told(store, model, promote):
    code, printed = promote("nobody's", model)
    assert code == 2
    assert "is neither a file nor a run in sqlite:///" in printed
    assert "`prenda runs` shows ids and names" in printed


@pytest.mark.parametrize("command", [["promote", "cnn"], ["models"]])
def test_without_a_store_the_next_step_is_told(command, capsys, tmp_path):
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "There is no store at sqlite:///" in told
    assert "train a run first, or set PRENDA_HOME" in told
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a:b", "a@b", "it's"])
def test_a_name_that_no_model_can_have_is_refused(promote, name, capsys):
    told = f"prenda: --model is {name!r}: give a name without / : @ and '.\n"
    assert promote("run", name) == (2, told)
    assert main(["models", "--model", name]) == 2
    assert capsys.readouterr().err == told


def test_force_wants_a_reason(promote):
    code, told = promote("run", "prenda", "--force", " ")
    assert (code, told) == (2, "prenda: --force is ' ': give the reason, which is recorded with the version.\n")


@pytest.mark.slow
def test_two_at_once_leave_one_champion_the_better(store, model):
    runs = {name: store.run(name, right) for name, right in (("one", 400), ("two", 450))}
    command = ["promote", "--model", model]
    processes = [ForkedCommand([*command, run], stderr=subprocess.PIPE) for run in runs.values()]
    for process in processes:
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0
    versions = store.registry.versions(model)
    assert [version.number for version in versions] == [2, 1]
    assert {version.run_id for version in versions} == set(runs.values())
    assert [version.run_id for version in versions if version.aliases == ("champion",)] == [runs["two"]]


@pytest.mark.slow
def test_models_lists_versions_aliases_and_scores(store, model, promote, capsys):
    assert main(["models", "--model", model]) == 0
    assert capsys.readouterr().out == f"'{model}' has no versions in {store.uri}: `prenda promote RUN` registers one.\n"
    for name, right in (("a[b]", 400), ("later", 402)):
        store.run(name, right)
        promote(name, model)
    assert main(["models", "--model", model]) == 0
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    rows = [line[:8] + line[9:] for line in lines if line and line[0].isdigit()]
    assert rows == [
        ["2", "", "later", "dense", "generated", "80.40%", "0.5000", "0.2500", "kept out"],
        ["1", "champion", "a[b]", "dense", "generated", "80.00%", "0.5000", "0.2500", "first"],
    ]


class Shops:
    """Runs of two tasks in a store of their own, promoted without --model."""

    def __init__(self, store: Store, capsys) -> None:
        self.store, self._capsys = store, capsys

    def run(self, name: str, right: int, task: str = "fashion_mnist", **changes) -> str:
        return self.store.run(name, right, task=task, data=self.data(task), **changes)

    def data(self, task: str = "fashion_mnist") -> dict[str, str]:
        return {"name": task.partition("-")[0], "content_hash": task.encode().hex() * 2}

    def promote(self, name: str, *more: str) -> str:
        assert main(["promote", name, *more]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def shops(tmp_path, monkeypatch, capsys) -> Shops:
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path))
    return Shops(Store(tmp_path), capsys)


@pytest.mark.slow
def test_each_task_has_a_champion_of_its_own(shops, capsys):
    garments, shop = shops.run("garments", 400), shops.run("shop", 300, "folder-3-classes-ab12cd")
    assert "garments (version 1 of prenda) is the champion" in shops.promote("garments")
    assert "shop (version 1 of prenda-folder-3-classes-ab12cd) is the champion" in shops.promote("shop")
    better = shops.run("better", 420)
    assert "better (version 2 of prenda) is the champion now, in place of garments" in shops.promote("better")
    assert shops.store.champion("prenda") == better != garments
    assert shops.store.champion("prenda-folder-3-classes-ab12cd") == shop
    read = {path.name: bundle.read(path) for path in champions.kept()}
    assert {name: found.run_id for name, found in read.items()} == {
        "fashion_mnist": better,
        "folder-3-classes-ab12cd": shop,
    }
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "prenda, task fashion_mnist" in printed
    assert "prenda-folder-3-classes-ab12cd, task folder-3-classes-ab12cd" in printed
    assert main(["models", "--model", "prenda"]) == 0
    assert "folder-3" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_model_of_version_0_1_0_is_that_of_its_task(shops):
    """Version 0.1.0 registered every run as `prenda`, and its versions have no tag for the task."""
    for name, right in (("old", 400), ("new", 430)):
        shops.run(name, right, "mnist")
    shops.promote("old")
    shops.store.client.delete_model_version_tag("prenda", "1", "prenda.task")
    assert "new (version 2 of prenda) is the champion now, in place of old" in shops.promote("new")
    shops.run("garments", 400)
    assert "garments (version 1 of prenda-fashion_mnist) is the champion" in shops.promote("garments")


@pytest.mark.slow
def test_a_champion_whose_bundle_has_format_1_is_compared_and_kept(shops):
    for name, right in (("old", 400), ("worse", 399), ("new", 430)):
        shops.run(name, right)
    shops.promote("old")
    (output,) = shops.store.client.get_run(shops.store.champion("prenda")).outputs.model_outputs
    write_format_1(shops.store.home / "mlruns/artifacts/models" / output.model_id / "artifacts", data=shops.data())
    assert "worse (version 2 of prenda) is registered, but not champion" in shops.promote("worse")
    (place,) = champions.kept()
    assert bundle.read(place).format == 1
    assert "new (version 3 of prenda) is the champion now, in place of old" in shops.promote("new")
    assert bundle.read(place).format == 2


@pytest.mark.slow
def test_a_champion_of_0_1_0_whose_run_was_deleted_still_says_its_task(shops):
    gone = shops.run("old", 400, "mnist")
    shops.promote("old")
    shops.store.client.delete_model_version_tag("prenda", "1", "prenda.task")
    shops.store.client.delete_run(gone)
    shops.run("garments", 400)
    assert "version 1 of prenda-fashion_mnist" in shops.promote("garments")


@pytest.mark.slow
def test_a_model_of_another_name_is_kept_beside_that_of_the_task(shops):
    runs = [shops.run(name, 400) for name in ("first", "small")]
    shops.promote("first")
    assert "small (version 1 of tablet) is the champion" in shops.promote("small", "--model", "tablet")
    assert [bundle.read(path).run_id for path in champions.kept()] == [runs[0]]
    assert bundle.read(champions.folder() / "fashion_mnist@tablet").run_id == runs[1]


@pytest.mark.slow
def test_promoting_again_brings_the_champion_back_to_the_disk(shops):
    run = shops.run("champion", 400)
    shops.run("worse", 300)
    shops.promote("champion")
    for name in ("champion", "worse"):
        shutil.rmtree(champions.folder())
        shops.promote(name)
        assert [bundle.read(path).run_id for path in champions.kept()] == [run]


class Killed(BaseException):
    """The end of a process by SIGKILL: no handler of errors cleans up after it."""


WRITES = [
    (MlflowClient, "create_model_version", 1),
    (MlflowClient, "set_model_version_tag", 1),
    (MlflowClient, "update_model_version", 1),
    (champions, "_copy", 1),
    (champions, "write_atomically", 1),
    (MlflowClient, "set_registered_model_alias", 1),
    (champions, "_link", 1),
    (champions, "_choose", 1),
    (MlflowClient, "set_model_version_tag", 2),
]


def kill_after(monkeypatch, owner: Any, name: str, calls: int) -> None:
    """Let the process die as the call number `calls` of a function returns."""
    original, returned = getattr(owner, name), []

    def write(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        returned.append(name)
        if len(returned) == calls:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, write)


@pytest.mark.slow
def test_a_promotion_that_is_killed_after_any_write_leaves_one_champion(shops, monkeypatch, capsys, tmp_path):
    """`prenda models` and `prenda predict` agree on it, and the same command ends the promotion."""
    old = shops.run("champion", 100, preparation=None)
    shops.promote("champion")
    for place, (owner, name, calls) in enumerate(WRITES):
        run = shops.run(f"better-{place}", 150 + 35 * place, preparation=None)
        with monkeypatch.context() as patch:
            kill_after(patch, owner, name, calls)
            with pytest.raises(Killed):
                promote_run(f"better-{place}")
        version = shops.store.registry.versions("prenda")[0]
        assert shops.store.champion("prenda") in (old, run)
        decision = version.tags["prenda.decision"]
        assert decision == ("better" if (owner, calls) == (MlflowClient, 2) else "unfinished")
        with pytest.raises(UserError, match=r"its pictures are not made from photos"):
            choose("champion", tmp_path)
        (answering,) = champions.kept()
        assert bundle.read(answering).run_id == shops.store.champion("prenda"), name
        shops.promote(f"better-{place}")
        assert shops.store.champion("prenda") == bundle.read(answering).run_id == run
        assert shops.store.tags("prenda", version.number)["prenda.decision"] == "better"
        old = run
    assert len(shops.store.registry.versions("prenda")) == 1 + len(WRITES)
    assert not champions.is_promoted()


@pytest.mark.slow
def test_an_unfinished_version_is_listed_with_the_command_that_ends_its_promotion(shops, monkeypatch, capsys):
    run = shops.run("champion", 400)
    kill_after(monkeypatch, MlflowClient, "create_model_version", 1)
    with pytest.raises(Killed):
        promote_run("champion")
    assert main(["models"]) == 0
    assert f"Version 1 is unfinished: repeat `prenda promote {run[:8]}`.\n" in capsys.readouterr().out


@pytest.mark.slow
def test_prediction_goes_on_where_the_store_of_a_killed_promotion_is_gone(shops, monkeypatch, capsys, tmp_path):
    shops.run("champion", 400, preparation=None)
    kill_after(monkeypatch, MlflowClient, "set_registered_model_alias", 1)
    with pytest.raises(Killed):
        promote_run("champion")
    (tmp_path / "mlruns/mlflow.db").unlink()
    with pytest.raises(UserError, match="holds neither a champion nor a finished run"):
        choose("champion", tmp_path)
    told = capsys.readouterr().err
    assert "prenda: a promotion was interrupted, and may have changed the champion. There is no store at" in told


@pytest.mark.slow
def test_an_earlier_champion_is_restored_by_force(shops):
    """How docs/serving.md rolls a champion back: no new version, and the champion on this machine's disk follows."""
    old, new = shops.run("old", 400), shops.run("new", 450)
    for run in (old, new):
        shops.promote(run)
    assert [bundle.read(path).run_id for path in champions.kept()] == [new]
    told = shops.promote(old, "--force", "takes coats for jackets")
    assert "old (version 1 of prenda) is the champion now, in place of new (version 2 of prenda), forced (takes" in told
    assert shops.store.champion("prenda") == old
    assert len(shops.store.registry.versions("prenda")) == 2
    assert [bundle.read(path).run_id for path in champions.kept()] == [old]
    assert [entry.split(" against ")[0] for entry in shops.store.history("prenda", 1)] == ["first", "forced"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "told"),
    [
        (497, "the champion has only 3 of 500 test images wrong, so no run can be significantly better: a larger test"),
        (400, "and too few answers differ: a larger test set can show a difference, and so can several seeds of both"),
    ],
)
def test_a_test_set_too_small_for_significance_is_told(shops, right, told):
    for name, more in (("champion", 0), ("next", 3)):
        shops.run(name, right + more)
    shops.promote("champion")
    printed = shops.promote("next")
    assert "A significant result takes at least 5 images that only one of both has right, and " in printed
    assert told in printed
    assert "(`prenda compare`). Chance in the choice of test images is not excluded. Chance in" in printed
    assert printed.endswith(" --force REASON makes it champion all the same.\n")


def test_without_models_the_next_step_is_told(shops, capsys):
    assert main(["models"]) == 0
    uri = shops.store.uri
    assert capsys.readouterr().out == f"No model has any versions in {uri}: `prenda promote RUN` registers one.\n"


@pytest.mark.slow
def test_a_run_of_a_sweep_gets_its_bundle_when_it_is_promoted(tmp_path, capsys):
    settings = ("tracking=mlflow", "tracking.system_metrics=false", "augment=erase")
    result = train(configured(*TINY, *DENSE, *settings), tmp_path / "run")
    assert not (tmp_path / "run/bundle").exists()
    assert main(["promote", result.run_id]) == 0
    assert "is the champion: there was no champion to beat" in capsys.readouterr().out
    registry = Registry(f"sqlite:///{tmp_path}/home/mlruns/mlflow.db")
    kept = registry.download("prenda@champion", tmp_path / "fetched")
    assert kept.scores["test/accuracy"] == result.scores["test"].metrics["accuracy"]
    session = onnxruntime.InferenceSession(kept.network, providers=["CPUExecutionProvider"])
    pixels = find("generated").load(tmp_path).test_images.numpy()
    (logits,) = session.run(["logits"], {"pixels": pixels})
    np.testing.assert_allclose(logits, result.scores["test"].logits, atol=1e-4)
    assert (kept.folder / "README.md").is_file()
    assert kept.unsure == fit_thresholds(result.scores["val"], kept.temperature)
