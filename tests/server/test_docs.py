"""OpenAPI document and its page."""

from __future__ import annotations

import json
import re

import pytest

from prenda.config.paths import REPOSITORY
from prenda.server import docs

DOCUMENT = REPOSITORY / "docs/reference/openapi.json"


def test_the_document_in_docs_is_current(client):
    assert DOCUMENT.read_text("utf-8") == docs.text(client.app), (
        "renew it: prenda serve, then curl -s http://127.0.0.1:8000/openapi.json > docs/reference/openapi.json"
    )
    assert client.get("/openapi.json").json() == json.loads(DOCUMENT.read_text("utf-8"))


def test_the_page_fetches_nothing_from_outside(client):
    page = client.get("/docs")
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page.text)

    assert addresses
    assert all(not address.startswith(("http", "/")) for address in addresses)  # relative: a proxy may add a prefix
    assert {client.get(f"/{address}").status_code for address in addresses} == {200}
    assert "<style" not in page.text
    assert not re.search(r"<script>|<script [^>]*></script>[^<]*<script>| on\w+=", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")


@pytest.mark.parametrize("path", ["/predict", "/corrections", "/model", "/healthz", "/readyz", "/metrics"])
def test_each_route_is_described(client, path):
    (operation,) = client.get("/openapi.json").json()["paths"][path].values()

    assert operation["summary"]
    assert all(answer["description"] for answer in operation["responses"].values())
