"""How long tests wait for what must come: so long that only a hang, no busy machine, fails them."""

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds for what takes seconds on an idle machine."""


def until(what: Callable[[], object], pause: float = 0.1) -> None:
    """Wait until ``what()`` is true; TimeoutError where it never is.

    Args:
        what: is asked again and again.
        pause: seconds between two questions.
    """
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {PATIENCE:g} s")
        time.sleep(pause)
