"""Names for files that are no readable picture, from their first bytes, with what to do about each."""

from __future__ import annotations

from prenda.errors import Message
from prenda.photos.messages import message

STARTS = {  # codes of messages
    b"%PDF": "pdf",
    b"%!PS": "postscript",
    b"\xc5\xd0\xd3\xc6": "postscript",
    b"8BPS": "photoshop",
    b"\x00\x00\x00\x0cjP  ": "jpeg_2000",
    b"\x00\x00\x00\x0cJXL ": "jpeg_xl",
    b"\xff\x0a": "jpeg_xl",
    b"II+\0": "big_tiff",
    b"MM\0+": "big_tiff",
    b"\x00\x00\x01\x00": "icon",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "archive",
    b"RIFF": "sound_or_video",
    b"GIF": "damaged_gif",
}
BRANDS = {b"avi": "avif", b"hei": "heic", b"hev": "heic", b"mif": "heic", b"msf": "heic"}
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def describe(data: bytes) -> Message:
    """Return what the file is instead of a picture, as the end of a sentence about it: "is a PDF document, …"."""
    return message(_code(data), start=data[:8].hex(" "))


def _code(data: bytes) -> str:
    for start, code in STARTS.items():
        if data.startswith(start):
            return code
    if data[4:8] == b"ftyp":
        return BRANDS.get(data[8:11], "video")
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.lower().startswith(PAGE_STARTS):
        return "web_page"
    if head.startswith(b"<") and b"<svg" in head.lower():
        return "svg"
    return "text" if _is_text(head) else "unknown"


def _is_text(head: bytes) -> bool:
    characters = head.decode("utf-8", errors="ignore")
    complete = len(characters.encode()) >= len(head) - 3  # a character may be cut at the end of the head
    return complete and all(c.isprintable() or c in "\t\n\r\f" for c in characters)
