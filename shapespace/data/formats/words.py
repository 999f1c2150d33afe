"""Words of scan files: names of the columns of points and normals, and numbers.

Letters: V vertices, D dimension (2 or 3).
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from shapespace.data.formats.contents import Contents, listed

ROLES = ("x", "y", "z", "nx", "ny", "nz")
"""Columns that are used: the coordinates of a point and those of its normal."""
# Letter or number of the axis, at the end: x, X, Points:0, position_x, coord[0].
_POSITION = re.compile(r"(?:(?:points?|pos(?:itions?)?|coord(?:inate)?s?)[ _.:\[]?)?([xyz])\]?")
_NUMBERED = re.compile(r"(?:points?|pos(?:itions?)?|coord(?:inate)?s?)[ _.:\[]?([012])\]?")
# nx, n_x, normal_x, normalx, NormalX, norm_x, scalar_Nx (CloudCompare), Normals:0 (ParaView).
_NORMAL = re.compile(r"(?:scalar_)?(?:nor:)?n(?:orm(?:al)?s?)?[ _.:\[]?([xyz])\]?")
_NUMBERED_NORMAL = re.compile(r"(?:scalar_)?normals?[ _.:\[]?([012])\]?")


def role(name: str) -> str | None:
    """Return which of ``ROLES`` a column of this name has; None for any other name."""
    # A unit may follow: x (m), X[mm].
    word = re.sub(r"\s*[\[(](?:m|mm|cm|in|ft)[\])]$", "", name.strip().lower())
    for prefix, patterns in (("", (_POSITION, _NUMBERED)), ("n", (_NORMAL, _NUMBERED_NORMAL))):
        for pattern in patterns:
            found = pattern.fullmatch(word)
            if found:
                return prefix + {"0": "x", "1": "y", "2": "z"}.get(found[1], found[1])
    return None


def roles_of(
    names: Sequence[str], role_of: Callable[[str], str | None] = role
) -> dict[str, int]:
    """Find the column of each of ``ROLES``.

    Of several columns with one role, the one with the plainest name has it: "nx" before "Nx" before
    "scalar_Nx". Normals count only if each coordinate has one.
    """
    found: dict[str, int] = {}
    for column in sorted(range(len(names)), key=lambda i: (role_of(names[i]) != names[i], i)):
        found.setdefault(role_of(names[column]) or "", column)
    found.pop("", None)
    if "z" not in found:
        found.pop("nz", None)
    axes = [axis for axis in "xyz" if axis in found]
    if not all(f"n{axis}" in found for axis in axes):
        found = {axis: found[axis] for axis in axes}
    return found


def named_cloud(
    columns: Sequence[tuple[str, np.ndarray]], role_of: Callable[[str], str | None] = role
) -> Contents:
    """Make points and normals of columns by their names; all other columns are named as not used.

    Args:
        columns: name and [V] numbers of each column, in the order of the file.
        role_of: which of ``ROLES`` a name has, or None. A column with the name "_" is passed over.

    Raises:
        ValueError: no column is called x or none y.
    """
    names = [name for name, _ in columns]
    found = roles_of(names, role_of)
    if not {"x", "y"} <= found.keys():
        raise ValueError(f"no columns x and y, only {listed(names) or 'none'}")
    axes = [axis for axis in "xyz" if axis in found]
    normal = [found[f"n{axis}"] for axis in axes if f"n{axis}" in found]
    rest = [
        name for i, name in enumerate(names) if i not in found.values() and name not in ("_", "")
    ]
    if "" in names:
        rest.insert(0, "a column without a name")
    return Contents(
        vertices=_stack(columns, [found[axis] for axis in axes]),
        normals=_stack(columns, normal) if normal else None,
        normals_from=listed([names[i] for i in normal]),
        unused=(listed(rest),) if rest else (),
    )


def _stack(columns: Sequence[tuple[str, np.ndarray]], which: list[int]) -> np.ndarray:
    """Stack the columns at ``which``: [V,D], float64."""
    return np.stack([np.asarray(columns[i][1], np.float64) for i in which], axis=1)


# The C library of Windows prints -nan(ind), older ones 1.#QNAN and -1.#IND.
_UNKNOWN = re.compile(rb"[-+]?(?:nan\([a-z0-9_]*\)|1\.#(?:qnan|snan|ind)[0-9]*)", re.IGNORECASE)
_INFINITE = re.compile(rb"([-+]?)1\.#inf[0-9]*", re.IGNORECASE)


def plain_numbers(content: bytes) -> bytes:
    """Replace the words for NaN and infinity that only some programs write by nan and inf."""
    if b"#" in content:
        content = _INFINITE.sub(rb"\1inf", content)
        content = _UNKNOWN.sub(b"nan", content)
    elif b"(" in content:
        content = _UNKNOWN.sub(b"nan", content)
    return content


def parsed(word: str) -> float | None:
    """The number that a word stands for; None for any other word."""
    # Python takes 50002_1 as a number, which is rather a name.
    if "_" in word:
        return None
    try:
        return float(word)
    except ValueError:
        return None
