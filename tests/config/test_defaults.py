from __future__ import annotations

from dataclasses import replace

from prenda.config.convert import as_plain
from prenda.config.defaults import changed, defaults
from tests.conftest import configured


def test_the_defaults_are_those_that_hydra_composes():
    composed = as_plain(replace(configured("trainer.threads=null"), choices={}))
    assert defaults() | {"choices": {}} == composed


def test_a_run_without_overrides_changes_nothing():
    assert changed(configured("trainer.threads=null")) == {}


def test_only_what_differs_is_named():
    config = configured("trainer.threads=null", "trainer.epochs=3", "data.classes=[Shirt,Coat]", "seed=4", "ema=0.9")
    assert changed(config) == {
        "data": {"classes": ["Shirt", "Coat"]},
        "trainer": {"epochs": 3},
        "seed": 4,
        "ema": 0.9,
    }


def test_what_the_program_fills_in_is_no_change():
    config = configured("trainer.threads=null")
    filled = replace(config, tracking=replace(config.tracking, command="prenda train seed=0", run_name="a-seed0"))
    assert changed(filled) == {}


def test_another_target_is_shown_whole():
    assert changed(configured("trainer.threads=null", "optimizer=rmsprop"))["optimizer"] == {
        "_target_": "torch.optim.RMSprop",
        "_partial_": True,
        "lr": 0.001,
        "alpha": 0.99,
        "momentum": 0.0,
        "weight_decay": 0.0,
    }


def test_chosen_files_are_named_though_no_setting_differs():
    config = replace(configured("trainer.threads=null"), choices={"data": "fashion_mnist", "experiment": "mine"})
    assert changed(config) == {"choices": {"experiment": "mine"}}
