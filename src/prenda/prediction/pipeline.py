"""Photos through decoding, preparation and network, in several threads, in bounded memory and in input order."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prenda.errors import Message, PhotoError
from prenda.photos.find import Found
from prenda.photos.messages import message
from prenda.photos.preparation import Preparation
from prenda.photos.prepare import Prepared, load
from prenda.prediction.predictor import Outputs, Predictor

BATCH = 2  # photos of one call of the network: more gain nothing on one core (benchmarks/predict.py), and hold memory
AHEAD = 16  # batches for each thread that may wait for a slow photo before them; they hold no pixels any more


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        found: The photo.
        probabilities, logits: (classes,), float32; None if the photo cannot be read.
        novelty: How unlike the training images it is; None if the bundle does not tell.
        warnings: What was lost in reading it.
        error: Why it cannot be read; None if it can.
    """

    found: Found
    probabilities: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    novelty: float | None = None
    warnings: tuple[Message, ...] = ()
    error: Message | None = None


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def predict(
    photos: Iterable[Found], predictor: Predictor, preparation: Preparation, threads: int | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each photo, in their order.

    Each thread takes a few photos through all steps, so that neither decoding nor the network waits for the other.
    Pillow and ONNX Runtime compute without Python's lock. Pixels exist only for the photos that threads work on.

    Args:
        photos: Photos; they are taken as they are needed, and may be millions.
        predictor: The network.
        preparation: How a photo becomes its pixels.
        threads: Threads; as many as there are cores if None.
    """
    threads = threads or cores()
    batches = _batches(photos)
    pending: deque[Future[list[Outcome]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="prenda-predict") as pool:
        try:
            for batch in itertools.islice(batches, threads * AHEAD):
                pending.append(pool.submit(_outcomes, batch, predictor, preparation))
            while pending:
                outcomes = pending.popleft().result()
                for batch in itertools.islice(batches, 1):
                    pending.append(pool.submit(_outcomes, batch, predictor, preparation))
                yield from outcomes
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(photos: Iterable[Found]) -> Iterator[list[Found]]:
    """Yield the photos in lists; the first ones are short, so that few photos are spread over all threads."""
    iterator = iter(photos)
    for size in itertools.chain([1] * 4, itertools.repeat(BATCH)):
        batch = list(itertools.islice(iterator, size))
        if not batch:
            return
        yield batch


def _outcomes(batch: Sequence[Found], predictor: Predictor, preparation: Preparation) -> list[Outcome]:
    loaded = [_loaded(found, preparation) for found in batch]
    readable = [prepared.pixels for prepared in loaded if isinstance(prepared, Prepared)]
    answers = _each(predictor(np.stack(readable))) if readable else iter(())
    outcomes = []
    for found, prepared in zip(batch, loaded, strict=True):
        if isinstance(prepared, Message):
            outcomes.append(Outcome(found, error=prepared))
        else:
            outcomes.append(Outcome(found, *next(answers), tuple(prepared.warnings)))
    return outcomes


def _each(outputs: Outputs) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], float | None]]:
    """Yield the probabilities, logits and novelty of each picture of a call."""
    novelty = itertools.repeat(None) if outputs.novelty is None else outputs.novelty.tolist()
    yield from zip(outputs.probabilities, outputs.logits, novelty, strict=False)  # `repeat` has no end


def _loaded(found: Found, preparation: Preparation) -> Prepared | Message:
    """Return the photo's pixels, or why it has none."""
    if found.error is not None:
        return found.error
    try:
        return load(found.path, preparation)
    except PhotoError as error:
        return error.message
    except MemoryError:
        return message("no_memory")
