"""What every file of conf/optimizer must do with the rest of training: a new one is tested by being there."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from prenda.backbones.cnn import ConvNet
from prenda.config.instantiate import build
from prenda.config.paths import CONFIG_DIR
from prenda.config.validation import check
from prenda.errors import UserError
from prenda.report.tables import read_history
from prenda.training import checkpoints
from prenda.training.callbacks.progress import TrainingProgress
from prenda.training.train import train
from tests.conftest import TINY, configured

OPTIMIZERS = sorted(path.stem for path in (CONFIG_DIR / "optimizer").glob("*.yaml"))
CNN = ("backbone=cnn", "backbone.filters=[4]", "backbone.head_units=[8]", "scheduler=constant")
pytestmark = pytest.mark.parametrize("name", OPTIMIZERS)


def network() -> nn.Module:
    torch.manual_seed(0)
    return ConvNet((1, 12, 12), 10, filters=[4], head_units=[8], dropout=0.0)


def optimizer_of(network: nn.Module, name: str, *settings: str) -> Optimizer:
    config = configured(f"optimizer={name}", *settings)
    check(config)
    optimizer: Optimizer = build(config.optimizer, "optimizer")(network.parameters())
    return optimizer


def half_precision(name: str) -> tuple[str, ...]:
    """The settings that 16-bit training needs: without them, `check` refuses torch's fused SGD."""
    return ("trainer.precision=16-mixed", *(["optimizer.fused=false"] if name == "sgd" else []))


def loss_of(network: nn.Module) -> torch.Tensor:
    images = torch.randn(16, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    return nn.functional.cross_entropy(network(images), torch.arange(16) % 10)


def equal(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def weights(path: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = checkpoints.read(path)["state_dict"]
    return tensors


def test_its_groups_hold_the_parameters_of_the_network(name):
    trained = network()
    held = {id(param) for group in optimizer_of(trained, name).param_groups for param in group["params"]}
    assert held == {id(param) for param in trained.parameters()}


@pytest.mark.slow
def test_clipped_gradients_move_no_weight(name, tmp_path):
    settings = (*TINY, *CNN, f"optimizer={name}", "optimizer.weight_decay=0", "trainer.gradient_clip=1e-30")
    train(configured(*settings, "trainer.epochs=1"), tmp_path / "one")
    # In bf16 too, where Lightning's own clipping refuses fused optimisers.
    train(configured(*settings, "trainer.epochs=3", "trainer.precision=bf16-mixed"), tmp_path / "three")
    one, three = (weights(tmp_path / run / "checkpoints/last.ckpt") for run in ("one", "three"))
    for key, value in one.items():
        torch.testing.assert_close(value, three[key], rtol=0, atol=1e-7)


def test_a_scaled_loss_gives_the_same_step(name):
    plain, scaled = network(), network()
    optimizer, scaled_optimizer = optimizer_of(plain, name), optimizer_of(scaled, name, *half_precision(name))
    scaler = GradScaler("cpu", init_scale=2.0**16)  # a power of two changes no digit
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(plain).backward()
        optimizer.step()
        scaled_optimizer.zero_grad()
        scaler.scale(loss_of(scaled)).backward()
        scaler.step(scaled_optimizer)
        scaler.update()
    for one, two in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_unscaled_gradients_are_those_of_the_loss(name):
    plain, scaled = network(), network()
    loss_of(plain).backward()
    optimizer = optimizer_of(scaled, name, *half_precision(name))
    scaler = GradScaler("cpu", init_scale=2.0**16)
    scaler.scale(loss_of(scaled)).backward()
    scaler.unscale_(optimizer)
    for one, two in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize("weight", ["stages.0.0.weight", "head.2.weight", "head.2.bias"])
def test_a_step_of_overflowed_gradients_is_skipped(name, weight):
    trained = network()
    before, optimizer = copy.deepcopy(trained), optimizer_of(trained, name, *half_precision(name))
    scaler = GradScaler("cpu")
    scaler.scale(loss_of(trained)).backward()
    dict(trained.named_parameters())[weight].grad.view(-1)[0] = torch.inf
    scaler.step(optimizer)
    scaler.update()
    assert equal(trained, before)
    optimizer.zero_grad()
    scaler.scale(loss_of(trained)).backward()
    scaler.step(optimizer)
    assert not equal(trained, before)
    assert all(param.isfinite().all() for param in trained.parameters())


@pytest.mark.slow
def test_the_moving_average_follows_the_weights(name, tmp_path):
    settings = (*TINY, *CNN, f"optimizer={name}", "optimizer.lr=1e-3", "trainer.epochs=2")
    train(configured(*settings, "ema=0.5"), tmp_path / "averaged")
    train(configured(*settings), tmp_path / "plain")
    plain = weights(tmp_path / "plain/checkpoints/last.ckpt")
    averaged = checkpoints.read(tmp_path / "averaged/checkpoints/last.ckpt")
    for key, value in plain.items():
        assert torch.equal(averaged["current_model_state"][key], value), key
    assert any(not torch.equal(averaged["state_dict"][key], value) for key, value in plain.items())


@pytest.mark.slow
def test_gradients_are_accumulated_over_batches(name, tmp_path):
    """Without augmentation and dropout, two halves of a batch give the step of the whole batch, up to rounding."""
    settings = (*TINY, *CNN, "backbone.dropout=0", "augment=none", f"optimizer={name}", "data.limit_train=128")
    train(configured(*settings, "data.batch_size=128"), tmp_path / "whole")
    halves = [GradientAccumulationScheduler({0: 2})]
    train(configured(*settings, "data.batch_size=64"), tmp_path / "halves", halves)
    whole, accumulated = (checkpoints.read(tmp_path / run / "checkpoints/last.ckpt") for run in ("whole", "halves"))
    assert accumulated["global_step"] == whole["global_step"] == 1
    for key, value in whole["state_dict"].items():
        torch.testing.assert_close(value, accumulated["state_dict"][key], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_a_whole_one(name, tmp_path, monkeypatch):
    settings = (*TINY, *CNN, f"optimizer={name}", "scheduler=one_cycle", "ema=0.9", "trainer.gradient_clip=1")
    config = configured(*settings, "trainer.epochs=3")
    train(config, tmp_path / "whole")

    def stop(self: TrainingProgress, trainer: object, module: object) -> None:
        if trainer.current_epoch == 2:
            raise UserError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "on_train_epoch_start", stop)
        with pytest.raises(UserError, match="stopped"):
            train(config, tmp_path / "stopped")
    train(config, tmp_path / "stopped")
    whole, resumed = (weights(tmp_path / run / "checkpoints/last.ckpt") for run in ("whole", "stopped"))
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    histories = [read_history(tmp_path / run / "metrics/metrics.csv") for run in ("whole", "stopped")]
    assert histories[0] == histories[1]
