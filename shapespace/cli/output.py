"""Output of all commands."""

import sys

from shapespace.errors import printable


def say(text: object) -> None:
    """Write ``text`` to standard output, for people and pipes. Progress goes to standard error.

    The text may have several lines. A character that a terminal would act on is shown escaped: the
    name of a file or of a scan may hold any. A name within a text of several lines is made
    :func:`~shapespace.errors.printable` where the text is made, because its line breaks count too.
    """
    lines = str(text).split("\n")
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def say_line(text: object) -> None:
    """Write ``text`` as one line: line breaks in it, as those of a name, are shown escaped."""
    say(printable(text))
