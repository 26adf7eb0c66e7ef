from __future__ import annotations

import copy

import torch
from torch import nn

from prenda.backbones.cnn import ConvNet
from prenda.optimizers import MuonWithAdamW
from prenda.schedules import one_cycle


def small() -> nn.Module:
    torch.manual_seed(0)
    return ConvNet((1, 12, 12), 10, filters=[4], head_units=[8], dropout=0.0)


def run(network: nn.Module, optimizer: MuonWithAdamW, steps: int) -> list[float]:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(64, 1, 12, 12, generator=generator), torch.arange(64) % 10

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


def test_it_learns_and_moves_every_parameter():
    network = small()
    before = copy.deepcopy(network.state_dict())
    losses = run(network, MuonWithAdamW(network.parameters()), 30)
    assert losses[-1] < 0.8 * losses[0]  # of random labels, which take longer
    assert not any(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_memory_format_does_not_change_the_step():
    plain, other = small(), small().to(memory_format=torch.channels_last)
    run(plain, MuonWithAdamW(plain.parameters()), 3)
    run(other, MuonWithAdamW(other.parameters()), 3)
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        # Orthogonalisation works in bfloat16, where the order of the columns shows in the third digit.
        torch.testing.assert_close(one, two.contiguous(), rtol=0.05, atol=5e-3)


def test_a_restored_one_goes_on_to_the_bit():
    network = small()
    optimizer = MuonWithAdamW(network.parameters())
    run(network, optimizer, 3)
    other = copy.deepcopy(network)
    restored = MuonWithAdamW(other.parameters())
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert run(network, optimizer, 3) == run(other, restored, 3)


def test_a_scheduler_moves_the_rate_of_both_parts_from_its_own_peak():
    network = small()
    optimizer = MuonWithAdamW(network.parameters(), lr=0.02, adamw_lr=0.003)
    schedule = one_cycle(optimizer, 10, warmup=0.5)
    rates = []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups])
        run(network, optimizer, 1)
        schedule.step()
    assert rates[0][0] < rates[4][0] <= 0.02
    assert rates[0][1] < rates[4][1] <= 0.003
