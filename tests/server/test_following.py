"""The model that answers follows the champion."""

from __future__ import annotations

import logging

import pytest

from prenda.bundle import champions
from prenda.bundle.format import NETWORK, read
from prenda.errors import UserError
from prenda.prediction.predictor import Predictor
from prenda.server.following import Following
from tests.prediction.bundles import write_bundle
from tests.server.conftest import jpeg


@pytest.fixture
def promote(tmp_path):
    """Makes a bundle champion; returns the folder of its copy."""

    def run(name: str, **changes):
        return champions.keep(read(write_bundle(tmp_path / name, **changes)))

    return run


@pytest.fixture
def following(promote, serve) -> tuple:
    promote("first")
    client = serve(model="champion")
    return client, client.app.state.service.following


def version(client) -> str:
    return client.post("/predict", files={"photos": ("a.jpg", jpeg())}).json()["model"]["version"]


def metric(client, line: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next((float(each.rpartition(" ")[2]) for each in lines if each.startswith(line)), 0.0)


def test_a_new_champion_answers_after_the_next_look(following, promote):
    client, look = following
    first = version(client)

    promote("second", temperature=3.0)
    assert version(client) == first
    look.look()

    assert version(client) != first
    assert metric(client, "prenda_reloads_total") == 1
    assert metric(client, f'prenda_model_info{{name="colours",registry_version="",version="{first}"}}') == 0
    look.look()
    assert metric(client, "prenda_reloads_total") == 1


@pytest.mark.parametrize("damage", ["content", "absent"])
def test_a_damaged_champion_is_reported_once_and_not_taken(following, promote, caplog, damage):
    client, look = following
    first = version(client)
    network = promote("second", temperature=3.0).resolve() / NETWORK
    network.write_bytes(b"damaged") if damage == "content" else network.unlink()

    look.look()
    look.look()

    assert version(client) == first
    assert metric(client, 'prenda_reload_failures_total{code="damaged"}') == 1
    (message,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert message.startswith(f"prenda: a new champion is not taken (damaged); {first} goes on: ")


def test_a_champion_that_was_repaired_is_taken(following, promote, tmp_path):
    client, look = following
    first = version(client)
    network = promote("second", temperature=3.0).resolve() / NETWORK
    content = network.read_bytes()
    network.write_bytes(b"damaged")
    look.look()

    network.write_bytes(content)
    look.look()

    assert version(client) != first


def test_a_champion_that_fails_its_self_test_is_not_taken(following, promote, monkeypatch):
    client, look = following
    first = version(client)
    promote("second", temperature=3.0)
    call = Predictor.__call__

    def nan(self, pixels):
        outputs = call(self, pixels)
        return outputs._replace(logits=outputs.logits * float("nan")) if self._bundle.temperature == 3 else outputs

    monkeypatch.setattr(Predictor, "__call__", nan)
    look.look()

    assert version(client) == first
    assert metric(client, 'prenda_reload_failures_total{code="damaged"}') == 1


def test_a_champion_with_other_classes_is_not_taken(following, promote, caplog):
    client, look = following
    first = version(client)
    promote("second", class_names=["Hat", "Dress", "Bag"])

    look.look()

    assert version(client) == first
    assert metric(client, 'prenda_reload_failures_total{code="other_classes"}') == 1
    assert "it has the classes Hat, Dress, Bag: restart the server" in caplog.text


def test_the_champion_of_another_task_is_none_of_its_business(following, promote):
    client, look = following
    first = version(client)

    promote("other", task="hats")
    look.look()
    assert version(client) == first
    promote("second", temperature=3.0)
    look.look()

    assert version(client) != first


def test_a_newest_run_is_followed_by_the_champion_of_its_task(serve, promote, tmp_path):
    write_bundle(tmp_path / "home/outputs/runs/2026-01-01/10-00-00/bundle")
    client = serve(model="champion")
    first = version(client)
    look = client.app.state.service.following
    look.look()

    promote("second", temperature=3.0)
    look.look()

    assert version(client) != first


def test_a_named_bundle_is_not_followed(serve, promote, tmp_path):
    client = serve(model=str(promote("first").resolve()))
    first = version(client)

    promote("second", temperature=3.0)
    client.app.state.service.following.look()

    assert version(client) == first


def test_without_a_model_nothing_starts(serve):
    with pytest.raises(UserError, match="holds neither a champion nor a finished run"):
        serve(model="champion")
    for name in ("dresses", "/folder/bundle"):
        with pytest.raises(
            UserError, match=r"--model is '.*': with --tracking-uri, give champion, NAME@ALIAS or NAME/"
        ):
            serve(model=name, tracking_uri="http://127.0.0.1:1")


def test_it_looks_again_and_again(promote, serve):
    promote("first")
    client = serve(model="champion", reload_every=0.02)
    first = version(client)
    promote("second", temperature=3.0)

    assert any(version(client) != first for _ in range(500))


def test_a_registry_that_does_not_answer_is_reported_once(following, caplog):
    client, look = following

    class Absent:
        def identity(self):
            raise UserError("Model 'prenda@champion' cannot be had")

    broken = Following.__new__(Following)
    broken.__dict__ = {**look.__dict__, "_source": Absent()}
    broken.look()
    broken.look()

    assert metric(client, 'prenda_reload_failures_total{code="unreachable"}') == 2
    assert len([record for record in caplog.records if "unreachable" in record.message]) == 1


@pytest.mark.slow
def test_the_champion_of_a_registry_is_followed(serve, tmp_path):
    client_class = pytest.importorskip("mlflow", reason="MLflow is not in an installation without torch").MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    registry = client_class(uri, uri)
    registry.create_registered_model("prenda")

    def register(name: str, **changes) -> str:
        folder = write_bundle(tmp_path / name, **changes)
        version = registry.create_model_version("prenda", str(folder), await_creation_for=0).version
        registry.set_registered_model_alias("prenda", "champion", version)
        return str(version)

    assert register("first") == "1"
    client = serve(tracking_uri=uri, model="champion")
    fixed = serve(tracking_uri=uri, model="prenda/1")
    assert client.get("/readyz").json()["model"]["registry_version"] == "1"

    register("second", temperature=3.0)
    client.app.state.service.following.look()
    fixed.app.state.service.following.look()
    assert client.get("/readyz").json()["model"]["registry_version"] == "2"
    assert fixed.get("/readyz").json()["model"]["registry_version"] == "1"

    registry.delete_registered_model_alias("prenda", "champion")
    client.app.state.service.following.look()
    assert client.get("/readyz").json()["model"]["registry_version"] == "2"
    assert metric(client, 'prenda_reload_failures_total{code="unreachable"}') == 1
