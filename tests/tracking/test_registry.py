from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pytest

from prenda.data.datasets.fashion_mnist import GARMENTS, SPANISH
from prenda.errors import BundleError, TrackingError
from prenda.tracking.registry import LONGEST_DESCRIPTION, Registry, log_bundle
from prenda.tracking.store import connect, experiment_id
from tests.bundle.test_bundle import DESCRIPTION, answers, dense, pictures, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write(folder, dense())
    return folder


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlruns/mlflow.db"


@pytest.fixture
def client(uri):
    return connect(uri)


@pytest.fixture
def registry(client, uri) -> Registry:
    return Registry(uri)


@pytest.fixture
def run(client, uri) -> str:
    artifacts = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
    run_id = client.create_run(experiment_id(client, "prenda", str(artifacts)), run_name="a run").info.run_id
    for name in ("predictions/test.npz", "classes/test.json"):
        client.log_text(run_id, "", name)
    return run_id


@pytest.fixture
def logged(client, run, folder) -> str:
    return log_bundle(client, run, folder)


@pytest.fixture
def _global_store(uri):
    """What a program of MLflow's own, such as `mlflow models serve`, is told by MLFLOW_TRACKING_URI."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_global_store")
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's own, on importing mlflow.pyfunc
def test_mlflow_loads_it_and_computes_the_same(logged, folder):
    model = mlflow.pyfunc.load_model(f"models:/{logged}")
    pixels = pictures(3)
    answered = model.predict(pixels.numpy().astype(np.float32))
    for name, expected in zip(("probabilities", "logits"), answers(folder / "model.onnx", pixels), strict=True):
        np.testing.assert_array_equal(answered[name], expected)
    signature = model.metadata.signature
    (taken,) = signature.inputs.inputs
    assert (taken.name, taken.shape, taken.type) == ("pixels", (-1, 1, 28, 28), np.float32)
    assert [(output.name, output.shape) for output in signature.outputs.inputs] == [
        ("probabilities", (-1, 10)),
        ("logits", (-1, 10)),
    ]
    about = model.metadata.metadata
    assert (about["class_names"], about["labels"]["es"]) == (list(GARMENTS), list(SPANISH))
    assert (about["task"], about["polarity"], about["preparation"]["size"]) == ("generated", "light on dark", 28)
    graph = mlflow.onnx.load_model(f"models:/{logged}").graph
    assert [output.name for output in graph.output] == ["probabilities", "logits"]


def test_the_model_is_the_whole_bundle_with_pinned_requirements(registry, run, logged, folder, tmp_path):
    recorded = registry.model_of_run(run, tmp_path)
    assert (recorded.run_id, recorded.run_name, recorded.model_id) == (run, "a run", logged)
    read = recorded.bundle
    files = {path.name for path in read.folder.iterdir()}
    added = {"MLmodel", "requirements.txt", "python_env.yaml", "checked.onnx"}
    assert files == {path.name for path in folder.iterdir()} | added
    for path in folder.iterdir():
        assert (read.folder / path.name).read_bytes() == path.read_bytes()
    lines = (read.folder / "requirements.txt").read_text().splitlines()
    assert lines == [f"{name}=={version(name)}" for name in ("onnxruntime", "onnx", "numpy", "mlflow")]


@pytest.mark.slow
def test_the_run_names_the_model_and_goes_on(client, run, logged):
    assert client.get_run(run).info.status == "RUNNING"
    assert client.get_logged_model(logged).source_run_id == run
    assert client.get_logged_model(logged).status == "READY"
    assert {item.path for item in client.list_artifacts(run)} == {"predictions", "classes"}
    assert mlflow.active_run() is None


def test_a_model_that_could_not_be_logged_whole_is_none_of_the_run(
    client, registry, run, folder, monkeypatch, tmp_path
):
    def no_room(*_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(client, "log_model_artifacts", no_room)
    with pytest.raises(OSError, match="No space left"):
        log_bundle(client, run, folder)
    found = client.search_logged_models([client.get_run(run).info.experiment_id])
    assert [model.status for model in found if model.source_run_id == run] == ["FAILED"]
    with pytest.raises(TrackingError, match=r"Run 'a run' \(RUNNING\) holds no bundle: name a run that finished"):
        registry.model_of_run(run, tmp_path)


def test_a_damaged_bundle_is_not_logged(client, run, folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="is damaged"):
        log_bundle(client, run, tmp_path)
    assert client.get_run(run).outputs.model_outputs == []


def test_versions_count_up_and_are_fetched_by_number_and_alias(registry, run, logged, tmp_path):
    first, second = (registry.register("counted", run, logged, f"card {n}", {"n": n}) for n in "12")
    registry.set_champion("counted", first.number)
    registry.set_champion("counted", second.number)
    assert first.tags["prenda.decision"] == "unfinished"
    registry.describe("counted", 1, "because")
    registry.decide("counted", 1, "better")
    found = registry.versions("counted")
    assert [(one.number, one.aliases, one.tags) for one in found] == [
        (2, ("champion",), {"n": "2", "prenda.decision": "unfinished"}),
        (1, (), {"n": "1", "prenda.decision": "better"}),
    ]
    assert registry.download("counted@champion", tmp_path / "a").data == DESCRIPTION["data"]
    assert registry.download("counted/1", tmp_path / "b").class_names[0] == "T-shirt/top"


def test_a_long_card_is_whole_in_its_file(client, registry, run, logged):
    card = "# A card\n" + "a line\n" * 1000
    registry.register("long", run, logged, card, {})
    described = client.get_model_version("long", "1").description
    assert len(described) <= LONGEST_DESCRIPTION
    assert described.endswith("a line\n\n(The whole card is the model's `card.md`.)\n")
    folder = Path(client.get_logged_model(logged).artifact_location.removeprefix("file://"))
    assert (folder / "card.md").read_text() == card


@pytest.mark.slow
def test_the_latest_decisions_fit_into_a_long_description(client, registry, run, logged):
    registry.register("often", run, logged, "# A card\n" + "a line\n" * 1000, {})
    for number in range(40):
        registry.describe("often", 1, f"decision {number} " + "x" * 90)
        described = client.get_model_version("often", "1").description
        assert len(described) <= LONGEST_DESCRIPTION
        assert described.startswith("# A card\na line\n")
        assert described.count("(The whole card is the model's `card.md`.)") == 1
        assert described.endswith(f"- decision {number} {'x' * 90}\n")
    assert described.count("- decision ") > 20
    assert "- decision 0 " not in described


def test_of_no_model_there_are_no_versions(registry):
    assert registry.versions("nobody") == []


@pytest.mark.parametrize("name", ["nobody@champion", "nobody/3", "nobody"])
def test_a_model_that_is_not_there_is_told(registry, name, tmp_path):
    with pytest.raises(
        TrackingError, match=rf"Model '{name}' cannot be had from sqlite.*`prenda models` lists what is"
    ):
        registry.download(name, tmp_path)


def test_a_store_that_is_not_there_is_told(tmp_path):
    with pytest.raises(
        TrackingError, match=r"There is no store at sqlite:///.*: train a run first, or set PRENDA_HOME"
    ):
        Registry(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_files_that_were_deleted_are_told(client, registry, run, logged, tmp_path):
    folder = Path(client.get_logged_model(logged).artifact_location.removeprefix("file://"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(TrackingError, match=r"The model of run 'a run' cannot be had .* must be trained again"):
        registry.model_of_run(run, tmp_path)
