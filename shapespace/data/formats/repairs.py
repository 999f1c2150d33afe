"""Everyday defects of scans, which are mended and counted rather than refused.

Depth cameras write NaN or 0 0 0 where they see nothing, and other programs write normals of any
length. Whatever is done here is named in the account of the scan.

Letters: V vertices, F faces, D dimension (2 or 3).
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64

from shapespace.data.formats.contents import TOLERANCE, Contents, normal_lengths
from shapespace.errors import InputError


def repaired(contents: Contents, strict: bool = False) -> Contents:
    """Leave out what stands for no point, and count the normals that will be scaled or are unknown.

    Left out are vertices that are NaN or infinite, with their faces, and, of a cloud, the point
    0 0 0 if it is there more than once. What breaks a rule of ``readers.checked`` stays.

    Args:
        contents: arrays of a file.
        strict: refuse such points in place of leaving them out.

    Raises:
        InputError: points would be left out, and ``strict`` is set.
        ValueError: the normals have another shape than the vertices.
    """
    vertices = contents.vertices
    if vertices.ndim != 2 or not len(vertices):
        return contents
    contents = _with_vertices_counted(_with_normals_counted(contents))
    bad = np.asarray(~np.isfinite(vertices).all(axis=1))
    if contents.faces is not None and len(contents.faces):
        return _without_vertices(contents, bad, strict)
    zero = np.asarray((vertices == 0).all(axis=1))
    # A single point at the origin is a point like any other.
    if zero.sum() < 2:
        zero[:] = False
    if not (bad | zero).any() or (bad | zero).all():
        return contents
    phrases = []
    total = len(vertices)
    if bad.any():
        phrases.append(f"{_share(bad, 'points')} are NaN or infinite")
    if zero.any():
        phrases.append(f"the point 0 0 0 is there {zero.sum()} times, {_share(zero, 'points')}")
    if strict:
        raise InputError(f"{'; '.join(phrases)}; without --strict the others are read")
    left_out = []
    if bad.any():
        left_out.append(f"{_share(bad, 'points')}, NaN or infinite")
    if zero.any():
        left_out.append(f"0 0 0 repeated {zero.sum()} times, {_percent(zero)} of {total} points")
    keep = ~(bad | zero)
    return replace(
        contents,
        vertices=vertices[keep],
        normals=None if contents.normals is None else contents.normals[keep],
        repaired=(*contents.repaired, f"left out: {', '.join(left_out)}"),
    )


def unit_normals(normals: np.ndarray, shape: tuple[int, ...]) -> Float64[np.ndarray, "V D"] | None:
    """Scale normals to length 1; zero where unknown, None if all are unknown.

    Args:
        normals: of any length.
        shape: shape that they must have, that of the vertices.

    Raises:
        ValueError: they have another shape.
    """
    rows, length = normal_lengths(normals, shape)
    # The squares inside the norm of a shorter one underflow, so its direction is lost.
    known = length > np.sqrt(np.finfo(np.float64).tiny)
    return np.where(known, rows / np.where(known, length, 1.0), 0.0) if known.any() else None


def _with_normals_counted(contents: Contents) -> Contents:
    """Name unknown normals and those of another length than 1; drop them if all are unknown."""
    if contents.normals is None:
        return contents
    _, length = normal_lengths(contents.normals, contents.vertices.shape)
    known = length > 0
    if not known.any():
        said = f"{contents.normals_from or 'normals'} (all 0 or NaN)"
        return replace(contents, normals=None, unused=(said, *contents.unused))
    phrases = []
    if not known.all():
        phrases.append(f"normals unknown: {_share(~known, 'points')}")
    scaled = known & (abs(length - 1) > TOLERANCE)
    if scaled.any():
        phrases.append(f"normals scaled to length 1: {scaled.sum()} of {len(scaled)}")
    return replace(contents, repaired=(*contents.repaired, *phrases))


def _with_vertices_counted(contents: Contents) -> Contents:
    """Name the vertices of a mesh that no face has: a mesh is sampled on its faces alone."""
    faces, total = contents.faces, len(contents.vertices)
    # Faces that cannot be are refused later.
    if faces is None or not len(faces) or faces.min() < 0 or faces.max() >= total:
        return contents
    alone = np.ones(total, bool)
    alone[faces] = False
    if not alone.any():
        return contents
    said = f"{_share(alone, 'vertices')}, which no face has"
    return replace(contents, unused=(*contents.unused, said))


def _without_vertices(contents: Contents, bad: Bool[np.ndarray, " V"], strict: bool) -> Contents:
    """Leave out the vertices of a mesh that are ``bad``, and their faces."""
    faces = np.asarray(contents.faces)
    inside = faces.ndim == 2 and faces.min() >= 0 and faces.max() < len(bad)
    if not bad.any() or not inside:
        return contents
    lost = bad[faces].any(axis=1)
    if lost.all():
        return contents
    phrase = f"{_share(bad, 'vertices')}"
    if strict:
        raise InputError(f"{phrase} are NaN or infinite; without --strict the others are read")
    with_faces = f", with {lost.sum()} of {len(faces)} faces" if lost.any() else ""
    number = np.cumsum(~bad) - 1
    return replace(
        contents,
        vertices=contents.vertices[~bad],
        faces=number[faces[~lost]],
        normals=None if contents.normals is None else contents.normals[~bad],
        repaired=(*contents.repaired, f"left out: {phrase}, NaN or infinite{with_faces}"),
    )


def _share(rows: Bool[np.ndarray, "..."], of: str) -> str:
    """Count rows: "12 of 400 points (3%)"."""
    return f"{rows.sum()} of {len(rows)} {of} ({_percent(rows)})"


def _percent(rows: Bool[np.ndarray, "..."]) -> str:
    """The share of rows as a percentage."""
    return f"{rows.mean():.0%}" if rows.mean() >= 0.01 else "under 1%"
