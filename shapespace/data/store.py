"""The store: one HDF5 file that holds prepared scans, their names and their frames.

Layout, version 1: root attributes format, version, unit, dimension; one group ``/scans/<name>``
with contiguous float32 datasets points [n,D], sigma [n] and, where known, normals [n,D], and the
attributes centre [D] and scale (see :class:`shapespace.scan.Frame`), source, source_hash,
num_source_points, num_source_faces, seed, checksum. Points are in the store's frame and were
shuffled once at writing, so that any contiguous window is a random subset.

Letters: n points of one scan, D dimension (2 or 3).
"""

import difflib
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from shapespace.data import hdf5
from shapespace.errors import InputError, one_line
from shapespace.files import output_folder, replacing
from shapespace.scan import Frame, PreparedScan

FORMAT = "shapespace-scans"
VERSION = 1
MAX_HANDLES = 4096
"""Scans whose dataset handles stay open in one process: some 10 kB each."""

Points = Float32[np.ndarray, "n D"]
Sigma = Float32[np.ndarray, " n"]


class ScanStore:
    """The scans of the store at ``path``, read a window at a time.

    Each process opens the file for itself at its first read, so a store may be pickled or taken
    through a fork. :class:`InputError` if ``path`` is not a store of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with hdf5.naming(self.path), hdf5.open_hdf5(self.path) as file:
            attrs = hdf5.attributes(file)
            _check_version(self.path, attrs)
            self.unit = str(attrs["unit"])
            self.dimension = int(attrs["dimension"])
            self.names: tuple[str, ...] = tuple(sorted(hdf5.group(file, "scans")))
        self._known = frozenset(self.names)
        self._file: hdf5.File | None = None
        self._process = 0
        self._scans: dict[str, _OpenScan] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __enter__(self) -> "ScanStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_process": 0, "_scans": {}}

    def close(self) -> None:
        """Close the file in this process; the next read opens it again."""
        self._scans = {}
        if self._file is not None:
            self._file.close()
        self._file = None

    def frame(self, name: str) -> Frame:
        """Where the scan lies in its source."""
        return self._open(name).frame

    def num_points(self, name: str) -> int:
        """n, the points stored for the scan."""
        return self._open(name).points.shape[0]

    def has_normals(self, name: str) -> bool:
        """Whether normals are stored for the scan."""
        return self._open(name).normals is not None

    def read(
        self, name: str, start: int = 0, count: int | None = None
    ) -> tuple[Points, Points | None, Sigma]:
        """Points, normals (or None) and sigma of ``count`` points from ``start``, or of all."""
        scan = self._open(name)
        total = scan.points.shape[0]
        stop = total if count is None else start + count
        if not 0 <= start <= stop <= total:
            window = f"points {start} to {stop} of {name!r}"
            raise InputError(f"{self.path}: {window}, which has {total}; ask for fewer")
        with hdf5.naming(self.path):
            normals = None if scan.normals is None else scan.normals[start:stop]
            return scan.points[start:stop], normals, scan.sigma[start:stop]

    def manifest(self) -> list[dict[str, object]]:
        """One row of plain values for each scan, in the order of ``names``."""
        return [{"name": name, **self._open(name).row()} for name in self.names]

    def _open(self, name: str) -> "_OpenScan":
        if self._process != os.getpid():
            self.close()
            self._process = os.getpid()
        if name not in self._scans:
            self._check_name(name)
            if len(self._scans) >= MAX_HANDLES:
                self._scans.clear()
            with hdf5.naming(self.path):
                self._file = self._file or hdf5.open_hdf5(self.path)
                group = hdf5.group(hdf5.group(self._file, "scans"), name)
                self._scans[name] = _OpenScan(group, self.dimension)
        return self._scans[name]

    def _check_name(self, name: str) -> None:
        if name in self._known:
            return
        near = difflib.get_close_matches(name, self.names, n=1, cutoff=0.0)
        hint = f"the nearest is {near[0]!r}" if near else "the store is empty"
        raise InputError(f"{self.path}: no scan is called {one_line(name)!r}; {hint}")


class _OpenScan:
    """Checked handles and attributes of one scan."""

    def __init__(self, group: hdf5.Group, dimension: int) -> None:
        self.points = _contiguous(group, "points")
        self.sigma = _contiguous(group, "sigma")
        self.normals = _contiguous(group, "normals") if "normals" in group else None
        self._attrs = hdf5.attributes(group)
        n = self.sigma.size
        for found, shape in (
            (self.points, (n, dimension)),
            (self.sigma, (n,)),
            (self.normals, (n, dimension)),
        ):
            if found is not None and found.shape != shape:
                _refuse(found, f"has shape {found.shape}, not {shape}")
        centre = np.asarray(self._attrs["centre"], np.float64)
        scale = float(self._attrs["scale"])
        if centre.shape != (dimension,) or not np.isfinite(centre).all():
            _refuse(group, f"has centre {centre}; {dimension} finite numbers are needed")
        if not 0 < scale < np.inf:
            _refuse(group, f"has scale {scale}; a positive number is needed")
        self.frame = Frame(centre, scale)

    def row(self) -> dict[str, object]:
        """Give the manifest's values but for the name."""
        return {
            "source": str(self._attrs["source"]),
            "source_hash": str(self._attrs["source_hash"]),
            "num_points": self.points.shape[0],
            "normals": self.normals is not None,
            "num_source_points": int(self._attrs["num_source_points"]),
            "num_source_faces": int(self._attrs["num_source_faces"]),
            "seed": int(self._attrs["seed"]),
            "checksum": str(self._attrs["checksum"]),
            "centre": self.frame.centre.tolist(),
            "scale": self.frame.scale,
        }


class StoreWriter:
    """Writes a store at ``path``, all of it or nothing.

    The scans go to a temporary file, which takes the place of ``path`` when the ``with`` block
    ends well and is removed when it does not. unit: of stored lengths, "m" or "radius".
    """

    def __init__(self, path: str | Path, unit: str, dimension: int) -> None:
        self.path = Path(path)
        self.dimension = dimension
        _check_target(self.path)
        output_folder(self.path.parent)
        with ExitStack() as stack:
            part = stack.enter_context(replacing(self.path))
            self._file = hdf5.create_hdf5(part)
            self._replacing = stack.pop_all()
        self._file.attrs.update(format=FORMAT, version=VERSION, unit=unit, dimension=dimension)
        self._scans = self._file.create_group("scans")

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        with self._replacing:
            with hdf5.naming(self.path):
                self._file.close()
            if error is not None:
                raise error

    def objection(self, scan: PreparedScan) -> str | None:
        """Say why ``scan`` cannot be added (its name or its dimension), or None if it can."""
        name = one_line(scan.name)
        if not scan.name.isprintable() or "/" in scan.name or scan.name in ("", ".", ".."):
            return f"{name!r} cannot name a scan; use printable characters without '/'"
        if scan.name in self._scans:
            return f"{self.path}: two scans are called {name!r}; rename one"
        dimension = scan.points.shape[1]
        if dimension != self.dimension:
            return (
                f"{one_line(scan.source)}: {name!r} is {dimension}-D, the store's scans "
                f"{self.dimension}-D; prepare it into a store of its own"
            )
        return None

    def add(self, scan: PreparedScan) -> None:
        """Append ``scan``; :class:`InputError` if there is an objection or the disk is full."""
        objection = self.objection(scan)
        if objection is not None:
            raise InputError(objection)
        with hdf5.naming(self.path):
            self._write(scan)

    def _write(self, scan: PreparedScan) -> None:
        group = self._scans.create_group(scan.name)
        group["points"] = scan.points
        group["sigma"] = scan.sigma
        if scan.normals is not None:
            group["normals"] = scan.normals
        group.attrs.update(
            centre=np.asarray(scan.frame.centre, np.float64),
            scale=np.float64(scan.frame.scale),
            source=_utf8(scan.source),
            source_hash=scan.source_hash,
            num_source_points=scan.num_source_points,
            num_source_faces=scan.num_source_faces,
            seed=scan.seed,
            checksum=scan.checksum,
        )


def _check_version(path: Path, attrs: dict[str, Any]) -> None:
    if attrs.get("format") != FORMAT:
        raise InputError(f"{path}: not a store of scans; make one with: shapespace prepare")
    version = int(attrs.get("version", 0))
    if version != VERSION:
        raise InputError(
            f"{path}: store version {version}, this shapespace reads version {VERSION}; "
            "run: shapespace prepare again"
        )
    if "unit" not in attrs or attrs.get("dimension") not in (2, 3):
        raise InputError(f"{path}: no unit or dimension; run: shapespace prepare again")


def _check_target(path: Path) -> None:
    if not path.exists():
        return
    try:
        with hdf5.open_hdf5(path) as file:
            ours = file.attrs.get("format") == FORMAT
    except InputError:
        ours = False
    if not ours:
        raise InputError(f"{path}: exists and is not a store, not overwritten; choose another name")


def _contiguous(group: hdf5.Group, key: str) -> hdf5.Dataset:
    found = hdf5.dataset(group, key, numeric="f")
    if found.dtype != np.float32 or found.chunks is not None:
        _refuse(found, f"is not contiguous float32 but {found.dtype}")
    return found


def _refuse(found: hdf5.Group | hdf5.Dataset, reason: str) -> None:
    where = f"{found.file.filename}: {one_line(found.name)}"
    raise InputError(f"{where} {one_line(reason)}; run: shapespace prepare again")


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
