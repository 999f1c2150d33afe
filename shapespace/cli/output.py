"""Output of all commands."""

import sys


def say(text: object) -> None:
    """Write ``text`` to standard output, for people and pipes. Progress goes to standard error."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
