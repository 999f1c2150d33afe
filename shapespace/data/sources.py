"""Which scans a file or folder holds, and under which names, before any is read."""

import difflib
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from shapespace.data.formats import dfaust
from shapespace.data.formats.readers import READERS, RawScan, parse_raw, read_bytes
from shapespace.data.store.store import ScanStore, store_at
from shapespace.errors import InputError, one_line
from shapespace.scan import PreparedScan


@runtime_checkable
class Named(Protocol):
    """Anything with the name of a scan."""

    @property
    def name(self) -> str:
        """Of the scan."""
        ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


@dataclass(frozen=True)
class Source:
    """One scan that can be read: a file, or a frame of a registration file. Plain data.

    sequence: frames of one sequence are thinned together; "" for a plain folder.
    frame: the column of the dataset ``sequence`` of a registration file, None for other files;
    the name has the frame's own number where it is known.
    """

    name: str
    path: Path
    sequence: str = ""
    frame: int | None = None

    def __str__(self) -> str:
        at = "" if self.frame is None else f"/{self.sequence}[:, :, {self.frame}]"
        return f"{self.path}{at}"

    def load(self) -> tuple[RawScan, str]:
        """Read the scan, and its :meth:`digest`."""
        if self.frame is None:
            content = read_bytes(self.path)
            return parse_raw(self.path, content), hashlib.sha256(content).hexdigest()
        raw = dfaust.read_frame(self.path, self.sequence, self.frame)
        return raw, hashlib.sha256(raw.vertices.tobytes()).hexdigest()

    def digest(self) -> str:
        """The sha256 of the file's bytes, which are not parsed (of a frame: of its vertices)."""
        if self.frame is None:
            return hashlib.sha256(read_bytes(self.path)).hexdigest()
        return self.load()[1]


def find_sources(source: Path, scans: Sequence[str] | None = None, every: int = 1) -> list[Source]:
    """The scans of ``source``, sorted by name.

    source: a scan file; a D-FAUST registration file or a folder of ``registrations_*.hdf5``; a
    D-FAUST folder ``scans`` or its parent; any other folder, searched recursively, whose scans are
    named by their relative paths without suffix, "/" written "_" (the suffix stays where two names
    would be equal).

    A frame of D-FAUST has one name, ``<subject>_<sequence>_<frame>``, as registration and as raw
    scan, so that each finds the other. The frame is that of the raw scan's file; for a column of a
    registration file it comes from ``frames.csv`` beside the file, or from the raw scans in
    ``scans/`` beside it if they are as many as the columns; otherwise the frame is the column,
    five digits, and joins nothing. See :func:`~shapespace.data.formats.dfaust.list_frames`.

    scans: names to keep. every: keep each ``every``-th frame of each sequence, counted by ascending
    frame, or each ``every``-th file. :class:`InputError` if nothing is found, a name is unknown,
    or ``frames.csv`` contradicts the registrations.
    """
    return select(discover(source)[0], scans, every)


def discover(source: Path) -> tuple[list[Source], int]:
    """All scans of ``source`` by name, and how many other files lie beside them."""
    if source.is_file():
        registrations = source.suffix.lower() in dfaust.SUFFIXES
        return _frames([source]) if registrations else [_single(source)], 0
    if not source.is_dir():
        raise InputError(f"{one_line(source)}: there is no such file or folder; check the path")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    registrations = sorted(source.glob("registrations_*.hdf5"))
    if registrations:
        listed = (source / dfaust.FRAME_LIST).is_file()
        found, used = _frames(registrations), len(registrations) + listed
    else:
        found = _dfaust_scans(source) or _plain(source, files)
        used = len(found)
    if not found:
        known = " ".join(READERS)
        raise InputError(f"{one_line(source)}: no scan among {len(files)} files; known are {known}")
    return sorted(found, key=lambda found: found.name), len(files) - used


def select(sources: list[Source], scans: Sequence[str] | None, every: int) -> list[Source]:
    """Those of ``sources`` that are named in ``scans``, and of these each ``every``-th."""
    if every < 1:
        raise InputError(f"every={every}: give 1 to keep all frames, or a larger number")
    if scans is not None:
        sources = named(sources, scans)
    groups: defaultdict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[source.sequence].append(source)
    kept = [source for group in groups.values() for source in sorted(group, key=_in_time)[::every]]
    return sorted(kept, key=lambda source: source.name)


def named(sources: Sequence[AnyNamed], scans: Sequence[str]) -> list[AnyNamed]:
    """Those of ``sources`` that are named in ``scans``; :class:`InputError` if a name is unknown.

    sources: at least one.
    """
    names = [source.name for source in sources]
    for unknown in sorted(set(scans) - set(names)):
        near = difflib.get_close_matches(unknown, names, n=1, cutoff=0.0)
        raise InputError(f"scans: no scan is called {unknown!r}; the nearest is {near[0]!r}")
    wanted = set(scans)
    return [source for source in sources if source.name in wanted]


def _in_time(source: Source) -> tuple[int, str]:
    """Frames of a sequence by number, also where they are written with unequal digits."""
    digits = re.search(r"_([0-9]{1,12})\Z", source.name) if source.sequence else None
    return (int(digits[1]) if digits else 0, source.name)


def _frames(paths: list[Path]) -> list[Source]:
    return _unique(
        [
            Source(f"{sequence}_{frame}", path, sequence, column)
            for path in paths
            for sequence, frames in dfaust.list_frames(path).items()
            for column, frame in enumerate(frames)
        ]
    )


def _single(path: Path) -> Source:
    """A file by itself; a raw scan of D-FAUST has the same name as with its folder."""
    place = dfaust.single_scan_place(path)
    return Source("_".join(place), path, place[0]) if place else Source(path.stem, path)


def _dfaust_scans(folder: Path) -> list[Source]:
    found: list[Source] = []
    for path in dfaust.scan_files(folder):
        sequence, frame = dfaust.scan_place(path)
        found.append(Source(f"{sequence}_{frame}", path, sequence))
    return _unique(found)


def _plain(folder: Path, files: list[Path]) -> list[Source]:
    found = [
        Source("_".join(path.relative_to(folder).with_suffix("").parts), path)
        for path in files
        if path.suffix.lower() in READERS and not path.name.startswith(".") and not _prose(path)
    ]
    count = Counter(source.name for source in found)
    return _unique(
        [
            replace(source, name=source.name + source.path.suffix)
            if count[source.name] > 1
            else source
            for source in found
        ]
    )


def _prose(path: Path) -> bool:
    """Whether a ``.txt`` begins with a word, as notes and licences do; a cloud does not."""
    if path.suffix.lower() != ".txt":
        return False
    try:
        file = path.open("rb")
    except OSError:
        return False  # reading it will say why
    with file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start[:1].isalpha()


def _unique(sources: list[Source]) -> list[Source]:
    first: dict[str, Source] = {}
    for source in sources:
        other = first.setdefault(source.name, source)
        if other is not source:
            raise InputError(f"{source} and {other} would both be {source.name!r}; rename one")
    return sources


@dataclass(frozen=True)
class StoredScan:
    """The scan ``name`` of a store, which knows its frame and unit."""

    name: str
    store: ScanStore

    def __str__(self) -> str:
        return f"{self.store.path}/{self.name}"

    def digest(self) -> str:
        """Its checksum in the store, hexadecimal, by which it is known again."""
        return self.store.checksum(self.name)

    def prepared(self) -> PreparedScan:
        """All that is stored of it, with :meth:`digest` as hash; InputError if it is damaged."""
        return replace(self.store.scan(self.name), source=str(self), source_hash=self.digest())


AnySource = Source | StoredScan


def collect_sources(
    paths: Sequence[str | Path], scans: Sequence[str] | None = None
) -> list[AnySource]:
    """The scans of files, folders and stores, in the order of ``paths`` and then of their names.

    scans: names to keep. InputError if one is unknown, nothing is found, or two scans would be
    written to the same name.
    """
    found = [source for path in paths for source in _sources_of(Path(path))]
    kept = found if scans is None else named(found, scans)
    for name, count in Counter(source.name for source in kept).items():
        if count > 1:
            raise InputError(f"{count} scans are called {name!r}: reconstruct them apart")
    return kept


def _sources_of(path: Path) -> Sequence[AnySource]:
    store = store_at(path)
    if store is None:
        return find_sources(path)
    if not store.names:
        raise InputError(f"{path}: holds no scan; prepare some, or merge all shards")
    return [StoredScan(name, store) for name in store.names]
