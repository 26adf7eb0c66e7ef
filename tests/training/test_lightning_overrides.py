"""The parts that `lightning_overrides` replaces still look as they did when the gains were measured."""

from __future__ import annotations

import ast
import inspect
import os
import re
from contextlib import AbstractContextManager
from pathlib import Path

import lightning_fabric
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import PassThroughProfiler, Profiler
from pytorch_lightning.trainer import call
from torch import nn

import prenda
from prenda.training.checkpoints import best_and_last
from prenda.training.lightning_overrides import NVML_CHECK, IdleProfiler, LightningModule, ModelCheckpoint
from prenda.training.train import train
from tests.conftest import TINY, configured

DENSE = (*TINY, "backbone=dense", "backbone.units=[16]")


def changed(part: str, ours: str) -> str:
    return (
        f"{part} has changed: measure again with `python benchmarks/overrides.py`, then adapt or delete {ours} in "
        "src/prenda/training/lightning_overrides.py, and correct the version that it was written for."
    )


def body(function: object) -> str:
    """The source of a function without its documentation, decorators and annotations."""
    node = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return "\n".join(ast.unparse(each) for each in statements)


def test_lightnings_idle_profiler_makes_a_generator_for_each_span():
    told = changed("PassThroughProfiler of pytorch-lightning", "IdleProfiler")
    assert "profile" not in vars(PassThroughProfiler), told
    assert body(PassThroughProfiler.start) == body(PassThroughProfiler.stop) == "pass", told
    expected = "try:\n    self.start(action_name)\n    yield action_name\nfinally:\n    self.stop(action_name)"
    assert body(inspect.unwrap(Profiler.profile)) == expected, told
    assert list(inspect.signature(Profiler.profile).parameters) == ["self", "action_name"], told


def test_lightning_uses_a_span_in_a_with_statement_only():
    told = changed("the use of Profiler.profile by pytorch-lightning", "IdleProfiler")
    uses = [
        line.strip()
        for path in Path(pl.__file__).parent.rglob("*.py")
        if path.parent.name != "profilers"
        for line in path.read_text(encoding="utf-8").splitlines()
        if "profiler.profile(" in line
    ]
    assert len(uses) > 5, told
    assert all(line.startswith("with ") and line.endswith(":") and " as " not in line for line in uses), told


def test_the_idle_profiler_serves_nested_spans():
    profiler = IdleProfiler()
    with profiler.profile("one"), profiler.profile("two") as span:
        assert span is None
    assert isinstance(profiler.profile("three"), AbstractContextManager)


def test_the_key_of_lightnings_checkpoint_is_made_of_settings_that_do_not_change():
    expected = (
        "return self._generate_state_key(monitor=self.monitor, mode=self.mode, "
        "every_n_train_steps=self._every_n_train_steps, every_n_epochs=self._every_n_epochs, "
        "train_time_interval=self._train_time_interval)"
    )
    told = changed("ModelCheckpoint.state_key of pytorch-lightning", "ModelCheckpoint")
    assert body(pl.callbacks.ModelCheckpoint.state_key.fget) == expected, told
    assert "callback.state_key" in body(call._call_callback_hooks), told


def test_a_checkpoint_has_the_key_that_lightning_gives_it(tmp_path):
    ours, theirs = (kind(tmp_path, monitor="val/loss") for kind in (ModelCheckpoint, pl.callbacks.ModelCheckpoint))
    assert ours.state_key == theirs.state_key
    assert ours.state_key is ours.state_key
    assert all(isinstance(each, ModelCheckpoint) for each in best_and_last(tmp_path))
    assert {type(each).__qualname__ for each in best_and_last(tmp_path)} == {"ModelCheckpoint"}


def test_lightning_sets_the_name_of_the_hook_as_a_plain_attribute():
    told = changed("_current_fx_name of pytorch-lightning", "LightningModule.__setattr__")
    assert pl.LightningModule().__dict__.get("_current_fx_name", "") is None, told
    assert not hasattr(pl.LightningModule, "_current_fx_name"), told  # a property would have to be called
    assert pl.LightningModule.__setattr__ is nn.Module.__setattr__, told
    for function in (call._call_callback_hooks, call._call_lightning_module_hook, call._call_strategy_hook):
        assert body(function).count("pl_module._current_fx_name = ") == 2, told


def test_parameters_and_modules_are_registered_as_ever():
    module = LightningModule()
    module.layer, module.weight, module._current_fx_name = nn.Linear(2, 1), nn.Parameter(torch.ones(1)), "hook"
    assert {name for name, _ in module.named_parameters()} == {"layer.weight", "layer.bias", "weight"}
    assert module._current_fx_name == "hook"


def test_lightning_sets_the_variable_that_makes_an_optimiser_load_nvml(monkeypatch):
    told = changed(f"{NVML_CHECK} in pytorch-lightning or torch", "disable_nvml_check")
    source = Path(lightning_fabric.__file__).read_text(encoding="utf-8")
    assert re.search(rf"""^os\.environ\["{NVML_CHECK}"\] = "1"$""", source, re.MULTILINE), told
    asked: list[int] = []
    monkeypatch.setattr(torch.cuda, "_is_compiled", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(asked.append(1) or ()))
    monkeypatch.setenv(NVML_CHECK, "1")
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    torch.optim.Adam([weight], fused=True).step()
    assert asked, told


class Looks(Callback):
    """Keeps what a training is made of, as it is in its first step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.profiler, self.module, self.variable = trainer.profiler, pl_module, os.environ.get(NVML_CHECK)
        self.hook = pl_module.__dict__["_current_fx_name"]


def test_a_training_on_the_cpu_uses_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv(NVML_CHECK, "1")
    looks = Looks()
    train(configured(*DENSE, "trainer=cpu"), tmp_path, [looks])
    assert type(looks.profiler) is IdleProfiler
    assert isinstance(looks.module, LightningModule)
    assert (looks.variable, looks.hook) == (None, "on_train_batch_start")


def test_a_run_saves_no_checkpoint_within_an_epoch(tmp_path, monkeypatch):
    """Lightning's own hook at the end of a step finds that none is due."""
    steps = []
    save = pl.Trainer.save_checkpoint

    def noted(self: pl.Trainer, *arguments: object, **settings: object) -> None:
        steps.append(self.global_step)
        save(self, *arguments, **settings)

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", noted)
    train(configured(*DENSE, "data.limit_train=700", "trainer.epochs=2"), tmp_path)
    assert set(steps) == {6, 12}


def test_no_private_part_of_a_library_is_imported():
    """`_RecordFunctionFast` of torch._C was one: 6 µs a span cheaper than the public `record_function`."""
    private = re.compile(r"^\s*(from|import) (\S*\.)?_(?!_)|^\s*from \S+ import .*\b_(?!_)", re.MULTILINE)
    sources = list(Path(prenda.__file__).parent.rglob("*.py"))
    assert len(sources) > 50
    assert [path for path in sources if private.search(path.read_text(encoding="utf-8"))] == []
    assert private.search("from torch._C._profiler import _RecordFunctionFast")
    assert private.search("import torch._dynamo")
