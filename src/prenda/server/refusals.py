"""Refusals of requests: status, code and text of each, in English and Spanish."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from starlette.responses import Response

AGAIN_AFTER = 1  # seconds, in Retry-After


class _Kind(NamedTuple):
    status: int
    en: str
    es: str
    next: str | None = None  # for programs: the next step, in English


KINDS = {
    "no_such_page": _Kind(404, "There is nothing at this address.", "No hay nada en esta dirección.", "see /docs"),
    "wrong_method": _Kind(
        405, "This address does not take this method.", "Esta dirección no acepta este método.", "see /docs"
    ),
    "wrong_argument": _Kind(
        422,
        "{name} is invalid: {reason}.",
        "{name} no es válido.",
        "see /docs",
    ),
    "malformed": _Kind(
        400,
        "The body is no valid multipart form.",
        "El cuerpo no es un formulario multipart válido.",
        "send photos as a multipart form with the field `photos`, or one photo as the body",
    ),
    "no_photo": _Kind(
        400,
        "The request holds no photo.",
        "La petición no contiene ninguna foto.",
        "send photos as a multipart form with the field `{field}`",
    ),
    "wrong_content_type": _Kind(
        415,
        "The body has the wrong content type.",
        "El cuerpo tiene un tipo de contenido equivocado.",
        "send multipart/form-data, or one photo as image/jpeg",
    ),
    "body_too_large": _Kind(
        413,
        "The request is larger than {limit:g} MiB.",
        "La petición ocupa más de {limit:g} MiB.",
        "send fewer or smaller photos",
    ),
    "too_many_photos": _Kind(
        413,
        "The request holds more than {limit} photos.",
        "La petición contiene más de {limit} fotos.",
        "send fewer photos at once",
    ),
    "too_slow": _Kind(
        408,
        "The request did not arrive within {limit:g} seconds.",
        "La petición no llegó en {limit:g} segundos.",
        "send it again, or smaller photos",
    ),
    "unknown_host": _Kind(
        400,
        "This server does not answer to this host name.",
        "Este servidor no responde a este nombre.",
        "the owner adds a name with --allowed-host",
    ),
    "foreign_origin": _Kind(
        403,
        "Pages of other origins may not send photos.",
        "Las páginas de otros orígenes no pueden enviar fotos.",
        "the owner adds an origin with --allowed-origin",
    ),
    "no_token": _Kind(
        401,
        "This needs the server's token.",
        "Hace falta la clave del servidor.",
        "send the header `Authorization: Bearer TOKEN`",
    ),
    "overloaded": _Kind(
        503,
        "The server has too many requests in work.",
        "El servidor tiene demasiadas peticiones en curso.",
        "send the request again after the seconds of Retry-After",
    ),
    "not_in_time": _Kind(
        503,
        "The answer took longer than {limit:g} seconds.",
        "La respuesta tardó más de {limit:g} segundos.",
        "send the request again, or fewer photos at once",
    ),
    "keeps_no_corrections": _Kind(
        404,
        "This server keeps no corrections.",
        "Este servidor no guarda correcciones.",
        "the owner starts it with --keep-corrections FOLDER",
    ),
    "wrong_type": _Kind(
        422,
        "The type is no name of a type: it needs 1 to 60 letters, digits, spaces or -_'&+.",
        "El tipo no es un nombre de tipo: necesita de 1 a 60 letras, cifras, espacios o -_'&+.",
        "send the field `type` with a type of /model, or a new one",
    ),
    "unreadable_photo": _Kind(
        422,
        "The photo {en}.",
        "La foto {es}.",
        "send another photo",
    ),
    "no_room": _Kind(
        413,
        "The corrections fill the {limit:g} MiB that they may take.",
        "Las correcciones llenan los {limit:g} MiB que pueden ocupar.",
        "the owner trains with them and empties the folder, or raises --keep-at-most",
    ),
    "not_kept": _Kind(
        507,
        "The server could not keep the correction.",
        "El servidor no ha podido guardar la corrección.",
        "the owner looks at the server's error output; send the correction again later",
    ),
    "failed": _Kind(
        500,
        "The server failed.",
        "El servidor ha fallado.",
        "the owner looks at the server's error output",
    ),
}
HEADERS = {
    "no_token": {"www-authenticate": "Bearer"},
    "overloaded": {"retry-after": str(AGAIN_AFTER)},
    "not_in_time": {"retry-after": str(AGAIN_AFTER)},
}


class RefusedError(Exception):
    """RefusedError of a request.

    Args:
        code: Key of `KINDS`.
        headers: Headers of the answer, besides those of the kind.
        values: Values of the texts.
    """

    def __init__(self, code: str, headers: dict[str, str] | None = None, **values: Any) -> None:
        super().__init__(code)
        self.code, self.values, self.kind = code, values, KINDS[code]
        self.headers = HEADERS.get(code, {}) | (headers or {})

    def as_plain(self) -> dict[str, dict[str, str | None]]:
        """Return the body of the answer, in plain types."""
        texts = {"en": self.kind.en, "es": self.kind.es, "next": self.kind.next}
        filled = {name: text and text.format(**self.values) for name, text in texts.items()}
        return {"error": {"code": self.code, **filled}}

    def response(self) -> Response:
        """Return the answer."""
        return json_response(self.as_plain(), self.kind.status, self.headers)


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(body, status, headers, media_type="application/json")
