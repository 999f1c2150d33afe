"""Training and test scans that do not leak: whole subjects, whole sequences, blocks of frames.

Neighbouring frames of a sequence are nearly the same shape. A split of the frames at random, as
published for D-FAUST, leaves 80 % of the test scans within 5 frames of a training scan and measures
memory; so each split says how far each test scan is from the training scans.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from shapespace.data.names import PATTERN, FrameName, by_motion, frame_gaps, parse_name, parse_names
from shapespace.data.sources import collect_sources
from shapespace.errors import InputError, at_least, one_line
from shapespace.utils.files import output_folder, replacing

__all__ = [
    "PATTERN",
    "By",
    "FrameName",
    "Split",
    "parse_name",
    "scan_names",
    "split",
    "split_files",
]
By = Literal["subject", "sequence", "frames", "random"]
"""What stays whole: a subject, a subject's sequence, a block of frames of each, or nothing."""
Key = tuple[str, ...]
"""(subject,) or (subject, sequence), what is held out as a whole."""
NEAR, NOT_FAR = 5, 10
"""Distances in frames at which a test scan is hardly new, and at which a split is still blamed."""


@dataclass(frozen=True)
class Split:
    """Names of the training and the test scans, sorted, without a common one.

    left_out: in neither, too near to a test scan. gaps: for each test scan the distance in frames
    to the nearest training scan of the same subject and sequence, None if there is none.
    unplaced: test scans whose gaps are unknown, as their names do not say subject, sequence, frame.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...]
    gaps: dict[str, int | None]
    unplaced: frozenset[str] = frozenset()

    def __str__(self) -> str:
        counts = f"train {len(self.train)}, test {len(self.test)}, left out {len(self.left_out)}"
        return "\n".join([counts, *map(self._line, self.test), *self._summary()])

    def share_within(self, frames: int) -> float:
        """Share of the test scans with a training scan at most ``frames`` frames away."""
        return sum(gap <= frames for gap in self._known()) / len(self.test)

    def write(self, folder: str | Path) -> list[Path]:
        """Write train.txt, test.txt and, if any is left out, left_out.txt; the files written.

        Sorted, one name a line, UTF-8. A left_out.txt of an earlier split does not stay.
        """
        folder, written = output_folder(folder), []
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
        return [gap for gap in self.gaps.values() if gap is not None]

    def _line(self, name: str) -> str:
        if self.gaps[name] is not None:
            return f"{name}  gap {self.gaps[name]}"
        unknown = "?  (not in its name)" if name in self.unplaced else None
        return f"{name}  gap {unknown or '-  (no training scan of its sequence)'}"

    def _summary(self) -> list[str]:
        known, lines = self._known(), []
        if known:
            near, far = (f"{100 * self.share_within(frames):.0f} %" for frames in (NEAR, NOT_FAR))
            lines.append(
                f"test scans within {NEAR} frames of a training scan: {near}, within {NOT_FAR}: "
                f"{far}; median gap {np.median(known):g}"
            )
        elif not self.unplaced:
            lines.append("no test scan has a training scan of its sequence")
        if self.unplaced:
            lines.append(
                f"gaps unknown: {len(self.unplaced)} of {len(self.test)} test scans do not name "
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
    by: By,
    *,
    share: float = 0.2,
    hold_out: Sequence[str] = (),
    margin: int = 10,
    pattern: str = PATTERN,
    seed: int = 0,
) -> Split:
    """Divide scans into those to train on and those to test on, by what their names say.

    Args:
        names: the scans; their order does not matter.
        by: "subject" and "sequence" hold out whole ones, "frames" a block of successive frames of
            each sequence, "random" scans at random (the published way, for comparison only).
        share: of the scans that are tested on, about; without effect beside ``hold_out``.
        hold_out: subjects to test on in place of a seeded choice; with "sequence" also sequences,
            ``<sequence>`` of all subjects or ``<subject>_<sequence>``.
        margin: with "frames", training scans at most so many frames from the block are left out.
        pattern: regular expression with the named groups subject, sequence and frame.
        seed: of every choice.

    Raises:
        InputError: an argument is wrong, a name does not fit, or a side would be empty.
    """
    _check(names, by, share, hold_out)
    at_least(0, margin=margin, seed=seed)
    ordered, random = sorted(names), np.random.default_rng(seed)
    places = parse_names(ordered, pattern)
    if by != "random" and len(places) < len(ordered):
        _refuse_unplaced([name for name in ordered if name not in places], by, pattern)
    left_out: set[str] = set()
    if by == "random":
        rows = random.permutation(len(ordered))[: _part(len(ordered), share)]
        test = {ordered[row] for row in rows}
    elif by == "frames":
        test, left_out = _blocks(places, share, margin, random)
    else:
        keys = {name: _key(place, by) for name, place in places.items()}
        held = _held_out(places, by, hold_out) if hold_out else _chosen(keys, share, random)
        test = {name for name, key in keys.items() if key in held}
    away = test | left_out
    train = [name for name in ordered if name not in away]
    _check_sides(train, test, by)
    gaps = frame_gaps(train, sorted(test), places)
    unplaced = frozenset(test - places.keys())
    return Split(tuple(train), tuple(gaps), tuple(sorted(left_out)), gaps, unplaced)


def split_files(
    source: str | Path,
    out: str | Path,
    by: By,
    *,
    share: float = 0.2,
    hold_out: Sequence[str] = (),
    margin: int = 10,
    pattern: str | None = None,
    seed: int = 0,
) -> Split:
    """:func:`split` of the scans of ``source`` (see :func:`scan_names`), written to ``out``."""
    names, pattern = scan_names(source), PATTERN if pattern is None else pattern
    found = split(
        names, by, share=share, hold_out=hold_out, margin=margin, pattern=pattern, seed=seed
    )
    found.write(out)
    return found


def scan_names(path: str | Path) -> list[str]:
    """The names of the scans of a store, or of what ``find_sources`` reads."""
    return [source.name for source in collect_sources([path])]


def _check(names: Collection[str], by: str, share: float, hold_out: Sequence[str]) -> None:
    if by not in get_args(By):
        raise InputError(f"by={one_line(by)!r}: one of {' '.join(get_args(By))}")
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


def _refuse_unplaced(names: list[str], by: str, pattern: str) -> None:
    rule = "<subject>_<sequence>_<frame>" if pattern == PATTERN else f"--pattern {pattern!r}"
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    raise InputError(
        f"{one_line(names[0], 60)!r}{others}: not named by {one_line(rule, 100)}, so not to be "
        f"split by {by}; give --pattern, a regular expression with (?P<subject>...) "
        "(?P<sequence>...) (?P<frame>[0-9]+), or use --by random"
    )


def _check_sides(train: list[str], test: set[str], by: str) -> None:
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
    """``share`` of ``count`` things, but at least one and not all."""
    return min(max(round(share * count), 1), count - 1)


def _key(place: FrameName, by: str) -> Key:
    return (place.subject,) if by == "subject" else place.motion


def _chosen(keys: Mapping[str, Key], share: float, random: np.random.Generator) -> set[Key]:
    """Subjects or sequences at random whose scans together come near to ``share`` of all."""
    count = Counter(keys.values())
    groups = sorted(count)
    order = [groups[row] for row in random.permutation(len(groups))]
    held: set[Key] = set()
    missing = share * len(keys)
    for key in order:
        if count[key] < 2 * missing and len(held) < len(order) - 1:
            held.add(key)
            missing -= count[key]
    return held or {min(order, key=count.__getitem__)}


def _held_out(places: Mapping[str, FrameName], by: str, hold_out: Sequence[str]) -> set[Key]:
    named: defaultdict[str, set[Key]] = defaultdict(set)
    for place in places.values():
        also = () if by == "subject" else (place.sequence, "_".join(place.motion))
        for name in (place.subject, *also):
            named[name].add(_key(place, by))
    for name in hold_out:
        if name not in named:
            near = get_close_matches(name, sorted(named), 1, 0.0)[0]
            more = "" if by == "sequence" else "; sequences are held out with --by sequence"
            raise InputError(
                f"hold_out={one_line(name)!r}: there is no such {by}; the nearest is {near!r}{more}"
            )
    return {key for name in hold_out for key in named[name]}


def _blocks(
    places: Mapping[str, FrameName], share: float, margin: int, random: np.random.Generator
) -> tuple[set[str], set[str]]:
    """Test scans, a block of frames of each sequence that has two or more, and those beside it."""
    test: set[str] = set()
    near: set[str] = set()
    for names in by_motion(places).values():
        frames = sorted({places[name].frame for name in names})
        if len(frames) > 1:
            size = _part(len(frames), share)
            first = int(random.integers(len(frames) - size + 1))
            low, high = frames[first], frames[first + size - 1]
            near |= {n for n in names if low - margin <= places[n].frame <= high + margin}
            test |= {n for n in names if low <= places[n].frame <= high}
    return test, near - test
