"""The exceptions that the command line turns into a line and an exit code."""

import re
import signal
from collections.abc import Sequence
from difflib import get_close_matches


class InputError(ValueError):
    """Something that the user gave cannot be used: a file, an option, a name.

    The message is one line. It names the file or argument, its value, the rule that is broken and
    the remedy. The command line ends with exit code 2. Any other exception is a mistake of ours.
    """


class NoScanError(InputError):
    """A sound file that holds something else than a scan, such as samples of a volume."""


class DiskError(InputError):
    """The disk takes no more files: it is full, read-only or over a quota. No later file will fit.

    A file with a name that is too long, say, is a plain :class:`InputError`.
    """


class CheckFailed(Exception):  # noqa: N818
    """A check has printed what it found, and something is wrong. Exit code 1."""


class RankLost(RuntimeError):  # noqa: N818
    """Other ranks ended or stopped answering. The message names them. Exit code 1."""


class Stopped(Exception):  # noqa: N818
    """A training was stopped by a signal, and its state is saved. Exit code 128 + number.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = signal.Signals(number).name
        super().__init__(f"stopped by {self.name}")


def at_least(least: int, **given: int) -> None:
    """Raise InputError for the first argument of ``given`` that is smaller than ``least``."""
    for name, value in given.items():
        if value < least:
            raise InputError(f"{name}={value}: give at least {least}")


def positive(**given: float) -> None:
    """Raise InputError for the first argument of ``given`` that is not positive and finite."""
    for name, value in given.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{name}={value}: give a positive number")


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which of the known names is nearest, or, where none is near, what there is."""
    near = get_close_matches(name, known, 1)
    if near:
        return f"the nearest is {one_line(near[0])!r}"
    if not known:
        return "there is none"
    return f"{'the only one is' if len(known) == 1 else 'one of them is'} {one_line(known[0])!r}"


def one_line(text: object, limit: int = 400) -> str:
    """``text`` on one line of at most ``limit`` characters, with control characters escaped.

    Of an error of the system its words are given, without number and file, which callers name.
    """
    if isinstance(text, OSError) and text.strerror:
        text = text.strerror
    shown = printable(re.sub(r"\s+", " ", str(text)).strip())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def printable(text: object) -> str:
    """``text`` with characters that a terminal would act on or hide shown escaped.

    These are control characters, line breaks among them, and characters that set the direction of
    the text or have no width.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
