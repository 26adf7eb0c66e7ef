"""Decoding and network in threads: as many as there are cores, with a short queue before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prenda.prediction.pipeline import cores
from prenda.server.metrics import Metrics
from prenda.server.model import Answered, Model
from prenda.server.options import Options
from prenda.server.refusals import RefusedError
from prenda.server.uploads import Upload

T = TypeVar("T")


class Work:
    """Photos in work. The event loop waits for nothing here.

    Args:
        options: Limits of requests in work, of those that wait and of their time.
        metrics: Where answers are counted.
    """

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self._options, self._metrics = options, metrics
        self._threads = ThreadPoolExecutor(cores(), thread_name_prefix="prenda-serve")
        self._slots = asyncio.Semaphore(options.concurrency)
        self._waiting = 0

    def check(self) -> None:
        """Raise a refusal if the queue is full: before a body is received."""
        if self._slots.locked() and self._waiting >= self._options.queue:
            raise RefusedError("overloaded")

    async def answers(self, model: Model, photos: Sequence[Upload], top: int, picture: bool) -> list[dict[str, Any]]:
        """Return the answers for the photos of a request, in their order.

        Raises:
            RefusedError: If too many requests wait, or the answer takes too long.
        """
        self.check()
        try:
            async with asyncio.timeout(self._options.timeout):
                await self._slot()
                try:
                    answered = await self._answered(model, photos, top, picture)
                finally:
                    self._slots.release()
        except TimeoutError:
            raise RefusedError("not_in_time", limit=self._options.timeout) from None
        for each in answered:
            self._count(each)
        return [each.answer for each in answered]

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function that takes processor time or waits for a disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """Forget photos that no thread has begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _slot(self) -> None:
        self._waiting += 1
        self._metrics.waiting.inc()
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
            self._metrics.waiting.dec()

    async def _answered(self, model: Model, photos: Sequence[Upload], top: int, picture: bool) -> list[Answered]:
        most_pixels = self._options.max_pixels
        if len(photos) == 1:  # the usual request, without a task of its own
            return [await self.in_thread(model.answer, *photos[0], top, picture, most_pixels)]
        jobs = (self.in_thread(model.answer, *photo, top, picture, most_pixels) for photo in photos)
        return await asyncio.gather(*jobs)

    def _count(self, answered: Answered) -> None:
        answer, metrics = answered.answer, self._metrics
        metrics.decode_seconds.observe(answered.decode_seconds)
        if answer["error"] is not None:
            metrics.photos_refused.labels(answer["error"]["code"]).inc()
            return
        metrics.network_seconds.observe(answered.network_seconds)
        if answer["reason"] is not None:
            metrics.unsure.labels(answer["reason"]["code"]).inc()
        metrics.answers.labels("unsure" if answer["unsure"] else answer["type"]).inc()


def milliseconds(started: float) -> float:
    """Return the milliseconds since a moment of `time.perf_counter`, with three decimals."""
    return round(1000 * (time.perf_counter() - started), 3)
