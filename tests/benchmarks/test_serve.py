from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

import http_load
import serve
from http_servers import Command, running
from prenda.bundle.format import read
from tests.prediction.bundles import photo, write_bundle

IDEAL = serve.Ideal(preparing=1.5, network=0.5)
FIGURES = serve.Figures("prenda, 1", 2.5, 120.4, 800.0, 2.5, 2.0, 3.0, 400.0, 9.0)
# Answers every POST to /, from a process below the one that is started, which leaves it behind on SIGTERM.
SERVER = """
import http.server, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if self.path == "/" else 500)
        self.send_header("content-length", "0")
        self.end_headers()

if len(sys.argv) == 2:
    subprocess.run([sys.executable, sys.argv[0], sys.argv[1], "below"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
INTERRUPTED = """
import sys, time
from pathlib import Path
from http_servers import Command, running
from prenda.system.signals import Stopped, stop_on_signal

try:
    with stop_on_signal(), running(Command(sys.argv[1:3] + ["{port}"], "/", {}), b"x", "text/plain", Path("log")) as it:
        print(*(each.pid for each in [it.process, *it.process.children(recursive=True)]), flush=True)
        time.sleep(60)
except Stopped as stop:
    sys.exit(128 + stop.signum)
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    return tmp_path / "server.py"


def test_shares_are_of_the_ideal_and_of_its_work():
    assert serve.Ideal(3.0, 1.0).rate == pytest.approx(1000 * serve.cores() / 4)
    row = serve.row(FIGURES, IDEAL)
    assert row[:7] == ["prenda, 1", "2.5", "120", "800", "2.50", "2.0", "3.0"]
    assert row[7] == "9.0 (3.0 x, at 400/s)"
    assert row[8:] == [f"{800 / IDEAL.rate:.0%}", "80%"]


def test_a_server_of_ready_arrays_has_no_shares():
    assert serve.row(replace(FIGURES, server="mlflow"), IDEAL)[8:] == ["", ""]


def test_a_server_and_the_processes_that_it_leaves_behind_are_ended(program, tmp_path):
    command = Command([sys.executable, str(program), "{port}"], "/", {})
    with running(command, b"x", "text/plain", tmp_path / "log") as server:
        processes = [server.process, *server.process.children(recursive=True)]
        assert len(processes) == 2
        assert server.memory() > 1
        assert server.processor_seconds() > 0
    assert not [each for each in processes if psutil.pid_exists(each.pid)]


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_that_is_stopped_ends_its_server(program, tmp_path, signum):
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-c", INTERRUPTED, sys.executable, str(program)]
    benchmark = subprocess.Popen(
        words, env=os.environ | {"PYTHONPATH": path}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        pids = list(map(int, benchmark.stdout.readline().split()))
        assert len(pids) == 2
        benchmark.send_signal(signum)
        assert benchmark.wait(60) == 128 + signum
    finally:
        benchmark.kill()
        benchmark.stdout.close()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_a_server_that_ends_is_told_with_its_log(tmp_path):
    command = Command([sys.executable, "-c", "print('no port for me')"], "/", {})
    before = time.monotonic()
    with (
        pytest.raises(http_load.LoadError, match="the server did not answer:\nno port for me"),
        running(command, b"x", "text/plain", tmp_path / "log"),
    ):
        pass
    assert time.monotonic() - before < 60


def test_half_load_pauses_between_answers(monkeypatch):
    asked = {}
    monkeypatch.setattr(http_load, "load", lambda *words, **more: asked.update(more))
    http_load.load_at("http://x", http_load.Bodies("a/b", []), rate=100, connections=8, seconds=1, answer=30)
    assert asked == {"pause": 50}  # each of 8 connections asks every 80 ms


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_reports_answers_and_latency(program, tmp_path):
    (tmp_path / "body").write_bytes(b"x")
    command = Command([sys.executable, str(program), "{port}"], "/", {})
    with running(command, b"x", "text/plain", tmp_path / "log") as server:
        found = http_load.load(server.address, http_load.Bodies("text/plain", [tmp_path / "body"]), 2, 1, pause=5)
    assert (found.answers > 0, 0 < found.p50 <= found.p99) == (True, True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_requests_that_fail_are_told_by_kind(program, tmp_path):
    (tmp_path / "body").write_bytes(b"x")
    command = Command([sys.executable, str(program), "{port}"], "/", {})
    with (
        running(command, b"x", "text/plain", tmp_path / "log") as server,
        pytest.raises(http_load.LoadError, match=r"with 1 connections; failed requests: \{'status': \d+\}"),
    ):
        http_load.load(f"{server.address}wrong", http_load.Bodies("text/plain", [tmp_path / "body"]), 1, 1)


def test_requests_hold_the_photos_and_their_arrays(tmp_path):
    network = serve.Network("test", read(write_bundle(tmp_path / "bundle")), [photo(tmp_path / "a.jpg")])
    assert serve.ideal(network, rounds=1).sum > 0
    (array,) = serve.arrays(network, tmp_path).files
    assert array.read_text().startswith('{"inputs": [[[[')
    forms = serve.forms(network.photos, tmp_path)
    content = forms.files[0].read_bytes()
    assert (tmp_path / "a.jpg").read_bytes() in content
    assert content.startswith(b"--" + forms.content_type.partition("boundary=")[2].encode())
