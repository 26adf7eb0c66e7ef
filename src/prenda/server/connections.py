"""Connections of the HTTP server: bounded in number, and in the time that a request's head may take."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Any, ClassVar, cast

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as AutoHTTPProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

KEEP_ALIVE = 75  # seconds that a connection may rest between two requests; balancers rest for 60

OTHER_FILES = 256  # open files of a process besides its connections


class Bounded(AutoHTTPProtocol):
    """uvicorn's protocol with bounds, for all connections of this process.

    When there are too many connections, the one that has waited for the longest time without a request is closed, so
    that idle or slow clients keep nobody out. If all are at work, the new one is closed.

    Attributes:
        most: Largest number of connections.
        seconds: Time in which the head of a request must arrive, from its first byte, or from a new connection; and in
            which a client must read something of an answer.
    """

    most: ClassVar[int] = 1000
    seconds: ClassVar[float] = 30.0

    idle_since = 0.0  # end of the last request, or start of the connection
    head_since: float | None = None  # start of an unfinished head
    unread = 0  # bytes of answers that the client had not read at the last check
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as uvicorn does
        super().connection_made(transport)
        self.idle_since = self.head_since = self.loop.time()
        self.timer = self.loop.call_later(self.seconds, self.check)
        if len(self.connections) > self.most:
            peers = cast("set[Bounded]", self.connections)
            resting = [each for each in peers if not each.works() and each is not self]
            closed = min(resting, key=lambda each: each.idle_since, default=self)
            closed.transport.abort()
            self.connections.discard(closed)

    def data_received(self, data: bytes) -> None:
        if self.head_since is None and not self.works():
            self.head_since = self.loop.time()
        super().data_received(data)
        if self.works():
            self.head_since = None

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        super().connection_lost(exc)

    def works(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def check(self) -> None:
        """Close the connection if a head takes too long, or if the client has read nothing of an answer since."""
        waited = 0.0 if self.head_since is None else self.loop.time() - self.head_since
        unread = self.transport.get_write_buffer_size()
        if waited >= self.seconds or (unread and unread == self.unread):
            self.transport.abort()
        else:
            self.unread = unread
            self.timer = self.loop.call_later(self.seconds - waited, self.check)


SETTINGS: dict[str, Any] = {"http": Bounded, "timeout_keep_alive": KEEP_ALIVE, "ws": "none", "proxy_headers": False}


def bound(most: int, seconds: float) -> None:
    """Set the bounds of this process's connections, and let it open that many."""
    Bounded.most, Bounded.seconds = most, seconds
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, most + OTHER_FILES)), hard))
