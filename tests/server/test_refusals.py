"""Requests that are refused: each with its own 4xx, and none with a path, a traceback or the version of a library."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from starlette.requests import Request

from prenda import __version__
from prenda.errors import UserError
from prenda.server.model import Model
from prenda.server.options import Options
from prenda.server.refusals import KINDS, RefusedError
from prenda.server.uploads import Reception
from tests.server.conftest import jpeg

TOKEN = "a-token-of-the-shop-1234"
PHOTO = {"photos": ("a.jpg", jpeg())}
FORM = {"content-type": "multipart/form-data; boundary=x"}


def part(name: str = "photos", content: bytes = b"a") -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.jpg"\r\n\r\n%s\r\n' % (
        name.encode(),
        content,
    )


def refused(response, status: int, code: str) -> dict:
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    return response.json()["error"]


@pytest.mark.parametrize("code", KINDS)
def test_each_refusal_has_a_text_in_both_languages(code):
    values = {"limit": 1, "name": "top", "reason": "it is 0", "field": "photos", "en": "is empty", "es": "está vacía"}
    error = RefusedError(code, **values).as_plain()["error"]

    assert error["en"] != error["es"]
    assert not re.search(r"[{}]", f"{error['en']} {error['es']} {error['next']}")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", FORM, 400, "malformed"),
        (b"garbage", FORM, 400, "malformed"),
        (part(), FORM, 400, "malformed"),  # without its end
        (part() + b"--x--\r\n", {"content-type": "multipart/form-data"}, 400, "malformed"),
        (b"--x--\r\n", FORM, 400, "no_photo"),
        (part("other") + b"--x--\r\n", FORM, 400, "no_photo"),
        (b"--x\r\n" + b"A: b\r\n" * 1000 + b"\r\n\r\n--x--", FORM, 400, "malformed"),
        (b"--x\r\nContent-Disposition: form-data; name=photos\r\n\r\n\r\n--x--\r\n", FORM, 422, None),
        (jpeg(), {}, 415, "wrong_content_type"),
        (jpeg(), {"content-type": "application/json"}, 415, "wrong_content_type"),
        (jpeg(), {"content-type": "image/"}, 415, "wrong_content_type"),
        (jpeg(), {"content-type": "image/jpeg", "content-encoding": "gzip"}, 415, "wrong_content_type"),
    ],
)
def test_bodies_that_are_no_photos(client, body, headers, status, code):
    response = client.post("/predict", content=body, headers=headers)

    assert response.status_code == status
    assert code is None or response.json()["error"]["code"] == code


@pytest.mark.parametrize("query", ["top=0", "top=-1", "top=two", "top=1001", "picture=perhaps"])
def test_invalid_arguments(client, query):
    error = refused(client.post(f"/predict?{query}", files=PHOTO), 422, "wrong_argument")

    assert error["en"].startswith(f"{query.partition('=')[0]} is invalid: Input should be")


def test_a_large_body_is_refused_by_its_length_or_as_it_comes(serve):
    client = serve(max_body=0.001)

    error = refused(client.post("/predict", files={"photos": ("a.jpg", bytes(2000))}), 413, "body_too_large")
    refused(client.post("/predict", content=(bytes(600) for _ in range(4)), headers=FORM), 413, "body_too_large")

    assert error["es"] == "La petición ocupa más de 0.001 MiB."


def test_too_many_photos(serve):
    client = serve(max_photos=2)

    assert client.post("/predict", files=[("photos", PHOTO["photos"])] * 2).status_code == 200
    refused(client.post("/predict", files=[("photos", PHOTO["photos"])] * 3), 413, "too_many_photos")
    refused(client.post("/predict", files=[("other", PHOTO["photos"])] * 30), 413, "too_many_photos")


def test_addresses_and_methods_that_are_not_there(client):
    refused(client.get("/nothing"), 404, "no_such_page")
    refused(client.get("/../pyproject.toml"), 404, "no_such_page")
    refused(client.get("/%2e%2e/app.py"), 404, "no_such_page")
    refused(client.get("/swagger/__init__.py"), 404, "no_such_page")
    response = client.put("/predict")
    refused(response, 405, "wrong_method")
    assert response.headers["allow"] == "POST"
    refused(client.get("/corrections"), 405, "wrong_method")


@pytest.mark.parametrize(
    ("host", "options", "status"),
    [
        ("localhost:8000", {}, 200),
        ("127.0.0.1", {}, 200),
        ("[::1]:8000", {}, 200),
        ("LOCALHOST.", {}, 200),
        ("evil.example", {}, 400),
        ("127.0.0.1.evil.example", {}, 400),
        ("[", {}, 400),
        ("", {}, 400),
        ("192.168.1.7", {}, 400),
        ("192.168.1.7", {"host": "0.0.0.0"}, 200),
        ("evil.example", {"host": "0.0.0.0"}, 400),
        ("photos.shop.example", {"allowed_host": ("photos.shop.example",)}, 200),
        ("anything", {"allowed_host": ("*",)}, 200),
    ],
)
def test_unknown_hosts(serve, host, options, status):
    assert serve(**options).get("/healthz", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "options", "status"),
    [
        ("http://127.0.0.1:8000", {}, 200),
        ("https://127.0.0.1:8000", {}, 200),  # behind a proxy that speaks TLS
        ("http://evil.example", {}, 403),
        ("http://127.0.0.1:9000", {}, 403),
        ("null", {}, 403),
        ("https://shop.example", {"allowed_origin": ("https://shop.example",)}, 200),
    ],
)
def test_pages_of_other_origins(serve, origin, options, status):
    response = serve(**options).post("/predict", files=PHOTO, headers={"origin": origin})

    assert response.status_code == status
    assert response.headers.get("access-control-allow-origin") == (origin if options else None)


def test_a_page_of_an_allowed_origin_may_ask_before(serve):
    client = serve(allowed_origin=("https://shop.example",))
    asks = {"origin": "https://shop.example", "access-control-request-method": "POST"}

    assert client.options("/predict", headers=asks).status_code == 204
    refused(client.options("/predict", headers=asks | {"origin": "https://evil.example"}), 403, "foreign_origin")


@pytest.fixture
def guarded(serve, monkeypatch):
    monkeypatch.setenv("PRENDA_SERVE_TOKEN", TOKEN)
    return serve()


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ñ"],
)
def test_a_wrong_token_is_refused(guarded, authorization):
    headers = {} if authorization is None else {"authorization": authorization.encode()}

    for response in (guarded.post("/predict", files=PHOTO, headers=headers), guarded.get("/metrics", headers=headers)):
        refused(response, 401, "no_token")
        assert response.headers["www-authenticate"] == "Bearer"
    refused(guarded.post("/corrections", files=PHOTO, headers=headers), 401, "no_token")


def test_the_right_token_opens_what_it_guards(guarded, tmp_path, serve, monkeypatch):
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert guarded.post("/predict", files=PHOTO, headers=headers).status_code == 200
    assert guarded.get("/metrics", headers=headers).status_code == 200
    assert {guarded.get(path).status_code for path in ("/", "/healthz", "/readyz", "/model", "/docs")} == {200}
    assert guarded.get("/model").json()["needs_token"] is True

    monkeypatch.delenv("PRENDA_SERVE_TOKEN")
    (tmp_path / "token").write_text(TOKEN + "\n")
    from_file = serve(token_file=tmp_path / "token")
    assert from_file.post("/predict", files=PHOTO).status_code == 401
    assert from_file.post("/predict", files=PHOTO, headers=headers).status_code == 200


def test_tokens_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"--token-file '.*absent' cannot be read \(No such file or directory\)"):
        Options(token_file=tmp_path / "absent").token()
    monkeypatch.setenv("PRENDA_SERVE_TOKEN", "short")
    with pytest.raises(UserError, match=r"\$PRENDA_SERVE_TOKEN holds no token of at least 16 ASCII characters"):
        Options().token()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"workers": 0}, "--workers is 0: give at least 1"),
        ({"max_body": 0.0}, "--max-body is 0: give more than 0"),
        ({"port": 70000}, "--port is 70000: give a port from 1 to 65535"),
        ({"timeout": float("nan")}, "--timeout is nan: give more than 0"),
    ],
)
def test_settings_out_of_range(options, text):
    with pytest.raises(UserError, match=text):
        Options(**options)


def test_a_failure_says_nothing_about_the_inside(client, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Model, "answer", fail)

    response = client.post("/predict", files=PHOTO)

    error = refused(response, 500, "failed")
    assert "secret" not in json.dumps(error)
    assert "RuntimeError: /secret/path" in caplog.text


def test_no_answer_names_a_library(client):
    for response in (client.get("/"), client.get("/nothing"), client.get("/metrics"), client.post("/predict")):
        shown = f"{response.headers} {response.text}".lower()
        assert "server" not in response.headers
        assert not re.search("uvicorn|starlette|fastapi|onnxruntime|python_info", shown)
        assert __version__ not in shown.replace("127.0.0.1", "")


def test_too_many_requests_wait(serve, monkeypatch):
    client = serve(concurrency=1, queue=0)
    work = client.app.state.service.work
    asyncio.run(work._slots.acquire())

    response = client.post("/predict", files=PHOTO)

    refused(response, 503, "overloaded")
    assert response.headers["retry-after"] == "1"


def test_an_answer_that_takes_too_long(serve):
    client = serve(concurrency=1, timeout=0.05)
    asyncio.run(client.app.state.service.work._slots.acquire())

    error = refused(client.post("/predict", files=PHOTO), 503, "not_in_time")

    assert error["en"] == "The answer took longer than 0.05 seconds."


def arriving(*chunks: bytes | float) -> Request:
    """Return a request whose body arrives in these chunks; numbers are seconds of waiting."""
    remaining = list(chunks)

    async def receive() -> dict:
        while remaining and isinstance(remaining[0], float):
            await asyncio.sleep(remaining.pop(0))
        return {"type": "http.request", "body": remaining.pop(0) if remaining else b"", "more_body": bool(remaining)}

    headers = [(b"content-type", b"image/jpeg")]
    return Request({"type": "http", "method": "POST", "path": "/predict", "headers": headers}, receive)


async def received(reception: Reception, *chunks: bytes | float, answering: float = 0.0) -> str:
    try:
        async with reception.form(arriving(*chunks), "photos"):
            await asyncio.sleep(answering)
            return "answered"
    except RefusedError as refusal:
        return refusal.code


def test_a_slow_body_is_refused():
    assert asyncio.run(received(Reception(Options(timeout=0.05)), b"a", 1.0, b"b")) == "too_slow"


def test_a_slow_body_makes_room_for_others(monkeypatch):
    monkeypatch.setattr("prenda.server.uploads.LEAST_MEMORY", 0)

    async def compete() -> list[str]:
        reception = Reception(Options(max_body=0.001))  # memory for 4 bodies of 1,048 bytes
        slow = [received(reception, bytes(1000), 0.5, b"end") for _ in range(4)]
        fast = [received(reception, 0.1, bytes(1000)) for _ in range(2)]
        results = await asyncio.gather(*slow, *fast)
        assert reception._held == 0
        return results

    assert asyncio.run(compete()) == ["too_slow"] * 2 + ["answered"] * 4


def test_memory_full_of_waiting_photos_refuses_the_next(monkeypatch):
    monkeypatch.setattr("prenda.server.uploads.LEAST_MEMORY", 0)

    async def compete() -> list[str]:
        reception = Reception(Options(max_body=0.001))
        waiting = [received(reception, bytes(1000), answering=0.3) for _ in range(4)]
        return await asyncio.gather(*waiting, received(reception, 0.1, bytes(1000)))

    assert asyncio.run(compete()) == ["answered"] * 4 + ["overloaded"]
