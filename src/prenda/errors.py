"""Errors that a user can correct."""

from __future__ import annotations

RUN_FOLDER = "Run folder: "  # start of the note that names the run in an error that is no UserError
RUN_TO_RESUME = "Resume by: prenda resume "  # start of the note that names the run in a stop


class Message(str):
    """A text for people in English that knows its code, for programs, and its Spanish form.

    Attributes:
        code: Short name that never changes, such as `too_small`.
        es: The text in Spanish.
    """

    __slots__ = ("code", "es")
    code: str
    es: str

    def __new__(cls, code: str, en: str, es: str) -> Message:
        message = super().__new__(cls, en)
        message.code, message.es = code, es
        return message

    def __reduce__(self) -> tuple[type[Message], tuple[str, str, str]]:
        return Message, (self.code, str(self), self.es)

    def text(self, language: str) -> str:
        """Return the text in a language; in English if it has none in that one."""
        return self.es if language == "es" else str(self)


class UserError(ValueError):
    """An error that the user can correct: `prenda` prints its text without a traceback and exits with code 2.

    The text names the setting or argument, the value it had, what is valid, and the next step. A `ValueError` too, so
    that callers of the Python interface need not know this class.
    """


class ConfigError(UserError):
    """An invalid setting, or an invalid combination of settings."""


class DataError(UserError):
    """A data set that is not available, or whose files are invalid."""


class PhotoError(UserError):
    """A picture file that cannot be read or used; the message says why, without the file's name."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


class TrackingError(UserError):
    """A tracking store, server, run or registered model that is not available."""


class AmbiguousRunError(TrackingError):
    """A name that several runs bear, where one run is needed; the text lists them with their ids."""


class CheckpointError(UserError):
    """A checkpoint that cannot be read, or that is not one of prenda's."""


class BundleError(UserError):
    """A bundle that cannot be written, or that is missing or damaged."""
