"""Texts about photos, in English and Spanish: why one cannot be read, and what its reader may not expect.

The text of an error is the end of a sentence about the photo: "is empty".
"""

from __future__ import annotations

from typing import Any

from prenda.errors import Message, PhotoError

ERRORS = {
    "empty": ("is empty", "está vacía"),
    "damaged": ("is damaged: its contents contradict each other", "está dañada: su contenido se contradice"),
    "cut": (
        "is cut off: the end of the file is missing; copy it again",
        "está cortada: falta el final del archivo; cópiela otra vez",
    ),
    "rare_compression": (
        "is a TIFF picture with a rare compression: save it as JPEG",
        "es una imagen TIFF con una compresión poco común: guárdela como JPEG",
    ),
    "too_many_pixels": (
        "claims {claim} than the limit of {limit:g} megapixels: save it as a smaller JPEG",
        "declara más píxeles que el límite de {limit:g} megapíxeles: guárdela como un JPEG más pequeño",
    ),
    "too_many_bytes": (
        "is larger than {limit} MiB: save it as a smaller JPEG",
        "ocupa más de {limit} MiB: guárdela como un JPEG más pequeño",
    ),
    "too_small": (
        "is too small: {width} x {height} pixels; at least {least} a side are needed",
        "es demasiado pequeña: {width} x {height} píxeles; hacen falta al menos {least} por lado",
    ),
    "too_narrow": (
        "is too narrow: {width} x {height} pixels; the longer side may be {most} times the shorter one at most",
        "es demasiado estrecha: {width} x {height} píxeles; el lado largo puede medir a lo sumo {most} veces el corto",
    ),
    "transparent": (
        "is fully transparent: nothing is to be seen",
        "es totalmente transparente: no se ve nada",
    ),
    "no_garment": (
        "is blank: nothing but background is found",
        "está en blanco: solo se encuentra fondo",
    ),
    "no_memory": (
        "needs more memory than is free: save it as a smaller JPEG",
        "necesita más memoria de la que hay libre: guárdela como un JPEG más pequeño",
    ),
    "absent": ("does not exist", "no existe"),
    "broken_link": ("is a link to a file that does not exist", "es un enlace a un archivo que no existe"),
    "no_permission": (
        "may not be read: give yourself permission",
        "no se puede leer: dese permiso",
    ),
    "unreadable": ("cannot be read: {reason}", "no se puede leer: {reason}"),
    "folder": ("is a folder, no picture", "es una carpeta, no una imagen"),
    "no_regular_file": ("is no regular file", "no es un archivo normal"),
    "no_match": ("matches no photo", "no coincide con ninguna foto"),
    "empty_folder": ("is a folder without photos", "es una carpeta sin fotos"),
    "unreadable_folder": (
        "is a folder that cannot be read: {reason}",
        "es una carpeta que no se puede leer: {reason}",
    ),
    "deleted": ("was deleted after it was classified", "fue borrada después de clasificarla"),
    "pdf": ("is a PDF document, no picture", "es un documento PDF, no una imagen"),
    "postscript": ("is a PostScript drawing: save it as JPEG", "es un dibujo PostScript: guárdelo como JPEG"),
    "photoshop": ("is a Photoshop file: save it as JPEG", "es un archivo de Photoshop: guárdelo como JPEG"),
    "jpeg_2000": ("is a JPEG 2000 picture: save it as JPEG", "es una imagen JPEG 2000: guárdela como JPEG"),
    "jpeg_xl": ("is a JPEG XL picture: save it as JPEG", "es una imagen JPEG XL: guárdela como JPEG"),
    "big_tiff": ("is a BigTIFF picture: save it as JPEG", "es una imagen BigTIFF: guárdela como JPEG"),
    "avif": ("is an AVIF picture: save it as JPEG", "es una imagen AVIF: guárdela como JPEG"),
    "heic": ("is a HEIC photo: save it as JPEG", "es una foto HEIC: guárdela como JPEG"),
    "svg": ("is an SVG drawing: save it as JPEG", "es un dibujo SVG: guárdelo como JPEG"),
    "icon": ("is an icon, no photo", "es un icono, no una foto"),
    "zip": (
        "is a ZIP archive or an office document, no picture",
        "es un archivo ZIP o un documento de oficina, no una imagen",
    ),
    "archive": ("is a compressed archive, no picture", "es un archivo comprimido, no una imagen"),
    "sound_or_video": ("is a sound or a video, no picture", "es un sonido o un vídeo, no una imagen"),
    "video": ("is a video, no picture", "es un vídeo, no una imagen"),
    "damaged_gif": ("is a damaged GIF picture", "es una imagen GIF dañada"),
    "web_page": (
        "is a web page (HTML), no picture: download the picture itself",
        "es una página web (HTML), no una imagen: descargue la imagen misma",
    ),
    "text": ("is text, no picture", "es un texto, no una imagen"),
    "unknown": (
        "is no picture: its first bytes are {start}",
        "no es una imagen: sus primeros bytes son {start}",
    ),
}
WARNINGS = {
    "animated": ("animated: only its first frame is used", "animada: solo se usa su primer fotograma"),
    "several_pages": ("several pages: only the first is used", "varias páginas: solo se usa la primera"),
    "blank": ("blank: one colour everywhere", "en blanco: un solo color en toda la foto"),
    "extension": ("a {format} picture named {extension}", "una imagen {format} con la extensión {extension}"),
}


def message(code: str, **values: Any) -> Message:
    """Return the text of a code, with its values."""
    en, es = ERRORS.get(code) or WARNINGS[code]
    return Message(code, en.format(**values), es.format(**values))


def problem(code: str, **values: Any) -> PhotoError:
    """Return the error of a code, with its values, to be raised."""
    return PhotoError(message(code, **values))
