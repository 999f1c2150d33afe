"""Whose scan, in which motion, and when: what the name of a scan says, and how near scans are."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from shapespace.errors import InputError, one_line

PATTERN = r"(?P<subject>[^_]+)_(?P<sequence>.+)_(?P<frame>[0-9]+)"
"""Names of D-FAUST, ``<subject>_<sequence>_<frame>``: 50025_chicken_wings_001831."""
GROUPS = ("subject", "sequence", "frame")


@dataclass(frozen=True)
class FrameName:
    """Frames are numbers that count up along a sequence of one subject."""

    subject: str
    sequence: str
    frame: int

    @property
    def motion(self) -> tuple[str, str]:
        """Subject and sequence: what a frame is near to other frames in."""
        return self.subject, self.sequence


def parse_name(name: str, pattern: str = PATTERN) -> FrameName | None:
    """Subject, sequence and frame by a regular expression that fits the whole name, else None.

    :class:`InputError` unless ``pattern`` is one with the groups subject, sequence and frame.
    """
    return parse_names([name], pattern).get(name)


def parse_names(names: Iterable[str], pattern: str = PATTERN) -> dict[str, FrameName]:
    """:func:`parse_name` of all names that fit, in their order."""
    expression = _compiled(pattern)
    found: dict[str, FrameName] = {}
    for name in names:
        fit = expression.fullmatch(name)
        groups = fit.groupdict("") if fit else {"frame": ""}
        if re.fullmatch("[0-9]{1,12}", groups["frame"]):
            frame = int(groups["frame"])
            found[name] = FrameName(groups["subject"], groups["sequence"], frame)
    return found


def by_motion(places: Mapping[str, FrameName]) -> dict[tuple[str, str], list[str]]:
    """The names of each sequence of each subject, all sorted."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(places):
        found[places[name].motion].append(name)
    return dict(sorted(found.items()))


def frame_gaps(
    train: Collection[str], test: Collection[str], places: Mapping[str, FrameName]
) -> dict[str, int | None]:
    """For each of ``test`` the frames to the nearest of ``train`` in its subject's sequence.

    None where there is no such scan, or where the name has no place.
    """
    known = by_motion({name: places[name] for name in train if name in places})
    frames = {
        motion: np.sort([places[name].frame for name in names]) for motion, names in known.items()
    }
    return {
        name: _nearest(frames[places[name].motion], places[name].frame)
        if name in places and places[name].motion in frames
        else None
        for name in test
    }


def _nearest(frames: np.ndarray, frame: int) -> int:
    at = int(np.searchsorted(frames, frame))
    return int(np.abs(frames[max(at - 1, 0) : at + 1] - frame).min())


def _compiled(pattern: str) -> re.Pattern[str]:
    shown = f"pattern={one_line(pattern, 100)!r}"
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"{shown}: not a regular expression ({one_line(error)})") from error
    missing = " ".join(
        f"(?P<{group}>...)" for group in GROUPS if group not in expression.groupindex
    )
    if missing:
        raise InputError(f"{shown}: lacks the named groups {missing}")
    return expression
