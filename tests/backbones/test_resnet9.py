from __future__ import annotations

import pytest
import torch

from prenda.backbones.resnet9 import ResNet9


@pytest.mark.parametrize(("stem_pooling", "side"), [(True, 3), (False, 7)])
def test_stages_halve_the_picture(stem_pooling, side):
    network = ResNet9((1, 28, 28), 10, [4, 8, 16], [0, 1, 2], stem_pooling=stem_pooling)
    assert network.stages(torch.randn(2, 1, 28, 28)).shape == (2, 16, side, side)


def test_depths_are_residual_convolutions():
    def convolutions(depths: list[int]) -> int:
        return sum(isinstance(layer, torch.nn.Conv2d) for layer in ResNet9((1, 28, 28), 10, [4, 8], depths).modules())

    assert convolutions([0, 0]) == 2
    assert convolutions([1, 3]) == 6


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"widths": [4, 8], "depths": [1]}, r"backbone.depths is \[1\] for backbone.widths=\[4, 8\]"),
        (
            {"widths": [4] * 5, "depths": [1] * 5},
            r"backbone.widths has 5 stages, which need images of at least 32 pixels",
        ),
        ({"widths": []}, r"backbone.widths is \[\]"),
        ({"depths": [-1, 1, 1]}, r"backbone.depths is \[-1, 1, 1\]"),
        ({"stem_pooling": 1}, r"backbone.stem_pooling is 1: it must be true or false"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        ResNet9((1, 28, 28), 10, **settings)
