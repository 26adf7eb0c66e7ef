"""Gate before all routes: hosts, origins, token, security headers, metrics and the access log."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prenda.server.access_log import AccessLog
from prenda.server.metrics import Metrics
from prenda.server.options import LOOPBACK, Options
from prenda.server.refusals import RefusedError
from prenda.server.uploads import discard

LOGGER = logging.getLogger("prenda")
GUARDED = ("/predict", "/corrections", "/metrics")  # need the token, if the server has one
ROUTES = {*GUARDED, "/model", "/healthz", "/readyz", "/docs", "/openapi.json", "/"}
WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound to
NO_ANSWER = 499  # status in the log of a client that has gone
DISCARDED = 8  # bodies of the largest size that are read after a refusal
DISCARD_SECONDS = 5.0
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY.items()]


@dataclass
class Exchange:
    """What the log says about a request; routes fill in what they know."""

    started: float = field(default_factory=time.perf_counter)
    status: int = NO_ANSWER
    photos: int = 0
    model: str | None = None
    received: bool = False  # whether the body has arrived, or the client has gone
    route: str = "other"  # the path, if it is one of the application's: metrics need few different ones


class Gate:
    """ASGI middleware around the application.

    Args:
        app: The application.
        options: Names of the server and allowed origins.
        token: Token that guarded paths need; None if they need none.
        metrics: Where requests are counted.
        log: Where requests are logged.
    """

    def __init__(self, app: ASGIApp, options: Options, token: str | None, metrics: Metrics, log: AccessLog) -> None:
        self._app, self._options, self._metrics, self._log = app, options, metrics, log
        self._token = None if token is None else token.encode()
        self._hosts = {name.casefold() for name in (*LOOPBACK, options.host.strip("[]"), *options.allowed_host)}
        self._any_address = options.host in WILDCARDS  # DNS rebinding needs a name, so addresses are harmless
        self._origins = set(options.allowed_origin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope["exchange"] = Exchange(route=scope["path"] if scope["path"] in ROUTES else "other")
        headers = Headers(scope=scope)
        extra = self._cross_origin_headers(headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                present = {name for name, _ in message["headers"]}
                added = [header for header in (*HEADERS, *extra) if header[0] not in present]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        async def receive_to_the_end() -> Message:
            message = await receive()
            exchange.received = not message.get("more_body", False)
            return message

        self._metrics.in_flight.inc()
        try:
            await self._answer(scope, headers, receive_to_the_end, send_with_headers)
        finally:
            self._metrics.in_flight.dec()
            self._record(scope, exchange)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            self._check(scope, headers)
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                await Response(status_code=204)(scope, receive, send)
                return
            await self._app(scope, receive, send)
        except RefusedError as refusal:
            self._metrics.refused.labels(refusal.code).inc()
            if not scope["exchange"].received and refusal.code != "too_slow":
                await discard(request, DISCARDED * self._options.max_bytes, DISCARD_SECONDS)
            await refusal.response()(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:
            LOGGER.exception("prenda: a request failed")
            if scope["exchange"].status == NO_ANSWER:
                await RefusedError("failed").response()(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_known(host):
            raise RefusedError("unknown_host")
        origin = headers.get("origin")
        if origin is not None and scope["method"] not in ("GET", "HEAD") and not self._is_own(origin, host):
            raise RefusedError("foreign_origin")
        if self._token is not None and scope["path"] in GUARDED and scope["method"] != "OPTIONS":
            scheme, _, token = headers.get("authorization", "").partition(" ")
            given = token.strip().encode("utf-8", "replace")
            if not hmac.compare_digest(given, self._token) or scheme.lower() != "bearer":
                raise RefusedError("no_token")

    def _is_known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").casefold().rstrip(".")
        except ValueError:
            return False
        if "*" in self._hosts or name in self._hosts:
            return bool(name)
        if not self._any_address:
            return False
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _is_own(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin.partition("://")[2].casefold() == host.casefold()

    def _cross_origin_headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return the headers by which a browser lets a page of an allowed origin read the answer."""
        origin = headers.get("origin")
        if origin is None or origin not in self._origins:
            return []
        values = {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "authorization, content-type",
            "vary": "origin",
        }
        return [(name.encode(), value.encode()) for name, value in values.items()]

    def _record(self, scope: Scope, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(exchange.route, method, exchange.status).inc()
        self._metrics.request_seconds.labels(exchange.route).observe(seconds)
        self._log.add(method, scope["path"], exchange.status, seconds, exchange.photos, exchange.model)
