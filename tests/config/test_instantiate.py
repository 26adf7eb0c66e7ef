from __future__ import annotations

import pytest

from prenda.config.instantiate import build
from prenda.errors import ConfigError
from tests.conftest import configured

IMAGES = {"image_shape": (1, 28, 28), "num_classes": 10}
CLASSES = """
from prenda.errors import UserError


class Net:
    def __init__(self, image_shape, num_classes, mode="", width=1):
        if mode == "bug":
            image_shape.flatten()
        if mode == "type":
            sum(image_shape, "")
        if mode == "inside":
            Net(image_shape, num_classes, wdth=3)
        if mode == "value":
            raise ValueError(f"width is {width}: give less")
        if mode == "named":
            raise ValueError(f"backbone.width is {width}: give less.")
        if mode == "user":
            raise UserError("the shop is closed: come tomorrow.")


class Needy:
    def __init__(self, image_shape, num_classes, colours, sizes):
        pass
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    (tmp_path / "a_shop.py").write_text(CLASSES)
    (tmp_path / "a_broken_shop.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "an_unfinished_shop.py").write_text("x = (\n")
    monkeypatch.syspath_prepend(tmp_path)
    trusted = ("a_shop", "a_broken_shop", "an_unfinished_shop", "no_such_shop")
    monkeypatch.setenv("PRENDA_TRUSTED_TARGETS", ",".join(f"{name}.*" for name in trusted))


def refused(target: str, **settings: object) -> str:
    with pytest.raises(ConfigError) as error:
        build({"_target_": target, **settings}, "backbone", **IMAGES)
    return str(error.value)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("no_such_shop.Net", "the module no_such_shop was not found: it must be importable. Put its folder on $PYTHON"),
        ("prenda.backbones.lstm.Lstm", "the module prenda.backbones.lstm was not found: it must be importable."),
        (
            "a_shop.Lstm",
            "cannot be imported (ModuleNotFoundError: No module named 'a_shop.Lstm'; 'a_shop' is not a pac",
        ),
        (
            "a_broken_shop.Net",
            "cannot be imported (ModuleNotFoundError: No module named 'a_module_that_is_not_there'):",
        ),
        (
            "an_unfinished_shop.Net",
            "(SyntaxError: '(' was never closed (an_unfinished_shop.py, line 1)): `python -c 'i",
        ),
        ("os.mkdir", "is not trusted: choose one of conf/backbone. Targets outside prenda must be listed in $PRENDA_"),
    ],
)
def test_a_class_that_cannot_be_had_is_told_with_the_next_step(shop, target, told):
    text = refused(target)
    assert text.startswith(f"backbone._target_ is {target}, ")
    assert told in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"depth": 3}, "backbone.depth is 3, but a_shop.Net takes no such setting: leave it out, or choose one of con"),
        (
            {"mode": "value"},
            "a_shop.Net cannot be made from {'mode': 'value'} (width is 1: give less): correct its set",
        ),
        ({"mode": "named", "width": 9}, "backbone.width is 9: give less."),
    ],
)
def test_what_a_class_refuses_is_told_with_the_setting(shop, settings, told):
    assert told in refused("a_shop.Net", **settings)


def test_what_a_class_lacks_is_told(shop):
    told = (
        "backbone lacks settings that a_shop.Needy needs ('colours' and 'sizes'): give each by +backbone.SETTING=VALUE."
    )
    assert refused("a_shop.Needy") == told


@pytest.mark.parametrize(
    ("mode", "kind"), [("bug", AttributeError), ("type", TypeError), ("inside", TypeError)], ids=["bug", "type", "in"]
)
def test_a_bug_of_a_class_stays_what_it_is(shop, mode, kind):
    settings = {"_target_": "a_shop.Net", "mode": mode}
    with pytest.raises(kind) as error:
        build(settings, "backbone", **IMAGES)
    assert not isinstance(error.value, ConfigError)
    assert error.traceback[-1].path.name == "a_shop.py"


def test_a_class_that_speaks_to_the_user_is_quoted_without_additions(shop):
    settings = {"_target_": "a_shop.Net", "mode": "user"}
    with pytest.raises(ValueError, match=r"^the shop is closed: come tomorrow\.$") as error:
        build(settings, "backbone", **IMAGES)
    assert not error.value.__notes__


@pytest.mark.parametrize(
    ("group", "override", "told"),
    [
        ("optimizer", "~optimizer", "optimizer has no _target_: choose a file of conf/optimizer by optimizer=NAME."),
        ("scheduler", "~scheduler", "scheduler has no _target_: choose a file of conf/scheduler by scheduler=NAME."),
    ],
)
def test_a_group_that_names_nothing_is_refused(group, override, told):
    with pytest.raises(ConfigError) as error:
        build(getattr(configured(override), group), group)
    assert str(error.value) == told


@pytest.mark.parametrize("model", ["vit_b_16", "alexnet", "inception_v3"])
def test_the_sentence_that_a_class_wrote_survives_its_cause(model):
    config = configured("backbone=torchvision", f"backbone.model={model}")
    told = (
        rf"^backbone.model is '{model}', which cannot take images of 1x28x28 .*give a larger data.image_size or another"
    )
    with pytest.raises(ConfigError, match=told):
        build(config.backbone, "backbone", **IMAGES)
