"""The layout of a store: how the header and one scan are written and read.

Version 2 of the layout:

- The root has the attributes format, version, unit, dimension, shard and content. ``content`` is
  the sha256 of all names and checksums. A store without sigma has the attribute sigma, 0. The
  dataset index is described in ``index.py``.
- Each scan is a group ``/scans/<name>`` with the attributes of ``FACTS``, ``NOTES`` and ``FRAME``
  and these contiguous datasets: points float32 [n,D]; sigma float32 [n] if measured; normals int16
  [n,D] if
  known; target_points float32 [m,D] and target_distance float32 [m] if there are targets.
- Points are in the store's frame and shuffled (``data/prepare`` shuffles them once, before they are
  written). So every contiguous window is a random subset, and one read of contiguous bytes draws a
  training sample. Rows picked at random are slow to read from HDF5, and to read and permute a whole
  scan of 50 000 points took 20 times as long as to read a window of 8000.
- Normals are int16 in steps of 1/32767. A number takes two bytes in place of four, and the angle is
  off by less than 0.002 degrees. The steps of float16, also two bytes, are 16 times coarser for
  numbers near 1.

Letters: n points of one scan, m targets, D dimension (2 or 3).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.data.store import hdf5
from shapespace.errors import InputError, one_line
from shapespace.scan import NORMALS_KINDS, Frame, NormalsKind, PreparedScan, encoded_normals
from shapespace.utils.launch import parse_shard

FORMAT = "shapespace-scans"
"""Value of the attribute format."""
VERSION = 2
"""Version of the layout; a store of another version has to be prepared again."""
UNITS = ("m", "radius")
"""Units of stored lengths: metres, or the radius of each scan."""
FACTS = {
    "source": str,
    "source_hash": str,
    "num_source_points": int,
    "num_source_faces": int,
    "seed": int,
    "stamp": str,
    "checksum": str,
}
"""Attributes of a scan that are fields of ``PreparedScan``, and their types."""
NOTES = ("account",)
"""Texts of a scan that are fields of ``PreparedScan`` and that older stores have not."""
FRAME = ("centre", "scale", "normals_kind", "targets_signed")
"""Attributes of a scan that are needed to read its points."""


@dataclass(frozen=True)
class Header:
    """The attributes of the root of a store.

    Args:
        unit: unit of stored lengths, one of ``UNITS``.
        dimension: D.
        shard: "i/n" for the i-th of n parts of a data set, "" for a whole one.
        content: sha256 of all names and checksums.
        has_sigma: whether the scans have sigma.
    """

    unit: str
    dimension: int
    shard: str
    content: str
    has_sigma: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """The checked position of one scan in its file.

    Args:
        frame: frame of the scan in its source.
        num_points: n.
        points: offset of the points in the file, bytes.
        sigma: offset of sigma, None if it was not measured.
        normals: offset of the normals, None if there are none.
        normals_kind: origin of the normals.
        num_targets: m, 0 if there are no targets.
        target_points: offset of the points of the targets.
        target_distance: offset of the distances of the targets.
        targets_signed: whether the distances are signed.
    """

    frame: Frame
    num_points: int
    points: int
    sigma: int | None
    normals: int | None
    normals_kind: NormalsKind
    num_targets: int
    target_points: int
    target_distance: int
    targets_signed: bool


def is_store(root: hdf5.Group) -> bool:
    """True if a file has the attributes of a store of any version; nothing else is read."""
    return all(name in root.attrs for name in ("format", "version", "unit", "dimension"))


def read_header(path: Path, root: hdf5.Group) -> Header:
    """Read the header.

    Raises:
        InputError: the file is not a store of this version.
    """
    if not is_store(root):
        raise InputError(f"{path}: not a store of scans; make one with: shapespace prepare")
    version = int(hdf5.attributes(root, ["version"])["version"])
    if version != VERSION:
        raise InputError(
            f"{path}: store version {version}, this shapespace reads version {VERSION}; "
            "run: shapespace prepare again"
        )
    found = hdf5.attributes(root, ["format", "unit", "dimension", "shard", "content"])
    if found["format"] != FORMAT:
        raise InputError(f"{path}: not a store of scans; make one with: shapespace prepare")
    if found["unit"] not in UNITS or found["dimension"] not in (2, 3):
        raise InputError(f"{path}: no unit or dimension; run: shapespace prepare again")
    shard = str(found["shard"])
    content = str(found["content"])
    if shard:
        parse_shard(shard)
    if not re.fullmatch("[0-9a-f]{64}", content):
        raise InputError(f"{path}: content is not a sha256; run: shapespace prepare again")
    has_sigma = hdf5.attributes(root, ["sigma"])["sigma"] if "sigma" in root.attrs else 1
    if has_sigma not in (0, 1):
        raise InputError(f"{path}: attribute 'sigma' is not 0 or 1; run: shapespace prepare again")
    return Header(
        unit=found["unit"],
        dimension=int(found["dimension"]),
        shard=shard,
        content=content,
        has_sigma=bool(has_sigma),
    )


def read_entry(group: hdf5.Group, dimension: int, has_sigma: bool = True) -> Entry:
    """Check the datasets and the frame of a scan, and find their offsets.

    Args:
        group: the scan.
        dimension: D of the store.
        has_sigma: whether the scans of the store have sigma.

    Raises:
        InputError: a dataset or attribute is missing or does not fit.
    """
    attrs = hdf5.attributes(group, FRAME, rows=["centre"])
    points = _contiguous(group, "points", dtype=np.float32, shape=(None, dimension))
    n = points.shape[0]
    sigma = None
    if has_sigma:
        sigma = hdf5.offset(_contiguous(group, "sigma", dtype=np.float32, shape=(n,)))
    elif "sigma" in group:
        _refuse(group, "has sigma, which the store should not have")
    kind = attrs["normals_kind"]
    normals = None
    if kind not in NORMALS_KINDS or (kind == "none") == ("normals" in group):
        _refuse(group, f"has normals_kind {kind!r}, which does not fit")
    if kind != "none":
        steps = _contiguous(group, "normals", dtype=np.int16, shape=(n, dimension))
        normals = hdf5.offset(steps)
    m = target_points = target_distance = 0
    if "target_points" in group:
        around = _contiguous(group, "target_points", dtype=np.float32, shape=(None, dimension))
        m = around.shape[0]
        distance = _contiguous(group, "target_distance", dtype=np.float32, shape=(m,))
        target_points = hdf5.offset(around)
        target_distance = hdf5.offset(distance)
    return Entry(
        frame=_frame(group, attrs, dimension),
        num_points=n,
        points=hdf5.offset(points),
        sigma=sigma,
        normals=normals,
        normals_kind=kind,
        num_targets=m,
        target_points=target_points,
        target_distance=target_distance,
        targets_signed=bool(attrs["targets_signed"]),
    )


def read_facts(group: hdf5.Group) -> dict[str, Any]:
    """Read the attributes of ``FACTS`` and ``NOTES``."""
    found = hdf5.attributes(group, tuple(FACTS))
    there = hdf5.attributes(group, [name for name in NOTES if name in group.attrs])
    notes = {name: str(there.get(name, "")) for name in NOTES}
    return {name: kind(found[name]) for name, kind in FACTS.items()} | notes


def write_scan(parent: hdf5.Group, scan: PreparedScan) -> str:
    """Write ``scan`` as a group of ``parent`` and return its checksum."""
    arrays = {"points": scan.points}
    if scan.sigma is not None:
        arrays["sigma"] = scan.sigma
    if scan.normals is not None:
        arrays["normals"] = encoded_normals(scan.normals)
    if scan.targets is not None:
        arrays["target_points"] = scan.targets.points
        arrays["target_distance"] = scan.targets.distance
    # A full disk is noticed here, before the library writes.
    hdf5.reserve(parent.file, sum(array.nbytes for array in arrays.values()))
    group = parent.create_group(scan.name)
    for key, array in arrays.items():
        group[key] = array
    facts = {name: getattr(scan, name) for name in FACTS}
    # A path need not be valid UTF-8, as text in HDF5 must be. It is a note for people and no part
    # of the checksum, so characters that cannot be encoded may be replaced.
    facts["source"] = scan.source.encode("utf-8", "replace").decode()
    facts |= {name: getattr(scan, name) for name in NOTES if getattr(scan, name)}
    hdf5.set_attributes(
        group,
        centre=np.asarray(scan.frame.centre, np.float64),
        scale=np.float64(scan.frame.scale),
        normals_kind=scan.normals_kind,
        targets_signed=scan.targets is not None and scan.targets.signed,
        **facts,
    )
    return facts["checksum"]


def content_of(checksums: Mapping[str, str]) -> str:
    """sha256 of names and checksums in the order of the names, in hexadecimal.

    Two stores of the same scans have the same content, whatever the order in which the scans were
    written and the number of processes that prepared them.
    """
    lines = "".join(f"{name}\n{checksums[name]}\n" for name in sorted(checksums))
    return hashlib.sha256(lines.encode()).hexdigest()


def _frame(group: hdf5.Group, attrs: Mapping[str, Any], dimension: int) -> Frame:
    """The frame of a scan, if its numbers make sense."""
    centre = np.asarray(attrs["centre"], np.float64)
    scale = float(attrs["scale"])
    if centre.shape != (dimension,) or not np.isfinite(centre).all():
        _refuse(group, f"has centre {centre}; {dimension} finite numbers are needed")
    if not 0 < scale < np.inf:
        _refuse(group, f"has scale {scale}; a positive number is needed")
    return Frame(centre, scale)


def _contiguous(
    group: hdf5.Group, key: str, dtype: type, shape: tuple[int | None, ...]
) -> hdf5.Dataset:
    """A dataset of this type and shape whose bytes lie in one piece; None is any length."""
    found = hdf5.dataset(group, key)
    # The bytes are read without the library, which would convert them: so the type must be just
    # that of the machine (big-endian float32 is another type), and chunks are refused, which may
    # lie anywhere and may be compressed.
    if found.dtype != dtype or found.chunks is not None:
        _refuse(found, f"is not contiguous {np.dtype(dtype).name} but {found.dtype}")
    wanted = tuple(found.shape[:1] if side is None else (side,) for side in shape)
    if found.shape != sum(wanted, ()):
        _refuse(found, f"has shape {found.shape}, not {shape}")
    return found


def _refuse(found: hdf5.Group | hdf5.Dataset, reason: str) -> None:
    """Raise InputError about a part of a store."""
    where = f"{found.file.filename}: {one_line(found.name)}"
    raise InputError(f"{where} {one_line(reason)}; run: shapespace prepare again")
