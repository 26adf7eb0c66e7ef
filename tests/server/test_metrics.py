"""/metrics and the access log."""

from __future__ import annotations

import io
import json
import re

import pytest

from prenda.server.access_log import AccessLog
from tests.server.conftest import jpeg


def test_metrics_count_what_an_operator_watches(client):
    client.post("/predict", files=[("photos", ("a.jpg", jpeg(name))) for name in ("Dress", "Dress", "Bag")])
    client.post("/predict", files={"photos": ("a.jpg", b"text")})
    client.get("/nothing")

    text = client.get("/metrics").text

    for line in (
        'prenda_answers_total{type="Dress"} 2.0',
        'prenda_answers_total{type="Bag"} 1.0',
        'prenda_photos_refused_total{code="text"} 1.0',
        'prenda_requests_total{method="POST",path="/predict",status="200"} 1.0',
        'prenda_requests_total{method="POST",path="/predict",status="422"} 1.0',
        'prenda_requests_total{method="GET",path="other",status="404"} 1.0',
        'prenda_requests_refused_total{code="no_such_page"} 1.0',
        "prenda_decode_seconds_count 4.0",
        "prenda_network_seconds_count 3.0",
        'prenda_request_seconds_count{path="/predict"} 2.0',
        "prenda_requests_in_flight 1.0",
        "prenda_reloads_total 0.0",
    ):
        assert line in text.splitlines()
    assert re.search(r'prenda_model_info\{name="colours",registry_version="",version="[0-9a-f]{12}"\} 1.0', text)


def test_unsure_answers_are_counted_by_reason(serve, tmp_path):
    from tests.prediction.bundles import write_bundle

    client = serve(model=str(write_bundle(tmp_path / "strange", unsure={"confidence": 0.5, "novelty": 1.0})))
    client.post("/predict", files={"photos": ("a.jpg", jpeg())})

    text = client.get("/metrics").text

    assert 'prenda_unsure_total{reason="novelty"} 1.0' in text
    assert 'prenda_answers_total{type="unsure"} 1.0' in text


def test_the_log_says_what_happened_without_photos(serve, log, monkeypatch):
    monkeypatch.setenv("PRENDA_SERVE_TOKEN", "secret-token-1234567")
    client = serve()
    headers = {"authorization": "Bearer secret-token-1234567"}
    client.post("/predict?top=1", files=[("photos", ("ana.jpg", jpeg()))] * 2, headers=headers)
    client.get("/nothing%0A{}")
    client.app.state.log.close()

    lines = [json.loads(line) for line in log.getvalue().splitlines()]

    assert [(line["method"], line["path"], line["status"], line["photos"]) for line in lines] == [
        ("POST", "/predict", 200, 2),
        ("GET", "/nothing\n{}", 404, 0),
    ]
    assert set(lines[0]) == {"time", "method", "path", "status", "ms", "photos", "model"}
    assert len(lines[0]["model"]) == 12
    assert not re.search("ana|secret|JFIF", log.getvalue())


def test_a_reader_that_has_gone_stops_nothing():
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    log = AccessLog(Gone())
    for _ in range(3):
        log.add("GET", "/", 200, 0.1, 0, None)
    log.close()

    assert not log._thread.is_alive()


@pytest.mark.parametrize("header", ["content-security-policy", "x-content-type-options", "referrer-policy"])
def test_every_answer_has_the_security_headers(client, header):
    answers = [client.get("/"), client.get("/nothing"), client.get("/docs"), client.post("/predict")]

    assert all(header in answer.headers for answer in answers)
