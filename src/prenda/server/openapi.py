"""OpenAPI document of the service: descriptions of its routes."""

from __future__ import annotations

from typing import Any

from prenda.server import schemas
from prenda.server.refusals import KINDS

DESCRIPTION = """Says which garments photos show.

One `httpx` call asks it:

```python
import httpx

with open("photo.jpg", "rb") as photo:
    answer = httpx.post("http://127.0.0.1:8000/predict", files={"photos": photo}).json()
print(answer["answers"][0]["guesses"][0])
```

If the server has a token, requests to `/predict`, `/corrections` and `/metrics` send it in the header
`Authorization: Bearer TOKEN`.
"""
BINARY = {"type": "string", "format": "binary"}


def _refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the documented answers for these codes, one for each status."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = KINDS[code]
        texts = by_status.setdefault(kind.status, {"model": schemas.Error, "description": ""})
        texts["description"] = " ".join(filter(None, [texts["description"], f"`{code}`: {kind.en}"]))
    return by_status


CODES = ("unknown_host", "malformed", "wrong_method")
REFUSALS = _refusals(*CODES)
TOKEN: list[dict[str, list[str]]] = [{}, {"token": []}]
SECURITY_SCHEMES = {"token": {"type": "http", "scheme": "bearer", "description": "Token of the server, if it has one."}}
RECEIVING = (
    "unknown_host", "no_photo", "malformed", "no_token", "foreign_origin", "wrong_method", "too_slow", "body_too_large",
    "too_many_photos", "wrong_content_type", "overloaded", "not_in_time",
)  # fmt: skip
ONE_PHOTO = {media: {"schema": BINARY} for media in ("image/*", "application/octet-stream")}


def _form(**fields: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a multipart form whose fields are all required."""
    return {"multipart/form-data": {"schema": {"type": "object", "required": list(fields), "properties": fields}}}


PREDICT: dict[str, Any] = {
    "summary": "Say which garments photos show",
    "description": "The body is a multipart form with photos, or one photo. A photo that cannot be read is an answer "
    "with an `error`. If no photo can be read, the status is 422.",
    "operation_id": "predict",
    "response_model": None,
    "responses": {
        200: {"model": schemas.Prediction, "description": "Answers, in the order of the photos."},
        **_refusals(*RECEIVING),
        422: {
            "model": schemas.Prediction | schemas.Error,
            "description": "No photo can be read, or an argument is invalid.",
        },
    },
    "openapi_extra": {
        "security": TOKEN,
        "requestBody": {
            "required": True,
            "content": {
                **_form(photos={"type": "array", "minItems": 1, "items": BINARY}),
                **ONE_PHOTO,
            },
        },
    },
}
CORRECT: dict[str, Any] = {
    "summary": "Keep a photo with its right type",
    "description": "Only if the owner has started the server with `--keep-corrections`. The photo is kept without its "
    "metadata. A photo that was kept before moves to the new type.",
    "operation_id": "correct",
    "response_model": None,
    "status_code": 201,
    "responses": {
        201: {"model": schemas.Kept, "description": "It is kept."},
        **_refusals(*RECEIVING, "keeps_no_corrections", "wrong_type", "unreadable_photo", "no_room", "not_kept"),
    },
    "openapi_extra": {
        "security": TOKEN,
        "requestBody": {
            "required": True,
            "content": _form(
                photo=BINARY,
                type={
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 60,
                    "description": "A type of `/model`, its label in any language, or a new type.",
                },
            ),
        },
    },
}


def _reading(summary: str, operation: str, model: type[schemas.Schema], text: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "operation_id": operation,
        "response_model": None,
        "responses": {200: {"model": model, "description": text}},
    }


MODEL = _reading("Describe the model", "model", schemas.ModelDescription, "Types, thresholds and version.")
HEALTH = _reading("Say that the process runs", "healthz", schemas.Alive, "It runs.")
READY = _reading("Say that a model answers", "readyz", schemas.Ready, "A model is loaded and has passed its self-test.")
METRICS: dict[str, Any] = {
    "summary": "Metrics for Prometheus",
    "operation_id": "metrics",
    "response_model": None,
    "responses": {
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus's text format."},
        **_refusals("unknown_host", "no_token", "malformed", "wrong_method"),
    },
    "openapi_extra": {"security": TOKEN},
}
