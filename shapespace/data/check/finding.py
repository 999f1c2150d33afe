"""What a check finds.

One finding is one thing that is wrong with one scan or with several.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        kind: a word or two, the same for all findings of a sort.
        level: "error" if training should not start, else "warning" or "note".
        names: the scans.
        measured: one line with the numbers and the rule.
        remedy: what the user can do.
    """

    kind: str
    level: Level
    names: tuple[str, ...]
    measured: str
    remedy: str


def finding_about(name: str, kind: str, level: Level, *, measured: str, remedy: str) -> Finding:
    """Make a finding about one scan.

    Args:
        name: the scan.
        kind: see :class:`Finding`, like the following.
        level: how grave it is.
        measured: the numbers and the rule.
        remedy: what the user can do.
    """
    return Finding(kind=kind, level=level, names=(name,), measured=measured, remedy=remedy)
