from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from prenda.config.convert import as_plain, flatten
from prenda.report.terminal import show_config
from tests.conftest import configured


def shown(config) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    show_config(console, config, "prenda train: a run")
    assert isinstance(console.file, io.StringIO)
    return [line.lstrip("│├└─ ") for line in console.file.getvalue().splitlines()]


def test_settings_that_differ_are_shown_with_the_chosen_files():
    config = configured("trainer.threads=null", "trainer.epochs=3", "ema=0.9")
    config = replace(config, choices={"backbone": "cnn_batch_norm", "data": "fashion_mnist", "experiment": "mine"})
    assert shown(config) == [
        "prenda train: a run",
        "experiment: mine",
        "trainer",
        "epochs: 3",
        "ema: 0.9",
        "All other settings have their defaults; report.settings=all prints them.",
    ]


def test_all_settings_are_shown_on_request():
    config = configured("report.settings=all")
    lines = shown(config)
    names = {name.rpartition(".")[2] for name in flatten(as_plain(config)) if not name.startswith("choices")}
    assert {line.partition(":")[0] for line in lines} >= names
    assert not any("report.settings=all prints" in line for line in lines)


def test_no_password_is_shown():
    lines = shown(configured("tracking.uri=http://bob:secret@host"))
    assert any(line.startswith("uri: http://") for line in lines)
    assert not any("secret" in line for line in lines)
