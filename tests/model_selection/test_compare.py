from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from scipy import stats

from prenda.cli import main
from prenda.config.convert import as_yaml
from prenda.data.datasets import generated
from prenda.data.datasets.fashion_mnist import GARMENTS
from prenda.model_selection.compare import compare
from prenda.report.comparison.page import _of_all_classes
from prenda.report.tables import write_predictions
from prenda.scoring.scores import class_scores, score
from prenda.scoring.significance import (
    accuracy_interval,
    cochran_q,
    difference_interval,
    holm,
    mcnemar,
    mean_interval,
    welch,
)
from prenda.tracking import comparisons
from prenda.tracking.journal import Destination
from prenda.tracking.runs import DataUsed, Run
from prenda.tracking.store import connect, experiment_id
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.training.test_train import DENSE

LABELS = np.arange(500) % 10  # of the generated test images
CONTENT = generated.DATA_SET.load(Path()).content_hash


def guesses(*wrong: int, labels: np.ndarray = LABELS) -> np.ndarray:
    """Probabilities (N, 10) that have all images right but these, which they take for the next class."""
    said = labels.copy()
    said[list(wrong)] = (said[list(wrong)] + 1) % 10
    return np.where(np.eye(10)[said] == 1, 0.91, 0.01).astype(np.float32)


def kept(folder: Path, probabilities: np.ndarray | None, *overrides: str, labels: np.ndarray = LABELS) -> Path:
    """A run's own folder, with what comparing needs of it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(as_yaml(configured(*TINY, *overrides)))
    if probabilities is not None:
        write_predictions(np.log(probabilities), labels, GARMENTS, folder / "predictions" / "test.npz")
    return folder


@pytest.fixture
def two(tmp_path) -> list[str]:
    """Folders of A, wrong on images 0 to 29, and B, wrong on 20 to 29 and 100."""
    a = kept(tmp_path / "a", guesses(*range(30)), "tracking.run_name='cnn_batch_norm-fashion_mnist-lr=0.003-seed0'")
    b = kept(tmp_path / "b", guesses(*range(20, 30), 100), "backbone=dense", "tracking.run_name='dense[relu]'")
    return [str(a), str(b)]


def content(folder: Path) -> dict:
    return json.loads((folder / "comparison.json").read_text())


def client(home: Path):
    return connect(f"sqlite:///{home}/mlruns/mlflow.db")


def recorded_run(home: Path, name: str, probabilities: np.ndarray | None, *overrides: str, content_hash: str = CONTENT):
    """A finished run in the store of `home`; returns its id."""
    store = client(home)
    folder = home / "outputs" / name
    kept(folder, probabilities, *overrides)
    experiment_id(store, "prenda", str(home / "mlruns/artifacts"))
    run = Run(folder, Destination(f"sqlite:///{home}/mlruns/mlflow.db", "prenda"))
    run.start(name, {}, {"backbone": "dense" if "backbone=dense" in overrides else "cnn"})
    assert run.deliver() is None
    run.log_data(DataUsed("generated", content_hash, "", {}, {}))
    run.end("FINISHED")
    assert run.close() is None
    return run.id


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with a store: two runs of one name and content, one of another content, and one without predictions."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        for name, wrong in (("one", 30), ("two", 10)):
            recorded_run(home, name, guesses(*range(wrong)), "backbone=dense" if name == "one" else "backbone=cnn")
        recorded_run(home, "foreign", guesses(), content_hash="f" * 64)
        recorded_run(home, "empty", None)
    return home


@pytest.fixture
def _in_home(home, monkeypatch, _own_home) -> None:
    monkeypatch.setenv("PRENDA_HOME", str(home))


@pytest.mark.slow
def test_figures_are_those_of_the_predictions(two):
    found = content(compare(two, recorded=False))
    a, b = found["runs"]
    probabilities = guesses(*range(30))
    assert a["metrics"]["accuracy"] == pytest.approx(0.94)
    assert a["metrics"]["loss"] == pytest.approx(-np.log(probabilities[np.arange(500), LABELS]).mean(), rel=1e-6)
    assert b["difference"]["accuracy"] == pytest.approx(0.978 - 0.94)
    assert a["classes"] == class_scores(np.array(a["confusion"]), GARMENTS)
    (pair,) = found["pairs"]
    assert (pair["only_first_right"], pair["only_second_right"], pair["different_classes"]) == (1, 20, 21)
    assert pair["mcnemar_p"] == pair["holm_p"] == pytest.approx(stats.binomtest(1, 21).pvalue)
    assert pair["difference_interval"] == list(difference_interval(1, 20, 500))
    assert a["accuracy_interval"] == list(accuracy_interval(470, 500))


@pytest.mark.slow
def test_a_trained_runs_figures_are_found_again(tmp_path):
    results = [train(configured(*TINY, *DENSE, f"seed={seed}"), tmp_path / str(seed)) for seed in (0, 1)]
    found = content(compare([str(result.folder) for result in results], recorded=False))
    for result, run in zip(results, found["runs"], strict=True):
        assert run["metrics"] == result.scores["test"].metrics
        assert run["confusion"] == result.scores["test"].confusion.tolist()
    assert [run["name"] for run in found["runs"]] == ["dense-generated-seed0", "dense-generated-seed1"]
    assert [group["runs"] for group in found["groups"]] == [["A", "B"]]


@pytest.mark.slow
def test_two_runs_are_shown_in_eighty_columns(two, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    compare(two, recorded=False)
    printed = capsys.readouterr().out
    assert "A  cnn_batch_norm-fashion_mnist-lr=0.003-seed0  " in printed
    assert "B  dense[relu]  " in printed
    assert re.search(r"│ accuracy +│ +94.00% │ +97.80% │ +\+3.80 │", printed)
    text = " ".join(printed.split())
    assert (
        "B is right on 20 images where A is wrong, A on 1 where B is wrong. Over test images, the difference between "
        "these two models is statistically significant (McNemar, exact, p = 2.1e-05)." in text
    )
    assert (
        "Over training seeds, nothing was tested: that needs runs with two or more seeds of each configuration. Chance "
        "in training may explain the difference." in text
    )
    assert re.search(r"│ A │ +94.00% │ 91.56% to 95.77% │ +│ +│", printed)
    assert re.search(r"│ B │ +97.80% │ 96.10% to 98.77% │ +\+3.80 │ \+1.94 to \+5.63 │", printed)
    assert "A and B predict different classes on 21 of 500 test images; one is right on 21." in text
    names = ("A ", "B ", "Comparison")
    assert max(len(line) for line in printed.splitlines() if not line.startswith(names)) <= 80
    rows = [line.split("│")[1:-1] for line in printed.split("F1 by class")[1].splitlines() if line.startswith("│")]
    changes = [abs(float(cells[-1])) for cells in rows]
    assert len(changes) == 10
    assert changes == sorted(changes, reverse=True)


@pytest.mark.slow
def test_a_small_difference_is_not_significant(tmp_path, capsys):
    folders = [kept(tmp_path / name, guesses(*wrong)) for name, wrong in (("a", (1, 2)), ("b", (3,)))]
    compare([str(folder) for folder in folders], recorded=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "the difference between these two models is not significant (McNemar, exact, p = 1)." in text


@pytest.mark.slow
def test_equal_predictions_are_no_difference(tmp_path, capsys):
    folders = [kept(tmp_path / name, guesses(1, 2), f"seed={seed}") for seed, name in enumerate("abc")]
    compare([str(folder) for folder in folders[:2]], recorded=False)
    assert "A and B are right on the same images" in capsys.readouterr().out
    written = compare([str(folder) for folder in folders], recorded=False)
    assert content(written)["cochran"] == {"q": 0.0, "p": 1.0}
    assert not (written / "disagreements").exists()


@pytest.mark.slow
def test_more_runs_are_tested_together_then_in_pairs(tmp_path, capsys):
    wrong = (range(40), range(20, 30), range(25, 60))
    folders = [kept(tmp_path / str(i), guesses(*images), f"seed={i}") for i, images in enumerate(wrong)]
    found = content(compare([str(folder) for folder in folders], recorded=False))
    right = [~np.isin(np.arange(500), list(images)) for images in wrong]
    assert tuple(found["cochran"].values()) == cochran_q(np.stack(right, axis=1))
    p_values = [mcnemar(right[a], right[b]).p_value for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [pair["holm_p"] for pair in found["pairs"]] == holm(p_values)
    text = " ".join(capsys.readouterr().out.split())
    assert "Of 3 models, B has the highest accuracy (98.00%). Over test images, their differences are stat" in text
    assert "statistically significant (Cochran's Q =" in text
    assert "2 of 3 pairs differ significantly (McNemar, exact, Holm-corrected)." in text
    assert "On 55 of 500 test images some of the runs are right and others wrong." in text


@pytest.mark.slow
def test_runs_that_differ_only_in_seed_are_averaged(tmp_path, capsys):
    """The third run repeats a seed: it is the same model, no further measurement."""
    made = [("dense", 0, 10), ("dense", 1, 20), ("dense", 1, 20), ("cnn", 0, 30), ("cnn", 1, 34), ("resnet", 0, 5)]
    folders = [
        kept(tmp_path / str(place), guesses(*range(wrong)), f"backbone={backbone}", f"seed={seed}", f"report={report}")
        for place, ((backbone, seed, wrong), report) in enumerate(zip(made, ["full", "none"] * 3, strict=True))
    ]
    found = content(compare([str(folder) for folder in folders], recorded=False))
    dense, cnn, resnet = found["groups"]
    assert (dense["runs"], dense["seeds"]) == (["A", "B", "C"], 2)
    assert tuple(dense["means"]["accuracy"].values()) == pytest.approx(mean_interval([0.98, 0.96]))
    assert cnn["runs"] == ["D", "E"]
    assert resnet["means"]["accuracy"] == {"mean": pytest.approx(0.99), "half_width": None}
    (test,), expected = found["seed_tests"], welch([0.98, 0.96], [0.94, 0.932])
    assert (test["first"], test["second"]) == (["A", "B", "C"], ["D", "E"])
    values = (test["difference"], test["half_width"], test["welch_p"], test["holm_p"])
    assert values == pytest.approx((expected.difference, expected.half_width, expected.p_value, expected.p_value))
    text = " ".join(capsys.readouterr().out.split())
    assert "│ F │ 1 run │ 99.00% │" in text
    assert "Over training seeds, mean accuracy of D, E less that of A, B, C is -3.40 ±" in text
    assert "points, not significant (Welch's t-test, p = 0.15)." in text


def compared(tmp_path: Path, *runs: tuple[str, int, int]) -> dict:
    """The content of a comparison of runs: backbone, seed, and the number of images that they have wrong."""
    folders = [
        kept(tmp_path / f"{backbone}{seed}", guesses(*range(wrong)), f"backbone={backbone}", f"seed={seed}")
        for backbone, seed, wrong in runs
    ]
    return content(compare([str(folder) for folder in folders], recorded=False))


@pytest.mark.slow
def test_two_seeds_of_one_configuration_are_told_as_chance_in_training(tmp_path, capsys):
    found = compared(tmp_path, ("dense", 0, 10), ("dense", 1, 60))
    assert found["pairs"][0]["seeds_only"]
    assert found["seed_tests"] == []
    text = " ".join(capsys.readouterr().out.split())
    assert "Over test images, the difference between these two models is statistically significant" in text
    assert (
        "All runs have the same configuration and differ in their seed alone: their differences are chance in" in text
    )


@pytest.mark.slow
def test_a_table_of_pairs_marks_those_that_differ_in_their_seed_alone(tmp_path, capsys):
    compared(tmp_path, ("dense", 0, 10), ("dense", 1, 60), ("cnn", 0, 100))
    printed = capsys.readouterr().out
    assert re.search(r"│ A, B │ .* │ +yes, seeds │", printed)
    assert re.search(r"│ A, C │ .* │         yes │", printed)
    text = " ".join(printed.split())
    assert (
        '"yes, seeds": one of these models is better, but both have the same configuration, so the difference' in text
    )
    assert "Over training seeds, nothing was tested: that needs runs with two or more seeds of each" in text


@pytest.mark.slow
def test_several_configurations_are_tested_over_seeds_in_pairs(tmp_path, capsys):
    runs = [
        (backbone, seed, wrong + seed)
        for backbone, wrong in (("dense", 10), ("cnn", 30), ("resnet", 31))
        for seed in range(3)
    ]
    found = compared(tmp_path, *runs)
    assert [test["second"] for test in found["seed_tests"]] == [["D", "E", "F"], ["G", "H", "I"], ["G", "H", "I"]]
    accuracies = [[1 - (wrong + seed) / 500 for seed in range(3)] for wrong in (10, 30, 31)]
    p_values = [welch(accuracies[a], accuracies[b]).p_value for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [test["welch_p"] for test in found["seed_tests"]] == pytest.approx(p_values)
    assert [test["holm_p"] for test in found["seed_tests"]] == pytest.approx(holm(p_values))
    printed = capsys.readouterr().out
    assert "Significance over training seeds" in printed
    assert re.search(r"│ G, H, I − D, E, F │ +-0.20 ± 0.45 │ +0.29 │ +no │", printed)
    text = " ".join(printed.split())
    assert "2 of 3 pairs of configurations differ significantly in their mean accuracy (Welch's t-test, Holm-co" in text


@pytest.mark.slow
def test_accuracy_that_does_not_vary_over_seeds_is_not_tested(tmp_path, capsys):
    found = compared(tmp_path, ("dense", 0, 10), ("dense", 1, 10), ("cnn", 0, 30), ("cnn", 1, 30))
    assert found["seed_tests"][0]["welch_p"] is None
    assert "is -4.00 points. No test is possible: accuracy does not vary over" in " ".join(
        capsys.readouterr().out.split()
    )


def test_disagreements_show_every_class_in_turn():
    labels = np.array([0, 0, 0, 1, 2, 2])
    assert _of_all_classes(np.array([0, 2, 1, 5, 3, 4]), labels, 5).tolist() == [0, 5, 3, 2, 4]
    assert _of_all_classes(np.array([], np.int64), labels, 5).tolist() == []


@pytest.mark.slow
def test_pages_show_disagreements_of_every_class(two, tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(
        "prenda.report.figures.gallery_figure", lambda _, captions, __: titles.append(captions) or Figure()
    )
    compare(two, recorded=False)
    classes = {caption.partition("\n")[0] for caption in titles[0]}
    assert classes == set(GARMENTS)


@pytest.mark.slow
def test_groups_that_differ_over_seeds_are_significant(tmp_path, capsys):
    runs = [("dense", 0, 10), ("dense", 1, 11), ("cnn", 0, 30), ("cnn", 1, 31)]
    folders = [
        kept(tmp_path / f"{backbone}{seed}", guesses(*range(wrong)), f"backbone={backbone}", f"seed={seed}")
        for backbone, seed, wrong in runs
    ]
    compare([str(folder) for folder in folders], recorded=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "points, statistically significant (Welch's t-test, p = 0.0012)." in text


@pytest.mark.slow
def test_many_runs_are_shown_in_part(tmp_path, capsys):
    folders = [kept(tmp_path / str(place), guesses(*range(place)), f"seed={place}") for place in range(7)]
    written = compare([str(folder) for folder in folders], recorded=False)
    assert sorted(path.name for path in (written / "confusion").iterdir()) == sorted(
        [*(f"{letter}.png" for letter in "ABCDEF"), *(f"{letter}-A.png" for letter in "BCDEF")]
    )
    assert len(content(written)["pairs"]) == 21
    printed = capsys.readouterr().out
    assert "Pairs, the 15 most significant of 21" in printed
    assert "F1 by class, the first 6 runs" in printed
    assert "Of the first 6 runs." in (written / "comparison.html").read_text()


@pytest.mark.slow
def test_the_page_holds_tables_and_pictures(two):
    written = compare(two, recorded=False)
    page = (written / "comparison.html").read_text()
    assert "dense[relu]" in page
    assert page.count('src="data:image/png;base64,') == 5  # two matrices, their difference, two galleries
    assert {path.name for path in (written / "disagreements").iterdir()} == {
        "A_right_B_wrong.png",
        "B_right_A_wrong.png",
    }


@pytest.mark.slow
def test_folders_are_compared_without_a_store(two, tmp_path):
    assert main(["compare", *two, "--no-record"]) == 0
    assert not (tmp_path / "home/mlruns").exists()


@pytest.mark.slow
@pytest.mark.parametrize("named", [(), ("--data-dir", "nowhere")])
def test_without_the_data_set_the_rest_is_compared(tmp_path, capsys, named):
    settings = ("data=fashion_mnist", "data.val_size=5000", "data.limit_train=null", f"data.dir={tmp_path / 'gone'}")
    folders = [str(kept(tmp_path / name, guesses(place), *settings)) for place, name in enumerate("ab")]
    assert main(["compare", *folders, "--no-record", *named]) == 0
    printed = capsys.readouterr().out
    missing = "nowhere" if named else str(tmp_path / "gone")
    assert f"No pictures data.dir is {missing}, where FashionMNIST's train-images-idx3-ubyte is missing." in printed
    assert "In prenda compare, --data-dir sets this folder." in printed
    (written,) = (tmp_path / "home/outputs/compare").glob("*/*")
    assert not (written / "disagreements").exists()
    assert "is missing" in (written / "comparison.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("_in_home")
def test_other_images_are_not_shown(monkeypatch, capsys):
    generate = generated.generate
    monkeypatch.setattr(generated, "generate", lambda count, seed: generate(count, seed + 10))
    compare(["one", "two"], recorded=False)
    assert (
        "holds other images than the runs were tested on: give their folder with --data-dir." in capsys.readouterr().out
    )


def state(home: Path) -> list:
    """Everything that the store says of the runs in it, and their files' content."""
    runs = client(home).search_runs([client(home).get_experiment_by_name("prenda").experiment_id])
    files = {path: path.read_bytes() for run in runs for path in Path(run.info.artifact_uri[7:]).rglob("*.*")}
    return [[run.to_dictionary() for run in runs], files]


@pytest.mark.slow
@pytest.mark.usefixtures("_in_home")
def test_a_comparison_is_recorded_as_a_run_of_its_own(home, capsys):
    before, store = state(home), client(home)
    assert main(["compare", "two", "one"]) == 0
    assert main(["compare", "one", "two"]) == 0
    experiment = store.get_experiment_by_name("comparisons")
    newest, older = store.search_runs([experiment.experiment_id])
    assert f"MLflow run  {newest.info.run_id} in sqlite:///" in capsys.readouterr().out
    ids = [store.search_runs(["1"], f"attributes.run_name = '{name}'")[0].info.run_id for name in ("one", "two")]
    assert newest.info.status == older.info.status == "FINISHED"
    assert newest.info.run_name == "one against two"
    assert newest.data.tags["prenda.kind"] == "comparison"
    assert newest.data.tags["prenda.compared"] == ",".join(ids)
    note = newest.data.tags["mlflow.note.content"]
    assert note.startswith("B is right on 20 images where A is wrong, A on 0 where B is wrong")
    assert "\n\nOver training seeds, nothing was tested: " in note
    assert "| B | 98.00% | 96.36% to 98.91% | +4.00 | +2.19 to +5.78 |" in note
    assert f"- A: one ({ids[0]})" in note
    assert "| accuracy | 94.00% | 98.00% | +4.00 |" in note
    assert newest.data.metrics["difference/accuracy/B"] == pytest.approx(0.04)
    assert newest.data.metrics["disagreements"] == 20
    assert newest.data.metrics["p_value"] == pytest.approx(2 * 0.5**20)
    files = {item.path for item in store.list_artifacts(newest.info.run_id)}
    assert files == {"comparison.html", "comparison.json", "confusion", "disagreements"}
    assert state(home) == before


@pytest.mark.slow
@pytest.mark.usefixtures("_in_home")
def test_a_comparison_that_the_store_cannot_keep_is_delivered_by_sync(home, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        assert main(["compare", "one", "two"]) == 0
    assert re.search(
        r"2 records are not delivered to sqlite:\S+ yet \(no room\): `prenda sync ", capsys.readouterr().err
    )
    assert main(["sync"]) == 0
    store = client(home)
    experiment = store.get_experiment_by_name("comparisons")
    assert store.search_runs([experiment.experiment_id], max_results=1)[0].info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.usefixtures("_in_home")
def test_runs_are_added_by_filter_after_those_named(home):
    found = content(compare(["two"], where="params.backbone = 'dense'", recorded=False))
    assert [run["name"] for run in found["runs"]] == ["two", "one"]
    found = content(
        compare(
            ["two"],
            experiment="prenda",
            where="attributes.run_name != 'empty' and attributes.run_name != 'foreign'",
            recorded=False,
        )
    )
    assert [run["name"] for run in found["runs"]] == ["two", "one"]


@pytest.mark.usefixtures("_in_home")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["one", "nobody"], "'nobody' is neither a file nor a run in sqlite:///"),
        (["one", "empty"], "Run 'empty' (FINISHED) holds no predictions/test.npz: name a run that"),
        (["one", "one"], ", which was given already: name each run once."),
        (["one"], "There are 1 runs to compare (one): give 2 to 50, by id, name, folder, --experiment or --where; "),
        ([], "There are 0 runs to compare: give 2 to 50"),
        (["--experiment", "nothing"], "--experiment is 'nothing': choose one of prenda, Default."),
        (["--experiment", "Default"], "--experiment is 'Default', which holds no finished run: choose one of prenda"),
        (["--experiment", "comparisons"], "--experiment is 'comparisons': choose one of"),
        (
            ["--where", "params.backbone = 'resnet'"],
            "--where is \"params.backbone = 'resnet'\", which no finished run of any experiment matches: `prenda ui`",
        ),
        (["--experiment", "prenda", "--where", "metrics.loss < 0"], "which no finished run of experiment 'prenda'"),
        (["--where", "backbone: cnn"], "--where is 'backbone: cnn', which MLflow cannot read (Invalid"),
    ],
)
def test_wrong_input_is_told(arguments, told, capsys, home):
    before = len(list(home.glob("outputs/compare/*/*")))
    assert main(["compare", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert len(list(home.glob("outputs/compare/*/*"))) == before


@pytest.mark.usefixtures("_in_home")
def test_runs_on_other_data_are_refused_by_both_names(capsys):
    assert main(["compare", "one", "foreign"]) == 2
    assert (
        f"'one' was tested on generated (500 test images of 10 classes, content {CONTENT[:12]}…), 'foreign' on "
        "generated (500 test images of 10 classes, content ffffffffffff…): compare runs that were tested on the same"
    ) in capsys.readouterr().err


@pytest.mark.usefixtures("_in_home")
def test_too_many_runs_are_refused_before_they_are_fetched(monkeypatch, capsys):
    monkeypatch.setattr(comparisons, "MOST_RUNS", 2)
    assert main(["compare", "--experiment", "prenda"]) == 2
    assert "There are 4 runs to compare: give 2 to 2" in capsys.readouterr().err


@pytest.mark.slow
def test_other_labels_are_refused(two, tmp_path, capsys):
    other = kept(tmp_path / "c", guesses(), labels=LABELS[::-1])
    assert main(["compare", *two, str(other)]) == 2
    assert "compare runs that were tested on the same images and classes." in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_is_refused_that_is_no_whole_run(two, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["compare", two[0], str(tmp_path / "empty")]) == 2
    assert "a folder that has no run's config.yaml in it" in capsys.readouterr().err
    (Path(two[1]) / "predictions/test.npz").write_bytes(b"no archive")
    assert main(["compare", *two]) == 2
    assert f"test.npz of {Path(two[1]).resolve()} cannot be read (" in capsys.readouterr().err
    config = Path(two[1]) / "config.yaml"
    config.write_text(config.read_text() + "colour: 3\n")
    assert main(["compare", *two]) == 2
    assert "was made by another version of prenda: it has the setting colour, which" in capsys.readouterr().err
    config.unlink()
    assert main(["compare", *two]) == 2
    assert "a folder that has no run's config.yaml in it" in capsys.readouterr().err
    assert main(["compare", two[0], f"{two[0]}/../a"]) == 2
    assert "which was given already" in capsys.readouterr().err


def test_without_a_store_the_next_step_is_told(capsys, tmp_path):
    assert main(["compare", "one", "two"]) == 2
    assert "There is no store at sqlite:///" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_the_loss_of_sure_and_wrong_predictions_is_not_clipped(two, tmp_path):
    folder = kept(tmp_path / "certain", guesses())
    logits = 1e4 * np.eye(10, dtype=np.float32)[(LABELS + 1) % 10]
    write_predictions(logits, LABELS, GARMENTS, folder / "predictions" / "test.npz")
    found = content(compare([two[0], str(folder)], recorded=False))
    assert found["runs"][1]["metrics"] == score(logits, LABELS, GARMENTS).metrics
    assert found["runs"][1]["metrics"]["loss"] == pytest.approx(1e4)
    assert found["notes"] == []


@pytest.mark.slow
def test_rounded_probabilities_of_version_0_1_0_are_told(two, tmp_path, capsys):
    folder = kept(tmp_path / "certain", guesses())
    probabilities = np.eye(10, dtype=np.float32)[(LABELS + (LABELS == 3)) % 10]
    path = folder / "predictions" / "test.npz"
    np.savez(path, probabilities=probabilities, labels=LABELS, class_names=GARMENTS)
    written = compare([two[0], str(folder)], recorded=False)
    (note,) = content(written)["notes"]
    assert note == (
        "B was recorded by version 0.1.0, which kept probabilities instead of logits. The true class of 50 test images "
        "has a probability of 0 there, so loss and top2_accuracy of B are approximate: "
        f"`prenda evaluate {folder.resolve()}` computes them."
    )
    assert "has a probability of 0 there" in " ".join(capsys.readouterr().out.split())
    assert "has a probability of 0 there" in (written / "comparison.html").read_text()
