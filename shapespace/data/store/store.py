"""The store: one HDF5 file that holds prepared scans, their names and their frames.

``layout.py`` defines the layout, ``writer.py`` writes it. The HDF5 library looks up each scan once;
after that, windows of points are read straight from the file at the offsets that were checked.

Letters: n points of one scan, m targets, K points asked for, D dimension (2 or 3).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from shapespace.data.store import hdf5
from shapespace.data.store.index import Index, read_accounts, read_index
from shapespace.data.store.layout import (
    Entry,
    content_of,
    is_store,
    read_entry,
    read_facts,
    read_header,
)
from shapespace.errors import InputError, nearest, one_line
from shapespace.scan import (
    TRUSTED,
    Frame,
    NormalsKind,
    PreparedScan,
    Targets,
    decoded_normals,
    is_scan_name,
)
from shapespace.utils.notebook import Shown

MAX_ENTRIES = 65536
"""Most entries that a process keeps in memory, about 600 bytes each."""
Points = Float32[np.ndarray, "K D"]
Sigma = Float32[np.ndarray, " K"]


class ScanStore(Shown):
    """The scans of a store, read a window at a time.

    Each process opens the file itself at its first read, so a store can be pickled, and used after
    a fork.

    Attributes ``names`` (sorted), ``unit`` ("m" or "radius"), ``dimension`` (D), ``content`` (the
    sha256 of all names and checksums), ``shard`` ("i/n" for a part, "" for a whole store) and
    ``has_sigma`` are those of the file.

    Args:
        path: file written by ``shapespace prepare``.

    Raises:
        InputError: ``path`` is not a store of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with hdf5.naming(self.path), hdf5.open_hdf5(self.path) as file:
            header = read_header(self.path, file)
            index = read_index(file, header.dimension, header.content)
            self.names: tuple[str, ...] = _listed(self.path, file) if index is None else index.names
        self.unit = header.unit
        self.dimension = header.dimension
        self.shard = header.shard
        self.content = header.content
        self.has_sigma = header.has_sigma
        self._index: Index | None = index
        self._known = frozenset(self.names)
        self._opened: hdf5.File | None = None
        self._process = 0
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        scans = f"{len(self)} scan{'' if len(self) == 1 else 's'}"
        shard = f", shard {self.shard}" if self.shard else ""
        path = one_line(self.path)
        return f"ScanStore({path}: {scans}, {self.dimension}-D, unit {self.unit}{shard})"

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> PreparedScan:
        """The scan of that name, as :meth:`scan`."""
        return self.scan(name)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __enter__(self) -> "ScanStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # The index can be large. Another process looks up the few scans that it reads.
        return {**self.__dict__, "_opened": None, "_process": 0, "_entries": {}, "_index": None}

    def close(self) -> None:
        """Close the file in this process; the next read opens it again."""
        self._entries = {}
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def frame(self, name: str) -> Frame:
        """Frame of the scan in its source."""
        return self._claimed(name).frame

    def num_points(self, name: str) -> int:
        """Number n of points that are stored for the scan."""
        return self._claimed(name).num_points

    def num_targets(self, name: str) -> int:
        """Number m of targets that are stored for the scan; 0 if there are none."""
        return self._claimed(name).num_targets

    def has_signed_targets(self, name: str) -> bool:
        """True if the distances of the scan's targets are signed: its source is a closed mesh."""
        return self._claimed(name).targets_signed

    def normals_kind(self, name: str) -> NormalsKind:
        """Origin of the normals of the scan."""
        return self._claimed(name).normals_kind

    def has_trusted_normals(self, name: str) -> bool:
        """True if the scan has normals whose side is consistent, so that they can be learnt."""
        return self._claimed(name).normals_kind in TRUSTED

    def read(
        self, name: str, start: int = 0, count: int | None = None
    ) -> tuple[Points, Points | None, Sigma | None]:
        """Read a window of a scan.

        Args:
            name: name of the scan.
            start: first point.
            count: number of points; None reads to the end.

        Returns:
            Points, normals of any kind or None, and sigma or None.
        """
        entry = self._entry(name)
        count = self._count(name, "points", total=entry.num_points, start=start, count=count)
        points = np.empty((count, self.dimension), np.float32)
        normals = np.empty(points.shape, np.int16) if entry.normals is not None else None
        sigma = np.empty(count, np.float32) if entry.sigma is not None else None
        self.read_into(name, start, points=points, sigma=sigma, normals=normals)
        return points, None if normals is None else decoded_normals(normals), sigma

    def read_into(
        self,
        name: str,
        start: int,
        points: Points,
        sigma: Sigma | None = None,
        normals: Int16[np.ndarray, "K D"] | None = None,
    ) -> None:
        """Fill arrays with K <= n points from ``start`` on; the window wraps around at the end.

        Args:
            name: name of the scan.
            start: first point.
            points: array for the points.
            sigma: array for sigma, or None. It is not filled for a scan without sigma.
            normals: array for the normals as they are stored (``decoded_normals`` gives floats). It
                is not filled for a scan without normals.
        """
        entry = self._entry(name)
        file = self._file()
        # The rows up to the end of the scan, then those from its beginning. A float32 is 4 bytes, a
        # number of a normal 2.
        first = min(len(points), entry.num_points - start)
        for rows, at in ((slice(0, first), start), (slice(first, None), 0)):
            with hdf5.naming(self.path):
                hdf5.read_at(file, entry.points + 4 * self.dimension * at, points[rows])
                if sigma is not None and entry.sigma is not None:
                    hdf5.read_at(file, entry.sigma + 4 * at, sigma[rows])
                if normals is not None and entry.normals is not None:
                    hdf5.read_at(file, entry.normals + 2 * self.dimension * at, normals[rows])

    def read_targets(self, name: str, start: int = 0, count: int | None = None) -> Targets:
        """Read a window of the targets of a scan.

        Args:
            name: name of the scan.
            start: first target.
            count: number of targets; None reads to the end.

        Raises:
            InputError: the scan has fewer targets.
        """
        entry = self._entry(name)
        count = self._count(name, "targets", total=entry.num_targets, start=start, count=count)
        points = np.empty((count, self.dimension), np.float32)
        distance = np.empty(count, np.float32)
        self.read_targets_into(name, start, points, distance)
        return Targets(points, distance, entry.targets_signed)

    def read_targets_into(self, name: str, start: int, points: Points, distance: Sigma) -> None:
        """Fill arrays with K <= m targets from ``start`` on; the window wraps around at the end.

        Args:
            name: name of the scan.
            start: first target.
            points: array for the points.
            distance: array for the distances.
        """
        entry = self._entry(name)
        file = self._file()
        first = min(len(points), entry.num_targets - start)
        for rows, at in ((slice(0, first), start), (slice(first, None), 0)):
            with hdf5.naming(self.path):
                hdf5.read_at(file, entry.target_points + 4 * self.dimension * at, points[rows])
                hdf5.read_at(file, entry.target_distance + 4 * at, distance[rows])

    def scan(self, name: str) -> PreparedScan:
        """Read a whole scan and compare its checksum.

        Raises:
            InputError: the scan is not as it was written.
        """
        entry = self._entry(name)
        facts = self._facts(name)
        recorded = facts.pop("checksum")
        points, normals, sigma = self.read(name)
        targets = self.read_targets(name) if entry.num_targets else None
        scan = PreparedScan(
            name=name,
            points=points,
            normals=normals,
            sigma=sigma,
            frame=entry.frame,
            normals_kind=entry.normals_kind,
            targets=targets,
            **facts,
        )
        if scan.checksum != recorded:
            raise InputError(
                f"{self.path}: scan {one_line(name)!r} is damaged, its checksum does not fit; "
                "delete the store and run: shapespace prepare again"
            )
        return scan

    def checksum(self, name: str) -> str:
        """sha256 of the scan that was recorded when it was written."""
        return self._facts(name)["checksum"]

    def stamp(self, name: str) -> str:
        """Stamp of source and options that was recorded when the scan was written."""
        return self._facts(name)["stamp"]

    def source(self, name: str) -> str:
        """File of the scan as it was given when it was prepared."""
        return self._facts(name)["source"]

    def account(self, name: str) -> str:
        """Line that says how the source of the scan was read; "" if the store has none."""
        return self._facts(name)["account"]

    def accounts(self) -> list[str]:
        """The :meth:`account` of each scan, in the order of ``names``; none needs its group."""
        with hdf5.naming(self.path):
            found = read_accounts(self._file(), len(self.names))
        return [self.account(name) for name in self.names] if found is None else found

    def check_name(self, name: str) -> None:
        """Raise InputError, which gives the nearest name, if no scan is called ``name``."""
        if name in self._known:
            return
        hint = nearest(name, self.names) if self.names else "the store is empty"
        raise InputError(f"{self.path}: no scan is called {one_line(name)!r}; {hint}")

    def verify(self) -> Iterator[str | None]:
        """Read every scan; yield None for a good scan and the fault of a damaged one."""
        checksums = {}
        for name in self.names:
            try:
                checksums[name] = self.scan(name).checksum
                yield None
            except InputError as error:
                checksums[name] = ""
                yield str(error)
        # The content shows what no single scan can: that one was added, removed or renamed. With a
        # damaged scan it would differ in any case.
        if all(checksums.values()) and content_of(checksums) != self.content:
            yield f"{self.path}: scans were added, removed or renamed; run: shapespace prepare"

    def manifest(self) -> list[dict[str, object]]:
        """Facts of each scan as plain values, in the order of ``names``."""
        return [{"name": name, **self._row(name)} for name in self.names]

    def _row(self, name: str) -> dict[str, object]:
        """Facts of one scan."""
        entry = self._entry(name)
        return {
            **self._facts(name),
            "num_points": entry.num_points,
            "normals": entry.normals_kind,
            "num_targets": entry.num_targets,
            "centre": entry.frame.centre.tolist(),
            "scale": entry.frame.scale,
        }

    def _facts(self, name: str) -> dict[str, Any]:
        """Attributes of one scan that reading its points does not need."""
        self.check_name(name)
        with hdf5.naming(self.path):
            return read_facts(self._group(name))

    def _claimed(self, name: str) -> Entry:
        """Entry of one scan by the index, or by its group if there is no index."""
        if self._index is None:
            return self._entry(name)
        self.check_name(name)
        return self._index.entry(name)

    def _entry(self, name: str) -> Entry:
        """Offsets and frame of one scan, looked up in its group at the first call for it."""
        # After a fork, this process has a copy of the parent's HDF5 handle, which it must not use.
        # Entries are dropped with the handle: they are offsets in the file that it had open.
        if self._process != os.getpid():
            self.close()
            self._process = os.getpid()
        if name not in self._entries:
            self.check_name(name)
            if len(self._entries) >= MAX_ENTRIES:
                self._entries.clear()
            with hdf5.naming(self.path):
                entry = read_entry(self._group(name), self.dimension, self.has_sigma)
            if self._index is not None and not self._index.agrees(name, entry):
                raise InputError(
                    f"{self.path}: the index does not fit scan {one_line(name)!r}; "
                    "run: shapespace prepare again"
                )
            self._entries[name] = entry
        return self._entries[name]

    def _group(self, name: str) -> hdf5.Group:
        """Group of one scan in the open file."""
        return hdf5.group(hdf5.group(self._file(), "scans"), name)

    def _file(self) -> hdf5.File:
        """The file, opened by this process at its first read."""
        if self._opened is None or self._process != os.getpid():
            self.close()
            self._process = os.getpid()
            self._opened = self._open_again()
        return self._opened

    def _open_again(self) -> hdf5.File:
        """Open the file; InputError if its content is no longer the one at the start.

        Another store may have been written at the same path since. Its scans have other offsets and
        perhaps other points, while the names and the unit of this object are those of the old one.
        """
        with hdf5.naming(self.path):
            file = hdf5.open_hdf5(self.path)
            if read_header(self.path, file).content == self.content:
                return file
            file.close()
            raise InputError(f"{self.path}: was replaced by another store; start again")

    def _count(self, name: str, what: str, total: int, start: int, count: int | None) -> int:
        """Length of a window; InputError if it does not lie within ``total``."""
        stop = total if count is None else start + count
        if not 0 <= start <= stop <= total:
            window = f"{what} {start} to {stop} of {name!r}"
            raise InputError(f"{self.path}: {window}, which has {total}; ask for fewer")
        return stop - start


def _listed(path: Path, file: hdf5.File) -> tuple[str, ...]:
    """Names of the scans of a store without an index, sorted."""
    names = tuple(sorted(hdf5.group(file, "scans")))
    for name in names:
        if not is_scan_name(name):
            raise InputError(f"{path}: {one_line(name)!r} cannot name a scan")
    return names


def store_at(path: Path) -> ScanStore | None:
    """Open the store at ``path``; None if it is no store, such as a D-FAUST registration file.

    Raises:
        InputError: the store is of another version or damaged.
    """
    if not hdf5.is_hdf5(path):
        return None
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        marked = is_store(file)
    return ScanStore(path) if marked else None
