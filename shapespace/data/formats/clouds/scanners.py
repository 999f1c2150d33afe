"""LAS and LAZ files (drones, aircraft) and E57 files (scanners), read by libraries of their own.

The libraries are optional: ``pip install 'shapespace[scanners]'``. The readers take the bytes of a
file. A ``ValueError`` states the reason; ``readers.py`` adds the name of the file.

Letters: N points.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.data.formats.clouds.columns import named_cloud
from shapespace.data.formats.contents import Contents
from shapespace.data.formats.words import listed
from shapespace.errors import InputError

AT_ONCE = 1_000_000
"""Points that are unpacked at once, since a header may declare any number."""
LEAST = 64
"""Points of an E57 that one byte of the file can hold at most; more are taken for a false count."""
EXTRA = "pip install 'shapespace[scanners]'"
PLACE = ("cartesian", "spherical", "rowIndex", "columnIndex", "timeStamp", "isTimeStamp")
"""Beginnings of the names of E57 fields that need no word: the point, and how it was measured."""
IGNORED = ("X", "Y", "Z", "return_number", "number_of_returns", "gps_time", "point_source_id")
"""Dimensions of a LAS file that need no word: coordinates, and how they were measured."""


def read_las(content: bytes) -> Contents:
    """Read the points of a LAS or LAZ, and normals if it has dimensions of their names.

    Dimensions that hold something other than 0 are named as not used.
    """
    try:
        import laspy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(f"LAS and LAZ need the package laspy: {EXTRA}") from error

    parts: list[np.ndarray] = []
    columns: dict[str, list[np.ndarray]] = {}
    # A record of a LAS takes 54 bytes at least; laspy would go on past the end of the file.
    num_records = int.from_bytes(content[100:104], "little")
    if content[:4] != b"LASF" or num_records * 54 > len(content):
        raise ValueError(f"not a LAS file, or a false header with {num_records} records")
    # One thread: scans are read in many processes at once. Records after the points are not needed.
    options: dict[str, Any] = {"laz_backend": laspy.LazBackend.Lazrs, "read_evlrs": False}
    with laspy.open(io.BytesIO(content), **options) as file:
        declared = file.header.point_count
        if file.header.are_points_compressed:
            _check_chunks(content, file.header.offset_to_point_data, declared)
        names = [name for name in file.header.point_format.dimension_names if name not in IGNORED]
        for chunk in file.chunk_iterator(AT_ONCE):
            axes = [np.asarray(chunk[axis], np.float64) for axis in "xyz"]
            parts.append(np.stack(axes, axis=1))
            for name in names:
                columns.setdefault(name, []).append(np.asarray(chunk[name]))
    if not parts:
        raise ValueError("no vertices")
    points = np.concatenate(parts)
    if len(points) != declared:
        raise ValueError(f"the header says {declared} points, the file has {len(points)}")
    others = [(name, np.concatenate(rows)) for name, rows in columns.items()]
    filled = [(name, column) for name, column in others if column.ndim == 1 and column.any()]
    return named_cloud([*zip("xyz", points.T, strict=True), *filled])


def _check_chunks(content: bytes, start: int, num_points: int) -> None:
    """Compare the number of chunks of a LAZ with its size; lazrs takes memory for any number.

    Args:
        content: the file.
        start: offset of its points, where the offset of the table of chunks stands.
        num_points: number of points that the header declares.
    """
    # An offset that is not known when writing begins stands at the end of the file.
    at = int.from_bytes(content[start : start + 8], "little", signed=True)
    at = int.from_bytes(content[-8:], "little", signed=True) if at <= 0 else at
    chunks = int.from_bytes(content[at + 4 : at + 8], "little") if at > 0 else 0
    if chunks > min(num_points, len(content)):
        raise ValueError(f"the header says {chunks} chunks of {num_points} points")


def read_e57(content: bytes) -> Contents:
    """Read the points of all scans of an E57, each moved and turned by the pose of its scan.

    Points that the scanner marks as invalid are left out.
    """
    try:
        import pye57  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(f"E57 needs the package pye57: {EXTRA}") from error

    parts: list[np.ndarray] = []
    unused: dict[str, None] = {}
    declared = 0
    with tempfile.TemporaryDirectory(prefix="shapespace-") as folder:
        # The library reads from a path only.
        path = Path(folder) / "scan.e57"
        path.write_bytes(content)
        with pye57.E57(str(path)) as file:
            num_scans = file.scan_count
            for i in range(num_scans):
                header = file.get_header(i)
                declared += header.point_count
                if declared > LEAST * len(content):
                    raise ValueError(f"the header says {declared} points, the file is too small")
                fields = [name for name in header.point_fields if not name.startswith(PLACE)]
                unused |= dict.fromkeys(fields)
                data = file.read_scan(i, ignore_missing_fields=True)
                axes = (data["cartesianX"], data["cartesianY"], data["cartesianZ"])
                parts.append(np.stack(axes, axis=1))
    if not declared:
        raise ValueError("no vertices")
    points = np.concatenate(parts)
    lost = declared - len(points)
    marked = f"left out: {lost} of {declared} points, which the scanner marks as invalid"
    return Contents(
        points,
        used=(f"{num_scans} scans",) if num_scans > 1 else (),
        unused=(listed(list(unused)),) if unused else (),
        repaired=(marked,) if lost else (),
    )
