"""A real server: its start, hostile clients, several processes, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from prenda import cli
from prenda.bundle import champions
from prenda.bundle.format import read
from tests.prediction.bundles import write_bundle
from tests.server.conftest import jpeg
from tests.server.process import memory, serving

PHOTO = {"photos": ("a.jpg", jpeg())}
MEMORY = 300  # MiB of a process under attack


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "access.jsonl"
    arguments = ("--timeout", "2", "--max-connections", "200", "--max-body", "1", "--grace", "2")
    with serving("--model", str(bundle), *arguments, log=log) as server:
        server.log = log
        yield server


def ask(server) -> httpx.Response:
    return httpx.post(f"{server.url}/predict", files=PHOTO, timeout=30)


def connect(server, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(data)
    return connection


def head(length: int, *lines: str) -> bytes:
    fields = ("Host: localhost", "Content-Type: image/jpeg", f"Content-Length: {length}", *lines)
    return "\r\n".join(["POST /predict HTTP/1.1", *fields, "", ""]).encode()


def status(connection: socket.socket) -> int:
    """Return the status that comes; 0 if the connection is closed without one."""
    try:
        answer = connection.recv(65536)
    except ConnectionError:
        return 0
    return int(answer.split(b" ")[1]) if answer else 0


@pytest.mark.slow
def test_it_answers_and_logs(server):
    answer = ask(server)

    assert answer.json()["answers"][0]["type"] == "Dress"
    assert "server" not in answer.headers
    deadline = time.monotonic() + 5
    while not server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert json.loads(server.log.read_text().splitlines()[-1])["path"] == "/predict"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",  # TLS
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nX",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        head(2**40),
        b"\0" * 100_000,
    ],
)
def test_nonsense_gets_4xx_or_a_closed_connection(server, data):
    with connect(server) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        assert status(connection) // 100 in (0, 2, 4)


@pytest.mark.slow
def test_a_slow_head_is_closed_and_a_slow_body_refused(server):
    with connect(server, b"POST /predict HTTP/1.1\r\nHo") as slow_head, connect(server, head(9) + b"abc") as slow_body:
        started = time.monotonic()
        for _ in range(3):
            assert ask(server).status_code == 200
        assert status(slow_body) == 408
        assert status(slow_head) == 0
        assert time.monotonic() - started < 15


@pytest.mark.slow
def test_a_client_that_trickles_its_head_is_closed(server):
    with connect(server, b"GET / HTTP/1.1\r\n") as connection, pytest.raises(ConnectionError):
        _trickle(connection)


def _trickle(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"A: b\r\n")
        time.sleep(0.1)


@pytest.mark.slow
def test_a_client_that_reads_nothing_is_closed(server):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    requests = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 600  # more than the buffers of sockets hold
    with connection:
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(requests)
        assert _wait(lambda: _is_connected(server, connection.getsockname()[1]))
        assert _wait(lambda: not _is_connected(server, connection.getsockname()[1]), seconds=20)


def _is_connected(server, port: int) -> bool:
    return any(each.raddr and each.raddr.port == port for each in psutil.Process(server.process.pid).net_connections())


def test_a_body_without_end_is_refused(server):
    start = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with connect(server, start) as connection:
        threading.Thread(target=_send_on, args=(connection, chunk), daemon=True).start()
        assert status(connection) == 413
    assert ask(server).status_code == 200


def _send_on(connection: socket.socket, chunk: bytes) -> None:
    try:
        for _ in range(10_000):
            connection.sendall(chunk)
    except OSError:
        return


def test_a_thousand_connections_keep_nobody_out(server):
    connections = [connect(server, b"POST /predict HTTP/1.1\r\n" if number % 2 else b"") for number in range(1000)]
    try:
        assert all(ask(server).status_code == 200 for _ in range(5))
        slow = [connect(server, head(1000) + bytes(10)) for _ in range(100)]
        connections += slow
        assert all(ask(server).status_code == 200 for _ in range(5))
    finally:
        for connection in connections:
            connection.close()
    assert memory(server.process.pid) < MEMORY


def test_large_bodies_at_once_stay_in_bounded_memory(server):
    connections = [connect(server, head(2**20) + bytes(2**20 - 1)) for _ in range(120)]
    try:
        assert ask(server).status_code == 200
    finally:
        for connection in connections:
            connection.close()
    assert memory(server.process.pid) < MEMORY


@pytest.mark.slow
def test_many_requests_at_once_are_answered_or_refused(server):
    async def storm() -> list[int]:
        limits = httpx.Limits(max_connections=150)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
            answers = await asyncio.gather(*(client.post("/predict", files=PHOTO) for _ in range(300)))
        return [answer.status_code for answer in answers]

    statuses = asyncio.run(storm())

    assert set(statuses) <= {200, 408, 503}  # 408: this machine was too slow to send within two seconds
    assert statuses.count(200) >= 64


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_requests_in_flight(bundle, signum):
    with serving("--model", str(bundle), "--grace", "10") as server:
        photo = jpeg(side=200)
        with connect(server, head(len(photo), "Connection: close") + photo[:-5]) as connection:
            time.sleep(0.3)
            server.process.send_signal(signum)
            time.sleep(0.3)
            connection.sendall(photo[-5:])
            assert status(connection) == 200
        assert server.process.wait(timeout=20) == 128 + signum
        assert server.errors[-1] == f"prenda: stopped by {signal.Signals(signum).name}.\n"
        assert not any("Traceback" in line for line in server.errors)


@pytest.mark.slow
def test_a_stop_waits_no_longer_than_the_grace(bundle):
    with serving("--model", str(bundle), "--grace", "1") as server, connect(server, head(9)):
        time.sleep(0.3)
        started = time.monotonic()
        assert server.stop() == 143
        assert time.monotonic() - started < 8


def test_a_port_in_use_is_told(bundle, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = cli.main(["serve", "--model", str(bundle), "--port", str(taken.getsockname()[1])])

    assert code == 1
    assert "Address already in use" in (told := capsys.readouterr().err)
    assert "give another port, or end the program that uses it" in told


def test_a_host_that_is_none_is_told(bundle, capsys):
    assert cli.main(["serve", "--model", str(bundle), "--host", "no.such.host.invalid"]) == 2
    assert "--host is 'no.such.host.invalid', which is no address of this machine" in capsys.readouterr().err


def test_a_model_that_is_none_is_told(tmp_path, capsys):
    for workers in ("1", "2"):
        assert cli.main(["serve", "--model", str(tmp_path), "--port", "0", "--workers", workers]) == 2
        assert "which holds no bundle" in capsys.readouterr().err


@pytest.mark.slow
def test_other_machines_without_a_token_are_warned_about(bundle):
    with serving("--model", str(bundle), "--host", "0.0.0.0") as server:
        deadline = time.monotonic() + 30
        while not server.errors and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "0.0.0.0 can be reached from other machines" in server.errors[0]


@pytest.mark.slow
def test_several_processes_share_a_port_and_are_replaced(bundle):
    with serving("--model", str(bundle), "--workers", "2") as server:
        pids = _wait(lambda: _workers(server) if len(_workers(server)) == 2 and ask(server) else [])
        for _ in range(20):
            assert ask(server).status_code == 200
        counted = httpx.get(f"{server.url}/metrics").text
        assert float(re.search(r'prenda_answers_total\{type="Dress"\} ([\d.]+)', counted)[1]) >= 20

        os.kill(pids[0], signal.SIGKILL)
        _wait(lambda: len(set(_workers(server)) - set(pids)) == 1)
        assert _wait(lambda: all(ask(server).status_code == 200 for _ in range(5)))
        answering = r"prenda_model_info\{[^}]*\} 2.0"
        assert _wait(lambda: re.search(answering, httpx.get(f"{server.url}/metrics").text))  # without the dead one
        assert server.stop() == 143
        assert not _workers(server)


@pytest.mark.slow
def test_processes_end_with_their_parent(bundle):
    with serving("--model", str(bundle), "--workers", "2") as server:
        pids = _wait(lambda: _workers(server) if len(_workers(server)) == 2 and ask(server) else [])
        server.process.kill()
        server.process.wait()
        assert _wait(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))


def _workers(server) -> list[int]:
    children = psutil.Process(server.process.pid).children() if server.process.poll() is None else []
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


def _wait(done, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := done():
                return found
        except (httpx.TransportError, psutil.Error):
            pass
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


@pytest.mark.slow
def test_a_champion_is_exchanged_without_a_failed_request(tmp_path):
    champions.keep(read(write_bundle(tmp_path / "first")))
    with serving("--reload-every", "0.1") as server:
        seen, statuses, stop = set(), [], threading.Event()

        def load() -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                while not stop.is_set():
                    answer = client.post("/predict", files=PHOTO)
                    statuses.append(answer.status_code)
                    seen.add(answer.json()["model"]["version"])

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(3):
            time.sleep(0.5)
            champions.keep(read(write_bundle(tmp_path / f"next-{number}", temperature=3.0 + number)))
        assert _wait(lambda: len(seen) == 4)
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}


LIGHT = """
import sys
from prenda.server.app import application
from prenda.server.options import Options
application(Options(model=sys.argv[1]))
heavy = "torch torchvision pytorch_lightning hydra omegaconf mlflow scipy matplotlib pandas pyarrow sklearn".split()
sys.exit(" ".join(name for name in heavy if name in sys.modules) or 0)
"""


@pytest.mark.slow
def test_no_heavy_library_is_imported(bundle):
    done = subprocess.run([sys.executable, "-c", LIGHT, str(bundle)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
