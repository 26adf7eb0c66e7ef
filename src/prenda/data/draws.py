"""Seeds of random draws: each purpose, epoch and process of a run has its own."""

from __future__ import annotations

import hashlib


def draw_seed(seed: int, purpose: str, *place: int) -> int:
    """Return the seed of a generator: a hash of the arguments, so that runs of different seeds share no draws.

    A sum such as seed + epoch would give the second epoch of seed 0 the order of the first epoch of seed 1.

    Args:
        seed: The run's seed.
        purpose: Use of the draws.
        place: Epoch, process, or another number with draws of its own.
    """
    text = "/".join(map(str, (purpose, seed, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")  # torch takes 64 bits with a sign
