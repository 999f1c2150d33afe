"""Output of all commands, and the types of options that several commands have."""

import sys
from typing import Literal

Unit = Literal["m", "cm", "mm", "in"]
"""Length unit of files: metres, centimetres, millimetres, inches."""
Normals = Literal["estimate", "source", "none"]
"""Which normals a scan gets, see :data:`shapespace.data.prepare.points.NormalsSource`."""


def say(text: object) -> None:
    """Write ``text`` to standard output, for people and pipes. Progress goes to standard error."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
