"""The store: one HDF5 file that holds prepared scans, their names and their frames.

``layout.py`` says how a scan lies in it, ``writer.py`` writes it. Reading looks each scan up once
by the HDF5 library and then takes its bytes straight from the file, a window at a time.

Letters: n points of one scan, m targets, K points asked for, D dimension (2 or 3).
"""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from shapespace.data.store import hdf5
from shapespace.data.store.layout import (
    Entry,
    content_of,
    is_scan_name,
    is_store,
    read_entry,
    read_facts,
    read_header,
)
from shapespace.errors import InputError, one_line
from shapespace.scan import TRUSTED, Frame, NormalsKind, PreparedScan, Targets, decoded_normals

MAX_PLACES = 65536
"""Scans whose places a process remembers, some 600 bytes each."""
Points = Float32[np.ndarray, "K D"]
Sigma = Float32[np.ndarray, " K"]


class ScanStore:
    """The scans of the store at ``path``, read a window at a time.

    Each process opens the file for itself at its first read, so a store may be pickled or taken
    through a fork. unit: of stored lengths, "m" or "radius"; dimension: D; content: sha256 of all
    names and checksums; shard: "i/n" of a part, "" of a whole store. :class:`InputError` if
    ``path`` is not a store of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with hdf5.naming(self.path), hdf5.open_hdf5(self.path) as file:
            header = read_header(self.path, file)
            self.names: tuple[str, ...] = tuple(sorted(hdf5.group(file, "scans")))
            for name in self.names:
                if not is_scan_name(name):
                    raise InputError(f"{self.path}: {one_line(name)!r} cannot name a scan")
        self.unit, self.dimension = header.unit, header.dimension
        self.shard, self.content = header.shard, header.content
        self._known = frozenset(self.names)
        self._opened: hdf5.File | None = None
        self._process = 0
        self._places: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __enter__(self) -> "ScanStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_process": 0, "_places": {}}

    def close(self) -> None:
        """Close the file in this process; the next read opens it again."""
        self._places = {}
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    def frame(self, name: str) -> Frame:
        """Where the scan lies in its source."""
        return self._place(name).frame

    def num_points(self, name: str) -> int:
        """n, the points stored for the scan."""
        return self._place(name).num_points

    def num_targets(self, name: str) -> int:
        """m, the targets stored for the scan; 0 if there are none."""
        return self._place(name).num_targets

    def normals_kind(self, name: str) -> NormalsKind:
        """Where the normals of the scan come from."""
        return self._place(name).normals_kind

    def has_trusted_normals(self, name: str) -> bool:
        """Whether the scan has normals whose direction may be learnt."""
        return self._place(name).normals_kind in TRUSTED

    def read(
        self, name: str, start: int = 0, count: int | None = None
    ) -> tuple[Points, Points | None, Sigma]:
        """Points, normals of any kind (or None) and sigma of ``count`` points from ``start``."""
        place = self._place(name)
        count = self._count(name, "points", place.num_points, start, count)
        points = np.empty((count, self.dimension), np.float32)
        normals = np.empty(points.shape, np.int16) if place.normals is not None else None
        sigma = np.empty(count, np.float32)
        self.read_into(name, start, points, sigma, normals)
        return points, None if normals is None else decoded_normals(normals), sigma

    def read_into(
        self,
        name: str,
        start: int,
        points: Points,
        sigma: Sigma,
        normals: Int16[np.ndarray, "K D"] | None = None,
    ) -> None:
        """Fill the arrays with K points from ``start`` on, beginning again where the scan ends.

        normals: as stored, see :func:`~shapespace.scan.decoded_normals`; not filled (leave it zero)
        for a scan without any. K must not exceed n.
        """
        place, file = self._place(name), self._file()
        first = min(len(points), place.num_points - start)
        for rows, at in ((slice(0, first), start), (slice(first, None), 0)):
            with hdf5.naming(self.path):
                hdf5.read_at(file, place.points + 4 * self.dimension * at, points[rows])
                hdf5.read_at(file, place.sigma + 4 * at, sigma[rows])
                if normals is not None and place.normals is not None:
                    hdf5.read_at(file, place.normals + 2 * self.dimension * at, normals[rows])

    def read_targets(self, name: str, start: int = 0, count: int | None = None) -> Targets:
        """``count`` targets from ``start``, or all; :class:`InputError` if there are fewer."""
        place, file = self._place(name), self._file()
        count = self._count(name, "targets", place.num_targets, start, count)
        points = np.empty((count, self.dimension), np.float32)
        distance = np.empty(count, np.float32)
        with hdf5.naming(self.path):
            hdf5.read_at(file, place.target_points + 4 * self.dimension * start, points)
            hdf5.read_at(file, place.target_distance + 4 * start, distance)
        return Targets(points, distance, place.targets_signed)

    def scan(self, name: str) -> PreparedScan:
        """The whole scan; :class:`InputError` if it is not as it was written."""
        place, facts = self._place(name), self._facts(name)
        recorded = facts.pop("checksum")
        points, normals, sigma = self.read(name)
        targets = self.read_targets(name) if place.num_targets else None
        kind = place.normals_kind
        scan = PreparedScan(
            name, points, normals, sigma, place.frame, normals_kind=kind, targets=targets, **facts
        )
        if scan.checksum != recorded:
            raise InputError(
                f"{self.path}: scan {one_line(name)!r} is damaged, its checksum does not fit; "
                "delete the store and run: shapespace prepare again"
            )
        return scan

    def checksum(self, name: str) -> str:
        """sha256 of the scan, as recorded when it was written."""
        return self._facts(name)["checksum"]

    def stamp(self, name: str) -> str:
        """Of source and options, as recorded when the scan was written."""
        return self._facts(name)["stamp"]

    def check_name(self, name: str) -> None:
        """:class:`InputError` with the nearest name if no scan is called ``name``."""
        if name in self._known:
            return
        near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.0)
        hint = f"the nearest is {near[0]!r}" if near else "the store is empty"
        raise InputError(f"{self.path}: no scan is called {one_line(name)!r}; {hint}")

    def verify(self) -> Iterator[str | None]:
        """Read every scan: None for a good one, for a damaged one what is wrong with it."""
        checksums = {}
        for name in self.names:
            try:
                checksums[name] = self.scan(name).checksum
                yield None
            except InputError as error:
                checksums[name] = ""
                yield str(error)
        if all(checksums.values()) and content_of(checksums) != self.content:
            yield f"{self.path}: scans were added, removed or renamed; run: shapespace prepare"

    def manifest(self) -> list[dict[str, object]]:
        """One row of plain values for each scan, in the order of ``names``."""
        return [{"name": name, **self._row(name)} for name in self.names]

    def _row(self, name: str) -> dict[str, object]:
        place = self._place(name)
        return {
            **self._facts(name),
            "num_points": place.num_points,
            "normals": place.normals_kind,
            "num_targets": place.num_targets,
            "centre": place.frame.centre.tolist(),
            "scale": place.frame.scale,
        }

    def _facts(self, name: str) -> dict[str, Any]:
        self.check_name(name)
        with hdf5.naming(self.path):
            return read_facts(self._group(name))

    def _place(self, name: str) -> Entry:
        if self._process != os.getpid():
            self.close()
            self._process = os.getpid()
        if name not in self._places:
            self.check_name(name)
            if len(self._places) >= MAX_PLACES:
                self._places.clear()
            with hdf5.naming(self.path):
                self._places[name] = read_entry(self._group(name), self.dimension)
        return self._places[name]

    def _group(self, name: str) -> hdf5.Group:
        return hdf5.group(hdf5.group(self._file(), "scans"), name)

    def _file(self) -> hdf5.File:
        if self._opened is None or self._process != os.getpid():
            self.close()
            self._process, self._opened = os.getpid(), self._open_again()
        return self._opened

    def _open_again(self) -> hdf5.File:
        with hdf5.naming(self.path):
            file = hdf5.open_hdf5(self.path)
            if read_header(self.path, file).content == self.content:
                return file
            file.close()
            raise InputError(f"{self.path}: was replaced by another store; start again")

    def _count(self, name: str, what: str, total: int, start: int, count: int | None) -> int:
        stop = total if count is None else start + count
        if not 0 <= start <= stop <= total:
            window = f"{what} {start} to {stop} of {name!r}"
            raise InputError(f"{self.path}: {window}, which has {total}; ask for fewer")
        return stop - start


def store_at(path: Path) -> ScanStore | None:
    """The store at ``path``; None for scans that are none, D-FAUST registrations among them.

    :class:`InputError` for a store of another version, or a damaged one.
    """
    if not hdf5.is_hdf5(path):
        return None
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        marked = is_store(file)
    return ScanStore(path) if marked else None
