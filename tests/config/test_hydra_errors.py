from __future__ import annotations

import shlex

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from prenda.config.hydra_errors import PastHydra, explained, past_hydra, user_error
from tests.conftest import configured

CNN = "filters, kernel_size, stride, padding, pooling, pool_size, activation, batch_norm, dropout, head_units"


def refusal(*overrides: str) -> str:
    """What a user is told of a command that Hydra refuses."""
    with pytest.raises((HydraException, OmegaConfBaseException)) as refused:
        configured(*overrides)
    return str(explained(refused.value, overrides))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trainer.epochs=abc", "trainer.epochs is 'abc': it must be a whole number, such as trainer.epochs=12."),
        ("trainer.epochs=2.5", "trainer.epochs is '2.5': it must be a whole number, such as trainer.epochs=12."),
        ("trainer.epochs=null", "trainer.epochs is null: it must be a whole number, such as trainer.epochs=12."),
        ("trainer.compile=perhaps", "trainer.compile is 'perhaps': it must be true or false, such as trainer.compile="),
        ("label_smoothing=x", "label_smoothing is 'x': it must be a number, such as label_smoothing=0.0."),
        (
            "data.normalize=foo",
            "data.normalize is 'foo': it must be one of standard, unit, imagenet, such as data.normalize=st",
        ),
        ("data.limit_train=x", "data.limit_train is 'x': it must be a whole number or null."),
        ("data.classes=3", "data.classes is '3': it must be a list, such as [a,b] or null."),
        ("trainer.accelerator=[1,2]", "trainer.accelerator is '[1,2]': it must be a text, such as trainer.accelerato"),
        ("trainer.epochs.x=3", "trainer.epochs.x=3 looks for a setting inside trainer.epochs, which is no group."),
        (
            "backbone=cnnn",
            "backbone is 'cnnn', but conf/backbone has no such file. Did you mean cnn? Choose one of cnn,",
        ),
        ("trainer=", "trainer is '', but conf/trainer has no such file. Choose one of auto, cpu, ddp,"),
        ("hydra/launcher=foo", "conf/hydra/launcher has no such file. Choose one of local, ray, slurm."),
        (
            "backbnoe=dense",
            "There is no setting backbnoe (backbnoe=dense). Did you mean backbone? Settings and groups: ",
        ),
        ("epochs=3", "There is no setting epochs (epochs=3). Did you mean trainer.epochs?"),
        ("datta.name=x", "There is no setting datta (datta.name=x). Did you mean data?"),
        ("optimizer.lrr=1", "(optimizer.lrr=1). Did you mean optimizer.lr? Settings of optimizer: lr, betas, weight_d"),
        ("data.colour=3", "There is no setting data.colour (data.colour=3). Settings of data: name, dir, image_size,"),
        ("+data.colour=3", "There is no setting data.colour (+data.colour=3). Settings of data: name, dir, image_size"),
        (
            "+backbon=cnn",
            "There is no setting backbon (+backbon=cnn). Did you mean backbone? Settings and groups: paths",
        ),
        ("+trainer.epoch=3", "no setting trainer.epoch (+trainer.epoch=3). Did you mean trainer.epochs?"),
        ("+nothing=3", "There is no setting nothing (+nothing=3). Settings and groups: paths, data, augment,"),
        (
            "backbone.foo=3",
            f"Settings of backbone: {CNN}. Another that prenda.backbones.cnn.ConvNet takes is added by +",
        ),
        (
            "search.space.x=1",
            "(search.space.x=1). In a sweep, give the setting itself its values, without search.space: x=1.",
        ),
        ("~trainer.epochs", "~trainer.epochs: this setting cannot be left out, only changed."),
        ("seed", "'seed' cannot be read (it has no =): write SETTING=VALUE, and quote a value"),
        (
            "trainer.epochs=[1",
            "'trainer.epochs=[1' cannot be read (no viable alternative at input '[1'): write SETTING=",
        ),
        ("+trainer.epochs=3", "trainer.epochs is a setting already: leave out the + in front of it."),
        ("+backbone=cnn", "backbone has a choice already: write backbone=NAME, without + in front of it."),
        (
            "search/sampler=tpe",
            "search/sampler is no part of a grid: choose a search by search=NAME, or write +search/s",
        ),
        ("foo/bar=1", "There is no setting foo/bar (foo/bar=1). Settings and groups: paths, data,"),
        ("backbone@foo=cnn", "Could not override 'backbone@foo'. `prenda train --cfg job` shows"),
        (
            "data.name=${nope}",
            "data.name refers to a value that does not exist (Interpolation key 'nope' not found): c",
        ),
        (
            "data.dir=${oc.env:NO_X}",
            "(Environment variable 'NO_X' not found): correct data.dir=${oc.env:NO_X}, or defi",
        ),
        ("data.name=???", "data.name has no value: give data.name=…."),
    ],
)
def test_what_hydra_refuses_is_told_in_a_sentence(override, told):
    text = refusal(override)
    assert told in text
    assert "\n" not in text
    for word in ("full_key", "reference_type", "object_type", "search path", "append"):
        assert word not in text
    if override in ("backbnoe=dense", "epochs=3", "data.colour=3", "optimizer.lrr=1"):
        assert f"+{override}" not in text


@pytest.mark.parametrize("override", ["backbone.settings={dropout: 0.5}", "backbone.settings.dropout=0.5"])
def test_a_new_setting_of_an_open_group_is_added_by_a_plus(override):
    text = refusal("backbone=torchvision", override)
    assert text.startswith(f"There is no setting backbone.settings.dropout ({override}). A new one is added by ")
    assert shlex.quote(f"+{override}") in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cfg", "job", "data=3"], "A group takes the name of a file in conf/, but the command has data=3."),
        (["--cfg", "job", "--run"], "Only one of --run, --multirun, --cfg, --info and --shell_completion can be"),
        (["--resolve"], "The --resolve flag can only be used in conjunction with --cfg or --help."),
        (["--cfg", "job", "seed=1,2"], "seed=1,2 gives several values: add -m to train once with each, or write 'seed"),
        (["--cfg", "job", "--config-name", "foo"], "There is no configuration 'foo': leave --config-name and"),
    ],
)
def test_what_hydra_refuses_of_the_command_line_is_told(words, told, capsys):
    from prenda.cli import main

    assert main(["train", *words]) == 2
    assert capsys.readouterr().err.startswith(f"prenda: {told}")


def test_a_password_is_not_repeated():
    assert "secret" not in refusal("trainer.epochs=http://me:secret@host")


def test_an_error_that_hydra_did_not_raise_is_left_alone():
    assert user_error(ValueError("invalid literal")) is None
    assert user_error(KeyError("a")) is None


def test_an_error_is_carried_past_hydra_as_it_was_raised():
    with pytest.raises(PastHydra) as carried, past_hydra():
        raise KeyError("a")
    assert isinstance(carried.value.error, KeyError)
    assert not isinstance(carried.value, Exception)
