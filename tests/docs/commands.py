"""Whether a command that a text names would be understood: its sub-command, options, settings, target or script."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

import prenda.commands.train_application  # noqa: F401  registers the schema, the sweeper and the launchers
from prenda import cli
from prenda.config.convert import typed
from prenda.config.paths import CONFIG_DIR, REPOSITORY
from prenda.config.validation import check
from prenda.errors import UserError

ELLIPSIS = "…"
# What stands for a name or a number that the reader puts there: RUN, FOLDER, HOST, N, VALUE.
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*")
# Folders of the reader's own, and of results: nothing in the repository can say what they hold.
OWN_FOLDERS = re.compile(r"my_conf$|(?:.*/)?outputs/")
RESULT = re.compile(r"experiment=best_trial")  # what a sweep leaves in such a folder
SHELL = (">", "|")  # where the command's own words end
ASSIGNMENT = re.compile(r"[A-Z][A-Z_]*=")
SETTING = re.compile(r"\+{0,2}(?P<key>[a-z_]+(?:[./][A-Za-z_0-9]+)*)=(?P<value>.+)")
Shown = Mapping[str, str]


def problem(text: str, shown: Shown | None = None, inline: bool = False) -> str | None:
    """Say what is wrong with a command; None if it would be understood.

    Args:
        shown: Example files that the page prints, by path; their configuration can be composed.
        inline: The command stands in a sentence, which may name it without its arguments.
    """
    try:
        words = [word for word in shlex.split(text, comments=True) if word != ELLIPSIS]
    except ValueError as error:
        return f"the shell cannot read it ({error})"
    words = list(itertools.takewhile(lambda word: word not in SHELL, itertools.dropwhile(ASSIGNMENT.match, words)))
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    match program:
        case "prenda":
            return _prenda(arguments, shown or {}, inline)
        case "make":
            return _make(arguments, shown or {})
        case "eval":
            inner = re.fullmatch(r"\$\((prenda .*)\)", arguments[0])
            return problem(inner[1], shown) if inner else "eval is known for $(prenda …) alone"
    return _python(arguments, shown or {})


def setting_problem(words: Sequence[str], shown: Shown | None = None) -> str | None:
    """Say what is wrong with settings named without a command; None if they exist under some choice of files."""
    match = SETTING.fullmatch(words[0])
    assert match is not None
    parts = re.split(r"[./]", match["key"])[:-1]
    folders = [CONFIG_DIR.joinpath(*parts[:depth]) for depth in range(len(parts), 0, -1)]
    alternatives = [
        f"{folder.relative_to(CONFIG_DIR).as_posix()}={file.stem}"
        for folder in folders
        for file in sorted(folder.glob("*.yaml"))
    ]
    words = [word for word in words if not RESULT.match(word)]
    first = _overrides(words, True, shown or {})
    for alternative in alternatives if first else ():
        if _overrides([alternative, *words], True, shown or {}) is None:
            return None
    return first


def is_setting(word: str) -> bool:
    """Whether a word in backticks sets something of the configuration, and not a variable of something else."""
    match = SETTING.fullmatch(word)
    return match is not None and re.split(r"[./]", match["key"])[0] in _roots()


@cache
def _roots() -> frozenset[str]:
    with initialize_config_dir(str(CONFIG_DIR)):
        return frozenset(map(str, compose("train"))) | {"hydra", "experiment"}


def _prenda(words: Sequence[str], shown: Shown, inline: bool) -> str | None:
    if not words or (inline and len(words) == 1 and words[0] in _names()):
        return None
    if words[0] == "train":
        return _train(words[1:], shown)
    refusals = []
    for filled in (words, ["1" if PLACEHOLDER.fullmatch(word) else word for word in words]):
        output = io.StringIO()
        try:
            with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
                cli._parser().parse_args(filled)
        except SystemExit as end:
            if end.code:
                refusals.append(output.getvalue().strip().splitlines()[-1])
                continue
        return None
    return refusals[0]


@cache
def _names() -> frozenset[str]:
    actions = cli._parser()._actions
    return frozenset(name for each in actions if isinstance(each, argparse._SubParsersAction) for name in each.choices)


def _train(words: Sequence[str], shown: Shown) -> str | None:
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            arguments = get_args_parser().parse_intermixed_args(list(words))
    except SystemExit as end:
        return output.getvalue().strip().splitlines()[-1] if end.code else None
    folder, overrides = arguments.config_dir, arguments.overrides
    if folder and not any(name.startswith(f"{folder}/") for name in shown):
        if not OWN_FOLDERS.match(folder) and not PLACEHOLDER.fullmatch(folder):
            return f"--config-dir {folder} is neither there nor shown on the page"
        overrides = [override for override in overrides if not RESULT.match(override)]
    if arguments.shell_completion:  # its words are bash, zsh and fish, uninstall and query
        return None
    return _overrides(overrides, arguments.multirun, shown)


def _overrides(words: Sequence[str], multirun: bool, shown: Shown) -> str | None:
    try:
        parsed = OverridesParser.create().parse_overrides([each for word in words if (each := _filled(word))])
    except HydraException as error:
        return str(error)
    if not multirun and any(override.is_sweep_override() for override in parsed):
        return "several values are a sweep, which needs -m"
    files = tuple(sorted((name, text) for name, text in shown.items() if name.endswith(".yaml")))
    for chosen in _combinations(parsed):
        found = _composition_problem(tuple(chosen), files)
        if found:
            return found
    return None


def _filled(word: str) -> str | None:
    """An override with something in the place of each placeholder; None where its key is one."""
    key, equals, value = word.partition("=")
    if PLACEHOLDER.fullmatch(key):
        return None
    if PLACEHOLDER.fullmatch(value):
        return None if (CONFIG_DIR / key).is_dir() else f"{key}=1"
    return key + equals + value.replace(ELLIPSIS, "1")


def _combinations(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Overrides of single runs in which each value of a sweep occurs."""
    values = [_values(override) for override in overrides]
    for number in range(max(map(len, values), default=1)):
        yield [each[min(number, len(each) - 1)] for each in values]


def _values(override: Override) -> list[str]:
    assert override.input_line is not None
    if not override.is_sweep_override():
        return [override.input_line]
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        return [f"{override.get_key_element()}={each}" for each in (sweep.start, sweep.end)]
    return [f"{override.get_key_element()}={each}" for each in override.sweep_string_iterator()]


@cache
def _composition_problem(overrides: tuple[str, ...], files: tuple[tuple[str, str], ...]) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files:
            file = Path(folder, *Path(name).parts[1:])  # conf/GROUP/NAME.yaml
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        try:
            with initialize_config_dir(str(CONFIG_DIR)):
                path = f"hydra.searchpath=[file://{folder}]"
                config = compose("train", [path, *overrides], return_hydra_config=True)
            with open_dict(config):
                del config.hydra
            check(typed(config))
        except (HydraException, OmegaConfBaseException, UserError) as error:
            return " ".join(f"{error} {error.__cause__ or ''}".split())
    return None


def _make(words: Sequence[str], shown: Shown) -> str | None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M))
    named = [word for word in words if "=" not in word]
    unknown = [name for name in named if name not in targets]
    if unknown:
        return f"the Makefile has no target {unknown[0]}"
    given = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "").replace(ELLIPSIS, "")
    for name, command in (("train", "prenda train"), ("ui", "prenda ui"), ("bench", "python benchmarks/epochs.py")):
        if given and name in named:
            return problem(f"{command} {given}", shown)
    return None


def _python(words: Sequence[str], shown: Shown) -> str | None:
    """`python` and `torchrun`: a script of ours must be there and know its options."""
    for place, pair in enumerate(itertools.pairwise(words)):
        if pair == ("-m", "prenda"):
            return _prenda(words[place + 2 :], shown, inline=False)
    script = next((word for word in words if word.endswith(".py")), None)
    if script is None:
        return None
    if not (REPOSITORY / script).is_file():
        return f"there is no {script}"
    source = (REPOSITORY / script).read_text(encoding="utf-8")
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    unknown = [option for option in options if f'"{option}"' not in source]
    return f"{script} has no option {unknown[0]}" if unknown else None
