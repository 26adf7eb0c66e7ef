"""README's commands: which lines of a README are commands, and what is run for them."""

from __future__ import annotations

import shlex
import shutil

import pytest

from prenda.config.paths import CONFIG_DIR, REPOSITORY
from tests.docs import readme_commands
from tests.docs.readme_commands import SHORT, Step, UnknownCommandError, lines, plan

NAME = "cnn_batch_norm-fashion_mnist-seed0"


def planned(block: str, language: str = "sh") -> list[Step]:
    return plan(f"# Title\n\n```{language}\n{block}\n```\n")


@pytest.mark.slow
def test_every_command_of_readme_can_be_run(tmp_path):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    steps = plan(text, readme_commands._checkout(text, tmp_path / "checkout") / "conf")
    assert {"make train", "make test"} <= {step.line.partition("#")[0].strip() for step in steps}
    assert all(step.commands for step in steps if step.line.startswith(("make", "prenda")))


def test_output_is_no_command_and_comments_are_dropped():
    readme = (
        "```\nTrained in        101.6 s\nprenda: an error\n```\n\n"
        "```\nmake train    # trains\nprenda models          lists them\n```\n\n"
        "```sh\n# first this\n$ cd prenda\n\nprenda train \\\n    seed=1\n```\n\n"
        "```yaml\nmake: train\n```\n"
    )
    assert list(lines(readme)) == ["make train", "prenda models", "cd prenda", "prenda train seed=1"]


def test_a_training_is_short_and_has_the_name_of_the_long_one():
    (made, trained) = planned('make train ARGS="optimizer.lr=3e-3"\nprenda train trainer=gpu data=mnist')
    assert made.commands == (("make", "train", f"ARGS=optimizer.lr=3e-3 {' '.join(SHORT)} {_named('-lr=3e-3')}"),)
    assert trained.commands[0][2:4] == ("trainer=cpu", "data=generated")
    assert trained.commands[0][-1] == 'tracking.run_name="cnn_batch_norm-mnist-trainer=gpu-seed0"'


def _named(what: str) -> str:
    return shlex.quote(f'tracking.run_name="{NAME.replace("-seed0", f"{what}-seed0")}"')


def test_runs_that_a_command_names_are_trained_before_it():
    (promote,) = planned("prenda promote dense-mnist-seed3")
    assert promote.commands[0][:5] == ("prenda", "train", "backbone=dense", "data=generated", "seed=3")
    _, promote = planned(f"prenda train\nprenda promote {NAME}")
    assert promote.commands == (("prenda", "promote", NAME),)
    _, compare = planned("prenda train\nprenda compare RUN RUN")
    assert compare.commands[-1] == ("prenda", "compare", NAME, "dense-fashion_mnist-seed0")


def test_photos_are_drawn_and_nothing_is_written_into_the_checkout():
    _, predict = planned("prenda train\nprenda predict photos more/*.jpg --model RUN --top 3 --output a.csv --link")
    assert predict.commands[0] == ("photos",)
    told = ["predict", "$PRENDA_HOME/photos", "--model", NAME, "--top", "3", "--output", "$PRENDA_HOME/a.csv", "--link"]
    assert predict.commands[1] == ("prenda", *told)
    (predict,) = planned("prenda predict FOLDER --sort-into sorted")
    assert predict.commands[0][:3] == ("prenda", "train", "backbone=dense")
    assert predict.commands[2][-2:] == ("--sort-into", "$PRENDA_HOME/sorted")


def test_a_sweep_is_two_trials_on_this_machine():
    (sweep,) = planned(
        "prenda train -m search=architecture hydra/launcher=slurm workers=16 hydra.launcher.timeout_min=5"
    )
    assert sweep.commands[0][2:6] == ("-m", "search=architecture", "hydra/launcher=local", "workers=2")
    assert sweep.commands[0][-1] == "search.n_trials=2"
    assert not any("timeout" in word for word in sweep.commands[0])


def test_what_only_shows_something_stays_as_it_is():
    steps = planned(
        'prenda train --cfg job\nprenda --help\nmake check\neval "$(prenda train -sc install=bash)"\ngit clone URL'
    )
    assert [step.commands[:1] for step in steps] == [
        (("prenda", "train", "--cfg", "job"),),
        (("prenda", "--help"),),
        (("make", "--dry-run", "check"),),
        (("bash", "-c", 'eval "$(prenda train -sc install=bash)"'),),
        (),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frobnicate all", "nobody knows how to run 'frobnicate all'"),
        ("prenda serve", "nobody knows how to run 'prenda serve'"),
        ("prenda train backbone=dence", "backbone=dence cannot be composed"),
        ("prenda train --config-dir my_conf search=deep", "the folder my_conf is the reader's own"),
        ("prenda promote the-best-seed0", "no command before trains the run 'the-best-seed0'"),
    ],
)
def test_a_command_that_nobody_can_run_is_refused(line, expected):
    with pytest.raises(UnknownCommandError, match=expected):
        planned(line)


def test_examples_that_readme_prints_are_part_of_the_project(tmp_path):
    example = "# conf/backbone/linear.yaml\n_target_: prenda.backbones.linear.Linear"
    readme = f"```yaml\n{example}\n```\n```\nprenda train backbone=linear\n```"
    checkout = readme_commands._checkout(readme, tmp_path / "checkout")
    (step,) = plan(readme, checkout / "conf")
    assert step.commands[0][-1] == 'tracking.run_name="linear-fashion_mnist-seed0"'
    assert not (CONFIG_DIR / "backbone/linear.yaml").exists()


@pytest.mark.parametrize(
    ("block", "code", "text"),
    [
        ("prenda --version\nmake help", 0, "2 lines of README.md ran"),
        ("prenda --versoin", 1, "'prenda --versoin' failed with exit code 2"),
        ("frobnicate", 1, "nobody knows how to run"),
    ],
)
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_exit_code_tells_whether_all_ran(block, code, text, tmp_path, capfd):
    readme = tmp_path / "README.md"
    readme.write_text(f"```sh\n{block}\n```\n", encoding="utf-8")
    assert readme_commands.main(readme) == code
    output = capfd.readouterr()
    assert text in output.out + output.err
