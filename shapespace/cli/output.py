"""What commands share: lines on standard output, and the words for units and normals."""

import sys
from typing import Literal

Unit = Literal["m", "cm", "mm", "in"]
Normals = Literal["estimate", "source", "none"]


def say(text: object) -> None:
    """A line on standard output, for people and pipes; progress goes to standard error."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
