from __future__ import annotations

import pytest
import torch

from prenda.backbones.resnet import ResidualBlock, ResNet


def test_every_stage_after_the_first_halves_the_picture():
    network = ResNet((1, 28, 28), 10, [4, 8, 16], [1, 2, 1])
    features = network.stages(network.stem(torch.randn(2, 1, 28, 28)))
    assert features.shape == (2, 16, 7, 7)


def test_a_block_of_the_same_shape_adds_its_input():
    block = ResidualBlock(4, 4, 1, "relu").eval()
    for weight in block.body.parameters():
        torch.nn.init.zeros_(weight)
    features = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"widths": [4, 8], "blocks": [1]}, r"backbone.blocks is \[1\] for backbone.widths=\[4, 8\]"),
        (
            {"widths": [4] * 6, "blocks": [1] * 6},
            r"backbone.widths has 6 stages, which need images of at least 32 pixels",
        ),
        ({"widths": [0], "blocks": [1]}, r"backbone.widths is \[0\]"),
        ({"blocks": [0, 1, 1]}, r"backbone.blocks is \[0, 1, 1\]"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        ResNet((1, 28, 28), 10, **settings)
