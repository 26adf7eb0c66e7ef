"""Runs the commands of README's fenced blocks in their order, shortened where they train; `.ci/run` calls it.

    python -m tests.docs.readme_commands

Everything is written below a folder of its own, in which the example files that README prints are part of the project.
Data sets are those of $PRENDA_HOME, else of the checkout. The exit code is 1 if a command fails, or if this script does
not know how to run it.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import open_dict
from PIL import Image

from prenda.config.convert import register, typed
from prenda.config.identity import make_run_name
from prenda.config.paths import CONFIG_DIR, REPOSITORY, home
from prenda.search.composition import chosen_files
from tests.docs.documents import FENCE, STARTS, Document, joined_lines

SHORT = ("trainer.epochs=1", "data.limit_train=500", "data.val_size=500")
SWEEP = ("search.n_trials=2",)
# What a machine may lack (a cluster, a GPU, an answer from the mirrors), and what is tried in its place. The clusters
# themselves are tried in tests/cluster, the data sets in tests/data.
INSTEAD = {
    "hydra/launcher": {"slurm": "local", "ray": "local"},
    "trainer": {"gpu": "cpu", "mps": "cpu", "ddp": "ddp_cpu"},
    "data": {"mnist": "generated", "kmnist": "generated"},
    "workers": {str(workers): "2" for workers in range(3, 1025)},
}
SETS_UP = ("git", "cd", "source")  # done already where this script runs
SHELLS = ("sh", "bash", "console", "shell")
TESTED = ("resume", "evaluate", "reproduce", "compare", "promote", "models", "data", "predict")
RUN_ARGUMENT = re.compile(r"RUN|FOLDER|outputs/runs/\S+")
NAMES_RUNS = ("resume", "evaluate", "reproduce", "compare", "promote")
INTERRUPTED = "interrupted-seed0"
HOME = "$PRENDA_HOME"  # stands for the folder that everything is written to
PHOTOS = f"{HOME}/photos"  # in the place of the reader's own
WRITES = (
    "--output",
    "--sort-into",
    "--explain",
)  # options of `predict` with what it writes; `--link` alone has no value


class UnknownCommandError(Exception):
    """A line of a block that cannot be run, and why."""


@dataclass(frozen=True)
class Step:
    """What is run for one line of README.

    Attributes:
        line: The line as README has it.
        commands: What runs, one after the other; none where nothing is to be done.
        ends: How the last one ends: by itself, or once it answers (`ui`).
    """

    line: str
    commands: tuple[tuple[str, ...], ...] = ()
    ends: str = "itself"


@dataclass
class Plan:
    """Steps for the lines of a README.

    Attributes:
        conf: The folder of the configuration.
        trained: Names of the runs that there are by then, the newest last.
    """

    conf: Path = CONFIG_DIR
    trained: list[str] = field(default_factory=list)

    def step(self, line: str) -> Step:
        """Raises: UnknownCommandError: If the line cannot be run."""
        words = [word for word in shlex.split(line, comments=True) if word != "…"]
        words = list(itertools.dropwhile(re.compile(r"[A-Z][A-Z_]*=").match, words))
        program = words[0].removeprefix(".venv/bin/") if words else ""
        if program in ("", *SETS_UP):
            return Step(line)
        if program == "make":
            return self._make(line, words[1:])
        if program == "eval" and words[1].startswith("$(prenda "):
            return Step(line, (("bash", "-c", line),))
        if program == "python" and words[1:2] and words[1].startswith("benchmarks/"):
            return Step(line, ((program, words[1], "--help"),))
        if program == "prenda":
            return self._prenda(line, words[1:])
        raise UnknownCommandError(f"nobody knows how to run {line!r}: teach tests/docs/readme_commands.py")

    def _make(self, line: str, words: Sequence[str]) -> Step:
        """`make train` runs; the other targets are run by `.ci/run` itself, or take too long, and are only resolved."""
        if "train" not in words:
            return Step(line, (("make", "--dry-run", *words),))
        given = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
        overrides = self._shortened([word for word in shlex.split(given) if word != "…"])
        return Step(line, (("make", "train", f"ARGS={shlex.join(overrides)}"),))

    def _prenda(self, line: str, words: Sequence[str]) -> Step:
        command = words[0] if words else ""
        if command == "train":
            return Step(line, (("prenda", "train", *self._shortened(words[1:])),))
        if command == "ui":
            return Step(line, (("prenda", "ui", "--port", str(_free_port())),), ends="once it answers")
        if command.startswith("-"):
            return Step(line, (("prenda", *words),))
        if command not in TESTED:
            raise UnknownCommandError(f"nobody knows how to run {line!r}: teach tests/docs/readme_commands.py")
        before: list[tuple[str, ...]] = []
        if command == "predict":
            named = self._prediction(words, before)
        else:
            named = self._runs(words, before) if command in NAMES_RUNS else list(words)
        return Step(line, (*before, ("prenda", *named)))

    def _shortened(self, overrides: Sequence[str]) -> list[str]:
        """Overrides of a short run that has the name of the long one."""
        own = [_instead(override) for override in overrides if not override.startswith("hydra.launcher.")]
        if any(override.startswith(("--cfg", "--help", "-h", "-sc", "--info")) for override in own):
            return own
        folder = next((value for flag, value in itertools.pairwise(own) if flag == "--config-dir"), None)
        if folder is not None:
            raise UnknownCommandError(f"the folder {folder} is the reader's own, and no run can be made with it here")
        if "-m" in own or "--multirun" in own:
            return [*own, *SHORT, *SWEEP]
        self.trained.append(_name([override for override in overrides if "=" in override], self.conf))
        return [*own, *SHORT, f'tracking.run_name="{self.trained[-1]}"']

    def _runs(self, words: Sequence[str], before: list[tuple[str, ...]]) -> list[str]:
        """The words with runs in the place of RUN; what must be trained for them goes to `before`."""
        if words[0] == "resume":
            before.append(("interrupted",))
            return ["resume", INTERRUPTED]
        places = [place for place, word in enumerate(words) if place and RUN_ARGUMENT.fullmatch(word)]
        for where in re.findall(r"params\.(\w+) = '([^']+)'", " ".join(words)):
            for seed in (0, 1):
                before += [self._train("=".join(where), f"seed={seed}")]
        for seed in itertools.count():
            if len(self.trained) >= len(places):
                break
            before.append(self._train("backbone=dense", f"seed={seed}"))
        filled = dict(zip(places, self.trained[len(self.trained) - len(places) :], strict=True))
        for word in words[1:]:
            if re.fullmatch(r"[\w.=+-]+-seed\d+", word) and word not in self.trained:
                before += [self._train(*_overrides_of(word, self.conf))]
        return [filled.get(place, word) for place, word in enumerate(words)]

    def _prediction(self, words: Sequence[str], before: list[tuple[str, ...]]) -> list[str]:
        """The words with drawn photos in the place of the reader's; a model is trained if there is none by then."""
        if not self.trained:
            before.append(self._train("backbone=dense"))
        before.append(("photos",))
        named = ["predict"]
        for option, word in itertools.pairwise(words):
            if word.startswith("--"):
                named.append(word)
            elif option == "--model":
                named.append(self.trained[-1] if RUN_ARGUMENT.fullmatch(word) else word)
            elif option in WRITES:
                named.append(f"{HOME}/{word}")
            elif option.startswith("--") and option != "--link":
                named.append(word)
            elif PHOTOS not in named:
                named.append(PHOTOS)
        return named

    def _train(self, *overrides: str) -> tuple[str, ...]:
        return ("prenda", "train", *self._shortened([*overrides, "report=light"]))


def lines(readme: str) -> Iterator[str]:
    """The lines of the blocks that hold commands: those marked as a shell's, and others in which a line starts as one.

    A block of output alone has no such line.
    """
    for match in FENCE.finditer(readme):
        found = [re.split(r"\s{2,}", line)[0] for _, line in joined_lines(match["text"]) if line]
        found = [line for line in found if not line.startswith("#")]
        commands = any(STARTS.match(line) or line.split()[0] in SETS_UP for line in found)
        if match["language"] in SHELLS or (match["language"] == "" and commands):
            yield from found


def plan(readme: str, conf: Path = CONFIG_DIR) -> list[Step]:
    """Raises: UnknownCommandError: If a line cannot be run."""
    made = Plan(conf)
    return [made.step(line) for line in lines(readme)]


def _instead(override: str) -> str:
    setting, equals, value = override.partition("=")
    return setting + equals + INSTEAD.get(setting, {}).get(value, value)


def _name(overrides: Sequence[str], conf: Path) -> str:
    """The name that `prenda train` gives a run of these overrides."""
    register()
    try:
        with initialize_config_dir(str(conf)):
            config = compose("train", list(overrides), return_hydra_config=True)
    except HydraException as error:
        raise UnknownCommandError(f"{shlex.join(overrides)} cannot be composed: {error}") from error
    choices = chosen_files(config.hydra.runtime.choices)
    with open_dict(config):
        del config.hydra
    named = replace(typed(config), choices=choices)
    return named.tracking.run_name or make_run_name(named, overrides)


def _overrides_of(name: str, conf: Path) -> list[str]:
    """What makes a run of this name: an experiment and a seed, or a backbone, a data set and a seed."""
    head, _, seed = name.rpartition("-seed")
    backbone, _, data = head.partition("-")
    if (conf / f"experiment/{head}.yaml").is_file():
        return [f"experiment={head}", f"seed={seed}"]
    if (conf / f"backbone/{backbone}.yaml").is_file() and (conf / f"data/{data}.yaml").is_file():
        return [f"backbone={backbone}", f"data={data}", f"seed={seed}"]
    raise UnknownCommandError(f"no command before trains the run {name!r}, and its name does not say how to")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    return subprocess.run(command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, timeout=900).returncode


def _run_until_it_answers(command: Sequence[str], environment: dict[str, str]) -> int:
    """Start a server, ask it for its page, and stop it as Ctrl-C does."""
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=60) as page:
                page.read()
        finally:
            server.send_signal(signal.SIGINT)
    return server.returncode


def _interrupt(environment: dict[str, str]) -> int:
    """Leave a run that was stopped by Ctrl-C after its first epoch."""
    overrides = ("backbone=dense", "data.limit_train=500", "data.val_size=500", "trainer.epochs=20", "report=none")
    command = ("prenda", "train", *overrides, f"tracking.run_name={INTERRUPTED}")
    runs = Path(environment["PRENDA_HOME"], "outputs/runs")
    before = set(runs.glob("*/*/checkpoints/last.ckpt"))
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as training:
        while training.poll() is None and set(runs.glob("*/*/checkpoints/last.ckpt")) == before:
            time.sleep(0.05)
        training.send_signal(signal.SIGINT)
    return 0 if training.returncode == 128 + signal.SIGINT else 1


def _draw_photos(folder: Path) -> int:
    """Draw garments on white, as bright rectangles of several shapes."""
    folder.mkdir(exist_ok=True)
    for number, (width, height) in enumerate([(120, 300), (300, 120), (220, 240)]):
        photo = Image.new("RGB", (400, 400), "white")
        photo.paste((180, 60 * number, 40), (200 - width // 2, 200 - height // 2, 200 + width // 2, 200 + height // 2))
        photo.save(folder / f"{number}.jpg")
    return 0


def _execute(step: Step, environment: dict[str, str]) -> bool:
    for words in step.commands:
        command = tuple(word.replace(HOME, environment["PRENDA_HOME"]) for word in words)
        if command == ("interrupted",):
            code = _interrupt(environment)
        elif command == ("photos",):
            code = _draw_photos(Path(environment["PRENDA_HOME"], "photos"))
        else:
            run: Callable[[Sequence[str], dict[str, str]], int] = _run
            if step.ends == "once it answers" and words == step.commands[-1]:
                run = _run_until_it_answers
            print(f"-- {shlex.join(command)}", flush=True)
            code = run(command, environment)
        if code:
            print(f"{step.line!r} failed with exit code {code}", file=sys.stderr)
            return False
    return True


def _checkout(readme: str, folder: Path) -> Path:
    """Copy the code and the configuration, and add the example files that README prints."""
    for name in ("src", "conf"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in Document("README.md", readme).shown.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def _environment(folder: Path, checkout: Path) -> dict[str, str]:
    if (home() / "data").is_dir():
        (folder / "data").symlink_to(home() / "data")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PRENDA_HOME": str(folder), "PYTHONPATH": str(checkout / "src"), "PATH": path}


def main(readme: Path = REPOSITORY / "README.md") -> int:
    text = readme.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        checkout = _checkout(text, Path(folder, "checkout"))
        environment = _environment(Path(folder), checkout)
        try:
            steps = plan(text, checkout / "conf")
        except UnknownCommandError as error:
            print(f"{readme.name}: {error}", file=sys.stderr)
            return 1
        ran = set()
        for step in steps:
            print(f"== {step.line}", flush=True)
            if step.commands in ran:  # a reader types it once; a second run would bear the same name
                continue
            ran.add(step.commands)
            if not _execute(step, environment):
                return 1
    print(f"{len(steps)} lines of {readme.name} ran")
    return 0


if __name__ == "__main__":
    sys.exit(main())
