"""Plain data from files that anybody may have made: JSON, and tests of forms.

A parser gives whatever a file holds: a list where a mapping should be, a number that no float can
hold, a hundred levels of lists. The functions below name what a reader relies on, so that it can
refuse a file in one line and need no test at each use.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

MOST_JSON = 1 << 26
"""Largest JSON file that is read, in bytes: scores of some ten thousand shapes."""
LARGEST = 1e100
"""Largest number that is taken for one; finite numbers of a file are far below."""
INFINITE = ("inf", "-inf")
"""Infinity in JSON, which has no number for it."""


def json_object(content: bytes) -> dict[str, Any]:
    """The object that a JSON file holds; ValueError, of one line, for anything else."""
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "too many levels" if isinstance(error, RecursionError) else error
        raise ValueError(f"is not JSON ({reason})") from error
    if not isinstance(found, dict):
        raise ValueError("holds no object")
    return found


def is_number(value: object) -> TypeGuard[float]:
    """True for an int or a float that a reader can calculate with, but for no bool; NaN counts."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # An integer of a JSON file may be larger than any float.
    return abs(value) <= LARGEST or (isinstance(value, float) and math.isnan(value))


def is_value(value: object) -> bool:
    """True for a value of the scores: a number, a yes or no, infinity as text, or None."""
    return value is None or isinstance(value, bool) or value in INFINITE or is_number(value)


def is_text(value: object) -> bool:
    """True for text."""
    return isinstance(value, str)


def is_list_of(
    value: object, test: Callable[[object], bool], most: int | None = None
) -> TypeGuard[list[Any]]:
    """True for a list whose items all pass a test.

    Args:
        value: What is tested.
        test: The test of an item.
        most: Most items; None sets no limit.
    """
    if not isinstance(value, list) or (most is not None and len(value) > most):
        return False
    return all(map(test, value))


def is_mapping_of(
    value: object, test: Callable[[object], bool], most: int | None = None
) -> TypeGuard[Mapping[str, Any]]:
    """True for a mapping with keys of text whose values all pass a test.

    Args:
        value: What is tested.
        test: The test of a value.
        most: Most entries; None sets no limit.
    """
    if not isinstance(value, Mapping) or (most is not None and len(value) > most):
        return False
    return all(map(is_text, value)) and all(map(test, value.values()))
