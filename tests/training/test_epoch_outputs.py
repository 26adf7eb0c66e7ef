import torch

from prenda.training.epoch_outputs import EpochOutputs


def test_batches_of_any_size_come_back_in_order():
    sizes = [3] * 100 + [2]  # more than the storage first has room for
    logits, labels = torch.rand(302, 10), torch.arange(302)
    outputs = EpochOutputs()
    assert not outputs
    for number, (part, its_labels) in enumerate(zip(logits.split(3), labels.split(3), strict=True)):
        outputs.add(part, its_labels, torch.tensor(float(number)))
    assert outputs
    found = (*outputs.all(), *outputs.losses())
    for values, expected in zip(found, (logits, labels, torch.arange(101.0), torch.tensor(sizes)), strict=True):
        assert values.equal(expected)


def test_batches_may_come_without_a_loss():
    outputs = EpochOutputs()
    outputs.add(torch.rand(3, 10), torch.arange(3))
    assert outputs
    assert outputs.all()[1].tolist() == [0, 1, 2]


def test_what_is_kept_is_a_copy():
    logits, labels, loss = torch.zeros(2, 10), torch.zeros(2, dtype=torch.long), torch.zeros(())
    outputs = EpochOutputs()
    outputs.add(logits, labels, loss)
    for values in (logits, labels, loss):
        values += 1
    assert not any(values.any() for values in (*outputs.all(), outputs.losses()[0]))
