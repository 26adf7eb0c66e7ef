"""Names for files that are no readable picture, from their first bytes, with what to do about each."""

from __future__ import annotations

SAVE_AS_JPEG = "save it as JPEG"
STARTS = {
    b"%PDF": "is a PDF document, no picture",
    b"%!PS": "is a PostScript drawing: " + SAVE_AS_JPEG,
    b"\xc5\xd0\xd3\xc6": "is a PostScript drawing: " + SAVE_AS_JPEG,
    b"8BPS": "is a Photoshop file: " + SAVE_AS_JPEG,
    b"\x00\x00\x00\x0cjP  ": "is a JPEG 2000 picture: " + SAVE_AS_JPEG,
    b"\x00\x00\x00\x0cJXL ": "is a JPEG XL picture: " + SAVE_AS_JPEG,
    b"\xff\x0a": "is a JPEG XL picture: " + SAVE_AS_JPEG,
    b"II+\0": "is a BigTIFF picture: " + SAVE_AS_JPEG,
    b"MM\0+": "is a BigTIFF picture: " + SAVE_AS_JPEG,
    b"\x00\x00\x01\x00": "is an icon, no photo",
    b"PK\x03\x04": "is a ZIP archive or an office document, no picture",
    b"\x1f\x8b": "is a compressed archive, no picture",
    b"RIFF": "is a sound or a video, no picture",
    b"GIF": "is a damaged GIF picture",
}
BRANDS = {
    b"avi": "is an AVIF picture: ",
    b"hei": "is a HEIC photo: ",
    b"hev": "is a HEIC photo: ",
    b"mif": "is a HEIC photo: ",
    b"msf": "is a HEIC photo: ",
}
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def describe(data: bytes) -> str:
    """Return what the file is instead of a picture, as the end of a sentence about it: "is a PDF document, …"."""
    for start, text in STARTS.items():
        if data.startswith(start):
            return text
    if data[4:8] == b"ftyp":
        brand = BRANDS.get(data[8:11])
        return brand + SAVE_AS_JPEG if brand else "is a video, no picture"
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.lower().startswith(PAGE_STARTS):
        return "is a web page (HTML), no picture: download the picture itself"
    if head.startswith(b"<") and b"<svg" in head.lower():
        return "is an SVG drawing: " + SAVE_AS_JPEG
    if _is_text(head):
        return "is text, no picture"
    return f"is no picture: its first bytes are {data[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    characters = head.decode("utf-8", errors="ignore")
    complete = len(characters.encode()) >= len(head) - 3  # a character may be cut at the end of the head
    return complete and all(c.isprintable() or c in "\t\n\r\f" for c in characters)
