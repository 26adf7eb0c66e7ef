"""The application: its parts and its routes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from prenda.server import champion, docs, openapi
from prenda.server.access_log import AccessLog
from prenda.server.corrections import Corrections
from prenda.server.following import Following
from prenda.server.gate import Gate
from prenda.server.metrics import CONTENT_TYPE, Metrics
from prenda.server.options import Options
from prenda.server.refusals import RefusedError, json_response
from prenda.server.uploads import Form, Reception
from prenda.server.work import Work, milliseconds

PAGE = Path(__file__).with_name("page")


@dataclass
class Service:
    """Parts that the routes share."""

    options: Options
    metrics: Metrics
    following: Following
    reception: Reception
    work: Work
    corrections: Corrections | None
    needs_token: bool


def application(options: Options, log: AccessLog | None = None) -> FastAPI:
    """Return the application. A server or a test runs it; several of them in one process share nothing.

    Raises:
        UserError: If there is no model, it is damaged, or the token is unusable.
    """
    token, metrics = options.token(), Metrics()
    corrections = None if options.keep_corrections is None else Corrections(options.keep_corrections, options)
    service = Service(
        options=options,
        metrics=metrics,
        following=Following(champion.source(options), metrics),
        reception=Reception(options),
        work=Work(options, metrics),
        corrections=corrections,
        needs_token=token is not None,
    )
    log = log or AccessLog()
    app = FastAPI(
        title="prenda",
        version="1",  # of the interface
        description=openapi.DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(service, log),
        responses=openapi.REFUSALS,
        separate_input_output_schemas=False,
    )
    app.state.service, app.state.log = service, log
    _add_predictions(app, service)
    _add_descriptions(app, service)
    docs.add(app)
    app.add_route("/{path:path}", _page(), methods=["GET"], include_in_schema=False)
    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _refuse)
    app.add_middleware(Gate, options=options, token=token, metrics=metrics, log=log)
    return app


def _lifespan(service: Service, log: AccessLog) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(service.following.keep_looking(service.options.reload_every))
        try:
            yield
        finally:
            looking.cancel()
            service.work.close()
            log.close()

    return lifespan


def _add_predictions(app: FastAPI, service: Service) -> None:
    @app.post("/predict", **openapi.PREDICT)
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=1000, description="Guesses of an answer.")] = 3,
        picture: Annotated[bool, Query(description="Add the picture that the network saw.")] = False,
    ) -> Response:
        service.work.check()
        async with service.reception.form(request, "photos") as form:
            return await _predicted(service, request, form, top, picture)

    @app.post("/corrections", **openapi.CORRECT)
    async def correct(request: Request) -> Response:
        if service.corrections is None:
            raise RefusedError("keeps_no_corrections")
        service.work.check()
        async with service.reception.form(request, "photo") as form:
            if "type" not in form.fields:
                raise RefusedError("wrong_type")
            model = service.following.model
            request.scope["exchange"].photos, request.scope["exchange"].model = 1, model.version
            photo = form.photos[0].data
            kept = await service.work.in_thread(service.corrections.keep, photo, form.fields["type"], model)
        service.metrics.corrections.inc()
        return json_response(kept._asdict(), 201)


async def _predicted(service: Service, request: Request, form: Form, top: int, picture: bool) -> Response:
    started, model, exchange = time.perf_counter(), service.following.model, request.scope["exchange"]
    exchange.photos, exchange.model = len(form.photos), model.version
    answers = await service.work.answers(model, form.photos, top, picture)
    content = {"model": model.described, "milliseconds": milliseconds(started), "answers": answers}
    return json_response(content, 422 if all(answer["error"] for answer in answers) else 200)


def _add_descriptions(app: FastAPI, service: Service) -> None:
    @app.get("/model", **openapi.MODEL)
    async def describe() -> Response:
        model = service.following.model
        names = zip(model.bundle.class_names, model.labels, strict=True)
        facts = {
            "types": [{"type": name, "labels": labels} for name, labels in names],
            "thresholds": model.thresholds,
            "keeps_corrections": service.corrections is not None,
            "needs_token": service.needs_token,
        }
        return json_response(model.described | facts)

    @app.get("/healthz", **openapi.HEALTH)
    async def alive() -> Response:
        return json_response({"status": "alive"})

    @app.get("/readyz", **openapi.READY)
    async def ready() -> Response:
        return json_response({"status": "ready", "model": service.following.model.described})

    @app.get("/metrics", **openapi.METRICS)
    async def metrics() -> Response:
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, headers={"content-type": CONTENT_TYPE})


def _page() -> Callable[[Request], Awaitable[Response]]:
    files = StaticFiles(directory=PAGE, html=True)

    async def page(request: Request) -> Response:
        if request.url.path in ("/predict", "/corrections"):  # the router prefers this route to one of another method
            raise RefusedError("wrong_method", {"allow": "POST"})
        return await files.get_response(files.get_path(request.scope), request.scope)

    return page


async def _refuse(_: Request, error: Exception) -> Response:
    """Turn an error of Starlette or FastAPI into a refusal, which the gate answers."""
    if isinstance(error, RequestValidationError):
        first: dict[str, Any] = error.errors()[0]
        raise RefusedError("wrong_argument", name=first["loc"][-1], reason=first["msg"]) from None
    assert isinstance(error, HTTPException)
    codes = {404: "no_such_page", 405: "wrong_method"}
    raise RefusedError(codes.get(error.status_code, "malformed"), dict(error.headers or {})) from None
