"""Options of `prenda train`: their check, before Hydra prints its own usage and exits, and what they ask for."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence

from hydra import compose, initialize_config_dir

from prenda.config.convert import flatten, register
from prenda.config.hydra_errors import SEE, plain_values, similar
from prenda.config.paths import CONFIG_DIR
from prenda.errors import ConfigError


def check_options(words: Sequence[str]) -> None:
    """Refuse words that begin with a dash and are no options of Hydra.

    Raises:
        ConfigError: If there is such a word, or an option without its value. The text suggests a setting or an option.
    """
    parser = _hydra_parser()
    try:
        _, unknown = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error.argument_name}: {error.message}. {SEE}") from error
    option = next((word for word in unknown if word.startswith("-")), None)
    if option is None:
        return
    name, equals, value = option.lstrip("-").partition("=")
    settings = [f"{setting}={value if equals else '…'}" for setting in _settings_like(name)]
    options = [known for action in parser._actions for known in action.option_strings]
    meant = settings or difflib.get_close_matches(option.partition("=")[0], options, 1, cutoff=0.8)
    hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
    raise ConfigError(f"{option} is no option: a setting is written without dashes, as SETTING=VALUE.{hint} {SEE}")


def only_shows(words: Sequence[str]) -> bool:
    """Return whether an option asks Hydra to print help or settings, so that nothing is trained."""
    try:
        options, _ = _hydra_parser().parse_known_args(list(words))
    except argparse.ArgumentError:  # `check_options` explains it
        return False
    return bool(options.help or options.hydra_help or options.cfg or options.info)


def _settings_like(name: str) -> list[str]:
    """Return the settings of the default configuration with this name or a similar one."""
    register()
    with initialize_config_dir(str(CONFIG_DIR)):
        config = plain_values(compose("train"))
    groups = [key for key in config if key != "choices"]
    return similar(name.replace("-", "_"), groups, flatten(config))


def _hydra_parser() -> argparse.ArgumentParser:
    """Return a parser with the options of Hydra 1.4, which has no public list of them."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("overrides", nargs="*")
    for names in (
        ["--help", "-h"],
        ["--hydra-help"],
        ["--version"],
        ["--resolve"],
        ["--run", "-r"],
        ["--multirun", "-m"],
    ):
        parser.add_argument(*names, action="store_true")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    for names in (["--package", "-p"], ["--config-path", "-cp"], ["--config-name", "-cn"], ["--config-dir", "-cd"]):
        parser.add_argument(*names)
    parser.add_argument("--experimental-rerun")
    shown = ["all", "aliases", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=shown)
    return parser
