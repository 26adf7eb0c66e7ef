"""Argument parser of `prenda`, with suggestions for mistyped words and with tab completion."""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Sequence
from typing import NoReturn

CHOICE = re.compile(r"invalid choice: '(?P<given>.*?)' \(choose from (?P<choices>.*)\)$")
UNKNOWN = "unrecognized arguments: "


class CommandParser(argparse.ArgumentParser):
    """Parser whose errors suggest the nearest known word. The parsers of its commands are of the same class."""

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse all words; refuse an unknown one with the usage of its command."""
        parsed, unknown = self.parse_known_args(words)
        if unknown:
            self._command_of(words).error(UNKNOWN + " ".join(unknown))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error with a suggestion, and exit with 2."""
        super().error(message + self._suggestion(message))

    def completions(self, words: Sequence[str], unfinished: str) -> list[str]:
        """Return the candidates for an unfinished word; none if the shell completes file names.

        Args:
            words: Words after `prenda` and before the unfinished one.
            unfinished: Beginning of a word, or an empty text.
        """
        command = self._command_of(words)
        if command._commands():
            return list(command._commands())
        before = words[-1] if words else ""
        for option in command._actions:
            if before in option.option_strings and option.nargs != 0:
                return [str(choice) for choice in option.choices or ()]
        return command._long_options() if unfinished.startswith("-") else []

    def _command_of(self, words: Sequence[str]) -> CommandParser:
        """Return the parser of the command or action that the words name."""
        parser = self
        for word in words:
            if word not in parser._commands():
                break
            parser = parser._commands()[word]
        return parser

    def _commands(self) -> dict[str, CommandParser]:
        below = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return {name: parser for choices in below for name, parser in choices.items()}

    def _long_options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def _suggestion(self, message: str) -> str:
        if match := CHOICE.search(message):
            if "=" in match["given"] and "train" in self._commands():
                return f". Settings follow the command train: prenda train {shlex.quote(match['given'])}"
            return suggestion(match["given"], re.findall(r"[\w-]+", match["choices"]))
        if message.startswith(UNKNOWN):
            first = message.removeprefix(UNKNOWN).split()[0]
            if first.startswith("-"):
                return suggestion(first.partition("=")[0], self._long_options())
            if "=" in first:
                return ". Only `prenda train` takes settings"
        return ""


def suggestion(given: str, known: Sequence[str]) -> str:
    """Return a question with the known word that is most like the given one; empty if none is like it."""
    close = difflib.get_close_matches(given, known, 1)
    return f". Did you mean {close[0]}?" if close else ""
