"""Documentation of the service: /openapi.json, and Swagger UI at /docs from files of an installed package."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.responses import FileResponse

from prenda.server.openapi import SECURITY_SCHEMES
from prenda.server.refusals import RefusedError

ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css")  # of fastapi-offline, whose code is not used
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>prenda: interface of the server</title>
<link rel="stylesheet" href="swagger/swagger-ui.css">
</head>
<body>
<div id="document"></div>
<script src="swagger/swagger-ui-bundle.js"></script>
<script src="swagger/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#document", validatorUrl: null, deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""


def add(app: FastAPI) -> None:
    """Add /docs and its files, and complete the OpenAPI document."""
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it

    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> Response:
        return Response(await asyncio.to_thread(text, app), media_type="application/json")  # the first takes 0.5 s

    @app.get("/docs", include_in_schema=False)
    async def page() -> Response:
        return Response(PAGE, media_type="text/html")

    @app.get("/swagger/{name}", include_in_schema=False)
    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "start.js":
            return Response(START, media_type="text/javascript")
        if name not in ASSETS:
            raise RefusedError("no_such_page")
        return FileResponse(assets() / name, headers={"cache-control": "max-age=86400"})


def assets() -> Path:
    """Return the folder of Swagger UI's files."""
    spec = find_spec("fastapi_offline")  # finds it without importing it
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("static")


def text(app: FastAPI) -> str:
    """Return the OpenAPI document as it lies in docs/reference/openapi.json."""
    return json.dumps(app.openapi(), ensure_ascii=False, indent=2) + "\n"


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of a 422
            document["components"]["schemas"].pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema
