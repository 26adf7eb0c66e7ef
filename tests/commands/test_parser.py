"""Suggestions for mistyped words, and tab completion of every command but `train`, which Hydra completes."""

from __future__ import annotations

import pytest

from prenda.cli import _parser, main


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "Did you mean train?"),
        (["pormote", "RUN"], "Did you mean promote?"),
        (["backbone=dense"], "Settings follow the command train: prenda train backbone=dense"),
        (["data", "fetchh"], "Did you mean fetch?"),
        (["data", "show", "--sampels", "3"], "Did you mean --samples?"),
        (["evaluate", "RUN", "--acelerator", "cpu"], "Did you mean --accelerator?"),
        (["evaluate", "RUN", "--accelerator", "gpuu"], "Did you mean gpu?"),
        (["evaluate", "RUN", "seed=3"], "Only `prenda train` takes settings"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(words, hint, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(hint)


def test_a_word_that_looks_like_none_gets_no_suggestion(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "RUN", "--qwx"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "prenda evaluate: error: unrecognized arguments: --qwx"


@pytest.mark.parametrize(
    ("words", "unfinished", "offered"),
    [
        (["data"], "", ["fetch", "show", "check"]),
        (["evaluate"], "", []),  # the shell offers files
        (["evaluate"], "--", ["--help", "--data-dir", "--accelerator", "--any-data", "--tracking-uri"]),
        (["evaluate", "RUN", "--accelerator"], "", ["auto", "cpu", "gpu", "mps"]),
        (["evaluate", "--any-data"], "", []),
        (["data", "fetch"], "--d", ["--help", "--dir"]),
    ],
)
def test_completion_offers_what_fits_the_place(words, unfinished, offered):
    assert _parser().completions(words, unfinished) == offered
