"""Find the scans of a file, folder or store, and give each a name, before any of them is read."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from shapespace.config.options import ReadOptions
from shapespace.data.formats import dfaust
from shapespace.data.formats.clouds.text import START, is_cloud, read_text
from shapespace.data.formats.readers import READERS, RawScan, parse_raw, read_bytes
from shapespace.data.store.store import ScanStore, store_at
from shapespace.errors import InputError, nearest, one_line
from shapespace.scan import PreparedScan

SHOWN = 10
"""Number of suffixes of other files that are named."""


@runtime_checkable
class Named(Protocol):
    """Anything that has the name of a scan."""

    @property
    def name(self) -> str:
        """Name of the scan."""
        ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


@dataclass(frozen=True)
class Source:
    """One scan that can be read: a file, or one frame of a registration file.

    Args:
        name: name of the scan. For a frame it holds the frame's own number where that is known.
        path: the scan file or the registration file.
        sequence: ``<subject>_<sequence>``; frames of one sequence are thinned together. "" for a
            file that belongs to no sequence.
        frame: column of the dataset ``sequence`` in a registration file; None for other files.
    """

    name: str
    path: Path
    sequence: str = ""
    frame: int | None = None

    def __str__(self) -> str:
        at = "" if self.frame is None else f"/{self.sequence}[:, :, {self.frame}]"
        return f"{self.path}{at}"

    def load(self, options: ReadOptions = ReadOptions()) -> tuple[RawScan, str]:
        """Read the scan; returns it together with its :meth:`digest`."""
        if self.frame is None:
            content = read_bytes(self.path)
            return parse_raw(self.path, content, options), hashlib.sha256(content).hexdigest()
        raw = dfaust.read_frame(self.path, self.sequence, self.frame)
        return raw, hashlib.sha256(raw.vertices.tobytes()).hexdigest()

    def digest(self) -> str:
        """Return the sha256 of the file's bytes or, for a frame, of its vertices; hexadecimal.

        A file is hashed without being parsed.
        """
        if self.frame is None:
            return hashlib.sha256(read_bytes(self.path)).hexdigest()
        return self.load()[1]


def find_sources(source: Path, scans: Sequence[str] | None = None, every: int = 1) -> list[Source]:
    """List the scans of ``source``, sorted by name.

    A frame of D-FAUST has the name ``<subject>_<sequence>_<frame>``, both as a registration and as
    a raw scan, so that a registration is matched to its raw scan by name. For a raw scan, the frame
    is read off the file's name. For a column of a registration file, the frame comes from
    ``frames.csv`` beside the file, or else from the raw scans in ``scans/`` beside the file if
    there are as many as columns. Otherwise the column itself, five digits, stands for the frame and
    matches no raw scan. See :func:`~shapespace.data.formats.dfaust.list_frames`.

    Args:
        source: a scan file; a D-FAUST registration file or a folder of ``registrations_*.hdf5``; a
            D-FAUST folder ``scans`` or its parent; or any other folder, which is searched
            recursively. Scans of such a folder are named by their relative paths without suffix,
            with "/" written "_" (the suffix stays where two names would be equal).
        scans: names to keep; None keeps all.
        every: keep each ``every``-th frame of each sequence, in ascending order of frames, or each
            ``every``-th file of a plain folder.

    Raises:
        InputError: nothing is found, a name is unknown, or ``frames.csv`` contradicts the
            registrations.
    """
    return select(discover(source)[0], scans, every)


def discover(source: Path) -> tuple[list[Source], Counter[str]]:
    """List all scans of ``source``, and count the files beside them that are not scans.

    Returns:
        The scans, sorted by name, and the number of other files by their suffix.
    """
    if source.is_file():
        registrations = source.suffix.lower() in dfaust.SUFFIXES
        if registrations and store_at(source) is not None:
            raise InputError(
                f"{one_line(source)}: is a store already; shapespace data check looks at it, data "
                "merge joins it to others"
            )
        return _frames([source]) if registrations else [_single(source)], Counter()
    if not source.is_dir():
        raise InputError(f"{one_line(source)}: there is no such file or folder; check the path")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    registrations = sorted(source.glob("registrations_*.hdf5"))
    if registrations:
        found = _frames(registrations)
        used = {*registrations, source / dfaust.FRAME_LIST}
    else:
        found = _dfaust_scans(source) or _plain(source, files)
        used = {scan.path for scan in found}
    others = Counter(_suffix(path) for path in files if path not in used)
    if not found:
        known = " ".join(READERS)
        raise InputError(
            f"{one_line(source)}: no scan among {counted(others)} files; give a folder with files "
            f"of these suffixes: {known}"
        )
    return sorted(found, key=lambda scan: scan.name), others


def counted(suffixes: Counter[str]) -> str:
    """Say how many files there are, and of which suffixes: "5 (3 .jpg, 2 .json)"."""
    order = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
    each = ", ".join(f"{count} {one_line(suffix)}" for suffix, count in order[:SHOWN])
    rest = sum(count for _, count in order[SHOWN:])
    more = f", {rest} others" if rest else ""
    return f"{suffixes.total()} ({each}{more})" if suffixes else "0"


def _suffix(path: Path) -> str:
    """The suffix of a file in lower case, or what stands for it."""
    if path.name.startswith("."):
        return "hidden"
    return path.suffix.lower() or "without suffix"


def select(sources: list[Source], scans: Sequence[str] | None, every: int) -> list[Source]:
    """Keep the sources named in ``scans``, and of these each ``every``-th of each sequence.

    Args:
        sources: at least one.
        scans: names to keep; None keeps all.
        every: 1 keeps all frames.

    Raises:
        InputError: a name is unknown, or ``every`` is less than 1.
    """
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
    """Keep the sources (at least one) named in ``scans``; InputError if a name is unknown."""
    names = [source.name for source in sources]
    for unknown in sorted(set(scans) - set(names)):
        raise InputError(f"scans: no scan is called {unknown!r}; {nearest(unknown, names)}")
    wanted = set(scans)
    return [source for source in sources if source.name in wanted]


def _in_time(source: Source) -> tuple[int, str]:
    """Sort key: the frame as a number, since "10" would come before "9" as text."""
    digits = re.search(r"_([0-9]{1,12})\Z", source.name) if source.sequence else None
    return (int(digits[1]) if digits else 0, source.name)


def _frames(paths: list[Path]) -> list[Source]:
    """All frames of all sequences of registration files."""
    return _unique(
        [
            Source(name=f"{sequence}_{frame}", path=path, sequence=sequence, frame=column)
            for path in paths
            for sequence, frames in dfaust.list_frames(path).items()
            for column, frame in enumerate(frames)
        ]
    )


def _single(path: Path) -> Source:
    """One file; a raw scan of D-FAUST gets the name that it has among the scans of its folder."""
    parts = dfaust.match_sequence_and_frame(path)
    if parts is None:
        return Source(path.stem, path)
    sequence, frame = parts
    return Source(f"{sequence}_{frame}", path, sequence)


def _dfaust_scans(folder: Path) -> list[Source]:
    """The raw scans of a D-FAUST folder; an empty list for any other folder."""
    found: list[Source] = []
    for path in dfaust.scan_files(folder):
        sequence, frame = dfaust.sequence_and_frame(path)
        found.append(Source(f"{sequence}_{frame}", path, sequence))
    return _unique(found)


def _plain(folder: Path, files: list[Path]) -> list[Source]:
    """The scans among ``files``, named by their paths relative to ``folder``."""
    found = [
        _single(path)
        if dfaust.match_sequence_and_frame(path)
        else Source("_".join(path.relative_to(folder).with_suffix("").parts), path)
        for path in files
        if path.suffix.lower() in READERS and not path.name.startswith(".") and _may_be_scan(path)
    ]
    count = Counter(source.name for source in found)
    for row, source in enumerate(found):
        if count[source.name] > 1:
            found[row] = replace(source, name=source.name + source.path.suffix)
    return _unique(found)


def _may_be_scan(path: Path) -> bool:
    """False for a text file that is a note or another table, rather than a cloud of numbers."""
    # XYZ is never anything else, so a bad one is refused by name.
    suffix = path.suffix.lower()
    if READERS[suffix] is not read_text or suffix.startswith(".xyz"):
        return True
    try:
        file = path.open("rb")
    except OSError:
        return True  # read_bytes reports the reason when the scan is read
    with file:
        return is_cloud(file.read(START))


def _unique(sources: list[Source]) -> list[Source]:
    """Return ``sources``; InputError if two have the same name."""
    first: dict[str, Source] = {}
    for source in sources:
        other = first.setdefault(source.name, source)
        if other is not source:
            raise InputError(f"{source} and {other} would both be {source.name!r}; rename one")
    return sources


@dataclass(frozen=True)
class StoredScan:
    """One scan of a store.

    Args:
        name: name of the scan.
        store: the store that holds it.
    """

    name: str
    store: ScanStore

    def __str__(self) -> str:
        return f"{self.store.path}/{self.name}"

    def digest(self) -> str:
        """Return the checksum of the scan as the store records it, hexadecimal."""
        return self.store.checksum(self.name)

    def prepared(self) -> PreparedScan:
        """Read the scan from the store; InputError if it is damaged.

        The result names this store as its source, and :meth:`digest` as the hash of the source.
        """
        return replace(self.store.scan(self.name), source=str(self), source_hash=self.digest())


AnySource = Source | StoredScan
"""A scan in a file of its own, or in a store."""


def collect_sources(
    paths: Sequence[str | Path], scans: Sequence[str] | None = None
) -> list[AnySource]:
    """List the scans of files, folders and stores, in the order of ``paths``, then of the names.

    Args:
        paths: files, folders (see :func:`find_sources`) and stores.
        scans: names to keep; None keeps all.

    Raises:
        InputError: a name is unknown, a path holds no scan, or two scans have the same name.
    """
    found = [source for path in paths for source in _sources_of(Path(path))]
    kept = found if scans is None else named(found, scans)
    for name, count in Counter(source.name for source in kept).items():
        if count > 1:
            raise InputError(f"{count} scans are called {name!r}: reconstruct them apart")
    return kept


def _sources_of(path: Path) -> Sequence[AnySource]:
    """The scans of one file, folder or store."""
    store = store_at(path)
    if store is None:
        return find_sources(path)
    if not store.names:
        raise InputError(f"{path}: holds no scan; prepare some, or merge all shards")
    return [StoredScan(name, store) for name in store.names]
