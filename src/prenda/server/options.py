"""Settings of a server; the attributes are the options of `prenda serve`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Settings of a server.

    Attributes:
        model: `champion`, the folder of a bundle or run, or the id or name of a run.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
    """

    model: str = "champion"
    host: str = "127.0.0.1"
    port: int = 8000
