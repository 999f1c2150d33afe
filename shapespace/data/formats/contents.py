"""What a reader finds in a file, and the one line that tells the user about it.

Letters: V vertices, F faces, D dimension (2 or 3).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

ORDINARY = re.compile(r"(read x y z(, faces)?(, normals( \([^;]*\))?)?)?")
"""Accounts that hold nothing which a user would not expect."""
TOLERANCE = 0.02
"""Most by which the length of a unit normal differs from 1: two decimals round by 0.009."""


@dataclass(frozen=True)
class Contents:
    """What a reader finds in a file; nothing of it is checked yet.

    Args:
        vertices: [V,D] vertices of the mesh or points of the cloud.
        faces: [F,3] zero-based vertex indices; None for a cloud.
        normals: [V,D] of any length; None if the file has none.
        normals_from: name of the normals in the file, such as "nx ny nz".
        used: what else was read, such as "2 of 3 meshes".
        unused: what the file holds beside that, such as "red green blue".
        repaired: what was mended or left out, each a phrase, as "left out: 3 of 9 points, NaN".
        samples: [M,D+1] points around the surface with their signed distances, positive outside;
            None if the file has none.
    """

    vertices: np.ndarray
    faces: np.ndarray | None = None
    normals: np.ndarray | None = None
    normals_from: str = ""
    used: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    samples: np.ndarray | None = None

    def account(self) -> str:
        """Say in one line what was read, what was not used, and what was mended or left out."""
        flat = self.vertices.ndim == 2 and self.vertices.shape[1] == 2
        read = ["x y (2-D)" if flat else "x y z"]
        unused = list(self.unused)
        normals = f"normals ({self.normals_from})" if self.normals_from else "normals"
        if self.faces is not None and len(self.faces):
            read.append("faces")
            if self.normals is not None:
                # A mesh is sampled with the normals of its faces.
                unused.insert(0, normals.replace("normals", "normals of vertices", 1))
        elif self.normals is not None:
            read.append(normals)
        parts = ["read " + ", ".join([*read, *self.used])]
        if unused:
            parts.append("not used: " + ", ".join(unused))
        return "; ".join([*parts, *self.repaired])


def normal_lengths(
    normals: np.ndarray, shape: tuple[int, ...]
) -> tuple[Float64[np.ndarray, "V D"], Float64[np.ndarray, "V 1"]]:
    """Return normals, 0 where not finite, and their lengths; ValueError for another shape."""
    if normals.shape != shape:
        raise ValueError(f"normals of shape {normals.shape} for vertices of shape {shape}")
    rows = np.where(np.isfinite(normals), normals, 0.0).astype(np.float64)
    return rows, np.linalg.norm(rows, axis=1, keepdims=True)


def grouped_accounts(accounts: Iterable[tuple[str, str]]) -> list[str]:
    """Say what is unusual about how scans were read, one line for all that were read alike.

    Accounts that differ in numbers alone share a line, which gives those of the first scan.

    Args:
        accounts: name and account of each scan; "" for a scan without an account.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, account in accounts:
        if not ORDINARY.fullmatch(account):
            groups.setdefault(re.sub("[0-9]+", "0", account), []).append((name, account))
    lines = []
    for group in groups.values():
        name, account = group[0]
        alike = all(other == account for _, other in group)
        if len(group) == 1:
            lines.append(f"{name}: {account}")
        else:
            lines.append(f"{len(group)} scans{'' if alike else f', as {name}'}: {account}")
    return lines
