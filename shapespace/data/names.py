"""Subject, sequence and frame as the name of a scan states them, and distances between frames."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shapespace.errors import InputError, one_line

PATTERN = r"(?P<subject>[^_]+)_(?P<sequence>.+)_(?P<frame>[0-9]+)"
"""Names of D-FAUST, ``<subject>_<sequence>_<frame>``: 50025_chicken_wings_001831."""
COPY = "~"
"""Stands between the name of a scan and what a copy of it is, such as ~mirror."""
GROUPS = ("subject", "sequence", "frame")
"""The named groups that every pattern must have."""


@dataclass(frozen=True)
class FrameName:
    """The name of a scan, taken apart.

    Args:
        subject: the person or object that was scanned.
        sequence: the motion that was recorded.
        frame: number of the frame; frames count up along a sequence of one subject.
    """

    subject: str
    sequence: str
    frame: int

    @property
    def motion(self) -> tuple[str, str]:
        """Subject and sequence; distances in frames are defined only inside one such pair."""
        return self.subject, self.sequence


def parse_names(names: Iterable[str], pattern: str = PATTERN) -> dict[str, FrameName]:
    """Take names apart; names that do not fit the pattern are left out.

    Args:
        names: names of scans.
        pattern: regular expression with the groups subject, sequence and frame, which must fit the
            whole name. A group that takes no part in the match counts as "".

    Returns:
        The parts of each name that fits, in the order of ``names``.

    Raises:
        InputError: ``pattern`` is not a regular expression, or lacks a group.
    """
    expression = _compiled(pattern)
    found: dict[str, FrameName] = {}
    for name in names:
        fit = expression.fullmatch(name)
        groups = fit.groupdict("") if fit else {"frame": ""}
        # In a pattern given by the user, \d also matches digits of other scripts, and any number
        # of digits, for which int() may raise.
        if re.fullmatch("[0-9]{1,12}", groups["frame"]):
            found[name] = FrameName(
                subject=groups["subject"],
                sequence=groups["sequence"],
                frame=int(groups["frame"]),
            )
    return found


def group_names(names: Sequence[str]) -> list[str]:
    """The group of each name: its subject in the D-FAUST style, else the part before "_"."""
    parsed = parse_names(names)
    return [parsed[name].subject if name in parsed else name.partition("_")[0] for name in names]


def subjects_of(names: Sequence[str]) -> list[str]:
    """The subject of each scan; a copy has the subject of its scan.

    Raises:
        InputError: a name does not state subject, sequence and frame.
    """
    names = [name.partition(COPY)[0] for name in names]
    parsed = parse_names(names)
    for name in names:
        if name not in parsed:
            raise InputError(
                f"{one_line(name, 60)!r}: does not state subject, sequence and frame, as "
                "50025_chicken_wings_001831 does, and model.identity_size shares an identity among "
                "the scans of a subject: rename the scans, or leave model.identity_size at 0"
            )
    return [parsed[name].subject for name in names]


def by_motion(frame_names: Mapping[str, FrameName]) -> dict[tuple[str, str], list[str]]:
    """Group names by (subject, sequence); keys and names are sorted."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(frame_names):
        found[frame_names[name].motion].append(name)
    return dict(sorted(found.items()))


def frame_gaps(
    train: Collection[str], test: Collection[str], frame_names: Mapping[str, FrameName]
) -> dict[str, int | None]:
    """Distance, in frames, from each test scan to the nearest training scan of its sequence.

    Args:
        train: names of the training scans.
        test: names of the test scans.
        frame_names: the parts of the names, as :func:`parse_names` returns them.

    Returns:
        One distance for each name of ``test``. None if no training scan has the same subject and
        sequence, or if ``frame_names`` lacks the name.
    """
    known = by_motion({name: frame_names[name] for name in train if name in frame_names})
    train_frames = {
        motion: np.sort([frame_names[name].frame for name in names])
        for motion, names in known.items()
    }
    gaps: dict[str, int | None] = {}
    for name in test:
        parts = frame_names.get(name)
        if parts is None or parts.motion not in train_frames:
            gaps[name] = None
        else:
            gaps[name] = _nearest(train_frames[parts.motion], parts.frame)
    return gaps


def _nearest(frames: np.ndarray, frame: int) -> int:
    """Smallest distance from ``frame`` to one of the sorted ``frames``."""
    at = int(np.searchsorted(frames, frame))
    return int(np.abs(frames[max(at - 1, 0) : at + 1] - frame).min())


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile ``pattern``; InputError if it is no regular expression or lacks a group."""
    shown = f"pattern={one_line(pattern, 100)!r}"
    groups = " ".join(f"(?P<{group}>...)" for group in GROUPS)
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        reason = one_line(error)
        raise InputError(
            f"{shown}: not a regular expression ({reason}); give one with {groups}"
        ) from error
    missing = " ".join(
        f"(?P<{group}>...)" for group in GROUPS if group not in expression.groupindex
    )
    if missing:
        raise InputError(f"{shown}: lacks the named groups {missing}; add them")
    return expression
