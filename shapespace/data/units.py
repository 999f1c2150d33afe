"""Units of length of scan files, against the metre of the store."""

from shapespace.errors import InputError

PER_METRE = {"m": 1.0, "cm": 100.0, "mm": 1000.0, "in": 1 / 0.0254}
"""Source units in one metre."""


def per_metre(unit: str) -> float:
    """How many of ``unit`` one metre has; InputError for an unknown unit."""
    if unit not in PER_METRE:
        raise InputError(f"unit={unit!r}: one of {' '.join(PER_METRE)}")
    return PER_METRE[unit]
