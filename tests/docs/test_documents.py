"""What a text names is there. The checker itself is tested on texts that are wrong."""

from __future__ import annotations

import re

import pytest

from tests.docs.documents import FENCE, STARTS, Document, documents, slug
from tests.docs.problems import problems

DOCUMENTS = documents()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_text_names_is_there(document: Document):
    assert problems(document) == []


@pytest.mark.slow
def test_every_kind_of_text_is_read():
    names = {document.name for document in DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "docs/sweeps.md", "docs/decisions/README.md", ".ci/run"} <= names
    assert {"conf/train.yaml", "src/prenda/cli.py", "src/prenda/data/augment.py", "benchmarks/loops/task.py"} <= names
    commands = [piece.text for document in DOCUMENTS for piece in document.commands()]
    assert {"prenda resume RUN", "prenda train -m backbone=dense,cnn seed=0,1", "make bench-peers"} <= set(commands)


PROSE = re.compile(r"\S {2,}[^\s#\\]")


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one.markdown], ids=lambda document: document.name)
def test_what_follows_a_command_is_a_comment(document: Document):
    """A line that is pasted whole must run."""
    lines = [line for _, match in document.matches(FENCE) for line in match["text"].splitlines()]
    assert [line for line in lines if STARTS.match(line) and PROSE.search(line.partition("#")[0].rstrip())] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See docs/no-such-page.md.", "docs/guide.md:1: there is no docs/no-such-page.md"),
        ("Files of `conf/no_group/NAME.yaml`.", "there is no conf/no_group/NAME.yaml"),
        ("`tests/docs/test_documents.py::test_nothing` holds it.", "tests/docs/test_documents.py has no test_nothing"),
        ("`test_of_nothing_at_all` holds it.", "there is no test test_of_nothing_at_all"),
        ("It is in `launch.py`.", "no file is called launch.py"),
        ("Read [the log](experiments-log.md).", "the link experiments-log.md leads nowhere"),
        ("Read [the\nlog](experiments-log.md).", "docs/guide.md:2: the link experiments-log.md leads nowhere"),
        ('<img src="images/none.png" alt="">', "the link images/none.png leads nowhere"),
        ("[Layers](architecture.md#leyers)", "architecture.md#leyers names no heading of architecture.md"),
        ("[Here](#nowhere)\n\n# Somewhere", "#nowhere names no heading"),
        ("[API](reference/api/config.md#prenda.config.nothing)", "prenda.config.nothing cannot be imported"),
        ("`prenda.system.atomic_write.write_half`", "prenda.system.atomic_write.write_half cannot be imported"),
        ("`prenda.imports`", "prenda.imports cannot be imported"),
        ("`prenda.config.schema.DataConfig.folder_of_photos`", "cannot be imported"),
    ],
)
def test_a_wrong_path_link_or_name_is_found(text, expected):
    assert expected in problems(Document("docs/guide.md", text))[0]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("prenda evaluat RUN", "invalid choice: 'evaluat'"),
        ("prenda evaluate RUN --devise cpu", "unrecognized arguments: --devise cpu"),
        ("prenda evaluate", "the following arguments are required: RUN"),
        ("prenda data show --samples many", "invalid int value: 'many'"),
        ("prenda train trainer.epohcs=3", "Key 'epohcs' not in 'TrainerConfig'"),
        ("prenda train backbone=dence", "Could not find 'backbone/dence'"),
        ("prenda train backbone=dense backbone.filters=[8]", "Key 'filters' is not in struct"),
        ("prenda train trainer.epochs=few", "Value 'few' of type 'str' could not be converted to Integer"),
        ("prenda train trainer.epochs=0", "trainer.epochs is 0"),
        ("prenda train seed=0,1", "several values are a sweep, which needs -m"),
        ("prenda train -m backbone=dense,cnm", "Could not find 'backbone/cnm'"),
        ("prenda train -m 'optimizer.rate=tag(log, interval(1e-4, 1e-2))'", "Key 'rate' is not in struct"),
        ("prenda train --config-dir elsewhere search=deep", "elsewhere is neither there nor shown"),
        ("prenda train --dry-run", "unrecognized arguments: --dry-run"),
        ("prenda train 'data.classes=[Shirt", "the shell cannot read it"),
        ("GOMP_SPINCOUNT=1000 prenda train backbone=dence", "Could not find 'backbone/dence'"),
        ("torchrun --nnodes 2 -m prenda train trainer=ddpp", "Could not find 'trainer/ddpp'"),
        ("make tests", "the Makefile has no target tests"),
        ('make train ARGS="backbone=dence"', "Could not find 'backbone/dence'"),
        ("python benchmarks/speed.py", "there is no benchmarks/speed.py"),
        ("python benchmarks/epochs.py --round 1", "benchmarks/epochs.py has no option --round"),
        ('eval "$(prenda train -sx install=bash)"', "unrecognized arguments: -sx"),
        ("prenda train search=architecture \\\n    workers=many", "Value 'many' of type 'str' could not be converted"),
    ],
)
def test_a_wrong_command_is_found(command, expected):
    found = problems(Document("docs/guide.md", f"Run this:\n\n```sh\n{command}\n```\n"))
    assert any(expected in each for each in found), found
    assert all(each.startswith("docs/guide.md:4: ") for each in found)


@pytest.mark.parametrize(
    "text", ["`prenda evaluat`", "`prenda compare --were x`", "`trainer=gpuu`", "`optimizer.rate=1`"]
)
def test_a_wrong_command_or_setting_in_a_sentence_is_found(text):
    assert len(problems(Document("docs/guide.md", f"Use {text}."))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("conf/data/some.yaml", "# An example:\n#   prenda train data=somme\nname: x\n"),
        ("src/prenda/some.py", '"""Some module.\n\nSee `prenda evaluat RUN`.\n"""\n'),
        ("src/prenda/some.py", 'raise ValueError(f"{folder}: use `prenda evaluat {run}`.")\n'),
        ("src/prenda/some.py", "x = 1  # as `prenda.imports` has it\n"),
        ("src/prenda/some.py", 'EPILOG = """\nexamples:\n  prenda train data=somme     some data\n"""\n'),
    ],
)
def test_comments_docstrings_and_messages_are_read(name, text):
    assert len(problems(Document(name, text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "`prenda evaluate` scores `RUN`; `prenda resume RUN` and `prenda promote RUN --force REASON` go on.",
        "`prenda train …` and `prenda train -m … report=full`, with `trainer.profile=N` or `data=NAME`.",
        "`backbone.units=[512]` and `search.variables.adamw_lr=interval(1e-3,1e-2)` need a choice of their own.",
        "```\nprenda compare a-seed0 b-seed0        names of runs\nprenda: error that a run printed\n```",
        "`conf/GROUP/NAME.yaml`, `GOMP_SPINCOUNT=1000`, https://example.org/docs/other.md",
        "```yaml\n# conf/backbone/linear.yaml\n_target_: prenda.backbones.linear.Linear\n```\n"
        "```python\n# src/prenda/backbones/linear.py\n```\n`prenda train backbone=linear`",
        "This is `my_conf/search/deep.yaml`:\n\n```yaml\nn_trials: 2\n```\n"
        "`prenda train -m --config-dir my_conf search=deep`",
        "`prenda train --config-dir outputs/sweeps/NAME/summary experiment=best_trial`",
    ],
)
def test_placeholders_and_examples_that_a_page_shows_are_taken(text):
    assert problems(Document("docs/guide.md", text)) == []


def test_history_keeps_its_old_commands_and_not_its_dead_links():
    text = "`prenda evaluat RUN` was replaced, see [there](gone.md)."
    (found,) = problems(Document("docs/decisions/0099-old.md", text))
    assert "the link gone.md leads nowhere" in found


def test_anchors_are_those_of_github():
    assert slug("What a `run` shows: scores, and more!") == "what-a-run-shows-scores-and-more"
    assert slug("Before — after") == "before--after"
