from __future__ import annotations

import pytest

from prenda.cli import main
from prenda.config.hydra_options import check_options
from prenda.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--epochs=3"], "--epochs=3 is no option: a setting is written without dashes, as SETTING=VALUE. Did you mean "
         "trainer.epochs=3?"),
        (["--lr", "0.1"], "--lr is no option: .* Did you mean optimizer.lr=…?"),
        (["--batch-size=3"], "Did you mean data.batch_size=3?"),
        (["--backbone=cnn"], "Did you mean backbone=cnn?"),
        (["seed=1,2", "--multirn"], "Did you mean --multirun?"),
        (["--qwx"], "--qwx is no option: a setting is written without dashes, as SETTING=VALUE. `prenda train --cfg"),
        (["-i", "seed=1"], r"--info/-i: invalid choice: 'seed=1' \(choose from "),
        (["--cfg"], "--cfg/-c: expected one argument. `prenda train --cfg job` shows"),
        (["--cfg", "foo"], r"--cfg/-c: invalid choice: 'foo' \(choose from "),
    ],
)  # fmt: skip
def test_a_word_with_dashes_that_is_no_option_is_refused(words, text):
    with pytest.raises(ConfigError, match=text.replace("?", r"\?")):
        check_options(words)


@pytest.mark.parametrize(
    "words", [["-m", "seed=1,2"], ["--cfg", "job", "seed=3"], ["trainer.devices=-1"], ["-sc", "q"]]
)
def test_options_of_hydra_are_left_to_it(words):
    check_options(words)


def test_the_command_refuses_it_in_one_sentence(capsys):
    assert main(["train", "--epochs=3"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("prenda: --epochs=3 is no option")
    assert printed.count("\n") == 1
