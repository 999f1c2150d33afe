"""The exceptions that the command line turns into a line and an exit code."""

import re
import signal


class InputError(ValueError):
    """Something that the user gave cannot be used: a file, an option, a name.

    The message is one line that names the file or argument, its value, the rule it breaks and
    the remedy. Everything else that is raised is a mistake of ours.
    """


class CheckFailed(Exception):  # noqa: N818
    """A check has said what it found, and it is not well: the command ends with exit code 1."""


class RankLost(RuntimeError):  # noqa: N818
    """Other ranks ended or stopped answering; the message names them. Exit code 1."""


class Stopped(Exception):  # noqa: N818
    """A training ended early and well because of a signal; all is saved. Exit code 128 + number."""

    def __init__(self, number: int) -> None:
        self.number, self.name = number, signal.Signals(number).name
        super().__init__(f"stopped by {self.name}")


def at_least(least: int, **given: int) -> None:
    """InputError for the first of the arguments ``given`` that is smaller than ``least``."""
    for name, value in given.items():
        if value < least:
            raise InputError(f"{name}={value}: give at least {least}")


def positive(**given: float) -> None:
    """InputError for the first of the arguments ``given`` that is not a positive number."""
    for name, value in given.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{name}={value}: give a positive number")


def one_line(text: object, limit: int = 400) -> str:
    """``text`` on one line of at most ``limit`` characters, control characters made visible."""
    flat = re.sub(r"\s+", " ", str(text)).strip()
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in flat)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
