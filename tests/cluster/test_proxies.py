"""`prenda serve` behind nginx and Caddy, configured as docs/serving.md shows."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.test_serving import block
from tests.prediction.bundles import photo, write_bundle
from tests.server.process import serving

from .host import LOOPBACK, Server, answers, find, free_ports, install

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
NAME = "photos.example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[int]:
    """The port of a server that knows its public name."""
    bundle = write_bundle(tmp_path_factory.mktemp("model") / "bundle")
    with serving("--model", str(bundle), "--allowed-host", NAME) as server:
        yield server.port


@contextmanager
def proxy(command: list[str], port: int, folder: Path) -> Iterator[None]:
    running = Server(command, folder / "proxy.log", {"HOME": str(folder), "XDG_DATA_HOME": str(folder)})
    try:
        running.wait_until(lambda: answers(LOOPBACK, port))
        yield
    finally:
        running.stop()


def test_nginx_passes_photos_and_keeps_metrics_to_itself(server, tmp_path):
    install(["nginx-light"], ["nginx"])
    (port,) = free_ports(1)
    site = re.sub(r"listen 443 ssl;|^ +ssl_certificate.*$", "", block("nginx"), flags=re.M)  # needs a certificate
    site = site.replace("server {", f"server {{ listen {LOOPBACK}:{port};", 1).replace(":8000", f":{server}")
    folders = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy"))
    folders += " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("fastcgi", "uwsgi", "scgi"))
    whole = f"daemon off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {folders} {site} }}"
    (tmp_path / "nginx.conf").write_text(whole)
    words = [find("nginx"), "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf")]
    with proxy(words, port, tmp_path):
        check(port, tmp_path)


def test_caddy_passes_photos_and_keeps_metrics_to_itself(server, tmp_path):
    install(["caddy"], ["caddy"])
    (port,) = free_ports(1)
    site = block("caddyfile").replace(NAME, f"http://{NAME}:{port}", 1).replace(":8000", f":{server}")
    (tmp_path / "Caddyfile").write_text(f"{{\n\tadmin off\n\tdefault_bind {LOOPBACK}\n}}\n{site}")
    with proxy([find("caddy"), "run", "--config", str(tmp_path / "Caddyfile")], port, tmp_path):
        check(port, tmp_path)


def check(port: int, folder: Path) -> None:
    """A photo is answered, one of 33 MiB is too large, and metrics are closed."""
    status, text = asked(port, "/predict", photo(folder / "a.jpg", "Dress").read_bytes())
    assert (status, json.loads(text)["answers"][0]["type"]) == (200, "Dress")
    assert asked(port, "/predict", bytes(33 * 2**20))[0] == 413
    assert asked(port, "/metrics")[0] == 403


def asked(port: int, path: str, body: bytes | None = None) -> tuple[int, str]:
    headers = {"Host": f"{NAME}:{port}", "Content-Type": "image/jpeg"}
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
