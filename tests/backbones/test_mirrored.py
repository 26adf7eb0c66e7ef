from __future__ import annotations

import torch

from prenda.backbones.dense import DenseNetwork
from prenda.backbones.mirrored import Mirrored


def test_scoring_does_not_tell_a_picture_from_its_mirror_image():
    network = Mirrored(DenseNetwork((1, 8, 8), 3)).eval()
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(images), network(images.flip(-1)))
    torch.testing.assert_close(network(images), (network.network(images) + network.network(images.flip(-1))) / 2)


def test_training_sees_the_picture_alone():
    network = Mirrored(DenseNetwork((1, 8, 8), 3)).train()
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(network(images), network.network(images))
