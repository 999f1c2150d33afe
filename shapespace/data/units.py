"""Units of length of scan files, in relation to the metre."""

from shapespace.errors import InputError

PER_METRE = {"m": 1.0, "cm": 100.0, "mm": 1000.0, "in": 1 / 0.0254}
"""Source units in one metre."""


def per_metre(unit: str) -> float:
    """Return the number of units in one metre; InputError for an unknown unit."""
    if unit not in PER_METRE:
        raise InputError(f"unit={unit!r}: unknown; give one of {' '.join(PER_METRE)}")
    return PER_METRE[unit]
