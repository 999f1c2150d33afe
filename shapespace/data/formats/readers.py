"""Read one raw scan from one file, in the file's own frame and units.

A new format is a function from bytes to ``Contents`` and one line in a table of readers. The rules
for all formats (in range, not empty, not one single point, faces that exist) are checked here once.

Meshes other than GLB are parsed here and not by trimesh, which loads files with NaN vertices, with
faces out of range and with false headers without complaint. Counts must be checked before memory
is taken for them.

Letters: V vertices, F faces, M samples around the surface, D dimension (2 or 3),
E = D + 1 (a point and its distance).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from shapespace.config.options import ReadOptions
from shapespace.data.formats.clouds.arrays import read_npy, read_npz
from shapespace.data.formats.clouds.pcd import read_pcd
from shapespace.data.formats.clouds.scanners import read_e57, read_las
from shapespace.data.formats.clouds.text import read_text
from shapespace.data.formats.contents import Contents
from shapespace.data.formats.glb import read_glb
from shapespace.data.formats.obj import read_obj
from shapespace.data.formats.off import read_off
from shapespace.data.formats.ply import read_ply
from shapespace.data.formats.repairs import repaired, unit_normals
from shapespace.data.formats.stl import read_stl
from shapespace.errors import InputError, one_line
from shapespace.utils.kinds import kind_of

WITH_NAMES: dict[str, Callable[[bytes], Contents]] = {
    ".ply": read_ply,
    ".obj": read_obj,
    ".off": read_off,
    ".stl": read_stl,
    ".glb": read_glb,
    ".pcd": read_pcd,
    ".las": read_las,
    ".laz": read_las,
    ".e57": read_e57,
}
"""Readers of formats that say themselves what each number is."""
WITH_COLUMNS: dict[str, Callable[[bytes, Sequence[str] | None], Contents]] = {
    ".npz": read_npz,
    ".npy": read_npy,
    ".xyz": read_text,
    ".xyzn": read_text,
    ".xyzrgb": read_text,
    ".txt": read_text,
    ".csv": read_text,
    ".asc": read_text,
    ".pts": read_text,
}
"""Readers of rows of numbers; the option ``--columns`` may name the columns."""
READERS = {**WITH_NAMES, **WITH_COLUMNS}
"""All readers by the suffix of the file."""
PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7-zip",
}
"""First bytes of packed files, and what packs them. An NPZ is a zip."""
MAX_COORDINATE = 1e100
"""Largest coordinate allowed: areas and squared distances of larger ones overflow float64."""


@dataclass(frozen=True)
class RawScan:
    """A mesh or a cloud as a file holds it, in the file's frame and units.

    Args:
        vertices: vertices of the mesh or points of the cloud, all finite.
        faces: triangles as zero-based vertex indices; None for a cloud.
        normals: normals at the vertices, of length 1; a zero row is an unknown normal. None if all
            are unknown.
        account: one line: what was read, what was not used, and what was mended or left out.
        samples: points around the surface and their signed distances, positive outside, where the
            file holds such targets; else None.
    """

    vertices: Float64[np.ndarray, "V D"]
    faces: Int64[np.ndarray, "F 3"] | None
    normals: Float64[np.ndarray, "V D"] | None
    account: str = ""
    samples: Float64[np.ndarray, "M E"] | None = None


def read_raw(path: str | Path, options: ReadOptions = ReadOptions()) -> RawScan:
    """Read the mesh or cloud in the file ``path``; InputError if the file cannot be used."""
    return parse_raw(Path(path), read_bytes(Path(path)), options)


def read_bytes(path: Path) -> bytes:
    """Read the whole file; InputError if it is missing, empty or a git-lfs pointer."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise InputError(f"{one_line(path)}: cannot be read ({reason}); check the path") from error
    if not content:
        raise InputError(f"{one_line(path)}: the file is empty; fetch it again")
    if content.startswith(b"version https://git-lfs"):
        raise InputError(f"{one_line(path)}: a git-lfs pointer, not the data; run: git lfs pull")
    return content


def parse_raw(path: Path, content: bytes, options: ReadOptions = ReadOptions()) -> RawScan:
    """Read the mesh or cloud from the ``content`` of a file; InputError if it cannot be used.

    Args:
        path: the file, whose suffix tells the format.
        content: its bytes.
        options: what columns mean, and whether defects are refused.
    """
    suffix = path.suffix.lower()
    kind = kind_of(path, content)
    if kind:
        raise InputError(f"{one_line(path)}: is {kind}; give the file of one scan")
    packed = next((name for start, name in PACKED.items() if content.startswith(start)), None)
    if packed and suffix != ".npz":
        raise InputError(f"{one_line(path)}: is packed by {packed}; unpack it first")
    if suffix not in READERS:
        known = " ".join(READERS)
        raise InputError(f"{one_line(path)}: unknown suffix {path.suffix!r}; one of {known}")
    try:
        if suffix in WITH_COLUMNS:
            contents = WITH_COLUMNS[suffix](content, options.names)
        else:
            contents = WITH_NAMES[suffix](content)
        contents = repaired(contents, options.strict)
        raw = checked(contents.vertices, contents.faces, contents.normals)
    except InputError as error:
        # The reader names the remedy itself.
        raise type(error)(one_line(f"{path}: {error}")) from error
    # Damaged bytes make numpy, json and trimesh raise errors of many types.
    except Exception as error:
        detail = str(error) or type(error).__name__
        raise InputError(one_line(f"{path}: {detail}; repair or remove the file")) from error
    account = contents.account()
    if options.names and suffix in WITH_NAMES:
        account += f"; --columns not used, {suffix} names its own"
    return replace(raw, account=one_line(account), samples=contents.samples)


def read_positions(path: str | Path) -> Float64[np.ndarray, "C D"]:
    """Read positions from a text file, one a line, 2-D or 3-D; InputError if it cannot be used."""
    content = read_bytes(Path(path))
    try:
        contents = read_text(content)
        points = contents.vertices
        if contents.normals is not None or contents.unused or not np.isfinite(points).all():
            raise ValueError("each line needs x y z, or x y in the plane, all finite")
    except ValueError as error:
        raise InputError(one_line(f"{path}: {error}")) from error
    return points


def checked(
    vertices: np.ndarray, faces: np.ndarray | None = None, normals: np.ndarray | None = None
) -> RawScan:
    """Check arrays and make a :class:`RawScan` of them.

    Args:
        vertices: [V,2] or [V,3].
        faces: [F,3], zero-based vertex indices; None or no row makes a cloud.
        normals: of the shape of ``vertices`` and of any length; a row that is not finite or has no
            direction becomes zero.

    Raises:
        ValueError: the arrays break a rule of this module.
    """
    if vertices.ndim != 2 or vertices.shape[1] not in (2, 3):
        raise ValueError(f"vertices of shape {vertices.shape}; [V,2] or [V,3] is needed")
    if len(vertices) == 0:
        raise ValueError("no vertices")
    bad = int((~np.isfinite(vertices).all(axis=1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(vertices)} vertices are NaN or infinite")
    if np.abs(vertices).max() > MAX_COORDINATE:
        raise ValueError(f"coordinates beyond {MAX_COORDINATE:g}, the largest allowed")
    if (vertices == vertices[0]).all():
        raise ValueError(f"all {len(vertices)} points are the same point")
    if faces is not None and len(faces):
        check_faces(faces, len(vertices))
        if not (double_area_normals(vertices, faces) != 0).any():
            raise ValueError("all faces have zero area")
    else:
        faces = None
    return RawScan(
        vertices=vertices.astype(np.float64),
        faces=None if faces is None else faces.astype(np.int64),
        normals=None if normals is None else unit_normals(normals, vertices.shape),
    )


def check_faces(faces: np.ndarray, num_vertices: int) -> None:
    """Raise ``ValueError`` unless ``faces`` is [F,3] with indices in [0, num_vertices)."""
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces of shape {faces.shape}; [F,3] is needed")
    low = int(faces.min())
    high = int(faces.max())
    if low < 0 or high >= num_vertices:
        hint = "; they seem to start at 1" if (low, high) == (1, num_vertices) else ""
        raise ValueError(
            f"face indices {low} to {high} with {num_vertices} vertices; "
            f"0 to {num_vertices - 1} is the rule{hint}"
        )


def double_area_normals(
    vertices: Float64[np.ndarray, "V D"], faces: Int64[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "F 3"]:
    """Cross product of two edges of each face: along its normal, twice its area long."""
    if vertices.shape[1] != 3:
        raise ValueError("faces between 2-D points; a 2-D scan is a cloud")
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)
