"""The champion in MLflow's own programs: loaded as a Python function, and behind its scoring server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from prenda.tracking.registry import Registry, log_bundle
from prenda.tracking.store import connect, experiment_id
from tests.bundle.test_bundle import answers, dense, pictures, write

# MLflow's own, on importing mlflow.pyfunc.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")
NO_PIXELS = "pixels must be whole numbers from 0 to 255"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A store whose model `prenda` has a champion, and its bundle."""
    home = tmp_path_factory.mktemp("home")
    write(home / "bundle", dense())
    client = connect(f"sqlite:///{home}/mlruns/mlflow.db")
    run_id = client.create_run(experiment_id(client, "prenda", f"{home}/mlruns/artifacts")).info.run_id
    registry = Registry(f"sqlite:///{home}/mlruns/mlflow.db")
    version = registry.register("prenda", run_id, log_bundle(client, run_id, home / "bundle"), "", {})
    registry.set_champion("prenda", version.number)
    return home


@pytest.fixture(scope="module")
def champion(home) -> Iterator[Any]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{home}/mlruns/mlflow.db")
    yield mlflow.pyfunc.load_model("models:/prenda@champion")
    mlflow.set_tracking_uri(before)


def scored_here(champion: Any, content: dict[str, Any]) -> tuple[int, str]:
    """Status and text of an answer, by the function that the server calls."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    try:
        schema = champion.metadata.get_input_schema()
        response = invocations(json.dumps(content), "application/json", champion, schema)
    except MlflowException as error:
        return error.get_http_status_code(), error.serialize_as_json()
    return response.status, response.response


def check_answers(ask: Callable[[dict[str, Any]], tuple[int, str]], network: Path) -> None:
    """Plain pixels get the bundle's answers; anything else is refused."""
    pixels = pictures(2)
    rows = pixels.tolist()
    for content in ({"inputs": rows}, {"inputs": {"pixels": rows}}, {"instances": rows}):
        status, text = ask(content)
        assert status == 200, text
        predicted = json.loads(text)["predictions"]
        for name, expected in zip(("probabilities", "logits"), answers(network, pixels), strict=True):
            np.testing.assert_allclose(predicted[name], expected, atol=1e-6)
    for value in (0.5, 256, -1, 256.0, -1.0, float("nan")):
        wrong = pixels.tolist()
        wrong[1][0][27][27] = value
        status, text = ask({"inputs": wrong})
        assert (status, NO_PIXELS in text) == (400, True), text
    for shape in ((2, 28, 28), (2, 3, 28, 28), (2, 1, 27, 28), (2, 784)):
        status, text = ask({"inputs": np.zeros(shape, int).tolist()})
        assert (status, "does not match expected shape (-1, 1, 28, 28)" in text) == (400, True), text
    assert ask({"inputs": [["a"]]})[0] == 400


@pytest.mark.slow
def test_the_champion_loads_as_a_python_function_and_takes_plain_pixels(champion, home):
    pixels = pictures(3)
    answered = champion.predict(pixels.numpy().astype(np.float32))
    for name, expected in zip(("probabilities", "logits"), answers(home / "bundle/model.onnx", pixels), strict=True):
        np.testing.assert_array_equal(answered[name], expected)


def test_pixels_of_another_type_are_refused_by_its_name(champion):
    """MLflow demands the signature's type; docs/decisions/0016-bundle-format-2.md says why that is float32."""
    with pytest.raises(mlflow.MlflowException, match="dtype of input uint8 does not match expected dtype float32"):
        champion.predict(pictures(1).numpy())


def test_the_scoring_function_answers_and_refuses(champion, home):
    check_answers(lambda content: scored_here(champion, content), home / "bundle/model.onnx")


@pytest.fixture
def server(home) -> Iterator[str]:
    """`mlflow models serve` on a free port of loopback; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "models:/prenda@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlruns/mlflow.db"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the server starts uvicorn by its name
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | quiet | {"PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _await(f"http://127.0.0.1:{port}/ping", process, home / "server.log")
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def posted(address: str, content: dict[str, Any]) -> tuple[int, str]:
    request = urllib.request.Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow  # `test_the_scoring_function_answers_and_refuses` asks what the server calls
def test_mlflow_models_serve_answers_and_refuses(server, home):
    check_answers(lambda content: posted(server, content), home / "bundle/model.onnx")
