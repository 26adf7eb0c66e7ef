"""The model that answers, exchanged between requests when there is a new champion."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable

from prenda.errors import BundleError, UserError
from prenda.server.champion import Source
from prenda.server.metrics import Metrics
from prenda.server.model import Model

LOGGER = logging.getLogger("prenda")


class Following:
    """The model that answers, and the look-out for a new one.

    A new model that is damaged, fails its self-test or has other classes is reported once and not taken: the one
    before it goes on answering.

    Args:
        source: Where models come from.
        metrics: Where exchanges and failures are counted.

    Raises:
        UserError: If there is no model, or it is damaged.
    """

    def __init__(self, source: Source, metrics: Metrics) -> None:
        self._source, self._metrics = source, metrics
        self._refused: Hashable = None
        self._reported = ""
        self.model, self._seen = source.load()
        self._show(self.model, 1)

    def look(self) -> None:
        """Take the model that is there now, if it is another one and fit."""
        try:
            found = self._source.identity()
        except (UserError, OSError) as error:
            self._report("unreachable", str(error))
            return
        if found in (None, self._seen, self._refused):
            return
        try:
            self._take(*self._source.load())
        except BundleError as error:
            self._refused = found
            self._report("damaged", str(error))
        except (UserError, OSError) as error:  # it is tried again at the next look
            self._report("unreachable", str(error))

    async def keep_looking(self, seconds: float) -> None:
        """Look again and again, in a thread of its own."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.look)
            except Exception:
                LOGGER.exception("prenda: the look for a new champion failed")
                self._metrics.reload_failures.labels("failed").inc()

    def _take(self, model: Model, found: Hashable) -> None:
        if model.bundle.class_names != self.model.bundle.class_names:
            self._refused = found
            self._report(
                "other_classes", f"it has the classes {', '.join(model.bundle.class_names)}: restart the server"
            )
            return
        self._seen, self._refused, self._reported = found, None, ""
        if model.version == self.model.version and model.described == self.model.described:
            return
        earlier, self.model = self.model, model
        self._show(earlier, 0)
        self._show(model, 1)
        self._metrics.reloads.inc()
        LOGGER.warning("prenda: the new champion %s answers; before it, %s did", model.version, earlier.version)

    def _report(self, code: str, reason: str) -> None:
        self._metrics.reload_failures.labels(code).inc()
        if reason != self._reported:
            self._reported = reason
            LOGGER.error("prenda: a new champion is not taken (%s); %s goes on: %s", code, self.model.version, reason)

    def _show(self, model: Model, value: int) -> None:
        described = model.described
        labels = (described["name"], described["version"], described["registry_version"] or "")
        self._metrics.model.labels(*labels).set(value)
