"""The application: its routes."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from prenda.prediction.pipeline import cores
from prenda.server.model import Model
from prenda.server.options import Options

PAGE = Path(__file__).with_name("page")


def application(options: Options, model: Model) -> FastAPI:
    """Return the application that answers with a model."""
    app = FastAPI(title="prenda", docs_url=None, redoc_url=None)
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="prenda-serve")

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        started = time.perf_counter()
        top = int(request.query_params.get("top", 3))
        picture = request.query_params.get("picture") == "true"
        photos = await _photos(request)
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(
            *(loop.run_in_executor(pool, _answered, model, name, photo, top, picture) for name, photo in photos)
        )
        content = {"model": model.described, "milliseconds": (time.perf_counter() - started) * 1000, "answers": answers}
        return _json(content, 422 if all(answer["error"] for answer in answers) else 200)

    @app.get("/model")
    async def describe() -> Response:
        types = [
            {"type": name, "labels": labels}
            for name, labels in zip(model.bundle.class_names, model.labels, strict=True)
        ]
        return _json(
            model.described
            | {"types": types, "thresholds": model.bundle.unsure, "keeps_corrections": False, "needs_token": False}
        )

    @app.get("/healthz")
    async def alive() -> Response:
        return _json({"status": "alive"})

    @app.get("/readyz")
    async def ready() -> Response:
        return _json({"status": "ready", "model": model.described})

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def _answered(model: Model, name: str, photo: bytes, top: int, picture: bool) -> dict[str, object]:
    return model.answer(name, photo, top, picture=picture)


async def _photos(request: Request) -> list[tuple[str, bytes]]:
    if not request.headers.get("content-type", "").startswith("multipart/"):
        return [("photo", await request.body())]
    async with request.form() as form:
        files = [file for file in form.getlist("photos") if not isinstance(file, str)]
        return [(PurePosixPath(file.filename or "photo").name, await file.read()) for file in files]


def _json(content: object, status: int = 200) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), status, media_type="application/json")
