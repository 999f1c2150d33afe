"""What the columns of a cloud mean: by their names, or else by their numbers.

Normals have length 1 and point to all sides. Colours and intensities are never negative. Files that
cannot be told apart by that are refused, and the option ``--columns`` decides.

Letters: V points, C columns, D dimension (2 or 3).
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Shaped

from shapespace.data.formats.contents import TOLERANCE, Contents, normal_lengths
from shapespace.data.formats.words import ROLES, listed, role, unit
from shapespace.errors import InputError

MOST = 12
"""Most columns that are told apart by their numbers."""
REMEDY = "name the columns, as in --columns x,y,z,nx,ny,nz (any other name is not used)"


def cloud(
    rows: np.ndarray, names: Sequence[str] | None = None, chosen: Sequence[str] | None = None
) -> Contents:
    """Make points and normals of rows of numbers.

    Args:
        rows: [V,C] numbers, one row a point.
        names: names of the columns in the file; None if it has none.
        chosen: names that the user gave, which count more than those of the file.

    Raises:
        ValueError: the columns cannot be told apart, or the names do not fit their number.
    """
    if rows.ndim != 2:
        raise ValueError(f"an array of shape {rows.shape}; one row a point is needed")
    given = chosen if chosen is not None else names
    if given is not None:
        if len(given) != rows.shape[1]:
            whose = "--columns names" if chosen is not None else "the header names"
            raise InputError(
                f"{whose} {len(given)} columns, the file has {rows.shape[1]}; {REMEDY}"
            )
        columns = list(zip(given, rows.T, strict=True))
        return named_cloud(columns, _exact) if chosen is not None else named_cloud(columns)
    names = _meaning(rows.astype(np.float64))
    contents = named_cloud(list(zip(names, rows.T, strict=True)), _exact)
    return Contents(
        vertices=contents.vertices,
        normals=contents.normals,
        normals_from=_columns([i for i, name in enumerate(names) if name in ROLES[3:]]),
        unused=_unused(names),
    )


def roles_of(names: Sequence[str], role_of: Callable[[str], str | None] = role) -> dict[str, int]:
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
    units = dict.fromkeys(unit(names[found[axis]]) for axis in axes)
    said = " and ".join(each for each in units if each not in ("", "m"))
    return Contents(
        vertices=_stack(columns, [found[axis] for axis in axes]),
        used=(f"{said} by the header",) if said else (),
        normals=_stack(columns, normal) if normal else None,
        normals_from=listed([names[i] for i in normal]),
        unused=(listed(rest),) if rest else (),
    )


def _stack(columns: Sequence[tuple[str, np.ndarray]], which: list[int]) -> np.ndarray:
    """Stack the columns at ``which``: [V,D], float64."""
    return np.stack([np.asarray(columns[i][1], np.float64) for i in which], axis=1)


def _exact(name: str) -> str | None:
    """The role of a name that is one of ``ROLES`` itself."""
    return name if name in ROLES else None


def _unused(names: list[str]) -> tuple[str, ...]:
    """Phrases for the columns that are not used: "r g b (columns 4 to 6)"."""
    phrases = []
    for name in dict.fromkeys(name for name in names if name not in ROLES):
        columns = _columns([i for i, other in enumerate(names) if other == name])
        phrases.append(f"{name} ({columns})" if name else columns)
    return tuple(phrases)


def _columns(which: list[int]) -> str:
    """Name columns by their numbers, from 1."""
    if len(which) == 1:
        return f"column {which[0] + 1}"
    if which and which[-1] - which[0] == len(which) - 1:
        return f"columns {which[0] + 1} to {which[-1] + 1}"
    return f"columns {' '.join(str(i + 1) for i in which)}"


def _meaning(rows: Float64[np.ndarray, "V C"]) -> list[str]:
    """Name each column: one of ``ROLES``, a guess of what is not used, or ""."""
    count = rows.shape[1]
    if not 2 <= count <= MOST:
        turned = "; its rows seem to be the columns" if len(rows) <= MOST < count else ""
        raise InputError(
            f"an array of shape {rows.shape}; a cloud has 2 to {MOST} columns{turned}; {REMEDY}"
        )
    if count > 3 and len(rows) > 2 and (np.diff(rows[:, 0]) == 1).all() and rows[0, 0] in (0, 1):
        return ["row number", *_meaning(rows[:, 1:])]
    if count < 4:
        return list("xyz")[:count]
    if count == 4 and _normals_at(rows, 2, 2):
        return ["x", "y", "nx", "ny"]
    rest = _rest(rows)
    if "nx" not in rest and len(rows) > 50 and (np.diff(rows[:, 0]) > 0).all():
        raise InputError(
            f"{count} columns, the first of which grows in every row, as a time does; {REMEDY}"
        )
    return ["x", "y", "z", *rest]


def _rest(rows: Float64[np.ndarray, "V C"]) -> list[str]:
    """Name the columns from the fourth on."""
    count = rows.shape[1]
    names = [""] * (count - 3)
    found = [at for at in range(3, count - 2) if _normals_at(rows, at, 3)]
    if len(found) > 1:
        raise InputError(
            f"{count} columns, of which {_columns(list(range(found[0], found[0] + 3)))} and "
            f"{_columns(list(range(found[1], found[1] + 3)))} could be the normals; {REMEDY}"
        )
    for at in found:
        names[at - 3 : at] = ["nx", "ny", "nz"]
    if not found:
        _check_no_normals(rows)
    colours = [at for at in range(3, count - 2) if not any(names[at - 3 : at]) and _bytes(rows, at)]
    # Never negative and alone: colours from 0 to 1, of which a cloud of six columns has no others.
    if not found and count == 6:
        _check_colours(rows)
        colours = [3]
    if len(colours) == 1:
        names[colours[0] - 3 : colours[0]] = ["r g b"] * 3
    if count == 4 and not (rows[:, 3] < 0).any():
        names = ["intensity"]
    return names


def _check_colours(rows: Float64[np.ndarray, "V C"]) -> None:
    """Refuse six columns of which the last three, never negative, may be the points.

    Colours are whole numbers, or lie between 0 and 1. Points before them are neither normals nor
    colours themselves.
    """
    last = rows[:, 3:6][np.isfinite(rows[:, 3:6]).all(axis=1)]
    if not len(last) or (last == np.floor(last)).all():
        return
    if last.max() > 1:
        raise InputError(f"columns 4 to 6 are neither colours nor normals; {REMEDY}")
    if _are_unit(rows[:, :3]) or _bytes(rows, 0):
        raise InputError(f"columns 1 to 3 or 4 to 6 could be the points; {REMEDY}")


def _check_no_normals(rows: Float64[np.ndarray, "V C"]) -> None:
    """Refuse columns of both signs that are not of length 1: they might be normals all the same."""
    count = rows.shape[1]
    signed = np.asarray((rows < 0).any(axis=0))
    for at in range(3, count - 2):
        # Scanners give negative intensities, beside colours that are never negative.
        if signed[at : at + 3].sum() >= (1 if count == 6 else 2):
            three = _columns([at, at + 1, at + 2])
            raise InputError(
                f"{three} have negative numbers but not length 1, so they are neither colours nor "
                f"normals; {REMEDY}"
            )


def _normals_at(rows: Float64[np.ndarray, "V C"], at: int, size: int) -> bool:
    """True if the ``size`` columns from ``at`` on are normals.

    Colours are never negative, and have length 1 in nearly all rows only if there are few of them.

    Raises:
        InputError: the columns could be either.
    """
    part = rows[:, at : at + size]
    if not _are_unit(part):
        return False
    part = part[np.isfinite(part).all(axis=1) & (part != 0).any(axis=1)]
    if (part < 0).any() or len(np.unique(part.round(3), axis=0)) > 9:
        return True
    # All points of a plane have one normal, across which they do not extend.
    points = rows[:, :size][np.isfinite(rows[:, :size]).all(axis=1)]
    points = points - points.mean(axis=0)
    flat = abs(points @ part[0]).max() <= 1e-3 * np.linalg.norm(points, axis=1).max()
    if flat and np.ptp(part, axis=0).max() < TOLERANCE:
        return True
    three = _columns(list(range(at, at + size)))
    raise InputError(f"{three} could be normals or a few colours; {REMEDY}")


def _bytes(rows: Float64[np.ndarray, "V C"], at: int) -> bool:
    """True if the three columns from ``at`` on are whole numbers from 0 to 255."""
    part = rows[:, at : at + 3]
    return bool(((part >= 0) & (part <= 255) & (part == np.floor(part))).all())


def _are_unit(rows: Shaped[np.ndarray, "V D"]) -> bool:
    """True if nearly all rows that are known (finite and not 0) have length 1."""
    _, length = normal_lengths(rows, rows.shape)
    known = length[length > 0]
    return bool(len(known)) and float((abs(known - 1) <= TOLERANCE).mean()) >= 0.98
