import torch

from prenda.training.epoch_outputs import Seen


def test_batches_of_any_size_come_back_in_order():
    sizes = [3] * 100 + [2]  # more than the storage first has room for
    logits, labels = torch.rand(302, 10), torch.arange(302)
    seen = Seen()
    assert not seen
    for number, (part, its_labels) in enumerate(zip(logits.split(3), labels.split(3), strict=True)):
        seen.add(part, its_labels, torch.tensor(float(number)))
    assert seen
    found = seen.all()
    for values, expected in zip(found, (logits, labels, torch.arange(101.0), torch.tensor(sizes)), strict=True):
        assert values.equal(expected)


def test_what_is_kept_is_a_copy():
    logits, labels, loss = torch.zeros(2, 10), torch.zeros(2, dtype=torch.long), torch.zeros(())
    seen = Seen()
    seen.add(logits, labels, loss)
    for values in (logits, labels, loss):
        values += 1
    assert not any(values.any() for values in seen.all()[:3])
