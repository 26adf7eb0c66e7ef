from __future__ import annotations

from dataclasses import replace

import pytest

from prenda.config.identity import fingerprint, make_run_name
from tests.conftest import configured

# As version 0.1.0 gave it, of the settings in the test.
FINGERPRINT = "d7c49ac688daa7f637d27a9e09ddd0a47eff2570acad160a0d0653238e034bee"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], "cnn_batch_norm-fashion_mnist-seed0"),
        (["backbone=dense", "data=mnist", "seed=3"], "dense-mnist-seed3"),
        (["optimizer=sgd", "optimizer.lr=3e-3"], "cnn_batch_norm-fashion_mnist-optimizer=sgd-lr=3e-3-seed0"),
        (["backbone=dense", "backbone.units=[512, 128]"], "dense-fashion_mnist-units=[512,128]-seed0"),
        (
            ["tracking=offline", "trainer=cpu", "report=none", "paths.home=/a", "data.dir=/b", "init_from=/c"],
            "cnn_batch_norm-fashion_mnist-seed0",
        ),
        (["trainer.epochs=3"], "cnn_batch_norm-fashion_mnist-epochs=3-seed0"),
        (["trainer.profile=20"], "cnn_batch_norm-fashion_mnist-seed0"),
        (["trainer=profile"], "cnn_batch_norm-fashion_mnist-trainer=profile-seed0"),  # of one epoch
    ],
)
def test_a_run_is_named_by_what_differs(overrides, told):
    choices = {"backbone": "cnn_batch_norm"} | dict(o.split("=", 1) for o in overrides if o.startswith("backbone="))
    config = replace(configured(*overrides), choices=choices)
    assert make_run_name(config, overrides) == told


def test_an_experiment_gives_its_name():
    config = replace(configured("seed=1"), choices={"backbone": "cnn", "experiment": "keras_cnn"})
    assert make_run_name(config, ["experiment=keras_cnn", "seed=1", "trainer.epochs=2"]) == "keras_cnn-epochs=2-seed1"


def test_a_long_list_of_settings_is_cut_before_the_seed():
    config = replace(configured("seed=1"), choices={"backbone": "dense"})
    assert len(make_run_name(config, [f"backbone.units=[{','.join(['512'] * 80)}]"])) < 120


def test_the_fingerprint_is_that_of_earlier_versions():
    """A new setting counts only where it differs from its default, and the results version from version 2 on."""
    config = configured("data=mnist", "backbone=dense", "optimizer=sgd", "scheduler=constant", "augment=none")
    assert fingerprint(replace(config, results_version=1)) == FINGERPRINT
    assert fingerprint(config) != FINGERPRINT
    assert fingerprint(configured("data=mnist", "callbacks=early_stopping")) != fingerprint(configured("data=mnist"))


@pytest.mark.parametrize(
    "override", ["data.dir=/a", "paths.home=/b", "trainer.threads=3", "tracking=offline", "workers=2"]
)
def test_the_fingerprint_leaves_out_what_does_not_change_the_result(override):
    assert fingerprint(configured(override)) == fingerprint(configured())


def test_the_fingerprint_counts_images_by_their_content():
    config = configured("data.dir=/a")
    assert fingerprint(config, "abc") == fingerprint(configured("data.dir=/b"), "abc")
    assert fingerprint(config, "abc") != fingerprint(config, "abd")
    assert fingerprint(config, None) == fingerprint(config)
