"""Settings of a server; the attributes are the options of `prenda serve`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from prenda.errors import UserError
from prenda.photos.decode import MOST_PIXELS
from prenda.prediction.models import CHAMPION
from prenda.prediction.pipeline import cores

TOKEN = "PRENDA_SERVE_TOKEN"  # noqa: S105 - names the variable, holds no token
SHORTEST_TOKEN = 16  # characters
MIB = 2**20
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Options:
    """Settings of a server.

    Attributes:
        model: `champion`, the folder of a bundle or run, or the id or name of a run; with `tracking_uri` also a
            registered model, as NAME@ALIAS or NAME/VERSION.
        tracking_uri: Address of an MLflow server whose registry is followed; None for this machine's champions.
        reload_every: Seconds between two looks for a new champion.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        workers: Processes behind the port.
        token_file: File of the token that clients must send.
        allowed_host: Names of this server in requests, besides those of this machine; `*` for any.
        allowed_origin: Origins of other pages that may send photos, such as `https://shop.example`.
        max_body: Largest body of a request, in MiB.
        max_photos: Most photos of a request.
        max_pixels: Most pixels of a photo, width times height.
        timeout: Seconds for receiving a request, and as many for answering it.
        concurrency: Requests in work at once, in each process.
        queue: Requests that may wait for that; more are refused.
        max_connections: Open connections of each process.
        grace: Seconds in which requests may finish when the server stops.
        keep_corrections: Folder of corrections; None to keep none.
        keep_at_most: Disk space of corrections, in MiB.
    """

    model: str = CHAMPION
    tracking_uri: str | None = None
    reload_every: float = 10.0
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    token_file: Path | None = None
    allowed_host: tuple[str, ...] = ()
    allowed_origin: tuple[str, ...] = ()
    max_body: float = 32.0
    max_photos: int = 32
    max_pixels: int = MOST_PIXELS
    timeout: float = 30.0
    concurrency: int = field(default_factory=lambda: 2 * cores())
    queue: int = 64
    max_connections: int = 1000
    grace: float = 10.0
    keep_corrections: Path | None = None
    keep_at_most: float = 1024.0

    def __post_init__(self) -> None:
        least = {"port": 0, "queue": 0, "grace": 0, "workers": 1, "max_photos": 1, "concurrency": 1}
        for name, value in {**least, "max_connections": 1, "max_pixels": 64}.items():
            if getattr(self, name) < value:
                raise UserError(f"{_option(name)} is {getattr(self, name)}: give at least {value}.")
        for name in ("max_body", "timeout", "reload_every", "keep_at_most"):
            if not getattr(self, name) > 0:
                raise UserError(f"{_option(name)} is {getattr(self, name):g}: give more than 0.")
        if self.port > 65535:
            raise UserError(f"--port is {self.port}: give a port from 1 to 65535, or 0 for a free one.")
        if self.keep_corrections is not None and self.keep_corrections.exists() and not self.keep_corrections.is_dir():
            raise UserError(f"--keep-corrections is {str(self.keep_corrections)!r}, which is a file: name a folder.")

    @property
    def max_bytes(self) -> int:
        """Largest body of a request, in bytes."""
        return int(self.max_body * MIB)

    def token(self) -> str | None:
        """Return the token that clients must send, from the file or the environment; None if there is none.

        Raises:
            UserError: If the file cannot be read, or the token is too short to be a secret.
        """
        source, token = f"${TOKEN}", os.environ.get(TOKEN)
        if self.token_file is not None:
            source = f"--token-file {str(self.token_file)!r}"
            try:
                token = self.token_file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
                raise UserError(f"{source} cannot be read ({reason}): name a file that holds the token.") from None
        if token is None:
            return None
        if len(token := token.strip()) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
            raise UserError(
                f"{source} holds no token of at least {SHORTEST_TOKEN} ASCII characters: make one with "
                "`openssl rand -hex 32`."
            )
        return token


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
