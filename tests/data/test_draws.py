from __future__ import annotations

import itertools

import torch

from prenda.data.batches import InMemory, training_batches
from prenda.data.draws import draw_seed


def orders(seed: int, epochs: int = 30, weights: torch.Tensor | None = None) -> list[tuple[int, ...]]:
    dataset = InMemory(torch.zeros(40, 1, 1, 1, dtype=torch.uint8), torch.arange(40) % 4)
    loader = training_batches(dataset, 8, seed, 1, 0, weights)
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        found.append(tuple(torch.cat(list(loader.sampler)).tolist()))
    return found


def test_seeds_share_no_order_in_any_epoch():
    found = [order for seed in range(10) for order in orders(seed)]
    assert len(set(found)) == 10 * 30


def test_seeds_share_no_balanced_order_in_any_epoch():
    found = [order for seed in range(10) for order in orders(seed, weights=torch.ones(4))]
    assert len(set(found)) == 10 * 30


def test_purposes_epochs_and_processes_have_seeds_of_their_own():
    places = [
        (seed, purpose, epoch, rank)
        for seed, purpose, epoch, rank in itertools.product(range(20), ("a", "b"), range(20), range(4))
    ]
    # torch's generator of the CPU takes the lower 32 bits.
    assert len({draw_seed(*place) % 2**32 for place in places}) == len(places)


def test_a_seed_is_one_that_torch_takes():
    for seed in (0, 2**32 - 1):
        torch.manual_seed(draw_seed(seed, "order", 10**9, 10**6))
        torch.Generator().manual_seed(draw_seed(seed, "order", 0))


def test_draws_stay_those_of_the_results_version():
    """If this fails, the same settings train another network: raise RESULTS_VERSION."""
    assert draw_seed(0, "order", 0) == 1274536637973833
    assert orders(0, epochs=1)[0][:4] == (24, 23, 11, 36)
