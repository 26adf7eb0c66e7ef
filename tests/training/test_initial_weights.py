from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from prenda.config.identity import fingerprint
from prenda.data.datasets.generated import DATA_SET
from prenda.errors import ConfigError
from prenda.training import checkpoints
from prenda.training.build import build_classifier, build_data
from prenda.training.evaluation import load_run
from prenda.training.starting_point import identified
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.training.test_features import TIMM

CNN = (*TINY, "backbone=cnn", "backbone.filters=[4]", "report=light")
STILL = ("optimizer=sgd", "optimizer.lr=1e-12", "optimizer.weight_decay=0", "scheduler=constant")  # weights stay


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A home with a finished run of the name `shop-a`, of a network of ten classes."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "outputs/runs/2026-01-01/10-00-00"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRENDA_HOME", str(home))
        train(configured(*CNN, "tracking.run_name=shop-a", "mirrored_scoring=true"), folder)
    return folder


@pytest.fixture
def home(shop, monkeypatch) -> Path:
    monkeypatch.setenv("PRENDA_HOME", str(shop.parents[3]))
    return shop


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    state = checkpoints.read(folder / "checkpoints/best.ckpt")["state_dict"]
    return {name.removeprefix("backbone.").removeprefix("network."): tensor for name, tensor in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["shop", "shop-a", ".", "bundle", "checkpoints/best.ckpt"])
def test_a_run_starts_from_what_was_trained(source, home, tmp_path):
    named = source if source.startswith("shop") else str(home / source)
    train(configured(*CNN, *STILL, f"init_from={named}"), tmp_path / "run")
    before, after = tensors(home), tensors(tmp_path / "run")
    assert all(torch.allclose(before[name], tensor, atol=1e-6) for name, tensor in after.items() if "num" not in name)


@pytest.mark.slow
def test_other_classes_get_a_new_head(home, tmp_path):
    classes = f"data.classes=[{','.join(DATA_SET.class_names[:3])}]"
    train(configured(*CNN, *STILL, "init_from=shop", classes, "data.limit_train=50", "data.val_size=30"), tmp_path)
    before, after = tensors(home), tensors(tmp_path)
    changed = [name for name, tensor in after.items() if tensor.shape != before[name].shape]
    assert len(changed) == 2
    assert all(torch.allclose(before[name], t, atol=1e-6) for name, t in after.items() if name not in changed)


@pytest.mark.slow
def test_the_content_of_the_weights_is_in_the_fingerprint_and_the_place_is_not(home, tmp_path):
    plain, by_name, by_folder = (
        identified(configured(*CNN, *settings)) for settings in ([], ["init_from=shop"], [f"init_from={home}"])
    )
    assert by_name.init_sha256 == by_folder.init_sha256
    assert len(by_name.init_sha256 or "") == 64
    assert fingerprint(by_name) == fingerprint(by_folder) != fingerprint(plain)


@pytest.mark.slow
def test_a_resumed_run_needs_its_source_no_more(home, tmp_path, monkeypatch):
    config = configured(*CNN, "init_from=shop")
    done = train(config, tmp_path / "run")
    monkeypatch.setenv("PRENDA_HOME", str(tmp_path / "other"))
    elsewhere = replace(config, paths=configured(*CNN).paths)
    again = train(elsewhere, tmp_path / "run")
    assert again.score == done.score
    with load_run(str(done.checkpoint)) as run:
        assert run.config.init_from == "shop"


@pytest.mark.slow
def test_another_network_is_refused_by_its_first_tensor(home, tmp_path):
    for settings, told in (
        (["backbone.filters=[4,4]"], r"is in one of the two networks only"),
        (["backbone.filters=[5]"], r"\S+weight is \(4, 1, 3, 3\) there, \(5, 1, 3, 3\) here\)"),
    ):
        with pytest.raises(ConfigError, match=r"^init_from is 'shop', a different network \(.*" + told):
            train(configured(*CNN, *settings, "init_from=shop"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ["init_from=nobody"],
            r"^init_from is 'nobody', but nothing of that name was trained here: name a finished run",
        ),
        (
            ["init_from=."],
            r"^init_from is '.', where no bundle is: name the folder of a finished run, or of its bundle",
        ),
        (
            ["init_from=shop", "init_sha256=ab"],
            r"^init_sha256 is ab, but weights.safetensors of init_from=shop has \w+: ",
        ),
        (["init_sha256=ab"], r"^init_sha256 is ab, but init_from is null"),
    ],
)
def test_what_cannot_be_found_is_refused(settings, told, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=told):
        identified(configured(*CNN, *settings))


@pytest.mark.slow
def test_weights_of_a_file_are_read_when_a_run_starts_and_never_again(tmp_path):
    torch.manual_seed(3)
    state = timm.create_model("test_efficientnet", num_classes=10).state_dict()
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(state, file)
    config = configured(*TIMM, *STILL, f"backbone.weights={file}", "tracking=offline")
    done = train(config, tmp_path / "run")
    assert torch.allclose(tensors(tmp_path / "run")["body.conv_stem.weight"], state["conv_stem.weight"], atol=1e-6)
    file.unlink()
    with load_run(str(done.checkpoint)):  # needs no file
        pass
    assert train(config, tmp_path / "run").score == done.score
    with pytest.raises(ConfigError, match=r"^backbone.weights is .* cannot be read"):
        train(config, tmp_path / "another")


@pytest.mark.slow
def test_the_body_learns_at_its_own_rate_in_every_optimiser_and_schedule():
    for optimizer in ("adamw", "adam", "sgd", "rmsprop", "muon"):
        config = configured(*TIMM, f"optimizer={optimizer}", "optimizer.lr=0.1", "backbone.body_lr=0.2", "augment=none")
        data = build_data(config)
        data.setup()
        classifier = build_classifier(config, data)
        rates = [group["lr"] for group in classifier.make_optimizer().param_groups]
        assert rates[0] == 0.1
        assert pytest.approx(0.02) in rates
