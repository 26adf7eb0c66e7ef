"""Photos of a request, received in bounded memory and time. Nothing is written to disk."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header
from starlette.requests import Request

from prenda.server.options import MIB, Options
from prenda.server.refusals import RefusedError

BODIES = 4  # bodies of the largest size that memory may hold
LEAST_MEMORY = 64 * MIB
LONGEST_NAME = 255  # characters of a file's name
LONGEST_FIELD = 1024  # bytes of a text field
OTHER_PARTS = 8  # parts of a form besides photos
PICTURE = re.compile(r"image/[\w.+-]+|application/octet-stream")


class Upload(NamedTuple):
    """A photo as it was sent."""

    name: str
    data: bytes


class Form(NamedTuple):
    """Photos and text fields of a request."""

    photos: list[Upload]
    fields: dict[str, str]


class Reception:
    """Memory and time of bodies that are being received or answered.

    When memory is full, the body that has been arriving for the longest time is refused: a slow client cannot keep
    others out. If all bodies have arrived and wait for their answers, the new one is refused.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._most = max(LEAST_MEMORY, BODIES * options.max_bytes)
        self._held = 0
        self._arriving: dict[_Body, asyncio.Timeout] = {}  # the oldest first

    @asynccontextmanager
    async def form(self, request: Request, field: str) -> AsyncIterator[Form]:
        """Receive the photos of a request, and hold their memory until they are answered.

        Args:
            request: A multipart form, or one photo as the body.
            field: Name of the form's field with photos.

        Raises:
            RefusedError: If the body is too large, too slow, malformed or of another type, or memory is full.
        """
        body = _Body(self._options.max_bytes)
        collect = _collector(request, field, self._options)
        try:
            await self._receive(request, body, collect)
            form = collect.finish()
            if not form.photos:
                raise RefusedError("no_photo", field=field)
            yield form
        finally:
            self._held -= body.size

    async def _receive(self, request: Request, body: _Body, collect: _Single | _Multipart) -> None:
        if (length := request.headers.get("content-length", "")).isdecimal():
            body.check(int(length), self._options)
        try:
            async with asyncio.timeout(self._options.timeout) as deadline:
                self._arriving[body] = deadline
                async for chunk in request.stream():
                    body.check(body.size + len(chunk), self._options)
                    body.size += len(chunk)
                    self._hold(len(chunk), body)
                    collect.add(chunk)
        except TimeoutError:
            raise RefusedError("too_slow", limit=self._options.timeout) from None
        finally:
            self._arriving.pop(body, None)

    def _hold(self, size: int, body: _Body) -> None:
        self._held += size
        while self._held > self._most:
            oldest = next(iter(self._arriving))
            if oldest is body:
                raise RefusedError(
                    "overloaded" if len(self._arriving) == 1 else "too_slow", limit=self._options.timeout
                )
            self._arriving.pop(oldest).reschedule(0)  # in the past: it is refused as too slow
            self._held -= oldest.size
            oldest.size = 0


class _Body:
    def __init__(self, most: int) -> None:
        self.size, self._most = 0, most

    def check(self, size: int, options: Options) -> None:
        if size > self._most:
            raise RefusedError("body_too_large", limit=options.max_body)


class _Single:
    """One photo as the body."""

    def __init__(self) -> None:
        self._photo = bytearray()  # a list of chunks would grow with their number: a client may send single bytes

    def add(self, chunk: bytes) -> None:
        self._photo += chunk

    def finish(self) -> Form:
        return Form([Upload("photo", bytes(self._photo))], {})


class _Multipart:
    """Photos and text fields of a multipart form."""

    def __init__(self, boundary: bytes, field: str, most: int) -> None:
        self._field, self._most = field, most
        self._photos: list[Upload] = []
        self._fields: dict[str, str] = {}
        self._parts = 0
        self._header = self._value = b""
        self._disposition, self._part = b"", bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
            },
        )

    def add(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            raise RefusedError("malformed") from None

    def finish(self) -> Form:
        if self._parser.state != MultipartState.END:
            raise RefusedError("malformed")
        return Form(self._photos, self._fields)

    def _begin(self) -> None:
        self._parts += 1
        self._disposition, self._part = b"", bytearray()
        if self._parts > self._most + OTHER_PARTS:
            raise RefusedError("too_many_photos", limit=self._most)

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._part += data[start:end]

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        data, self._part = bytes(self._part), bytearray()
        if name == self._field:
            if len(self._photos) == self._most:
                raise RefusedError("too_many_photos", limit=self._most)
            self._photos.append(Upload(_base_name(options.get(b"filename", b"")), data))
        elif len(data) <= LONGEST_FIELD:
            self._fields[name] = data.decode("utf-8", "replace")


def _collector(request: Request, field: str, options: Options) -> _Single | _Multipart:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError("wrong_content_type")
    content_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        if not (boundary := parameters.get(b"boundary")):
            raise RefusedError("malformed")
        return _Multipart(boundary, field, options.max_photos)
    if PICTURE.fullmatch(content_type.decode("latin-1")) is None:
        raise RefusedError("wrong_content_type")
    return _Single()


def _base_name(path: bytes) -> str:
    """Return the last part of a file's name as it was sent; `photo` if it has none."""
    name = re.split(r"[/\\]", path.decode("utf-8", "replace"))[-1]
    return name[:LONGEST_NAME] or "photo"


async def discard(request: Request, most: int, seconds: float) -> None:
    """Read on to the end of a refused body, within limits: a client that still sends would not see the answer."""
    if "expect" in request.headers:  # it waits for permission to send
        return
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await request.receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body") or size > most:
                    return
    except TimeoutError:
        return
