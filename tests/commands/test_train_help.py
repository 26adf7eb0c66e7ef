from __future__ import annotations

from prenda.commands.train_help import meanings, with_meanings
from prenda.config.paths import CONFIG_DIR

HELP = """prenda train

Groups (conf/GROUP/NAME.yaml):

backbone: cnn, of_my_own

Examples:
  prenda train backbone=dense  # an example

Settings and their current values (docs/reference/configuration.md explains them):

trainer:
  epochs: 3
  unknown: 1
seed: 0
"""


def test_files_and_settings_get_their_meanings():
    lines = [" ".join(line.split()) for line in with_meanings(HELP).splitlines()]
    assert "cnn Convolutional network: stages of convolution and pooling, then a dense head" in lines
    assert "of_my_own" in lines  # a file of --config-dir
    assert "epochs: 3 # epochs of training" in lines
    assert "unknown: 1" in lines
    assert any(line.startswith("seed: 0 # seed of weights, batches, augmentation and dropout") for line in lines)
    assert "prenda train backbone=dense # an example" in lines


def test_help_says_what_each_shipped_file_and_setting_means(prenda):
    printed = prenda("train", "--help", "trainer.epochs=3").stdout
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    groups = {path.parent.relative_to(CONFIG_DIR).as_posix() for path in CONFIG_DIR.rglob("*.yaml")} - {"."}
    for group in groups:
        if not group.startswith("hydra"):
            for path in (CONFIG_DIR / group).glob("*.yaml"):
                line = next(line for line in lines if line.startswith(f"{path.stem} "))
                assert len(line) > len(path.stem) + 3, f"{path} begins with no comment"
    assert "epochs: 3 # epochs of training" in lines
    without = {"trainer", "data"} & {name.partition(".")[0] for name in meanings()}
    assert without == {"trainer", "data"}


def test_a_wrong_setting_is_refused_with_help_too(prenda):
    done = prenda("train", "--help", "backbone=cnnn")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Did you mean cnn?" in done.stderr
