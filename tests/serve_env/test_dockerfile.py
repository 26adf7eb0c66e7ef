"""The Dockerfile: its lint, its build steps as far as they run without Docker, and the command of its container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest

from prenda.config.paths import REPOSITORY
from tests.prediction.bundles import write_bundle
from tests.serve_env.dockerfile import build, command, instructions, sent

DOCKERFILE, IGNORE = REPOSITORY / "Dockerfile", REPOSITORY / ".dockerignore"
PORT = "8000"


def test_the_linter_finds_nothing():
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if linter is None:
        pytest.skip("hadolint is not installed: the extra `ci` brings it")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_no_root_listens_on_the_exposed_port_and_is_stopped_gracefully():
    found = dict(instructions(DOCKERFILE))
    assert found["USER"] == "10001:10001"
    assert (found["EXPOSE"], found["STOPSIGNAL"]) == (PORT, "SIGTERM")
    assert command(instructions(DOCKERFILE), "ENTRYPOINT")[-2:] == ["--port", PORT]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/prenda/cli.py", True),
        ("conf/train.yaml", True),
        ("docs/reference/configuration.md", True),
        ("docs/reference/files.md", False),
        ("src/prenda/__pycache__/cli.cpython-312.pyc", False),
        (".git/config", False),
        (".env", False),
        ("mlruns/mlflow.db", False),
        ("outputs/champions/clothing/model.json", False),
    ],
)
def test_only_the_package_is_sent_to_docker(path, expected):
    assert sent(Path(path), IGNORE) is expected


@pytest.mark.image
@pytest.mark.timeout(500)
def test_the_image_is_built_and_its_command_answers_a_healthy_server(tmp_path):
    found = instructions(DOCKERFILE)
    environment = build(found, REPOSITORY, tmp_path / "build")
    assert not list(environment.glob("lib/python*/site-packages/torch*"))
    port = str(free_port())
    bundle = str(write_bundle(tmp_path / "model"))
    words = [*command(found, "ENTRYPOINT"), *command(found, "CMD")]
    words = [{"0.0.0.0": "127.0.0.1", PORT: port, "/model": bundle}.get(word, word) for word in words]
    check = [word.replace(PORT, port) for word in command(found, "HEALTHCHECK")]
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": path, "PRENDA_HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    settings |= {"TMPDIR": str(tmp_path)}
    with running(words, settings, tmp_path) as server:
        assert healthy(check, settings, tmp_path, server)
    assert server.returncode == 128 + 15
    assert not healthy(check, settings, tmp_path, server)


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running(words, settings, folder):
    server = subprocess.Popen(words, env=settings, cwd=folder)
    try:
        yield server
        server.terminate()
        server.wait(20)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def healthy(check, settings, folder, server, seconds=30) -> bool:
    until = time.monotonic() + seconds
    while True:
        done = subprocess.run(check, env=settings, cwd=folder, capture_output=True, timeout=20)
        if done.returncode == 0 or server.poll() is not None or time.monotonic() > until:
            return done.returncode == 0
        time.sleep(0.2)
