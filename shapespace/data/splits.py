"""Split scans into training and test scans without leakage.

A split holds out whole subjects, whole sequences, or blocks of successive frames. Neighbouring
frames of a sequence are nearly the same shape. A random split of the frames, as published for
D-FAUST, leaves 80 % of the test scans within 5 frames of a training scan and therefore measures
memory. Every split states how far each test scan is from the training scans.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from shapespace.config.options import SplitBy
from shapespace.data.names import PATTERN, FrameName, by_motion, frame_gaps, parse_names
from shapespace.data.sources import collect_sources
from shapespace.errors import InputError, at_least, nearest, one_line
from shapespace.utils.files import output_folder, replacing

Key = tuple[str, ...]
"""(subject,) or (subject, sequence): the key of a group that is held out as a whole."""
NEAR = 5
"""Frames to a training scan up to which a test scan is hardly new."""
NOT_FAR = 10
"""Frames to a training scan up to which a split is reported as a leak."""


@dataclass(frozen=True)
class Split:
    """Names of training and test scans, without a common one.

    Args:
        train: names of the training scans, sorted.
        test: names of the test scans, sorted.
        left_out: names of scans in neither list because they are too near to a test scan, sorted.
        gaps: for each test scan, the distance in frames to the nearest training scan of the same
            subject and sequence; None if there is none.
        unparsed: test scans whose names do not state subject, sequence and frame, so that their
            gaps are unknown.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...]
    gaps: dict[str, int | None]
    unparsed: frozenset[str] = frozenset()

    def __str__(self) -> str:
        counts = f"train {len(self.train)}, test {len(self.test)}, left out {len(self.left_out)}"
        return "\n".join([counts, *self._summary(), "", *map(self._line, self.test)])

    def share_within(self, frames: int) -> float:
        """Share, 0 to 1, of the test scans with a training scan at most ``frames`` frames away."""
        return sum(gap <= frames for gap in self._known()) / len(self.test)

    def write(self, folder: str | Path) -> list[Path]:
        """Write train.txt, test.txt and, if any scan is left out, left_out.txt.

        Each file lists names, sorted, one a line, in UTF-8. The left_out.txt of an earlier split is
        deleted if no scan is left out now. Returns the paths of the files written.
        """
        folder = output_folder(folder)
        written: list[Path] = []
        parts = {"train": self.train, "test": self.test, "left_out": self.left_out}
        for part, names in parts.items():
            path = folder / f"{part}.txt"
            if names:
                with replacing(path) as temporary:
                    temporary.write_text("".join(f"{name}\n" for name in names), "utf-8")
                written.append(path)
            else:
                path.unlink(missing_ok=True)
        return written

    def _known(self) -> list[int]:
        """Gaps of the test scans that have one."""
        return [gap for gap in self.gaps.values() if gap is not None]

    def _line(self, name: str) -> str:
        """The printed line of the test scan ``name``."""
        if self.gaps[name] is not None:
            return f"{name}  gap {self.gaps[name]}"
        if name in self.unparsed:
            return f"{name}  gap ?  (not in its name)"
        return f"{name}  gap -  (no training scan of its sequence)"

    def _summary(self) -> list[str]:
        """The printed lines above those of the test scans, with a warning if the split leaks."""
        known = self._known()
        lines: list[str] = []
        if known:
            near, far = (f"{100 * self.share_within(frames):.0f} %" for frames in (NEAR, NOT_FAR))
            lines.append(
                f"test scans within {NEAR} frames of a training scan: {near}, within {NOT_FAR}: "
                f"{far}; median gap {np.median(known):g}"
            )
        elif not self.unparsed:
            lines.append("no test scan has a training scan of its sequence")
        if self.unparsed:
            lines.append(
                f"gaps unknown: {len(self.unparsed)} of {len(self.test)} test scans do not name "
                "subject, sequence and frame; say how with --pattern"
            )
        if known and min(known) <= NOT_FAR:
            reach = NEAR if min(known) <= NEAR else NOT_FAR
            lines.append(
                f"LEAK: {100 * self.share_within(reach):.0f} % of the test scans lie within "
                f"{reach} frames of a training scan, nearly the same shape: use --by subject or "
                "--by sequence"
            )
        return lines


def split(
    names: Collection[str],
    by: SplitBy,
    *,
    share: float = 0.2,
    hold_out: Sequence[str] = (),
    margin: int = 10,
    pattern: str = PATTERN,
    seed: int = 0,
) -> Split:
    """Split scans into training and test scans by subject, sequence and frame of their names.

    Args:
        names: names of the scans; their order does not matter.
        by: "subject" and "sequence" hold out whole subjects or sequences, "frames" a block of
            successive frames of each sequence, "random" single scans at random (as published, for
            comparison only).
        share: approximate share of the scans to test on, between 0 and 1; without effect beside
            ``hold_out``.
        hold_out: subjects to test on, in place of a random choice. With "sequence", sequences may
            be named too, as ``<sequence>`` (of all subjects) or ``<subject>_<sequence>``.
        margin: with "frames", training scans at most this many frames from the block are left out.
        pattern: regular expression with the named groups subject, sequence and frame.
        seed: seed of every random choice.

    Raises:
        InputError: an argument is wrong, a name does not fit the pattern, or one of the two lists
            would be empty.
    """
    _check(names, by, share=share, hold_out=hold_out)
    at_least(0, margin=margin, seed=seed)
    ordered = sorted(names)  # the result must not depend on the order of the names
    random = np.random.default_rng(seed)
    frame_names = parse_names(ordered, pattern)
    if by != "random" and len(frame_names) < len(ordered):
        _refuse_unparsed([name for name in ordered if name not in frame_names], by, pattern)
    left_out: set[str] = set()
    if by == "random":
        rows = random.permutation(len(ordered))[: _part(len(ordered), share)]
        test = {ordered[row] for row in rows}
    elif by == "frames":
        test, left_out = _blocks(frame_names, share=share, margin=margin, random=random)
    else:
        keys = {name: _key(parts, by) for name, parts in frame_names.items()}
        held = _held_out(frame_names, by, hold_out) if hold_out else _chosen(keys, share, random)
        test = {name for name, key in keys.items() if key in held}
    away = test | left_out
    train = [name for name in ordered if name not in away]
    _check_sides(train, test, by)
    gaps = frame_gaps(train, sorted(test), frame_names)
    return Split(
        train=tuple(train),
        test=tuple(gaps),
        left_out=tuple(sorted(left_out)),
        gaps=gaps,
        unparsed=frozenset(test - frame_names.keys()),
    )


def split_files(
    source: str | Path,
    out: str | Path,
    by: SplitBy,
    *,
    share: float = 0.2,
    hold_out: Sequence[str] = (),
    margin: int = 10,
    pattern: str | None = None,
    seed: int = 0,
) -> Split:
    """Split the scans of a store, file or folder, and write the lists.

    Args:
        source: a store, or what :func:`~shapespace.data.sources.find_sources` accepts.
        out: folder for the lists, see :meth:`Split.write`.
        by: see :func:`split`, as for all further arguments.
        share: share of the scans to test on, between 0 and 1.
        hold_out: subjects or sequences to test on.
        margin: frames beside a test block that are left out.
        pattern: regular expression for the names; None takes that of D-FAUST.
        seed: seed of every random choice.
    """
    found = split(
        scan_names(source),
        by,
        share=share,
        hold_out=hold_out,
        margin=margin,
        pattern=PATTERN if pattern is None else pattern,
        seed=seed,
    )
    found.write(out)
    return found


def scan_names(path: str | Path) -> list[str]:
    """List the names of the scans of a store, file or folder, without reading the scans."""
    return [source.name for source in collect_sources([path])]


def _check(names: Collection[str], by: str, share: float, hold_out: Sequence[str]) -> None:
    """InputError for arguments of :func:`split` that cannot be used."""
    if by not in get_args(SplitBy):
        raise InputError(f"by={one_line(by)!r}: unknown; give one of {' '.join(get_args(SplitBy))}")
    if not 0 < share < 1:
        raise InputError(f"share={share}: give a number between 0 and 1, as 0.2")
    if hold_out and by not in ("subject", "sequence"):
        raise InputError(f"hold_out with by={by!r}: give it with --by subject or --by sequence")
    if len(names) < 2:
        raise InputError(f"scans to split: {len(names)}; give at least two")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{one_line(name)!r} names two scans; rename one")
        if not name.isprintable() or name != name.strip() or not name:
            raise InputError(f"{one_line(name)!r} cannot be a line of a text file; rename the scan")
        seen.add(name)


def _refuse_unparsed(names: list[str], by: str, pattern: str) -> None:
    """InputError for ``names``, which do not fit the pattern."""
    rule = "<subject>_<sequence>_<frame>" if pattern == PATTERN else f"--pattern {pattern!r}"
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    raise InputError(
        f"{one_line(names[0], 60)!r}{others}: not named by {one_line(rule, 100)}, so "
        f"no split by {by} is possible; give --pattern, a regular expression with (?P<subject>...) "
        "(?P<sequence>...) (?P<frame>[0-9]+), or use --by random"
    )


def _check_sides(train: list[str], test: set[str], by: str) -> None:
    """InputError if no scan is left to train on or to test on."""
    if train and test:
        return
    side = "test" if not test else "train"
    remedy = {
        "subject": "hold out fewer, or split --by sequence if there is only one subject",
        "sequence": "hold out fewer, or split --by frames if there is only one sequence",
        "frames": "lower --margin, or use --by sequence if sequences are short",
    }
    raise InputError(f"by={by}: no scan would be left to {side} on; {remedy[by]}")


def _part(count: int, share: float) -> int:
    """Round ``share`` of ``count`` items to a number that is at least one and less than all."""
    return min(max(round(share * count), 1), count - 1)


def _key(parts: FrameName, by: str) -> Key:
    """Key of the group that is held out together with a scan."""
    return (parts.subject,) if by == "subject" else parts.motion


def _chosen(keys: Mapping[str, Key], share: float, random: np.random.Generator) -> set[Key]:
    """Choose groups at random whose scans together come near to ``share`` of all scans.

    keys: for each scan the key of its group.
    """
    count = Counter(keys.values())
    groups = sorted(count)
    order = [groups[row] for row in random.permutation(len(groups))]
    held: set[Key] = set()
    missing = share * len(keys)
    for key in order:
        # A group of less than twice the missing number brings the total nearer to the share; one
        # group always stays for the training.
        if count[key] < 2 * missing and len(held) < len(order) - 1:
            held.add(key)
            missing -= count[key]
    # Even the smallest group may be more than twice the share: then it is the nearest choice.
    return held or {min(order, key=count.__getitem__)}


def _held_out(frame_names: Mapping[str, FrameName], by: str, hold_out: Sequence[str]) -> set[Key]:
    """Keys of the groups that ``hold_out`` names; InputError for an unknown name."""
    keys_by_name: defaultdict[str, set[Key]] = defaultdict(set)
    for parts in frame_names.values():
        accepted = [parts.subject]
        if by == "sequence":
            accepted += [parts.sequence, "_".join(parts.motion)]
        for name in accepted:
            keys_by_name[name].add(_key(parts, by))
    for name in hold_out:
        if name not in keys_by_name:
            near = nearest(name, sorted(keys_by_name))
            more = "" if by == "sequence" else "; sequences are held out with --by sequence"
            raise InputError(f"hold_out={one_line(name)!r}: there is no such {by}; {near}{more}")
    return {key for name in hold_out for key in keys_by_name[name]}


def _blocks(
    frame_names: Mapping[str, FrameName], share: float, margin: int, random: np.random.Generator
) -> tuple[set[str], set[str]]:
    """Choose a block of frames of each sequence that has two or more.

    Returns the test scans, which lie in a block, and the scans within ``margin`` frames of one.
    """
    test: set[str] = set()
    near: set[str] = set()
    for names in by_motion(frame_names).values():
        numbers = {name: frame_names[name].frame for name in names}
        frames = sorted(set(numbers.values()))
        if len(frames) > 1:
            size = _part(len(frames), share)
            first = int(random.integers(len(frames) - size + 1))
            low = frames[first]
            high = frames[first + size - 1]
            near |= {name for name in names if low - margin <= numbers[name] <= high + margin}
            test |= {name for name in names if low <= numbers[name] <= high}
    return test, near - test
