from __future__ import annotations

import torch

from prenda.backbones.dense import DenseNetwork
from prenda.training.test_time_views import Views

BACKGROUND = torch.tensor([[[-0.5]]])


class Seen(torch.nn.Module):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.images = []

    def forward(self, images):
        self.images.append(images)
        return images.flatten(1)[:, :3]


def test_scoring_does_not_tell_a_picture_from_its_mirror_image():
    network = Views(DenseNetwork((1, 8, 8), 3), BACKGROUND, mirrored=True, shift=0).eval()
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(images), network(images.flip(-1)))


def test_the_score_is_the_mean_over_the_views():
    seen = Seen()
    images = torch.randn(4, 1, 8, 8)
    scores = Views(seen, BACKGROUND, mirrored=True, shift=2).eval()(images)
    assert len(seen.images) == 6
    torch.testing.assert_close(scores, torch.stack([view.flatten(1)[:, :3] for view in seen.images]).mean(0))


def test_views_are_the_picture_moved_to_two_corners_over_background():
    seen = Seen()
    images = torch.arange(9.0).reshape(1, 1, 3, 3)
    Views(seen, BACKGROUND, mirrored=False, shift=1).eval()(images)
    as_it_is, down, up = (view[0, 0].tolist() for view in seen.images)
    assert as_it_is == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert down == [[-0.5, -0.5, -0.5], [-0.5, 0, 1], [-0.5, 3, 4]]
    assert up == [[4, 5, -0.5], [7, 8, -0.5], [-0.5, -0.5, -0.5]]


def test_training_sees_the_picture_alone():
    network = Views(DenseNetwork((1, 8, 8), 3), BACKGROUND, mirrored=True, shift=1).train()
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(network(images), network.network(images))


def test_its_weights_are_the_networks_alone():
    network = Views(DenseNetwork((1, 8, 8), 3), BACKGROUND, mirrored=True, shift=1)
    assert set(network.state_dict()) == {f"network.{name}" for name in network.network.state_dict()}
