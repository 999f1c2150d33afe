"""Words of scan files: names of the columns of points and normals, and numbers."""

import re
from collections.abc import Sequence

ROLES = ("x", "y", "z", "nx", "ny", "nz")
"""Columns that are used: the coordinates of a point and those of its normal."""
# Letter or number of the axis, at the end: x, X, Points:0, position_x, coord[0].
_POSITION = re.compile(r"(?:(?:points?|pos(?:itions?)?|coord(?:inate)?s?)[ _.:\[]?)?([xyz])\]?")
_NUMBERED = re.compile(r"(?:points?|pos(?:itions?)?|coord(?:inate)?s?)[ _.:\[]?([012])\]?")
# nx, n_x, normal_x, normalx, NormalX, norm_x, scalar_Nx (CloudCompare), Normals:0 (ParaView).
_NORMAL = re.compile(r"(?:scalar_)?(?:nor:)?n(?:orm(?:al)?s?)?[ _.:\[]?([xyz])\]?")
_NUMBERED_NORMAL = re.compile(r"(?:scalar_)?normals?[ _.:\[]?([012])\]?")


# A unit may follow: x (m), X[mm].
_UNIT = re.compile(r"\s*[\[(](m|mm|cm|in|ft)[\])]$")


def unit(name: str) -> str:
    """Return the unit that the name of a column ends with, "" if with none."""
    found = _UNIT.search(name.strip().lower())
    return found[1] if found else ""


def role(name: str) -> str | None:
    """Return which of ``ROLES`` a column of this name has; None for any other name."""
    word = _UNIT.sub("", name.strip().lower())
    for prefix, patterns in (("", (_POSITION, _NUMBERED)), ("n", (_NORMAL, _NUMBERED_NORMAL))):
        for pattern in patterns:
            found = pattern.fullmatch(word)
            if found:
                return prefix + {"0": "x", "1": "y", "2": "z"}.get(found[1], found[1])
    return None


def listed(names: Sequence[str]) -> str:
    """Join names by blanks; four or more that only count up are shortened: "f_0 to f_44"."""
    shown: list[str] = []
    start = 0
    while start < len(names):
        stop = start + 1
        while stop < len(names) and _follows(names[stop - 1], names[stop]):
            stop += 1
        run = names[start:stop]
        shown += [f"{run[0]} to {run[-1]}"] if len(run) > 3 else run
        start = stop
    return " ".join(shown)


def _follows(one: str, other: str) -> bool:
    """True if the names are equal but for the number at their end, which is the next one."""
    a = re.fullmatch(r"(.*?)([0-9]{1,9})", one)
    b = re.fullmatch(r"(.*?)([0-9]{1,9})", other)
    return a is not None and b is not None and a[1] == b[1] and int(b[2]) == int(a[2]) + 1


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
